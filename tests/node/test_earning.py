"""The wallet's news: none is lost while the node is down, and none counts twice."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pylon.backends.registry import Backends
from pylon.errors import PylonError
from pylon.market.effects import Generate
from pylon.market.job import ProviderJob, ProviderState, Role
from pylon.market.payment import Status
from pylon.node import earning
from pylon.node.intake import Intake
from pylon.node.journal import Payment
from pylon.node.node import Node
from pylon.node.offers import Offers
from pylon.nostr.event import sign
from pylon.nostr.nip90 import write_feedback
from pylon.units import Msat
from pylon.wallets.base import Direction, PaymentStatus, WalletEvent
from pylon.wallets.sim import SimWallet
from tests.market.scene import CUSTOMER, PROVIDER
from tests.node import stage
from tests.node.stage import asks, now, provider_job

PRICE = Msat(1000)


class Place:
    """A node with an open invoice for a job, its wallet, and a customer who pays."""

    def __init__(self, node: Node, wallet: SimWallet, customer: SimWallet, job: str, bolt11: str, payment_hash: bytes) -> None:
        self.node = node
        self.wallet = wallet
        self.customer = customer
        self.job = job
        self.bolt11 = bolt11
        self.payment_hash = payment_hash

    async def pay(self) -> None:
        """The customer pays."""
        await self.customer.pay(self.bolt11, max_fee=Msat(0), key=self.payment_hash)

    async def follow(self, state: ProviderState) -> None:
        """Follow the wallet until the job has come so far and the cursor is kept."""
        following = asyncio.create_task(earning.follow(self.node, self.wallet))
        async with asyncio.timeout(10):
            await self.node.watch(Role.PROVIDER, self.job, lambda job: job.state is state)
        for _ in range(5):
            await asyncio.sleep(0)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """The invoice of a job, unpaid."""
    node = stage.node(tmp_path / "home")
    wallet = SimWallet.open(tmp_path, secrets.token_bytes(32), "regtest")
    customer = SimWallet.open(tmp_path, secrets.token_bytes(32), "regtest")
    await customer.fund(Msat(100_000))
    made = await wallet.invoice(PRICE, "pylon:", 600)
    request = asks()
    job = ProviderJob(
        id=request.id, request=request, state=ProviderState.INVOICED, price=PRICE, deadline=now() + 300, bolt11=made.bolt11,
        payment_hash=made.payment_hash, invoice_expires=made.expires_at, created_at=time.time(),
    )
    with node.ledger.transaction(full=True):
        node.ledger.put(job)
        node.ledger.intend(Payment(
            direction=Direction.IN, payment_hash=made.payment_hash, bolt11=made.bolt11, amount=PRICE, status=Status.OPEN, at=now(),
            job=job.id,
        ))
    yield Place(node, wallet, customer, job.id, made.bolt11, made.payment_hash)
    for one in (wallet, customer):
        await one.aclose()
    node.ledger.close()


async def test_what_was_paid_while_the_node_was_down_is_earned(place: Place) -> None:
    """P16: the wallet is read from the stored cursor, not from now on; afterwards the cursor stands behind the news."""
    await place.pay()
    await place.follow(ProviderState.RUNNING)
    job = provider_job(place.node, place.job)
    assert job is not None
    assert job.received == PRICE
    assert place.node.ledger.earnings() == (PRICE, 1)
    mark = place.node.ledger.mark("wallet.sim.regtest")
    assert mark is not None
    assert await place.wallet._news(mark) == [], "the same news would be told at every start"


async def test_news_that_comes_twice_counts_once(place: Place) -> None:
    """The cursor is stored after the news, so the last one may come again: one run, one earning."""
    event = WalletEvent(1, place.payment_hash, PaymentStatus.SETTLED, PRICE, now(), b"\1" * 32)
    earning.take(place.node, event)
    before = provider_job(place.node, place.job)
    earning.take(place.node, event)
    assert provider_job(place.node, place.job) == before
    assert before is not None
    assert before.state is ProviderState.RUNNING
    assert place.node.ledger.earnings() == (PRICE, 1)


async def test_money_for_nothing_known_is_not_earned(place: Place) -> None:
    """P17: an invoice that this ledger never made: said in the log, and no job is begun."""
    earning.take(place.node, WalletEvent(1, b"\2" * 32, PaymentStatus.SETTLED, PRICE, now(), b"\1" * 32))
    assert place.node.ledger.earnings() == (0, 0)


async def test_a_held_payment_is_not_money(place: Place) -> None:
    """Only a settlement begins the work."""
    earning.take(place.node, WalletEvent(1, place.payment_hash, PaymentStatus.HELD, PRICE, now()))
    job = provider_job(place.node, place.job)
    assert job is not None
    assert job.state is ProviderState.INVOICED


async def test_too_little_is_no_payment(place: Place) -> None:
    """P22: no work, and the invoice is not lost: it can still be paid in full. Too much is noted to the msat."""
    earning.take(place.node, WalletEvent(1, place.payment_hash, PaymentStatus.SETTLED, Msat(PRICE - 1), now(), b"\1" * 32))
    job = provider_job(place.node, place.job)
    assert job is not None
    assert job.state is ProviderState.INVOICED
    assert place.node.ledger.invoices() != []
    earning.take(place.node, WalletEvent(2, place.payment_hash, PaymentStatus.SETTLED, Msat(PRICE + 7), now(), b"\1" * 32))
    job = provider_job(place.node, place.job)
    assert job is not None
    assert (job.state, job.received) == (ProviderState.RUNNING, PRICE + 7)
    assert place.node.ledger.earnings() == (PRICE + 7, 1)


async def test_work_begins_with_the_settlement_alone(place: Place) -> None:
    """P27: whatever else a wallet tells of the invoice, asked a hundred times: nothing is computed for it."""
    for status in PaymentStatus:
        if status in (PaymentStatus.SETTLED, PaymentStatus.EXPIRED, PaymentStatus.FAILED):
            continue
        for cursor in range(100):
            earning.take(place.node, WalletEvent(cursor, place.payment_hash, status, PRICE, now()))
    job = provider_job(place.node, place.job)
    assert job is not None
    assert (job.state, stage.todo(place.node, Generate)) == (ProviderState.INVOICED, [])
    earning.take(place.node, WalletEvent(1, place.payment_hash, PaymentStatus.SETTLED, PRICE, now(), b"\1" * 32))
    assert len(stage.todo(place.node, Generate)) == 1


async def test_a_preimage_of_the_buyers_is_no_payment(place: Place) -> None:
    """P21: the customer shows a secret, even the true one that he cannot have: only our own wallet's word begins the work."""
    job = provider_job(place.node, place.job)
    assert job is not None
    claim = write_feedback(job.request, "success", created_at=now(), content="01" * 32)
    backends = Backends()
    intake = Intake(place.node, backends, Offers())
    for keys in (CUSTOMER, PROVIDER):
        intake.on_event("jobs", sign(claim, keys), "ws://relay.test")
    await intake.aclose()
    await backends.aclose()
    assert provider_job(place.node, place.job) == job
    with pytest.raises(PylonError):
        await place.wallet.settle(b"\7" * 32)


async def test_a_payment_after_the_invoice_was_given_up_is_served(place: Place) -> None:
    """P23: it expired, or its customer had left, and then the money comes: never silent, the answer is computed, the journal has it."""
    earning.take(place.node, WalletEvent(1, place.payment_hash, PaymentStatus.EXPIRED, PRICE, now()))
    job = provider_job(place.node, place.job)
    assert job is not None
    assert job.state is ProviderState.EXPIRED
    assert place.node.ledger.invoices() == []
    earning.take(place.node, WalletEvent(2, place.payment_hash, PaymentStatus.SETTLED, PRICE, now(), b"\1" * 32))
    job = provider_job(place.node, place.job)
    assert job is not None
    assert job.state is ProviderState.RUNNING
    assert place.node.ledger.earnings() == (PRICE, 1)
