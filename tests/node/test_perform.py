"""Doing what the tables decide, with a real wallet: what is paid, looked up, signed, and never done twice (P12 to P15)."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pylon.errors import InsufficientFunds, PaymentUnknown, PylonError
from pylon.market.effects import LookUp, Publish
from pylon.market.job import BuyerState, Job, ProviderJob, ProviderState, Role
from pylon.market.payment import Status
from pylon.market.signals import Signal
from pylon.node import payments as payments_module
from pylon.node.journal import Payment
from pylon.node.node import Node
from pylon.node.payments import Payments
from pylon.node.perform import Performer
from pylon.nostr.event import Draft
from pylon.units import Msat
from pylon.wallets.base import Direction, Invoice
from pylon.wallets.sim import SimWallet
from tests.market.scene import CUSTOMER
from tests.node import stage
from tests.node.stage import Watched, asks, now, paying, todo

PRICE = Msat(1000)


class Place:
    """A node that performs, its wallet, and the wallet of the provider."""

    def __init__(self, node: Node, performer: Performer, wallet: Watched, payee: SimWallet) -> None:
        self.node = node
        self.performer = performer
        self.wallet = wallet
        self.payee = payee

    async def invoice(self) -> Invoice:
        """An invoice of the provider."""
        return await self.payee.invoice(PRICE, "pylon:", 600)

    async def reached(self, job: str, state: BuyerState) -> None:
        """Wait until a purchase has come so far."""
        async with asyncio.timeout(10):
            await self.node.watch(Role.BUYER, job, lambda seen: seen.state is state)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """With 100 sats on each side."""
    node = stage.node(tmp_path / "home")
    wallet = stage.wallet(tmp_path, secrets.token_bytes(32))
    payee = SimWallet.open(tmp_path, secrets.token_bytes(32), "regtest")
    await wallet.fund(Msat(100_000))
    async with stage.no_relays(node) as pool:
        payments = Payments(node.ledger, wallet, "bcrt", Msat(10))
        performer = Performer(node, pool, wallet, payments, None)
        node.performer = performer
        yield Place(node, performer, wallet, payee)
        await performer.aclose()
        await payments.aclose()
    for one in (wallet, payee):
        await one.aclose()
    node.ledger.close()


async def test_a_payment_is_made_and_told(place: Place) -> None:
    """The wallet's yes leads on, and the journal says settled."""
    made = await place.invoice()
    stored = paying(place.node, made.bolt11, made.payment_hash)
    place.performer.perform(stored)
    await place.reached(stored.job, BuyerState.PAID)
    line = place.node.ledger.payment(Direction.OUT, made.payment_hash)
    assert line is not None
    assert (line.status, line.preimage) == (Status.SETTLED, made.preimage)


async def test_a_payment_after_a_restart_is_looked_up_first(place: Place) -> None:
    """It was paid before the crash: the wallet's word is taken, and it is not even asked to pay again."""
    made = await place.invoice()
    stored = paying(place.node, made.bolt11, made.payment_hash)
    await place.wallet.pay(made.bolt11, max_fee=Msat(0), key=made.payment_hash)
    place.wallet.asked.clear()
    place.performer.perform(stored, resumed=True)
    await place.reached(stored.job, BuyerState.PAID)
    assert place.wallet.asked == []


async def test_a_payment_that_cannot_be_looked_up_yet_is_not_made(place: Place) -> None:
    """The wallet does not answer at the restart: that is no word that it has never heard of the payment."""
    made = await place.invoice()
    stored = paying(place.node, made.bolt11, made.payment_hash)
    await place.wallet.pay(made.bolt11, max_fee=Msat(0), key=made.payment_hash)
    place.wallet.asked.clear()
    place.wallet.blind = PylonError("not ready")
    place.performer.perform(stored, resumed=True)
    await place.reached(stored.job, BuyerState.PAID)
    assert place.wallet.asked == []


async def test_a_payment_that_never_left_is_made_after_a_restart(place: Place) -> None:
    """The intent was written and the wallet never asked: it is paid now, once."""
    made = await place.invoice()
    stored = paying(place.node, made.bolt11, made.payment_hash)
    place.performer.perform(stored, resumed=True)
    await place.reached(stored.job, BuyerState.PAID)
    assert place.wallet.asked == [made.bolt11]


@pytest.mark.parametrize("error", [PaymentUnknown("no answer"), PylonError("it broke in the middle")], ids=["unknown", "broken"])
async def test_unknown_is_no_failure(place: Place, error: PylonError) -> None:
    """P13: the money has moved and the wallet does not say so: it is looked up until it does, and nobody else is paid meanwhile."""
    made = await place.invoice()
    place.wallet.breaks = error
    stored = paying(place.node, made.bolt11, made.payment_hash)
    seen = []
    place.performer.perform(stored)
    async with asyncio.timeout(10):
        await place.node.watch(Role.BUYER, stored.job, lambda job: job.state is BuyerState.PAID, lambda job: seen.append(job.state))
    assert seen == [BuyerState.PAYING, BuyerState.UNSURE, BuyerState.PAID]
    assert todo(place.node, LookUp) == []
    assert place.wallet.asked == [made.bolt11]


async def test_a_clear_no_is_a_failure(place: Place) -> None:
    """Nothing left the wallet: the journal lets the hash be paid again."""
    made = await place.invoice()
    place.wallet.spoilt = InsufficientFunds("too little")
    stored = paying(place.node, made.bolt11, made.payment_hash)
    place.performer.perform(stored)
    await place.reached(stored.job, BuyerState.FAILED)
    assert not place.node.ledger.spent(made.payment_hash)


async def test_an_invoice_of_our_own_never_reaches_the_wallet(place: Place) -> None:
    """P11: one of our invoices that is not the open one of this job is not paid at all."""
    made = await place.wallet.invoice(PRICE, "ours", 600)
    with place.node.ledger.transaction(full=True):
        place.node.ledger.intend(Payment(
            direction=Direction.IN, payment_hash=made.payment_hash, bolt11=made.bolt11, amount=PRICE, status=Status.OPEN, at=now(),
        ))
    stored = paying(place.node, made.bolt11, made.payment_hash)
    place.performer.perform(stored)
    await place.reached(stored.job, BuyerState.POSTED)
    assert place.wallet.asked == []


async def test_an_event_is_signed_once(place: Place) -> None:
    """After a crash the very same event is sent: sealed anew it would be another one, and the customer would get two."""
    request = asks()
    job = ProviderJob(id=request.id, request=request, state=ProviderState.ANSWERED, deadline=now() + 300, created_at=time.time())
    effect = Publish(Draft(6050, now(), "It is 4."), 0, seal_to=CUSTOMER.pubkey_hex)
    with place.node.ledger.transaction():
        (stored,) = place.node.ledger.put(job, [effect])
    first = place.performer._signed(stored, effect)
    (again,) = todo(place.node, Publish)
    assert place.performer._signed(again, effect) == first
    assert CUSTOMER.decrypt(place.node.provider_keys.pubkey, first.content) == "It is 4."


async def test_nothing_is_begun_at_the_end(place: Place) -> None:
    """What is decided while the node closes stays stored for the next start."""
    made = await place.invoice()
    stored = paying(place.node, made.bolt11, made.payment_hash)
    await place.performer.aclose()
    place.performer.perform(stored)
    await asyncio.sleep(0)
    assert not place.performer.busy
    assert [one.n for one in place.node.ledger.unfinished()] == [stored.n]


async def test_a_disk_that_is_full_when_a_job_is_paid(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wallet's yes is told to the job as soon as it can be written; the wallet is not asked again, and the job is not lost."""
    monkeypatch.setattr(payments_module, "WRITE_PAUSE", 0.005)
    made = await place.invoice()
    stored = paying(place.node, made.bolt11, made.payment_hash)
    real, tries = Node.apply, []

    def apply(node: Node, role: Role, job_id: str, signal: Signal, *, done: int | None = None) -> Job:
        tries.append(signal)
        if len(tries) < 4:
            raise PylonError("the disk is full")
        return real(node, role, job_id, signal, done=done)

    monkeypatch.setattr(Node, "apply", apply)
    place.performer.perform(stored)
    await place.reached(stored.job, BuyerState.PAID)
    assert place.wallet.asked == [made.bolt11]
