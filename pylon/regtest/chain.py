"""The private chain: our file, the engine that judges every block, and the transactions that wait for the next one.

One thread uses it. A change is in the file first, then the engine is told, then the watchers; what the engine refuses is taken back.
At the start the engine gets every block that it lacks: the height never falls, whenever the process ended.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pylon._native import Signer
from pylon.errors import PylonError
from pylon.regtest import mempool
from pylon.regtest.blocks import (
    GENESIS,
    HEADER_BYTES,
    double_sha256,
    header_time,
    hidden,
    merkle_root,
    read_transaction,
    shown,
    write_coinbase,
    write_header,
)
from pylon.regtest.chainfile import ChainFile, Removed, place_of
from pylon.regtest.kernel import Engine, verify_scripts
from pylon.regtest.mempool import Refused

HALVING: Final = 150
SUBSIDY: Final = 50 * 100_000_000
MEDIAN_SPAN: Final = 11
MOST_BLOCKS: Final = 10_000
MAX_AHEAD: Final = 2 * 60 * 60
"""Bitcoin Core, MAX_FUTURE_BLOCK_TIME: no block may be from further in the future."""


class ClockBehind(PylonError):
    """The clock of this machine is so far behind the chain that no block can follow."""

    code = "clock_behind"


@dataclass(frozen=True, slots=True)
class Change:
    """What a step has changed: places (hashes of scripts) whose history may be another, and whether there is a new tip."""

    places: frozenset[bytes]
    tip: bool


@dataclass(frozen=True, slots=True)
class Reorg:
    """What a reorganisation did: the new blocks; transactions that wait again; those that were dropped, each with the reason."""

    hashes: list[str]
    returned: list[str] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)


class Chain:
    """A chain in a folder. Made by `open`."""

    def __init__(self, folder: Path, clock: Callable[[], float], lock: int) -> None:
        self._folder = folder
        self._clock = clock
        self._lock = lock
        self._engine: Engine | None = None
        self._watchers: list[Callable[[Change], None]] = []
        self.file = ChainFile(folder / "chain.sqlite3")
        try:
            self.signer = Signer(self.file.reward_key())
            """The key of the faucet: all rewards go to it."""
            self.reward_script = b"\x51\x20" + self.signer.pubkey
            if self.ahead() <= MAX_AHEAD:
                self._ready()
        except BaseException:
            self.file.close()
            raise

    @classmethod
    def open(cls, folder: Path, clock: Callable[[], float] = time.time) -> Chain:
        """The chain in this folder, made when missing. Raises PylonError where it is in use, damaged, or from a newer Pylon."""
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(folder / "chain.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PylonError(f"{folder} cannot be used: {error.strerror}", hint="look at its permissions and at the free space") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls(folder, clock, lock)
        except BlockingIOError as error:
            os.close(lock)
            raise PylonError(f"another process uses the chain in {folder}", hint="one process at a time may") from error
        except BaseException:
            os.close(lock)
            raise

    def close(self) -> None:
        """Close all files. What was answered stands in them already."""
        if self._engine:
            self._engine.close()
        self._engine = None
        self.file.close()
        os.close(self._lock)

    def watch(self, watcher: Callable[[Change], None]) -> Callable[[], None]:
        """Call it after each change. Answers what ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def _tell(self, places: set[bytes], *, tip: bool) -> None:
        for watcher in list(self._watchers):
            watcher(Change(frozenset(places), tip))

    @property
    def height(self) -> int:
        """How many blocks follow the first one."""
        return self.file.height()

    @property
    def tip(self) -> str:
        """The hash of the last block."""
        return shown(double_sha256(self._header(self.height)))

    @property
    def genesis(self) -> str:
        """The hash of the first block."""
        return shown(double_sha256(GENESIS[:HEADER_BYTES]))

    @property
    def mempool(self) -> int:
        """How many transactions wait for a block."""
        return int(self.file.rows("SELECT count(*) FROM txs WHERE height IS NULL")[0][0])

    def where(self, txid: str) -> tuple[int, str] | None:
        """The height and hash of the block that holds a transaction; None where it waits or is not known."""
        found = self.file.rows("SELECT t.height, b.hash FROM txs t JOIN blocks b USING (height) WHERE t.txid = ?", hidden(txid))
        return (found[0][0], shown(found[0][1])) if found else None

    def knows(self, txid: str) -> bool:
        """Whether a transaction is in a block, or waits for one."""
        return bool(self.file.rows("SELECT 1 FROM txs WHERE txid = ?", hidden(txid)))

    def _header(self, height: int) -> bytes:
        return self.file.standing(height, height)[0]

    def median(self, height: int) -> int:
        """The median time past of the block at a height (BIP-113)."""
        times = sorted(header_time(header) for header in self.file.standing(max(0, height - MEDIAN_SPAN + 1), height))
        return times[len(times) // 2]

    def ahead(self) -> float:
        """By how many seconds the last block is later than our clock. More than 0 where the clock was set back."""
        return header_time(self._header(self.height)) - self._clock()

    def _ready(self) -> Engine:
        """The engine, with every block of the file."""
        if self._engine is None:
            engine = Engine(self._folder / "kernel")
            try:
                engine.follow(self.file)
            except BaseException:
                engine.close()
                raise
            self._engine = engine
        return self._engine

    def accept(self, raw: bytes) -> str:
        """Take in a transaction for the next block; one that is here already is answered again. Raises ValueError with the reason."""
        transaction = read_transaction(raw)
        if self.file.rows("SELECT 1 FROM txs WHERE txid = ?", transaction.txid):
            return shown(transaction.txid)
        mempool.check_form(transaction)
        coins = mempool.check_coins(transaction, [self.file.coin(one.txid, one.index) for one in transaction.inputs])
        fee = mempool.fee(transaction, coins)
        mempool.check_time(transaction, coins, self.height + 1, self.median)
        sigops = mempool.sigop_cost(transaction, coins)
        if self.file.waiting_bytes() + len(raw) > mempool.MAX_WAITING_BYTES:
            raise Refused("mempool full")
        verify_scripts(transaction, coins)
        with self.file.change():
            self.file.add(transaction, fee=fee, sigops=sigops)
        scripts = [coin.script for coin in coins] + [output.script for output in transaction.outputs]
        self._tell({place_of(script) for script in scripts}, tip=False)
        return shown(transaction.txid)

    def mine(self, count: int = 1) -> list[str]:
        """Make blocks of what waits. Raises ClockBehind, PylonError where the disk refuses: then the chain is as it was."""
        if not 1 <= count <= MOST_BLOCKS:
            raise ValueError(f"1 to {MOST_BLOCKS} blocks are mined at a time")
        self._next_time()
        engine = self._ready()
        before = self.height
        with self.file.change():
            for _ in range(count):
                self._append(empty=False)
        places = self._places_above(before)
        try:
            with self._agreed():
                engine.follow(self.file)
        except PylonError:
            with self.file.change():
                self.file.rewind(before)
            raise
        self._tell(places, tip=True)
        return self._hashes(before + 1)

    def _next_time(self) -> int:
        """The time of the next block. Raises ClockBehind."""
        now = int(self._clock())
        at = max(now, self.median(self.height) + 1)
        if at > now + MAX_AHEAD or self.ahead() > MAX_AHEAD:
            raise ClockBehind(
                f"the clock of this machine is {int(self.ahead()) // 60} minutes behind the private network's last block",
                hint="set the clock right; until then no block can be made",
            )
        return at

    def _append(self, *, empty: bool) -> None:
        """Put the next block on top, in the file."""
        height = self.height + 1
        taken = [] if empty else mempool.select(self.file.waiting())
        reward = (SUBSIDY >> height // HALVING) + sum(one.fee for one in taken)
        transactions = [one.transaction for one in taken]
        coinbase = write_coinbase(height, reward, self.reward_script, transactions, os.urandom(8))
        root = merkle_root([coinbase.txid, *(one.txid for one in transactions)])
        header = write_header(double_sha256(self._header(height - 1)), root, self._next_time())
        self.file.add_block(header, coinbase, taken)

    def _places_above(self, height: int) -> set[bytes]:
        """Places whose history the blocks above a height may have changed: of their transactions, and of what waits behind those."""
        rows = self.file.rows(
            "WITH moved AS (SELECT id FROM txs WHERE height > ?1"
            " UNION SELECT o.spender FROM outs o JOIN txs t ON t.id = o.tx WHERE t.height > ?1 AND o.spender IS NOT NULL)"
            " SELECT place FROM outs WHERE tx IN moved UNION SELECT place FROM outs WHERE spender IN moved",
            height,
        )
        return {row[0] for row in rows}

    def _hashes(self, first: int) -> list[str]:
        return [shown(double_sha256(header)) for header in self.file.headers(first, self.height)]

    def reorg(self, depth: int, blocks: int) -> Reorg:
        """Replace the last `depth` blocks by `blocks` empty ones (more than before); what they held waits again, if it still may.

        Raises ValueError where the new branch would not be longer, or the first block would go; else as `mine` does."""
        height = self.height
        if not 1 <= depth <= height or not depth < blocks <= MOST_BLOCKS:
            raise ValueError(f"depth is 1 to {height}, and {depth + 1} to {MOST_BLOCKS} blocks replace {depth}")
        self._next_time()
        engine = self._ready()
        fork = height - depth
        places = self._places_above(fork)
        with self._agreed(), self.file.change():
            rows = self.file.rows("SELECT txid FROM txs WHERE height > ? AND pos > 0 ORDER BY height, pos", fork)
            gone = {one.txid: (one, "bad-txns-inputs-missingorspent") for one in self.file.rewind(fork)}
            for _ in range(blocks):
                self._append(empty=True)
            gone |= self._drop_invalid()
            # Here the engine hears of it before it is written, so that a refusal leaves the old branch. If we end in between, the engine
            # is made anew at the next start.
            engine.follow(self.file)
        places |= self._places_above(fork)
        places.update(*(one.places for one, _ in gone.values()))
        returned = [shown(row[0]) for row in rows if row[0] not in gone]
        self._tell(places, tip=True)
        return Reorg(self._hashes(fork + 1), returned, [(shown(txid), reason) for txid, (_, reason) in gone.items()])

    def _drop_invalid(self) -> dict[bytes, tuple[Removed, str]]:
        """Forget what waits and may not be in the next block, and what spends it."""
        gone: dict[bytes, tuple[Removed, str]] = {}
        for one in self.file.waiting():
            if one.transaction.txid in gone:
                continue
            coins = [self.file.coin(spent.txid, spent.index) for spent in one.transaction.inputs]
            try:
                mempool.check_time(one.transaction, [coin for coin in coins if coin], self.height + 1, self.median)
            except Refused as error:
                gone |= {removed.txid: (removed, str(error)) for removed in self.file.remove(one.transaction.txid)}
        return gone

    @contextmanager
    def _agreed(self) -> Iterator[None]:
        """A step that the engine takes part in. Where it fails the engine is let go; the next step opens it and brings it to the file."""
        try:
            yield
        except BaseException:
            if self._engine:
                self._engine.close()
            self._engine = None
            raise
