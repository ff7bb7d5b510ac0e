"""Whose money is it while a payment is held: nobody's, and counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pylon.wallets.bank import Bank, Books
from pylon.wallets.base import Direction, PaymentStatus
from tests.conformance.wallet import PRICE, Pair, hold, new_key, reached
from tests.wallets.conftest import FUNDS


def books(folder: Path) -> Books:
    """The whole bank, counted by somebody else."""
    bank = Bank.open(folder / "sim" / "bank.sqlite3")
    try:
        return bank.books()
    finally:
        bank.close()


async def test_a_held_payment_belongs_to_neither(pair: Pair, tmp_path: Path) -> None:
    """It has left the payer and is not the payee's before the preimage is shown; at every moment the sats are those of the faucet."""
    made, preimage = await hold(pair.payee)
    paying = asyncio.create_task(pair.payer.pay(made.bolt11, max_fee=PRICE, key=new_key()))
    await reached(pair.payee, made.payment_hash, Direction.IN, PaymentStatus.HELD)
    assert (await pair.payer.balance()).spendable == FUNDS - PRICE
    assert (await pair.payer.balance()).pending == PRICE
    assert (await pair.payee.balance()).spendable == FUNDS
    assert books(tmp_path) == Books(2 * FUNDS - PRICE, PRICE, 2 * FUNDS)
    await pair.payee.settle(preimage)
    assert (await paying).preimage == preimage
    assert (await pair.payee.balance()).spendable == FUNDS + PRICE
    assert books(tmp_path) == Books(2 * FUNDS, 0, 2 * FUNDS)
