"""Money from the faucet has its line in the journal, whichever way it came and whichever news is first."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pylon.errors import PaymentError
from pylon.market.payment import Status
from pylon.node.accounts import history_document
from pylon.node.journal import Payment
from pylon.node.ledger import Ledger
from pylon.node.payments import Payments
from pylon.units import Msat
from pylon.wallets.base import Direction
from pylon.wallets.sim import SimWallet

GIFT = Msat(1_000_000)
PREIMAGE = b"\x07" * 32


def arrives(ledger: Ledger, payment_hash: bytes) -> None:
    """What the journal writes when a payment comes for an invoice that it does not know."""
    with ledger.transaction():
        if ledger.payment(Direction.IN, payment_hash) is None:
            ledger.intend(Payment(
                direction=Direction.IN, payment_hash=payment_hash, bolt11="", amount=GIFT, status=Status.OPEN, at=time.time(), memo="?"
            ))
        ledger.settle(Direction.IN, payment_hash, now=time.time(), preimage=PREIMAGE, received=GIFT)


Place = tuple[SimWallet, Payments, Ledger]


@pytest.fixture
async def giver(tmp_path: Path) -> AsyncIterator[Place]:
    """A wallet with a faucet, its engine and its journal."""
    ledger = Ledger(tmp_path / "ledger.sqlite3", secret=b"\x05" * 32)
    wallet = SimWallet.open(tmp_path, secrets.token_bytes(32), "regtest")
    payments = Payments(ledger, wallet, "bcrt", Msat(10))
    yield wallet, payments, ledger
    await payments.aclose()
    await wallet.aclose()
    ledger.close()


def lines(ledger: Ledger) -> list[tuple[object, ...]]:
    """The history as programs see it."""
    rows = history_document(ledger.history(10))["payments"]
    assert isinstance(rows, list)
    return [(row["kind"], row["amount_msat"], row["memo"], row["peer"], row["payment_hash"]) for row in rows]


async def test_a_gift_without_a_payment(giver: Place) -> None:
    """A channel with the money in it: one line, no payment hash."""
    _, payments, ledger = giver
    await payments.fund(GIFT)
    assert lines(ledger) == [("faucet", GIFT, "from the faucet", "faucet", None)]


@pytest.mark.parametrize("first", [True, False])
async def test_a_gift_by_an_invoice_has_one_line(giver: Place, first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settlement is told before the faucet has answered, or after: one line, under the payment's hash."""
    wallet, payments, ledger = giver
    paid = secrets.token_bytes(32)

    async def pays(amount: Msat) -> bytes:
        """As the faucet of a Lightning network does."""
        if first:
            arrives(ledger, paid)
        return paid

    monkeypatch.setattr(wallet, "fund", pays)
    await payments.fund(GIFT)
    if not first:
        assert lines(ledger) == []
        arrives(ledger, paid)
    assert lines(ledger) == [("lightning", GIFT, "from the faucet", "faucet", paid.hex())]


async def test_a_faucet_that_refuses_leaves_no_line(giver: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing came, so nothing is written."""
    wallet, payments, ledger = giver

    async def refuse(amount: Msat) -> bytes | None:
        raise PaymentError("dry")

    monkeypatch.setattr(wallet, "fund", refuse)
    with pytest.raises(PaymentError, match="dry"):
        await payments.fund(GIFT)
    assert ledger.payments(10) == []
