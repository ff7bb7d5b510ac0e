"""Random histories of payments, blocks, reorganisations and restarts: the index, the answers and what watchers hear, each time against
what a slow reading of all blocks says."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from pylon.errors import PylonError
from pylon.regtest.answers import Answers
from pylon.regtest.blocks import Transaction, double_sha256, merkle_root, read_block, read_transaction, shown
from pylon.regtest.chain import Chain, Change
from pylon.regtest.chainfile import place_of
from pylon.regtest.coins import Coins
from tests.regtest.spending import OPEN, SOMEBODY, open_coin, spend

Place = bytes


class Reading:
    """What the blocks and the waiting transactions mean, read from their bytes alone."""

    def __init__(self, chain: Chain) -> None:
        self.placed: list[tuple[Transaction, int | None]] = []
        self.hashes: list[bytes] = []
        for height in range(chain.height + 1):
            header, transactions = read_block(chain.file.block(height))
            assert header[36:68] == merkle_root([one.txid for one in transactions])
            assert header[4:36] == (self.hashes[-1] if self.hashes else bytes(32))
            self.hashes.append(double_sha256(header))
            self.placed += [(one, height) for one in transactions]
        self.placed += [(one.transaction, None) for one in chain.file.waiting()]
        self.heights = {one.txid: height for one, height in self.placed}
        self.outputs = {(one.txid, n): output for one, height in self.placed if height != 0 for n, output in enumerate(one.outputs)}
        self.spenders = {(spent.txid, spent.index): one for one, _ in self.placed if not one.coinbase for spent in one.inputs}

    def places(self) -> set[Place]:
        """Every place that something was paid to."""
        return {place_of(output.script) for output in self.outputs.values()}

    def history(self, place: Place) -> list[tuple[str, int]]:
        """The transactions of a place, as the protocol orders them."""
        found = []
        for one, height in self.placed:
            here = height != 0 and any(place_of(output.script) == place for output in one.outputs)
            spent = [self.outputs[key] for key in ((i.txid, i.index) for i in one.inputs) if key in self.outputs]
            if here or any(place_of(output.script) == place for output in spent):
                orphan = any(self.heights[i.txid] is None for i in one.inputs if not one.coinbase)
                found.append((shown(one.txid), height if height is not None else -1 if orphan else 0))
        return found

    def status(self, place: Place) -> str | None:
        """The status of a place."""
        history = self.history(place)
        return hashlib.sha256("".join(f"{txid}:{height}:" for txid, height in history).encode()).hexdigest() if history else None

    def unspent(self, place: Place) -> list[tuple[str, int, int, int]]:
        """The coins of a place that nothing spends."""
        return [
            (shown(txid), n, output.value, self.heights[txid] or 0)
            for (txid, n), output in self.outputs.items()
            if place_of(output.script) == place and (txid, n) not in self.spenders
        ]

    def balance(self, place: Place) -> dict[str, int]:
        """What blocks say, and what waiting transactions change of it."""
        confirmed = all_of_it = 0
        for key, output in self.outputs.items():
            if place_of(output.script) == place:
                spender = self.spenders.get(key)
                if self.heights[key[0]] is not None and (spender is None or self.heights[spender.txid] is None):
                    confirmed += output.value
                all_of_it += output.value * (spender is None)
        return {"confirmed": confirmed, "unconfirmed": all_of_it - confirmed}


class History(RuleBasedStateMachine):
    """Steps on a chain, after each of which everything is compared."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.accepted: dict[str, bytes] = {}
        self.told: dict[Place, str | None] = {}
        self.open()
        self.chain.mine(105)
        self.heard.clear()
        self.told = {place: Reading(self.chain).status(place) for place in Reading(self.chain).places()}

    def open(self) -> None:
        """Open the chain, and listen to it."""
        self.chain = Chain.open(self.folder)
        self.heard: list[Change] = []
        self.chain.watch(self.heard.append)

    def teardown(self) -> None:
        """Close the chain and remove it."""
        self.chain.close()
        self.stack.close()

    def remember(self, name: str) -> None:
        """Keep the bytes of what was taken in."""
        self.accepted[name] = self.chain.file.rows("SELECT raw FROM txs WHERE txid = ?", bytes.fromhex(name)[::-1])[0][0]

    @rule(sats=st.integers(1_000, 10_000_000))
    def pay(self, sats: int) -> None:
        """The faucet pays somebody."""
        with contextlib.suppress(PylonError):  # an empty faucet
            self.remember(Coins(self.chain).pay(SOMEBODY, sats))

    @rule()
    def open_a_coin(self) -> None:
        """The faucet makes a coin that anybody may spend."""
        with contextlib.suppress(PylonError):
            self.remember(shown(open_coin(self.chain)[0]))

    @rule(which=st.integers(0, 100), lock=st.sampled_from([0xFFFFFFFF, 0, 1, 2]))
    def spend_a_coin(self, which: int, lock: int) -> None:
        """Spend some open coin, confirmed or not, with or without a relative lock."""
        reading = Reading(self.chain)
        coins = [
            (key[0], key[1], output.value)
            for key, output in reading.outputs.items()
            if output.script == OPEN and key not in reading.spenders and output.value > 1_000
        ]
        if coins:
            with contextlib.suppress(ValueError):
                self.remember(self.chain.accept(spend([coins[which % len(coins)]], sequence=lock).raw))

    @rule(count=st.integers(1, 3))
    def mine(self, count: int) -> None:
        """Make blocks."""
        before = self.chain.height
        assert len(self.chain.mine(count)) == count
        assert self.chain.height == before + count
        assert self.chain.mempool == 0

    @rule(depth=st.integers(1, 9), more=st.integers(1, 3))
    def reorganise(self, depth: int, more: int) -> None:
        """Replace the last blocks."""
        before = self.chain.height
        old = {shown(one.txid) for one, height in Reading(self.chain).placed if height is not None and height > before - depth}
        waiting = self.chain.mempool
        done = self.chain.reorg(depth, depth + more)
        assert self.chain.height == before + more
        assert [self.chain.tip] == done.hashes[-1:]
        assert set(done.returned) <= old
        dropped = dict(done.dropped)
        assert len(done.returned) + waiting == self.chain.mempool + len(dropped.keys() - old) + len(set(done.returned) & dropped.keys())
        for name in dropped:
            try:
                self.chain.accept(self.accepted.pop(name))
            except ValueError:
                continue
            raise AssertionError(f"{name} was dropped ({dropped[name]}) and is good")

    @precondition(lambda self: self.chain.height > 106)
    @rule()
    def restart(self) -> None:
        """Close and open again."""
        before = (self.chain.height, self.chain.tip, self.chain.mempool)
        self.chain.close()
        self.open()
        assert (self.chain.height, self.chain.tip, self.chain.mempool) == before

    @invariant()
    def nothing_is_lost(self) -> None:
        """Everything that was taken in, and not dropped by name, is in a block or waits."""
        for name, raw in self.accepted.items():
            found = self.chain.file.rows("SELECT raw FROM txs WHERE txid = ?", read_transaction(raw).txid)
            assert found == [(raw,)], name

    @invariant()
    def answers_are_right(self) -> None:
        """History, status, coins and balance of every place; where each transaction is; and who had to be told was told."""
        reading = Reading(self.chain)
        answers = Answers(self.chain)
        assert self.chain.file.waiting_bytes() == sum(len(one.raw) for one, height in reading.placed if height is None)
        changed = {place for change in self.heard for place in change.places}
        self.heard.clear()
        for place in reading.places() | self.told.keys():
            name = shown(place)
            history = answers.methods["blockchain.scripthash.get_history"].answer(name)
            assert [(one["tx_hash"], one["height"]) for one in history] == reading.history(place)
            assert answers.status(place) == reading.status(place)
            coins = answers.methods["blockchain.scripthash.listunspent"].answer(name)
            assert [(one["tx_hash"], one["tx_pos"], one["value"], one["height"]) for one in coins] == reading.unspent(place)
            assert answers.methods["blockchain.scripthash.get_balance"].answer(name) == reading.balance(place)
            if reading.status(place) != self.told.get(place):
                assert place in changed
                self.told[place] = reading.status(place)
        for one, height in reading.placed:
            assert self.chain.where(shown(one.txid)) == (None if height is None else (height, shown(reading.hashes[height])))


def test_random_histories() -> None:
    """The index, the answers and what watchers hear are right after every step."""
    run_state_machine_as_test(History, settings=settings(max_examples=10, stateful_step_count=15))
