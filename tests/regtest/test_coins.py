"""The faucet: what it pays, what it keeps, and what it says when it is empty."""

from __future__ import annotations

import pytest

from pylon.regtest.blocks import Output, hidden, read_block
from pylon.regtest.chain import SUBSIDY, Chain
from pylon.regtest.coins import DUST, FEE_RATE, MAX_INPUTS, Coins, FaucetEmpty
from tests.regtest.spending import OPEN, SOMEBODY


def test_a_payment_is_exact_and_its_fee_is_fair(chain: Chain) -> None:
    """The sum arrives, the change comes back, the fee is two sats a virtual byte or a little more, for few inputs and for many."""
    coins = Coins(chain)
    for sats in (DUST, 1_000_000, SUBSIDY, 6 * SUBSIDY + 12_345):
        before = coins.available()
        txid = hidden(coins.pay(SOMEBODY, sats))
        (waiting,) = [one for one in chain.file.waiting() if one.transaction.txid == txid]
        assert waiting.transaction.outputs[0].value == sats
        assert before - coins.available() == sats + waiting.fee
        assert FEE_RATE <= waiting.fee / waiting.transaction.virtual_bytes < FEE_RATE + 0.05
        chain.mine()


def test_payments_follow_each_other_without_a_block(chain: Chain) -> None:
    """Change that waits is spent again: a hundred payments stand in one block."""
    paid = [Coins(chain).pay(OPEN, 10_000 + i) for i in range(100)]
    assert len(set(paid)) == 100
    chain.mine()
    assert all(chain.where(txid) == (111, chain.tip) for txid in paid)


def test_change_that_is_too_small_is_left_to_the_miner(chain: Chain) -> None:
    """No output that costs more than it is worth."""
    txid = hidden(Coins(chain).pay(OPEN, SUBSIDY - 700))
    chain.mine()
    (one,) = read_block(chain.file.block(111))[1][1:]
    assert one.txid == txid
    assert one.outputs == (Output(SUBSIDY - 700, OPEN),)


def test_an_empty_faucet_says_how_many_blocks_to_mine(chain: Chain) -> None:
    """It is right: with so many blocks it pays, with one less it does not."""
    coins = Coins(chain)
    with pytest.raises(FaucetEmpty) as told:
        coins.pay(SOMEBODY, coins.available())
    assert told.value.hint == "mine 1 blocks first"
    wanted = coins.available() + 7 * SUBSIDY
    with pytest.raises(FaucetEmpty) as told:
        coins.pay(SOMEBODY, wanted)
    blocks = int(told.value.hint.split()[1])
    assert 7 <= blocks <= 8
    chain.mine(blocks)
    assert len(coins.pay(SOMEBODY, wanted)) == 64
    assert chain.mempool == 1


def test_what_no_number_of_blocks_makes_is_told(chain: Chain) -> None:
    """More than all coins that there will ever be."""
    with pytest.raises(FaucetEmpty, match="asked for") as told:
        Coins(chain).pay(SOMEBODY, 21_000_000 * 100_000_000)
    assert "new one" in told.value.hint


@pytest.mark.parametrize(("to", "sats"), [(SOMEBODY, DUST - 1), (SOMEBODY, 0), (SOMEBODY, -5), ("bc1qnothing", 10_000)])
def test_what_cannot_be_paid_is_refused(chain: Chain, to: str, sats: int) -> None:
    """Too little, or to nobody; nothing waits afterwards."""
    with pytest.raises(ValueError, match=r"paid out|address"):
        Coins(chain).pay(to, sats)
    assert chain.mempool == 0


def test_a_fresh_chain_has_nothing_to_give(chain: Chain) -> None:
    """Unripe rewards are not counted; the ripe ones of 110 blocks are eleven."""
    assert Coins(chain).available() == 11 * SUBSIDY
    assert MAX_INPUTS > 11
