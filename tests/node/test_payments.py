"""Payments that a person orders: the same door, the same journal, the intent first."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pylon.errors import InvoiceRefused, PaymentFailed, PaymentUnknown, PylonError
from pylon.market.payment import Status
from pylon.market.spend import read
from pylon.node.ledger import Ledger
from pylon.node.payments import Payments
from pylon.units import Msat
from pylon.wallets.base import Direction, Paid
from pylon.wallets.sim import SimWallet
from tests.node import stage
from tests.node.stage import Watched

PRICE = Msat(1000)


class Place:
    """A ledger, a wallet, and somebody to pay."""

    def __init__(self, ledger: Ledger, wallet: Watched, payee: SimWallet, payments: Payments) -> None:
        self.ledger = ledger
        self.wallet = wallet
        self.payee = payee
        self.payments = payments

    async def invoice(self) -> str:
        """An invoice of somebody else."""
        return (await self.payee.invoice(PRICE, "a coffee", 600)).bolt11

    def status(self, bolt11: str) -> Status | None:
        """What the journal says of a payment of ours."""
        line = self.ledger.payment(Direction.OUT, read(bolt11).payment_hash)
        return None if line is None else line.status

    async def reached(self, bolt11: str, status: Status) -> None:
        """Wait until the journal says so."""
        async with asyncio.timeout(10):
            while self.status(bolt11) is not status:
                assert self.payments._following, "nobody follows it up"
                await asyncio.gather(*self.payments._following.values())


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """With 100 sats."""
    ledger = Ledger(tmp_path / "ledger.sqlite3", secret=b"\x05" * 32)
    wallet = stage.wallet(tmp_path, secrets.token_bytes(32))
    payee = SimWallet.open(tmp_path, secrets.token_bytes(32), "regtest")
    await wallet.fund(Msat(100_000))
    payments = Payments(ledger, wallet, "bcrt", Msat(10))
    yield Place(ledger, wallet, payee, payments)
    await payments.aclose()
    for one in (wallet, payee):
        await one.aclose()
    ledger.close()


async def test_the_intent_is_on_the_disk_before_the_wallet_is_asked(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """P12: another reader of the file sees the payment at the moment in which the wallet is called."""
    bolt11 = await place.invoice()
    seen: list[Status | None] = []
    real = Watched.pay

    async def pay(wallet: Watched, bolt11: str, *, max_fee: Msat, key: bytes) -> Paid:
        reader = Ledger(place.ledger._db.path, readonly=True)
        line = reader.payment(Direction.OUT, key)
        seen.append(None if line is None else line.status)
        reader.close()
        return await real(wallet, bolt11, max_fee=max_fee, key=key)

    monkeypatch.setattr(Watched, "pay", pay)
    payable, _ = await place.payments.pay(bolt11)
    assert seen == [Status.SENT]
    assert payable.amount == PRICE
    assert place.status(bolt11) is Status.SETTLED


async def test_one_invoice_is_paid_once(place: Place) -> None:
    """P8: a second order for the same invoice is refused, and the wallet is not asked."""
    bolt11 = await place.invoice()
    await place.payments.pay(bolt11)
    with pytest.raises(InvoiceRefused, match="paid before"):
        await place.payments.pay(bolt11)
    assert place.wallet.asked == [bolt11]


async def test_another_network_is_refused(place: Place) -> None:
    """P6: the door is the same as for jobs; nothing is journaled."""
    bolt11 = await place.invoice()
    with pytest.raises(InvoiceRefused, match="another network"):
        await Payments(place.ledger, place.wallet, "bc", Msat(10)).pay(bolt11)
    assert (place.wallet.asked, place.status(bolt11)) == ([], None)


async def test_an_invoice_of_this_wallet_is_refused(place: Place) -> None:
    """P11: nobody pays himself by hand."""
    made = await place.payments.invoice(PRICE, "mine", 600)
    with pytest.raises(PaymentFailed, match="this very wallet"):
        await place.payments.pay(made.bolt11)
    assert place.wallet.asked == []


async def test_a_refusal_frees_the_hash(place: Place) -> None:
    """A clear no is journaled as failed, and the same invoice may be paid later."""
    bolt11 = await place.invoice()
    place.wallet.spoilt = PaymentFailed("no route")
    with pytest.raises(PaymentFailed):
        await place.payments.pay(bolt11)
    assert place.status(bolt11) is Status.FAILED
    place.wallet.spoilt = None
    await place.payments.pay(bolt11)
    assert place.status(bolt11) is Status.SETTLED


@pytest.mark.parametrize("error", [PaymentUnknown("no answer"), PylonError("it broke in the middle")], ids=["unknown", "broken"])
async def test_unknown_is_followed_up(place: Place, error: PylonError) -> None:
    """P13: said to be unknown, unknown in the journal, and settled when the wallet knows: never failed, never paid again."""
    bolt11 = await place.invoice()
    place.wallet.breaks = error
    with pytest.raises(PaymentUnknown):
        await place.payments.pay(bolt11)
    assert place.status(bolt11) is Status.UNKNOWN
    await place.reached(bolt11, Status.SETTLED)
    assert place.wallet.asked == [bolt11]


async def test_what_was_under_way_at_a_crash_is_looked_up(place: Place) -> None:
    """At the next start the wallet is asked what became of it."""
    bolt11 = await place.invoice()
    place.wallet.breaks = PaymentUnknown("no answer")
    with pytest.raises(PaymentUnknown):
        await place.payments.pay(bolt11)
    await place.payments.aclose()
    assert place.status(bolt11) is Status.UNKNOWN
    place.payments = Payments(place.ledger, place.wallet, "bcrt", Msat(10))
    place.payments.resume()
    await place.reached(bolt11, Status.SETTLED)
