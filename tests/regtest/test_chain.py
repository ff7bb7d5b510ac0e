"""The chain: what it mines, what it takes in and refuses, what a reorganisation leaves, what stands after a restart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pylon.errors import PylonError
from pylon.regtest.blocks import Output, hidden, read_block
from pylon.regtest.chain import Chain
from pylon.regtest.coins import Coins

SOMEBODY = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


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


def test_one_process_uses_a_chain(chain: Chain, tmp_path: Path) -> None:
    """A second opening is refused while the first one lasts."""
    with pytest.raises(PylonError, match="another process"):
        Chain.open(tmp_path / "chain")
