"""The chain: what it mines, what it takes in and refuses, what a reorganisation leaves, what stands after a restart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pylon.errors import PylonError
from pylon.regtest.blocks import Output, hidden, read_block, shown
from pylon.regtest.chain import Chain, Change
from pylon.regtest.chainfile import place_of
from pylon.regtest.coins import Coins
from tests.regtest.spending import SOMEBODY, open_coin, outcome, reward, spend


def test_a_payment_of_the_faucet_is_in_the_next_block(chain: Chain) -> None:
    """The faucet pays an address; the transaction waits, then stands in a block that the engine took."""
    txid = Coins(chain).pay(SOMEBODY, 50_000)
    assert chain.mempool == 1
    assert chain.where(txid) is None
    (block,) = chain.mine()
    assert chain.where(txid) == (111, block)
    assert chain.tip == block
    assert chain.mempool == 0
    _, transactions = read_block(chain.file.block(111))
    assert [one.txid for one in transactions][1:] == [hidden(txid)]
    assert Output(50_000, bytes.fromhex("0014751e76e8199196d454941c45d1b3a323f1433bd6")) in transactions[1].outputs


def test_the_chain_survives_a_restart_and_the_loss_of_the_engines_folder(tmp_path: Path) -> None:
    """Blocks and what waits come back from our file, with the engine's folder or without it."""
    folder = tmp_path / "chain"
    chain = Chain.open(folder)
    chain.mine(110)
    txid = Coins(chain).pay(SOMEBODY, 50_000)
    tip = chain.tip
    for lost in (False, True):
        chain.close()
        if lost:
            shutil.rmtree(folder / "kernel")
        chain = Chain.open(folder)
        assert (chain.height, chain.tip, chain.mempool) == (110, tip, 1)
    chain.mine()
    assert chain.where(txid) == (111, chain.tip)
    chain.close()


def test_a_reorganisation_gives_the_transactions_back(chain: Chain) -> None:
    """What stood in a replaced block waits again and is mined again."""
    txid = Coins(chain).pay(SOMEBODY, 50_000)
    (old,) = chain.mine()
    done = chain.reorg(1, 2)
    assert chain.height == 112
    assert old not in done.hashes
    assert done.returned == [txid]
    assert done.dropped == []
    assert chain.where(txid) is None
    chain.mine()
    assert chain.where(txid) == (113, chain.tip)


def test_a_child_waits_behind_its_parent_after_a_reorganisation(chain: Chain) -> None:
    """The parent comes back out of its block, before the child that waited all the time; the child's place is told."""
    coin = open_coin(chain)
    chain.mine()
    parent = spend([coin])
    chain.accept(parent.raw)
    chain.mine()
    child = spend([outcome(parent)], [Output(5_000, b"\x51")])
    chain.accept(child.raw)
    heard: list[Change] = []
    chain.watch(heard.append)
    assert chain.reorg(1, 2).returned == [shown(parent.txid)]
    assert [one.transaction.txid for one in chain.file.waiting()] == [parent.txid, child.txid]
    (change,) = heard
    assert change.tip
    assert place_of(b"\x51") in change.places
    chain.mine()
    assert chain.where(shown(child.txid)) == chain.where(shown(parent.txid)) == (chain.height, chain.tip)


def test_what_may_not_wait_any_more_is_dropped_and_told(chain: Chain) -> None:
    """A relative lock that begins again, and what was built on it."""
    coin = open_coin(chain)
    chain.mine(2)
    early = spend([coin], sequence=2)
    chain.accept(early.raw)
    child = spend([outcome(early)])
    chain.accept(child.raw)
    done = chain.reorg(3, 4)
    assert done.returned == [shown(coin[0])]
    assert dict(done.dropped) == {shown(early.txid): "non-BIP68-final", shown(child.txid): "non-BIP68-final"}
    assert chain.mempool == 1
    chain.mine(2)
    assert chain.accept(early.raw) == shown(early.txid)
    assert chain.accept(child.raw) == shown(child.txid)


def test_what_spends_a_lost_reward_is_dropped_and_told(chain: Chain) -> None:
    """The reward of a block that is replaced is gone, and so is everything that came of it."""
    chain.mine(10)
    lost = reward(chain, chain.height - 100)
    chain.accept(lost.raw)
    child = spend([outcome(lost)])
    chain.accept(child.raw)
    chain.mine()
    done = chain.reorg(105, 106)
    assert done.returned == []
    assert {txid for txid, _ in done.dropped} == {shown(lost.txid), shown(child.txid)}
    assert chain.mempool == 0


@pytest.mark.parametrize(("depth", "blocks"), [(0, 1), (-1, 5), (111, 200), (2, 2), (2, 1), (2, 21)])
def test_a_reorganisation_has_more_blocks_than_it_replaces(
    chain: Chain, depth: int, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the first block stays; no more blocks than the most are made at a time."""
    before = chain.tip
    monkeypatch.setattr("pylon.regtest.chain.MOST_BLOCKS", 20)
    with pytest.raises(ValueError, match="replace"):
        chain.reorg(depth, blocks)
    for count in (-1, 0, 21):
        with pytest.raises(ValueError, match="at a time"):
            chain.mine(count)
    assert chain.tip == before


def test_one_process_uses_a_chain(chain: Chain, tmp_path: Path) -> None:
    """A second opening is refused while the first one lasts."""
    with pytest.raises(PylonError, match="another process"):
        Chain.open(tmp_path / "chain")
