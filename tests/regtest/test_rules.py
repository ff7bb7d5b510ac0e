"""What may wait for the next block: our rules against the engine's, at every boundary. What we refuse the engine refuses too."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon.regtest import mempool
from pylon.regtest.blocks import FINAL, NO_HASH, Input, Output, read_block, shown, write_transaction
from pylon.regtest.chain import Chain
from pylon.regtest.mempool import LOCKTIME_THRESHOLD, MAX_MONEY, NO_RELATIVE_LOCK, RELATIVE_TIME, Refused, sigop_cost
from tests.regtest.spending import OPEN, TRUE, Coin, engine_takes, judged, open_coin, outcome, reward, spend, tampered

NOT_FINAL = FINAL - 1


class Clock:
    """A clock that a test moves. It begins a month ago, so that the engine's own clock is never before it."""

    def __init__(self) -> None:
        self.now = time.time() - 30 * 86_400

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Clock:
    """The clock of this module's chain."""
    return Clock()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Chain]:
    """One chain for all rules: each test adds to it."""
    made = Chain.open(tmp_path_factory.mktemp("rules"), clock)
    made.mine(120)
    yield made
    made.close()


def confirmed(chain: Chain, sats: int = 100_000, script: bytes = OPEN) -> Coin:
    """An open coin that is in a block."""
    coin = open_coin(chain, sats, script)
    chain.mine()
    return coin


def test_a_reward_is_ripe_after_a_hundred_blocks(chain: Chain) -> None:
    """At 99 blocks it is refused, at 100 it is mined."""
    fresh = reward(chain, chain.height - 98)
    assert judged(chain, fresh) == "bad-txns-premature-spend-of-coinbase"
    chain.mine()
    assert judged(chain, fresh) == "taken"


@pytest.mark.parametrize(
    ("beyond", "sequence", "word"), [(0, NOT_FINAL, "taken"), (1, NOT_FINAL, "non-final"), (1, FINAL, "taken"), (7, 0, "non-final")]
)
def test_a_locktime_is_a_height(chain: Chain, beyond: int, sequence: int, word: str) -> None:
    """A transaction waits until the block after its locktime, unless its inputs are final."""
    coin = confirmed(chain)
    assert judged(chain, spend([coin], locktime=chain.height + beyond, sequence=sequence)) == word


@pytest.mark.parametrize(("beyond", "word"), [(-1, "taken"), (0, "non-final"), (600, "non-final")])
def test_a_locktime_is_a_median_time(chain: Chain, beyond: int, word: str) -> None:
    """BIP-113: a locktime that is a time is held against the median of the last blocks, not against the clock."""
    coin = confirmed(chain)
    median = chain.median(chain.height)
    assert median > LOCKTIME_THRESHOLD
    assert judged(chain, spend([coin], locktime=median + beyond, sequence=NOT_FINAL)) == word


@pytest.mark.parametrize(
    ("wait", "more", "version", "word"),
    [
        (3, 2, 2, "taken"), (3, 1, 2, "non-BIP68-final"), (1, 0, 2, "taken"), (2, 0, 2, "non-BIP68-final"), (3, 0, 1, "taken"),
        (NO_RELATIVE_LOCK | 3, 0, 2, "taken"), (0, 0, 2, "taken"), (3, 0, FINAL, "non-BIP68-final"),
    ],
)  # fmt: skip
def test_a_relative_lock_counts_blocks(chain: Chain, wait: int, more: int, version: int, word: str) -> None:
    """BIP-68: a coin of block h with a lock of n blocks is spent from block h + n on; version 1 and a set bit 31 know no lock."""
    coin = confirmed(chain)
    if more:
        chain.mine(more)
    assert judged(chain, spend([coin], sequence=wait, version=version)) == word


@pytest.mark.parametrize(("wait", "word"), [(0, "taken"), (1, "non-BIP68-final")])
def test_a_parent_that_waits_counts_as_in_the_next_block(chain: Chain, wait: int, word: str) -> None:
    """BIP-68 on a coin of the mempool: no lock is fine, a lock of one block is not over."""
    parent = spend([confirmed(chain)])
    chain.accept(parent.raw)
    assert judged(chain, spend([outcome(parent)], sequence=wait)) == word
    chain.mine()


@given(
    wait=st.integers(0, 5),
    steps=st.lists(st.integers(0, 1500), min_size=1, max_size=8),
)
@settings(max_examples=25)
def test_a_relative_lock_counts_time(chain: Chain, clock: Clock, wait: int, steps: list[int]) -> None:
    """BIP-68 in units of 512 seconds of median time: we and the engine say the same for every pace of blocks."""
    coin = confirmed(chain)
    for step in steps:
        clock.now += step
        chain.mine()
    assert judged(chain, spend([coin], sequence=RELATIVE_TIME | wait)) in ("taken", "non-BIP68-final")


def test_the_time_of_a_relative_lock_is_exact(chain: Chain, clock: Clock) -> None:
    """One second before 512 seconds of median time are over it is refused; then it is taken."""
    clock.now += 3_600
    chain.mine(12)
    coin = confirmed(chain)
    since = chain.median(chain.height - 1)
    for goal, word in ((511, "non-BIP68-final"), (512, "taken")):
        clock.now = since + goal
        while chain.median(chain.height) < since + goal:
            chain.mine()
        assert chain.median(chain.height) == since + goal
        assert judged(chain, spend([coin], sequence=RELATIVE_TIME | 1)) == word


def test_a_script_that_waits_is_refused_before_its_time(chain: Chain) -> None:
    """A commitment's delayed output (OP_CHECKSEQUENCEVERIFY): neither too early nor with a lock that is too short."""
    delayed = b"\x54\xb2\x75\x51"  # 4 CHECKSEQUENCEVERIFY DROP TRUE
    place = b"\x00\x20" + hashlib.sha256(delayed).digest()
    coin = confirmed(chain, script=place)
    assert judged(chain, spend([coin], sequence=4, witness=(delayed,))) == "non-BIP68-final"
    chain.mine(3)
    with pytest.raises(ValueError, match="script-verify-flag"):
        chain.accept(spend([coin], sequence=3, witness=(delayed,)).raw)
    assert judged(chain, spend([coin], sequence=4, witness=(delayed,))) == "taken"

def test_amounts_are_in_range_and_covered(chain: Chain) -> None:
    """More than there is, more than there can be, and the sum of that: refused, as the engine does."""
    coin = confirmed(chain)
    for outputs, word in (
        ([Output(100_001, OPEN)], "bad-txns-in-belowout"),
        ([Output(MAX_MONEY + 1, OPEN)], "bad-txns-vout-toolarge"),
        ([Output(2**64 - 1, OPEN)], "bad-txns-vout-toolarge"),
        ([Output(MAX_MONEY, OPEN), Output(1, OPEN)], "bad-txns-txouttotal-toolarge"),
    ):
        assert judged(chain, spend([coin], outputs)) == word
    assert judged(chain, spend([coin], [Output(100_000, OPEN)])) == "taken"  # no fee is no fault


def test_inputs_are_known_unspent_and_each_there_once(chain: Chain) -> None:
    """What is not there, what a block has spent, and one coin twice: refused, as the engine does."""
    coin = confirmed(chain)
    assert judged(chain, spend([(coin[0], 7, 1000)])) == "bad-txns-inputs-missingorspent"
    assert judged(chain, spend([(b"\x11" * 32, 0, 1000)])) == "bad-txns-inputs-missingorspent"
    assert judged(chain, spend([coin, coin])) == "bad-txns-inputs-duplicate"
    assert judged(chain, spend([coin])) == "taken"
    assert judged(chain, spend([coin], [Output(5_000, OPEN)])) == "bad-txns-inputs-missingorspent"
    genesis = read_block(chain.file.block(0))[1][0]
    assert judged(chain, spend([outcome(genesis)])) == "bad-txns-inputs-missingorspent"


def test_the_first_spend_of_a_coin_stays(chain: Chain) -> None:
    """A second one is a conflict while the first one waits; an unspent parent of the mempool may be spent."""
    coin = confirmed(chain)
    first = spend([coin])
    chain.accept(first.raw)
    assert judged(chain, spend([coin], [Output(5_000, OPEN)])) == "txn-mempool-conflict"
    child = spend([outcome(first)])
    assert judged(chain, child) == "taken"
    assert chain.where(shown(first.txid)) == chain.where(shown(child.txid))


def test_a_transaction_that_is_here_is_answered_again(chain: Chain) -> None:
    """Its id comes back, while it waits and when it is in a block; nothing is written twice."""
    one = spend([confirmed(chain)])
    name = chain.accept(one.raw)
    assert chain.accept(one.raw) == name
    assert chain.mempool == 1
    chain.mine()
    assert chain.accept(one.raw) == name
    assert chain.mempool == 0


def test_what_is_no_payment_is_refused(chain: Chain) -> None:
    """A coinbase, one without inputs or outputs, one with an input from nowhere: refused, as the engine does."""
    coin = Input(confirmed(chain)[0], 0, b"", FINAL, (TRUE,))
    for wrong, word in (
        (write_transaction(2, [Input(NO_HASH, FINAL, b"\x51\x51")], [Output(1, OPEN)]), "coinbase"),
        (write_transaction(2, [Input(NO_HASH, FINAL), coin], [Output(1, OPEN)]), "bad-txns-prevout-null"),
        (write_transaction(2, [coin], []), "bad-txns-vout-empty"),
        (write_transaction(2, [], [Output(1, OPEN)] * 3), "bad-txns-vin-empty"),
    ):
        with pytest.raises(Refused, match=word):
            chain.accept(wrong.raw)
        assert not engine_takes(chain, wrong)


def test_a_wrong_signature_is_refused(chain: Chain) -> None:
    """One flipped bit in the faucet's signature, or in what it signs."""
    good = reward(chain, chain.height - 110)
    for at in (len(good.raw) - 10, len(good.raw) - 80):
        with pytest.raises(ValueError, match="mandatory-script-verify-flag-failed"):
            chain.accept(tampered(good, at).raw)
        assert not engine_takes(chain, tampered(good, at))
    assert judged(chain, good) == "taken"


def test_sizes_are_bounded(chain: Chain) -> None:
    """A transaction of 400,000 weight units waits, a larger one does not."""
    coin = confirmed(chain)
    empty = spend([coin], [Output(1_000, b"\x6a")])
    filler = (mempool.MAX_WEIGHT - empty.weight) // 4 - 4  # its length takes four bytes more
    with pytest.raises(Refused, match="tx-size"):
        chain.accept(spend([coin], [Output(1_000, b"\x6a" + bytes(filler + 1))]).raw)
    assert judged(chain, spend([coin], [Output(1_000, b"\x6a" + bytes(filler))])) == "taken"


def test_the_queue_is_bounded(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where too many bytes wait already, the next one is told to come later."""
    coin = confirmed(chain)
    monkeypatch.setattr(mempool, "MAX_WAITING_BYTES", 10)
    with pytest.raises(Refused, match="mempool full"):
        chain.accept(spend([coin]).raw)


CHECKSIG, CHECKMULTISIG = b"\xac", b"\xae"
KEY = b"\x21" + bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
MANY = b"\x51\x51\x63\x67" + (b"\x52" + KEY * 2 + b"\x52" + CHECKMULTISIG + b"\x75") * 3 + CHECKSIG * 7 + b"\x68"
"""Runs to TRUE without a check; an exact count is 3 * 2 + 7, one that is not exact 3 * 20 + 7."""


@pytest.mark.parametrize("kind", ["bare", "p2sh", "p2wsh", "p2sh-p2wsh", "output"])
def test_signature_operations_are_counted_as_the_engine_counts(chain: Chain, kind: str) -> None:
    """A block filled to exactly the limit by our count is taken; with one operation more it is not."""
    wrapped = b"\x00\x20" + hashlib.sha256(MANY).digest()
    hidden_by = {"p2sh": MANY, "p2sh-p2wsh": wrapped}.get(kind, b"")
    place = {"bare": TRUE, "output": OPEN, "p2wsh": wrapped}.get(kind, b"\xa9\x14" + hash160(hidden_by) + b"\x87")
    script = {"p2sh": b"\x4c" + bytes([len(MANY)]) + MANY, "p2sh-p2wsh": b"\x22" + wrapped}.get(kind, b"")
    witness = {"p2wsh": (MANY,), "p2sh-p2wsh": (MANY,), "output": (TRUE,)}.get(kind, ())
    coin = confirmed(chain, script=place)
    lock = MANY if kind == "output" else OPEN
    one = spend([coin], [Output(1_000, lock)], script=script, witness=witness)
    cost = sigop_cost(one, mempool.check_coins(one, [chain.file.coin(coin[0], 0)]))
    assert cost == {"bare": 0, "output": 4 * 67, "p2sh": 4 * 13, "p2wsh": 13, "p2sh-p2wsh": 13}[kind]
    filler = (mempool.MAX_BLOCK_SIGOPS - cost) // 4
    for more, fits in ((1, False), (0, True)):
        outputs = [Output(1_000, lock), Output(0, CHECKSIG * (filler + more))]
        assert engine_takes(chain, spend([coin], outputs, script=script, witness=witness)) is fits


def hash160(script: bytes) -> bytes:
    """The hash of a script that P2SH locks to."""
    return hashlib.new("ripemd160", hashlib.sha256(script).digest()).digest()


def test_a_block_has_room_for_so_many_signature_operations(chain: Chain) -> None:
    """What is over the limit of one block goes into the next one; one transaction may not ask for a fifth of it."""
    coins = [open_coin(chain, 10_000) for _ in range(6)]
    chain.mine()
    with pytest.raises(Refused, match="too-many-sigops"):
        chain.accept(spend([coins[0]], [Output(1_000, CHECKSIG * 4_001)]).raw)
    for coin in coins:
        chain.accept(spend([coin], [Output(1_000, CHECKSIG * 4_000)]).raw)
    chain.mine()
    assert chain.mempool == 2
    chain.mine()
    assert chain.mempool == 0


def test_a_full_block_takes_the_first_and_leaves_the_rest_with_their_children(chain: Chain) -> None:
    """Blocks are filled in the order of arrival up to the limit of weight; a child never goes before its parent."""
    coins = [open_coin(chain, 10_000) for _ in range(12)]
    chain.mine()
    large = [spend([coin], [Output(9_000, OPEN), Output(0, b"\x6a" + bytes(97_000))]) for coin in coins]
    for one in large:
        chain.accept(one.raw)
    children = [spend([outcome(large[0])]), spend([outcome(large[-1])])]
    for one in children:
        chain.accept(one.raw)
    chain.mine()
    fits = (mempool.MAX_BLOCK_WEIGHT - mempool.RESERVED_WEIGHT) // large[0].weight
    here = [one.txid for one in read_block(chain.file.block(chain.height))[1][1:]]
    assert here == [one.txid for one in [*large[:fits], children[0]]]
    assert chain.mempool == 12 - fits + 1
    chain.mine()
    assert chain.mempool == 0
    assert chain.where(shown(children[1].txid)) == (chain.height, chain.tip)
