"""What an Electrum server answers (protocol 1.4, https://electrumx.readthedocs.io/en/latest/protocol-methods.html), without a socket.

Arguments come from strangers: each is checked before it is used. Whatever is wrong is a `Fault`, the protocol's form of an error.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pylon import __version__
from pylon.errors import PylonError
from pylon.regtest.blocks import double_sha256, header_time, hidden, merkle_branch, read_transaction, shown
from pylon.regtest.chain import Chain

OLDEST: Final = (1, 4)
NEWEST: Final = (1, 4, 2)
MAX_HEADERS: Final = 2016
MAX_HISTORY: Final = 20_000
FEE_RATE: Final = 0.00001
"""Bitcoin a thousand virtual bytes: one sat a byte."""

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
UNKNOWN_METHOD: Final = -32601
INVALID_PARAMS: Final = -32602
BAD_REQUEST: Final = 1
DAEMON_ERROR: Final = 2


class Fault(Exception):
    """An error in the protocol's form: a code and a sentence."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Method:
    """One method: what answers, and the names of its arguments; the first `needed` must be there."""

    answer: Callable[..., Any]
    names: tuple[str, ...] = ()
    needed: int = 0


def whole(value: object, what: str, *, most: int = 2**31 - 1) -> int:
    """A number from 0 to `most`. Raises Fault."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Fault(BAD_REQUEST, f"{what} should be a non-negative integer")
    return value


def digest(value: object, what: str) -> bytes:
    """A hash. Raises Fault."""
    try:
        if isinstance(value, str):
            return hidden(value)
    except ValueError:
        pass
    raise Fault(BAD_REQUEST, f"{what} should be 64 hexadecimal digits")


def truth(value: object, what: str) -> bool:
    """True or false. Raises Fault."""
    if not isinstance(value, bool):
        raise Fault(BAD_REQUEST, f"{what} should be a boolean")
    return value


def dotted(value: object) -> tuple[int, ...]:
    """A version of the protocol. Raises Fault."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}", value):
        raise Fault(BAD_REQUEST, "a protocol version is numbers with dots between them")
    return tuple(int(part) for part in value.split("."))


class Answers:
    """The methods over one chain that need no session. `arguments` orders what a request gives, by place or by name."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._file = chain.file
        self.methods: Mapping[str, Method] = {
            "server.version": Method(self._version, ("client_name", "protocol_version")),
            "server.features": Method(self._features),
            "server.banner": Method(lambda: "A private regtest network of Pylon: its coins have no value."),
            "server.donation_address": Method(lambda: ""),
            "server.ping": Method(lambda: None),
            "server.peers.subscribe": Method(list),
            "server.add_peer": Method(lambda _features: False, ("features",), 1),
            "blockchain.estimatefee": Method(self._fee, ("number", "mode"), 1),
            "blockchain.relayfee": Method(lambda: FEE_RATE),
            "blockchain.block.header": Method(self._header, ("height", "cp_height"), 1),
            "blockchain.block.headers": Method(self._headers, ("start_height", "count", "cp_height"), 2),
            "blockchain.scripthash.get_balance": Method(self._balance, ("scripthash",), 1),
            "blockchain.scripthash.get_history": Method(self._history, ("scripthash",), 1),
            "blockchain.scripthash.get_mempool": Method(self._waiting, ("scripthash",), 1),
            "blockchain.scripthash.listunspent": Method(self._unspent, ("scripthash",), 1),
            "blockchain.transaction.broadcast": Method(self._broadcast, ("raw_tx",), 1),
            "blockchain.transaction.get": Method(self._get, ("tx_hash", "verbose"), 1),
            "blockchain.transaction.get_merkle": Method(self._merkle, ("tx_hash", "height"), 2),
            "blockchain.transaction.id_from_pos": Method(self._id_from_pos, ("height", "tx_pos", "merkle"), 2),
            "mempool.get_fee_histogram": Method(self._histogram),
        }

    def tip(self) -> dict[str, object]:
        """The last header, as subscribers get it."""
        height = self._chain.height
        return {"hex": self._file.standing(height, height)[0].hex(), "height": height}

    def status(self, place: bytes) -> str | None:
        """The hash over the history of a script: what subscribers compare. None where nothing ever happened."""
        history = self._entries(place)
        if not history:
            return None
        return hashlib.sha256("".join(f"{one['tx_hash']}:{one['height']}:" for one in history).encode()).hexdigest()

    def _version(self, _client: object = "", wanted: object = "1.4") -> list[str]:
        ends = wanted if isinstance(wanted, list) else [wanted, wanted]
        if len(ends) != 2:
            raise Fault(BAD_REQUEST, "a protocol version is a text, or the oldest and the newest")
        low, high = (dotted(end) for end in ends)
        best = min(high, NEWEST)
        if best < OLDEST or best < low:
            raise Fault(BAD_REQUEST, f"unsupported protocol version: {wanted}")
        return [f"Pylon {__version__}", ".".join(map(str, best))]

    def _features(self) -> dict[str, object]:
        return {
            "genesis_hash": self._chain.genesis,
            "hosts": {},
            "protocol_min": ".".join(map(str, OLDEST)),
            "protocol_max": ".".join(map(str, NEWEST)),
            "server_version": f"Pylon {__version__}",
            "hash_function": "sha256",
            "pruning": None,
        }

    def _fee(self, blocks: object, _mode: object = None) -> float:
        whole(blocks, "number")
        return FEE_RATE

    def _header(self, height: object, cp_height: object = 0) -> str:
        self._no_checkpoint(cp_height)
        header = self._file.header(whole(height, "height"))
        if header is None:
            raise Fault(BAD_REQUEST, f"height {height} out of range")
        return header.hex()

    def _headers(self, start: object, count: object, cp_height: object = 0) -> dict[str, object]:
        self._no_checkpoint(cp_height)
        first = whole(start, "start_height")
        headers = self._file.headers(first, first + min(whole(count, "count"), MAX_HEADERS) - 1)
        return {"hex": b"".join(headers).hex(), "count": len(headers), "max": MAX_HEADERS}

    def _no_checkpoint(self, cp_height: object) -> None:
        if whole(cp_height, "cp_height"):
            raise Fault(BAD_REQUEST, "a private network has no checkpoints")

    def _entries(self, place: bytes) -> list[dict[str, Any]]:
        # "0 if all inputs are confirmed, and -1 otherwise"
        rows = self._file.rows(
            "SELECT t.txid, t.height, t.fee, EXISTS ("
            "  SELECT 1 FROM outs o JOIN txs p ON p.id = o.tx WHERE o.spender = t.id AND p.height IS NULL)"
            " FROM txs t WHERE t.id IN (SELECT tx FROM outs WHERE place = ?1 UNION"
            "  SELECT spender FROM outs WHERE place = ?1 AND spender IS NOT NULL)"
            " ORDER BY t.height IS NULL, t.height, t.pos, t.arrival LIMIT ?2",
            place,
            MAX_HISTORY + 1,
        )
        if len(rows) > MAX_HISTORY:
            raise Fault(BAD_REQUEST, "history too large")
        return [
            {"tx_hash": shown(txid), "height": -1 if orphan else 0, "fee": fee}
            if height is None
            else {"tx_hash": shown(txid), "height": height}
            for txid, height, fee, orphan in rows
        ]

    def _history(self, place: object) -> list[dict[str, Any]]:
        return self._entries(digest(place, "scripthash"))

    def _waiting(self, place: object) -> list[dict[str, Any]]:
        return [one for one in self._history(place) if one["height"] <= 0]

    def _unspent(self, place: object) -> list[dict[str, Any]]:
        rows = self._file.rows(
            "SELECT t.txid, o.n, o.value, coalesce(t.height, 0) FROM outs o JOIN txs t ON t.id = o.tx"
            " WHERE o.place = ? AND o.spender IS NULL ORDER BY t.height IS NULL, t.height, t.pos, t.arrival, o.n LIMIT ?",
            digest(place, "scripthash"),
            MAX_HISTORY + 1,
        )
        if len(rows) > MAX_HISTORY:
            raise Fault(BAD_REQUEST, "history too large")
        return [{"tx_hash": shown(txid), "tx_pos": n, "value": value, "height": height} for txid, n, value, height in rows]

    def _balance(self, place: object) -> dict[str, int]:
        # Confirmed is what blocks say; unconfirmed is what the waiting transactions add to it, or take away.
        rows = self._file.rows(
            "SELECT total((t.height IS NOT NULL AND s.height IS NULL) * o.value), total((o.spender IS NULL) * o.value)"
            " FROM outs o JOIN txs t ON t.id = o.tx LEFT JOIN txs s ON s.id = o.spender WHERE o.place = ?",
            digest(place, "scripthash"),
        )
        confirmed, unspent = (int(value) for value in rows[0])
        return {"confirmed": confirmed, "unconfirmed": unspent - confirmed}

    def _broadcast(self, raw: object) -> str:
        try:
            return self._chain.accept(bytes.fromhex(raw if isinstance(raw, str) else "not hexadecimal"))
        except ValueError as error:
            raise Fault(BAD_REQUEST, f"the transaction was rejected by network rules.\n\n{error}") from error
        except PylonError as error:
            raise Fault(DAEMON_ERROR, error.message) from error

    def _get(self, txid: object, verbose: object = False) -> object:
        rows = self._file.rows("SELECT raw, height FROM txs WHERE txid = ?", digest(txid, "tx_hash"))
        if not rows:
            raise Fault(DAEMON_ERROR, "No such mempool or blockchain transaction.")
        raw, height = rows[0]
        if not truth(verbose, "verbose"):
            return raw.hex()
        one = read_transaction(raw)
        said: dict[str, object] = {"txid": txid, "hash": shown(one.witness_hash), "hex": raw.hex(), "size": len(raw)}
        said |= {"vsize": one.virtual_bytes, "weight": one.weight, "version": one.version, "locktime": one.locktime}
        if height is not None:
            header = self._file.standing(height, height)[0]
            said |= {"blockhash": shown(double_sha256(header)), "confirmations": self._chain.height - height + 1}
            said |= {"time": header_time(header), "blocktime": header_time(header)}
        return said

    def _merkle(self, txid: object, height: object) -> dict[str, object]:
        hashes = self._hashes(whole(height, "height"))
        wanted = digest(txid, "tx_hash")
        if wanted not in hashes:
            raise Fault(BAD_REQUEST, f"tx {txid} not in block at height {height}")
        position = hashes.index(wanted)
        return {"block_height": height, "pos": position, "merkle": [shown(one) for one in merkle_branch(hashes, position)]}

    def _id_from_pos(self, height: object, position: object, merkle: object = False) -> object:
        hashes = self._hashes(whole(height, "height"))
        at = whole(position, "tx_pos")
        if at >= len(hashes):
            raise Fault(BAD_REQUEST, f"no tx at position {at} in block at height {height}")
        if not truth(merkle, "merkle"):
            return shown(hashes[at])
        return {"tx_hash": shown(hashes[at]), "merkle": [shown(one) for one in merkle_branch(hashes, at)]}

    def _hashes(self, height: int) -> list[bytes]:
        return [row[0] for row in self._file.rows("SELECT txid FROM txs WHERE height = ? ORDER BY pos", height)]

    def _histogram(self) -> list[list[float]]:
        rates: dict[int, int] = {}
        for one in self._file.waiting():
            rate = one.fee // one.transaction.virtual_bytes
            rates[rate] = rates.get(rate, 0) + one.transaction.virtual_bytes
        return [[rate, rates[rate]] for rate in sorted(rates, reverse=True)]


def arguments(method: Method, given: object) -> Sequence[object]:
    """The arguments in their order. Raises Fault where there are too few, too many, or one has a name that there is not."""
    if isinstance(given, dict):
        if not given.keys() <= set(method.names):
            raise Fault(INVALID_PARAMS, f"the arguments are {', '.join(method.names) or 'none'}")
        ordered = [name for name in method.names if name in given]
        if ordered != list(method.names[: len(ordered)]):
            raise Fault(INVALID_PARAMS, "an argument in the middle is missing")
        given = [given[name] for name in ordered]
    if not isinstance(given, list):
        raise Fault(INVALID_REQUEST, "params should be an array or an object")
    if not method.needed <= len(given) <= len(method.names):
        raise Fault(INVALID_PARAMS, f"{len(given)} arguments given, {method.needed} to {len(method.names)} are taken")
    return given
