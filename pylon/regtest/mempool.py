"""What a transaction must be to wait for a block, beyond what the engine says of its scripts; and which of those go into the next one.

The rules are those of the chain (Bitcoin Core, src/consensus/tx_check.cpp, tx_verify.cpp); the words for what is refused are Core's too.
No rule of taste: a transaction without a fee is taken, what conflicts with one that waits is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from pylon.regtest.blocks import FINAL, NO_HASH, Transaction
from pylon.regtest.chainfile import Coin, Waiting

MATURITY: Final = 100
MAX_MONEY: Final = 21_000_000 * 100_000_000
MAX_BLOCK_WEIGHT: Final = 4_000_000
MAX_BLOCK_SIGOPS: Final = 80_000
RESERVED_WEIGHT: Final = 8_000
"""For the header and the coinbase."""
RESERVED_SIGOPS: Final = 400
MAX_WEIGHT: Final = 400_000
"""Of one transaction, as Bitcoin Core relays them."""
MAX_SIGOPS: Final = MAX_BLOCK_SIGOPS // 5
"""Of one transaction, as Bitcoin Core relays them."""
MAX_WAITING_BYTES: Final = 50_000_000
LOCKTIME_THRESHOLD: Final = 500_000_000
"""A locktime below is a height, from here on a time."""
NO_RELATIVE_LOCK: Final = 1 << 31
RELATIVE_TIME: Final = 1 << 22
RELATIVE_MASK: Final = 0xFFFF
RELATIVE_SHIFT: Final = 9


class Refused(ValueError):
    """A transaction that cannot go into the next block. The message is Bitcoin Core's word for the reason."""


def check_form(transaction: Transaction) -> None:
    """What can be seen without the chain. Raises Refused."""
    if transaction.coinbase:
        raise Refused("coinbase")
    if not transaction.inputs:
        raise Refused("bad-txns-vin-empty")
    if not transaction.outputs:
        raise Refused("bad-txns-vout-empty")
    if transaction.weight > MAX_WEIGHT:
        raise Refused("tx-size")
    if any(output.value > MAX_MONEY for output in transaction.outputs):
        raise Refused("bad-txns-vout-toolarge")
    if sum(output.value for output in transaction.outputs) > MAX_MONEY:
        raise Refused("bad-txns-txouttotal-toolarge")
    if len({(one.txid, one.index) for one in transaction.inputs}) != len(transaction.inputs):
        raise Refused("bad-txns-inputs-duplicate")
    if any(one.txid == NO_HASH and one.index == FINAL for one in transaction.inputs):
        raise Refused("bad-txns-prevout-null")


def check_coins(transaction: Transaction, coins: Sequence[Coin | None]) -> list[Coin]:
    """The coins that it spends: all are there and nobody else's. Raises Refused."""
    for coin in coins:
        if coin is None or coin.spent_in_block:
            raise Refused("bad-txns-inputs-missingorspent")
        if coin.spent:
            raise Refused("txn-mempool-conflict")
    return [coin for coin in coins if coin]


def fee(transaction: Transaction, coins: Sequence[Coin]) -> int:
    """What it leaves to the miner. Raises Refused where it gives more than it has."""
    left = sum(coin.value for coin in coins) - sum(output.value for output in transaction.outputs)
    if left < 0:
        raise Refused("bad-txns-in-belowout")
    return left


def check_time(transaction: Transaction, coins: Sequence[Coin], height: int, median: Callable[[int], int]) -> None:
    """Whether a block at `height` may hold it: maturity, nLockTime (BIP-113), relative locks (BIP-68). Raises Refused.

    `median(h)` is the median time past of the block at height h."""
    if any(coin.coinbase and coin.height is not None and height - coin.height < MATURITY for coin in coins):
        raise Refused("bad-txns-premature-spend-of-coinbase")
    now = median(height - 1)
    limit = height if transaction.locktime < LOCKTIME_THRESHOLD else now
    if transaction.locktime and transaction.locktime >= limit and any(one.sequence != FINAL for one in transaction.inputs):
        raise Refused("non-final")
    if transaction.version < 2:
        return
    for one, coin in zip(transaction.inputs, coins, strict=True):
        if one.sequence & NO_RELATIVE_LOCK:
            continue
        # BIP-68: what waits counts as in the next block.
        since = height if coin.height is None else coin.height
        wait = one.sequence & RELATIVE_MASK
        if one.sequence & RELATIVE_TIME:
            locked = median(max(since - 1, 0)) + (wait << RELATIVE_SHIFT) - 1 >= now
        else:
            locked = since + wait - 1 >= height
        if locked:
            raise Refused("non-BIP68-final")


def sigops(script: bytes, *, exact: bool) -> int:
    """How many signatures a script may check. Not exact: a CHECKMULTISIG counts as 20 (Bitcoin Core, CScript::GetSigOpCount)."""
    count = at = 0
    before = 0xFF
    while at < len(script):
        code = script[at]
        at += 1
        if code <= 0x4E:
            width = {0x4C: 1, 0x4D: 2, 0x4E: 4}.get(code, 0)
            pushed = int.from_bytes(script[at : at + width], "little") if width else code
            if at + width + pushed > len(script):
                break
            at += width + pushed
        elif code in (0xAC, 0xAD):
            count += 1
        elif code in (0xAE, 0xAF):
            count += before - 0x50 if exact and 0x51 <= before <= 0x60 else 20
        before = code
    return count


def last_push(script: bytes) -> bytes:
    """The last thing that a script of pushes leaves: the script behind a P2SH."""
    at, last = 0, b""
    while at < len(script):
        code = script[at]
        at += 1
        if code > 0x60:
            return b""
        width = {0x4C: 1, 0x4D: 2, 0x4E: 4}.get(code, 0)
        pushed = int.from_bytes(script[at : at + width], "little") if width else code if code < 0x4C else 0
        if at + width + pushed > len(script):
            return b""
        last = script[at + width : at + width + pushed]
        at += width + pushed
    return last


def sigop_cost(transaction: Transaction, coins: Sequence[Coin]) -> int:
    """BIP-141: signature operations cost 4 outside of witnesses, 1 within. Raises Refused where it is more than one may have."""
    legacy = sum(sigops(one.script, exact=False) for one in transaction.inputs)
    legacy += sum(sigops(output.script, exact=False) for output in transaction.outputs)
    cost = 4 * legacy
    for one, coin in zip(transaction.inputs, coins, strict=True):
        script = coin.script
        if len(script) == 23 and script.startswith(b"\xa9\x14") and script.endswith(b"\x87"):
            script = last_push(one.script)
            cost += 4 * sigops(script, exact=True)
        if len(script) == 22 and script.startswith(b"\x00\x14"):
            cost += 1
        elif len(script) == 34 and script.startswith(b"\x00\x20") and one.witness:
            cost += sigops(one.witness[-1], exact=True)
    if cost > MAX_SIGOPS:
        raise Refused("bad-txns-too-many-sigops")
    return cost


def select(waiting: Sequence[Waiting]) -> list[Waiting]:
    """What goes into the next block: in the order of arrival, each after its parents, until the block is full."""
    weight, cost = RESERVED_WEIGHT, RESERVED_SIGOPS
    taken: list[Waiting] = []
    left: set[bytes] = set()
    for one in waiting:
        full = weight + one.transaction.weight > MAX_BLOCK_WEIGHT or cost + one.sigops > MAX_BLOCK_SIGOPS
        if full or any(spent.txid in left for spent in one.transaction.inputs):
            left.add(one.transaction.txid)
            continue
        weight += one.transaction.weight
        cost += one.sigops
        taken.append(one)
    return taken
