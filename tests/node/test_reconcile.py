"""The journal held against the wallet: healed is what is certain, shown is what does not fit."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from pylon.errors import PylonError
from pylon.market.job import ProviderJob, ProviderState, Trouble
from pylon.market.payment import Status
from pylon.node import reconcile as module
from pylon.node.differences import Kind
from pylon.node.figures import Purse
from pylon.node.journal import Payment
from pylon.node.node import Node
from pylon.node.reconcile import once, reconcile
from pylon.units import Msat
from pylon.wallets.base import Direction, Invoice, PaymentRecord
from pylon.wallets.sim import SimWallet
from tests.node import stage
from tests.node.stage import asks, now, provider_job

IN, OUT = Direction.IN, Direction.OUT
PRICE = Msat(1000)


class Told(SimWallet):
    """The simulated wallet; `change` is what it tells in place of its records (scripted: a bank that forgets cannot be provoked)."""

    change: dict[bytes, PaymentRecord | None]
    away: int = 0

    async def payments(self, since: float) -> Sequence[PaymentRecord]:
        """As the bank does, but for what is changed."""
        if self.away:
            self.away -= 1
            raise PylonError("the wallet is starting")
        records = [self.change.get(record.payment_hash, record) for record in await super().payments(since)]
        return [record for record in records if record is not None]


class Place:
    """A node, its wallet, and another one."""

    def __init__(self, node: Node, wallet: Told, other: SimWallet) -> None:
        self.node = node
        self.ledger = node.ledger
        self.wallet = wallet
        self.other = other

    async def paid(self, *, journal: bool = True) -> Invoice:
        """A payment of ours that went well, journaled or not."""
        made = await self.other.invoice(PRICE, "", 600)
        if journal:
            self.intend(made, OUT)
            self.ledger.send(made.payment_hash, now=time.time() - 5)
        paid = await self.wallet.pay(made.bolt11, max_fee=Msat(0), key=made.payment_hash)
        if journal:
            self.ledger.settle(OUT, made.payment_hash, now=time.time() - 5, preimage=paid.preimage)
        return made

    def intend(self, made: Invoice, direction: Direction) -> None:
        """Its line."""
        status = Status.INTENT if direction is OUT else Status.OPEN
        self.ledger.intend(Payment(
            direction=direction, payment_hash=made.payment_hash, bolt11=made.bolt11, amount=PRICE, status=status, at=now() - 5
        ))

    async def kinds(self) -> list[tuple[Kind, str, str]]:
        """What a comparison finds."""
        return [(one.kind, one.journal, one.says) for one in await reconcile(self.node, self.wallet)]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """With 100 sats on each side."""
    node = stage.node(tmp_path / "home")
    node.ledger.belong(Purse("sim", "regtest"))
    wallet = Told.open(tmp_path, secrets.token_bytes(32), "regtest")
    wallet.change = {}
    other = SimWallet.open(tmp_path, secrets.token_bytes(32), "regtest")
    for one in (wallet, other):
        await one.fund(Msat(100_000))
    yield Place(node, wallet, other)
    for one in (wallet, other):
        await one.aclose()
    node.ledger.close()


async def test_a_journal_that_agrees(place: Place) -> None:
    """Both directions, open invoices and failed payments: no difference."""
    await place.paid()
    mine = await place.wallet.invoice(PRICE, "", 600)
    place.intend(mine, IN)
    unpaid = await place.other.invoice(PRICE, "", 600)
    place.intend(unpaid, OUT)
    place.ledger.fail(unpaid.payment_hash, Trouble("payment_failed", "no"), now=now())
    assert await place.kinds() == []
    assert place.ledger.differences() == []


async def test_money_that_left_without_the_journal(place: Place) -> None:
    """Somebody else used the wallet, or the ledger is an old copy: shown with the amount, and never again as new."""
    await place.paid(journal=False)
    assert await place.kinds() == [(Kind.NOT_IN_JOURNAL, "", "1000")]
    assert await place.kinds() == [(Kind.NOT_IN_JOURNAL, "", "1000")]
    (kept,) = place.ledger.differences()
    assert (kept.wallet, kept.network, kept.gone_at) == ("sim", "regtest", None)


async def test_a_payment_that_the_wallet_does_not_know(place: Place) -> None:
    """The wallet is an old copy: settled here, unknown there."""
    made = await place.paid()
    place.wallet.change[made.payment_hash] = None
    assert await place.kinds() == [(Kind.NOT_IN_WALLET, "1000", "")]


@pytest.mark.parametrize("status", ["failed", "pending"])
async def test_a_payment_that_the_wallet_calls_otherwise(place: Place, status: str) -> None:
    """Settled here by its own earlier word: nothing is taken back, and it is shown."""
    made = await place.paid()
    (record,) = await place.wallet.payments(0)
    place.wallet.change[made.payment_hash] = replace(record, status=type(record.status)(status))
    assert await place.kinds() == [(Kind.STATUS, "settled", status)]
    line = place.ledger.payment(OUT, made.payment_hash)
    assert line is not None
    assert line.status is Status.SETTLED


async def test_amounts_and_fees_that_differ(place: Place) -> None:
    """P26: to the msat, each with what both sides say."""
    made, second = await place.paid(), await place.paid()
    for record in await place.wallet.payments(0):
        if record.payment_hash == made.payment_hash:
            place.wallet.change[made.payment_hash] = replace(record, amount=Msat(1001))
        else:
            place.wallet.change[second.payment_hash] = replace(record, fee=Msat(7))
    assert sorted(await place.kinds()) == [(Kind.AMOUNT, "1000", "1001"), (Kind.FEE, "0", "7")]


async def test_a_payment_that_had_counted_as_failed_is_settled(place: Place) -> None:
    """P14, P15: the money has gone, so the journal says so, with the proof; that it ever said otherwise is on record."""
    made = await place.paid(journal=False)
    place.intend(made, OUT)
    place.ledger.fail(made.payment_hash, Trouble("payment_failed", "no"), now=now())
    assert await place.kinds() == [(Kind.STATUS, "failed", "settled")]
    line = place.ledger.payment(OUT, made.payment_hash)
    assert line is not None
    assert (line.status, line.preimage) == (Status.SETTLED, made.preimage)
    assert place.ledger.spent(made.payment_hash)
    assert await place.kinds() == []
    (kept,) = place.ledger.differences()
    assert kept.gone_at is not None, "what is no more stays on record"


async def test_an_incoming_settlement_that_was_missed(place: Place) -> None:
    """P13: an invoice of a job and one of a person, paid while nobody listened: both by the ordinary signal, once."""
    job_invoice, mine = await place.wallet.invoice(PRICE, "pylon:", 600), await place.wallet.invoice(PRICE, "", 600)
    request = asks()
    job = ProviderJob(
        id=request.id, request=request, state=ProviderState.INVOICED, price=PRICE, deadline=now() + 300, bolt11=job_invoice.bolt11,
        payment_hash=job_invoice.payment_hash, invoice_expires=job_invoice.expires_at, created_at=time.time(),
    )
    with place.ledger.transaction(full=True):
        place.ledger.put(job)
    for made in (job_invoice, mine):
        place.intend(made, IN)
        await place.other.pay(made.bolt11, max_fee=Msat(0), key=made.payment_hash)
    assert await place.kinds() == []
    sold = provider_job(place.node, job.id)
    assert sold is not None
    assert (sold.state, sold.received, sold.preimage) == (ProviderState.RUNNING, PRICE, job_invoice.preimage)
    assert {line.status for line in place.ledger.payments(9)} == {Status.SETTLED}
    assert await place.kinds() == []


async def test_money_that_came_without_an_invoice_of_the_journal(place: Place) -> None:
    """The faucet's, or a lost ledger's: it has its line, and is in the history."""
    made = await place.wallet.invoice(PRICE, "", 600)
    await place.other.pay(made.bolt11, max_fee=Msat(0), key=made.payment_hash)
    assert await place.kinds() == []
    (line,) = place.ledger.history(9)
    assert (line.amount, line.status, line.memo) == (PRICE, Status.SETTLED, "not an invoice of this journal")
    assert place.ledger.earnings() == (0, 0)


async def test_what_is_under_way_is_no_difference(place: Place) -> None:
    """It is looked up, by its own."""
    made = await place.paid(journal=False)
    place.intend(made, OUT)
    place.ledger.send(made.payment_hash, now=now())
    assert await place.kinds() == []


async def test_another_wallets_lines_are_left_alone(place: Place) -> None:
    """After the wallet has changed, the new one is not asked about the payments of the old one."""
    await place.paid()
    place.ledger.belong(Purse("sim", "elsewhere"))
    place.wallet.change = dict.fromkeys([line.payment_hash for line in place.ledger.payments(9)])
    assert await place.kinds() == []


async def test_a_wallet_that_starts_is_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison comes as soon as the wallet can list its payments; until then the node works."""
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    await place.paid(journal=False)
    place.wallet.away = 3
    await once(place.node, place.wallet)
    assert [one.kind for one in place.ledger.differences()] == [Kind.NOT_IN_JOURNAL]
