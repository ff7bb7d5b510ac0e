"""The engine of payments against wallets that lie, break, fall silent and forget (P12 to P15, P25, P26): one payment a hash, always.

The wallet is scripted here (`scripted_wallet`): a real one cannot be made to fail so. The same engine pays with real ones in other tests.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from pylon.errors import InsufficientFunds, NeverSent, OverLimit, PayeeNotAllowed, PaymentFailed, PaymentsPaused, PaymentUnknown, PylonError
from pylon.market.job import BuyerState, Trouble
from pylon.market.limits import Limits
from pylon.market.payment import Outcome, Sent, Status
from pylon.market.signals import Paid as Yes
from pylon.market.signals import PayFailed, PayUnknown, Signal
from pylon.node import payments as module
from pylon.node.figures import Purse
from pylon.node.journal import Payment
from pylon.node.ledger import Ledger
from pylon.node.payments import LOOKS, Payments
from pylon.units import Msat
from pylon.wallets.base import Direction, HealthState, Paid, PaymentState, PaymentStatus
from tests.market.scene import A, B, bought, invoice, payment_hash, preimage
from tests.node.scripted_wallet import NOTHING, Scripted

SECRET = b"\x05" * 32
YES = PaymentState(PaymentStatus.SETTLED, preimage(1), Msat(4), Msat(1000))
NO = PaymentState(PaymentStatus.FAILED)
PENDING = PaymentState(PaymentStatus.PENDING)
FEE = Msat(10)


class Place:
    """An engine, its ledger, a scripted wallet."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.ledger = Ledger(path, secret=SECRET)
        self.ledger.belong(Purse("scripted", "regtest"))
        self.wallet = Scripted()
        self.limits = limits
        self.engine = self.make()

    def make(self) -> Payments:
        """An engine."""
        return Payments(self.ledger, self.wallet, "bcrt", FEE, self.limits)

    def bill(self, n: int = 1, amount: int = 1000) -> str:
        """An invoice of somebody else, made now."""
        return invoice(n, amount, at=int(time.time()))

    def intend(self, n: int = 1, amount: int = 1000, *, job: str = "", peer: str = A) -> bytes:
        """An intent, as a job's step writes it."""
        with self.ledger.transaction(full=True):
            self.ledger.intend(Payment(
                direction=Direction.OUT, payment_hash=payment_hash(n), bolt11=self.bill(n, amount), amount=Msat(amount), max_fee=FEE,
                status=Status.INTENT, at=time.time(), job=job, peer=peer,
            ))
        return payment_hash(n)

    def line(self, n: int = 1) -> Payment:
        """What the journal says."""
        line = self.ledger.payment(Direction.OUT, payment_hash(n))
        assert line is not None
        return line

    async def crash(self) -> None:
        """The process dies: only the file is left; a new engine begins."""
        await self.engine.aclose()
        self.ledger.close()
        self.ledger = Ledger(self.path, secret=SECRET)
        self.engine = self.make()

    async def settle(self) -> None:
        """Until nothing is followed any more."""
        async with asyncio.timeout(10):
            while self.engine._following:
                await asyncio.gather(*self.engine._following.values())


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    """Without limits; pauses are short."""
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.004)
    here = Place(tmp_path / "ledger.sqlite3", Limits())
    yield here
    await here.engine.aclose()
    here.ledger.close()


async def test_a_payment_keeps_all_that_a_receipt_needs(place: Place) -> None:
    """Hash, preimage, amount, fee and its limit, payee, tries, each time; and the wallet gets the limit that the journal has."""

    async def costs(_: bytes) -> Paid:
        return Paid(preimage(1), Msat(4))

    place.wallet.on_pay = costs
    await place.engine.pay(place.bill())
    line = place.line()
    assert (line.status, line.amount, line.fee, line.max_fee, line.preimage, line.tries) == (Status.SETTLED, 1000, 4, FEE, preimage(1), 1)
    assert len(line.peer) == 66
    assert line.sent_at is not None
    assert line.settled_at is not None
    assert line.at <= line.sent_at <= line.settled_at
    assert (line.wallet, line.network) == ("scripted", "regtest")
    assert place.wallet.limits == [FEE]


@pytest.mark.parametrize(
    "error",
    [PaymentUnknown("?"), PylonError("broke"), TimeoutError(), OSError(28, "No space left"), KeyError("x"), ValueError(), RuntimeError()],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(("state", "status"), [(YES, Status.SETTLED), (NO, Status.FAILED)], ids=["settled", "failed"])
async def test_whatever_is_no_yes_and_no_no_is_looked_up(place: Place, error: Exception, state: PaymentState, status: Status) -> None:
    """P14, P15: a time-out, a full disk, a bug in the wallet: unknown, followed up by itself, ended by the wallet's word; asked once."""

    async def breaks(_: bytes) -> Paid:
        raise error

    place.wallet.on_pay = breaks
    place.wallet.states = [PENDING, PENDING, state]
    with pytest.raises(PaymentUnknown, match="does not say what became") as caught:
        await place.engine.pay(place.bill())
    assert "do not pay again" in caught.value.hint
    assert place.line().status is Status.UNKNOWN
    assert place.ledger.spent(payment_hash(1))
    await place.settle()
    assert place.line().status is status
    assert place.wallet.asked == [payment_hash(1)]
    assert place.ledger.left() == (1004 if status is Status.SETTLED else 0), "the budget is held, and released once"


async def test_a_wallet_that_falls_silent_is_still_listened_to(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """P14: after its patience the engine says unknown; the yes that comes later is taken at once, without a look that would say it."""
    monkeypatch.setattr(module, "PATIENCE", 0.02)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 60.0)
    answer = asyncio.Event()

    async def slow(_: bytes) -> Paid:
        await answer.wait()
        return Paid(preimage(1), Msat(2))

    place.wallet.on_pay = slow
    place.wallet.states = [PENDING]
    with pytest.raises(PaymentUnknown, match="has not answered within"):
        await place.engine.pay(place.bill())
    assert place.line().status is Status.UNKNOWN
    answer.set()
    await place.settle()
    assert (place.line().status, place.line().fee, place.wallet.looked) == (Status.SETTLED, 2, 1)


async def test_never_heard_of_it_counts_only_from_a_wallet_that_is_ready(place: Place) -> None:
    """P13: some looks, in a row, of a wallet that is well; one that is starting, or has heard of it once, says nothing."""
    place.wallet.states = [NOTHING, NOTHING, PENDING, NOTHING]
    place.wallet.states_of_health = [HealthState.STARTING, HealthState.DEGRADED, HealthState.READY]
    place.intend()
    outcome = await place.engine.resolve(payment_hash(1))
    assert outcome == PayFailed(Trouble(NeverSent.code, "the wallet has never heard of this payment"))
    assert place.wallet.looked == 3 + LOOKS
    place.wallet.states_of_health = [*[HealthState.STARTING] * 9, HealthState.READY]
    assert outcome == await place.engine.resolve(payment_hash(1))
    assert place.wallet.looked == 3 + LOOKS + 9 + LOOKS


async def test_a_look_that_breaks_is_no_answer(place: Place) -> None:
    """Errors and bugs while looking: it looks again."""
    place.wallet.states = [PylonError("not ready"), OSError("gone"), RuntimeError("bug"), YES]
    assert await place.engine.resolve(payment_hash(1)) == Yes(preimage(1), Msat(4))


async def test_looks_come_less_and_less_often(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 0.1 s on each pause is twice the one before, up to a minute."""
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 60.0)
    place.wallet.states = [*[PENDING] * 12, YES]
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(round(seconds, 3))

    monkeypatch.setattr("pylon.node.payments.asyncio.sleep", sleep)
    await place.engine.resolve(payment_hash(1))
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60.0, 60.0]


async def test_a_preimage_of_another_hash_proves_nothing(place: Place) -> None:
    """P21: the wallet says yes and shows a wrong secret: the money counts as gone, and no false proof is kept."""

    async def lies(_: bytes) -> Paid:
        return Paid(preimage(2), Msat(0))

    place.wallet.on_pay = lies
    _, paid = await place.engine.pay(place.bill())
    assert paid.preimage == b""
    assert (place.line().status, place.line().sealed) == (Status.SETTLED, False)
    assert hashlib.sha256(preimage(2)).digest() != payment_hash(1)


async def test_a_crash_between_intent_and_sent(place: Place) -> None:
    """P13: the wallet was not asked. It is looked up first all the same, and only a wallet that never heard of it is asked, once."""
    place.intend()
    await place.crash()
    assert await place.engine.perform(payment_hash(1), resumed=True) == Yes(preimage(1), Msat(0))
    assert (place.wallet.looked, place.wallet.asked) == (1, [payment_hash(1)])


@pytest.mark.parametrize(
    ("state", "kind"), [(YES, Yes), (NO, PayFailed), (PENDING, PayUnknown), (PylonError("not ready"), PayUnknown)],
    ids=["yes", "no", "pending", "blind"],
)
async def test_a_power_cut_may_take_the_mark_and_not_the_payment(
    place: Place, state: PaymentState | Exception, kind: type[Outcome]
) -> None:
    """P13: only `intent` is left in the journal and the wallet has heard of it, or does not say: it is not asked again."""
    place.intend()
    place.wallet.states = [state]
    assert type(await place.engine.perform(payment_hash(1), resumed=True)) is kind
    assert place.wallet.asked == []


async def test_a_wallet_that_starts_says_nothing_yet(place: Place) -> None:
    """After a crash: "never heard of it" of a wallet that is not ready begins no payment."""
    place.intend()
    place.wallet.states_of_health = [HealthState.STARTING]
    assert isinstance(await place.engine.perform(payment_hash(1), resumed=True), PayUnknown)
    assert place.wallet.asked == []


async def test_an_intent_that_has_run_out_is_not_begun(place: Place) -> None:
    """P23: the node was down for longer than the invoice lived."""
    with place.ledger.transaction(full=True):
        place.ledger.intend(Payment(
            direction=Direction.OUT, payment_hash=payment_hash(1), bolt11=invoice(at=int(time.time()) - 700), amount=Msat(1000),
            max_fee=FEE, status=Status.INTENT, at=time.time() - 700,
        ))
    outcome = await place.engine.perform(payment_hash(1), resumed=True)
    assert outcome == PayFailed(Trouble("invoice_refused", "the invoice has expired"))
    assert place.wallet.asked == []


async def test_a_crash_between_sent_and_the_outcome(place: Place) -> None:
    """P13: the wallet may have paid. Nobody asks it to pay again, neither the job nor a person."""
    place.intend()
    place.ledger.send(payment_hash(1), now=time.time())
    await place.crash()
    for resumed in (True, False):
        assert isinstance(await place.engine.perform(payment_hash(1), resumed=resumed), PayUnknown)
    with pytest.raises(PylonError, match="paid before"):
        await place.engine.pay(place.bill())
    place.wallet.states = [YES]
    place.engine.resume()
    await place.settle()
    assert (place.line().status, place.wallet.asked) == (Status.SETTLED, [])


async def test_a_start_follows_what_belongs_to_no_open_job(place: Place) -> None:
    """P13: a person's payments and those of ended jobs; a job that is being paid has its own effect, another wallet's line waits for it."""
    with place.ledger.transaction():
        place.ledger.put(replace(bought(BuyerState.UNSURE), id="a" * 64))
        place.ledger.put(replace(bought(BuyerState.FAILED), id="b" * 64))
    for n, job in ((1, ""), (2, "a" * 64), (3, "b" * 64)):
        place.intend(n, job=job)
        place.ledger.send(payment_hash(n), now=time.time())
    place.ledger.belong(Purse("another", "regtest"))
    place.intend(4)
    place.ledger.belong(Purse("scripted", "regtest"))
    place.wallet.states = [NO]
    place.engine.resume()
    assert set(place.engine._following) == {payment_hash(1), payment_hash(3)}
    busy = [place.engine.busy]
    await place.settle()
    assert [*busy, place.engine.busy] == [True, False]  # a node that nobody else needs stays for them
    assert [place.line(n).status for n in (1, 2, 3, 4)] == [Status.FAILED, Status.SENT, Status.FAILED, Status.INTENT]


async def test_the_end_of_the_node_ends_no_payment(place: Place) -> None:
    """Closed while the wallet works: it stays `sent`, and is looked up by the next start."""
    hangs = asyncio.Event()

    async def forever(_: bytes) -> Paid:
        hangs.set()
        await asyncio.Event().wait()
        return Paid(b"", Msat(0))

    place.wallet.on_pay = forever
    paying = asyncio.create_task(place.engine.pay(place.bill()))
    await hangs.wait()
    paying.cancel()
    await asyncio.gather(paying, return_exceptions=True)
    await place.engine.aclose()
    assert place.line().status is Status.SENT


async def test_many_at_once_for_one_invoice(place: Place) -> None:
    """P12: twenty orders for the same invoice, concurrently: one is performed, the others are refused."""
    bill = place.bill()
    done = await asyncio.gather(*(place.engine.pay(bill) for _ in range(20)), return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in done) == 1
    assert place.wallet.asked == [payment_hash(1)]


async def test_many_payers_on_the_last_sats(place: Place) -> None:
    """P25: a hundred at once, each of 1 sat and 10 msat of fee, on 20 sats a day: never more is let through than the limit holds."""
    place.engine.allowance.limits = Limits(per_day=Msat(20_000), failures=0)

    async def slow(payment_hash: bytes) -> Paid:
        await asyncio.sleep(0.001)
        return await place.wallet._yes(payment_hash)

    place.wallet.on_pay = slow
    done = await asyncio.gather(*(place.engine.pay(place.bill(n)) for n in range(1, 101)), return_exceptions=True)
    refused = [one for one in done if isinstance(one, OverLimit)]
    assert (len(place.wallet.asked), len(refused)) == (19, 81), "19 times 1,010 msat fit; what is under way counts with its fee"
    assert place.ledger.left() == 19_000
    await place.engine.pay(place.bill(200, 900))  # the fees that were not taken are free again


async def test_jobs_at_once_on_the_last_sats(place: Place) -> None:
    """P25: intents that jobs have written before any was performed: each is held against those that were begun before it."""
    place.engine.allowance.limits = Limits(total=Msat(3030))
    for n in range(1, 6):
        place.intend(n, job=f"{n:064x}")
    outcomes = await asyncio.gather(*(place.engine.perform(payment_hash(n)) for n in range(1, 6)))
    assert [isinstance(outcome, Yes) for outcome in outcomes] == [True, True, True, False, False]
    assert all(outcome.trouble.code == OverLimit.code for outcome in outcomes if isinstance(outcome, PayFailed))


async def test_the_most_that_a_fee_may_be_is_set_aside_and_the_real_one_counts(place: Place) -> None:
    """P26: before, with its limit; afterwards, with what it was."""
    place.engine.allowance.limits = Limits(per_day=Msat(2014))

    async def costs(_: bytes) -> Paid:
        return Paid(b"", Msat(4))

    place.wallet.on_pay = costs
    await place.engine.pay(place.bill(1))
    await place.engine.pay(place.bill(2))
    assert place.ledger.left() == 2008
    with pytest.raises(OverLimit, match=r"up to 1\.01 sats with the fee"):
        await place.engine.pay(place.bill(3))


async def test_each_limit_has_its_own_sum(place: Place) -> None:
    """Per job its payments, per peer those to it, by their whole keys; a job's payee is its provider."""
    place.engine.allowance.limits = Limits(per_job=Msat(1500), per_peer=Msat(2500), failures=0)
    for n, job, peer, good in (
        (1, "a" * 64, A, True), (2, "a" * 64, B, False), (3, "b" * 64, A, True), (4, "c" * 64, A, False), (5, "c" * 64, B, True),
    ):
        place.intend(n, job=job, peer=peer)
        outcome = await place.engine.perform(payment_hash(n))
        with place.ledger.transaction():
            place.ledger.take(payment_hash(n), outcome, now=time.time())
        assert isinstance(outcome, Yes) is good, n


async def test_the_day_slides_and_the_total_does_not(place: Place) -> None:
    """What settled more than 24 hours ago is no more of this day; what is under way is, however old."""
    now = time.time()
    for n, age in ((1, 86_500), (2, 86_300)):
        place.intend(n)
        place.ledger.send(payment_hash(n), now=now - age)
        place.ledger.settle(Direction.OUT, payment_hash(n), now=now - age)
    place.intend(3)
    place.ledger.send(payment_hash(3), now=now - 200_000)
    assert place.ledger.left(since=now - 86_400) == 1000 + 1010
    assert place.ledger.left() == 3010


async def test_refused_before_anything_is_written(place: Place) -> None:
    """A person's payment over a limit, or to nobody who is named, leaves no line."""
    place.engine.allowance.limits = Limits(allow=frozenset({A}))
    with pytest.raises(PayeeNotAllowed):
        await place.engine.pay(place.bill())
    place.engine.allowance.limits = Limits(total=Msat(500))
    with pytest.raises(OverLimit):
        await place.engine.pay(place.bill())
    assert (place.ledger.payments(9), place.wallet.asked) == ([], [])


async def test_failures_in_a_row_stop_paying_and_a_person_goes_on(place: Place) -> None:
    """The breaker: five failures, then none is begun, until it is closed by hand, or a payment that was under way settles."""

    async def no(_: bytes) -> Paid:
        raise PaymentFailed("no route")

    place.wallet.on_pay = no
    for n in range(1, 6):
        with pytest.raises(PaymentFailed, match="no route"):
            await place.engine.pay(place.bill(n))
    with pytest.raises(PaymentsPaused, match="5 payments in a row have failed"):
        await place.engine.pay(place.bill(6))
    await place.crash()
    with pytest.raises(PaymentsPaused):
        await place.engine.pay(place.bill(6))
    assert len(place.wallet.asked) == 5, "neither is it forgotten at a restart"
    left = place.engine.allowance.left(time.time())
    assert left.failed == 5
    assert left.paused_until is not None
    place.engine.allowance.close_breaker(time.time())
    place.wallet.on_pay = place.wallet._yes
    await place.engine.pay(place.bill(6))
    assert place.engine.allowance.left(time.time()).failed == 0


async def test_a_purse_that_is_empty_stops_nobody(place: Place) -> None:
    """Too little money is no failure of the network; nor is a refusal of our own."""

    async def empty(_: bytes) -> Paid:
        raise InsufficientFunds("0 sats")

    place.wallet.on_pay = empty
    for n in range(1, 8):
        with pytest.raises(InsufficientFunds):
            await place.engine.pay(place.bill(n))
    assert place.engine.allowance.left(time.time()).failed == 0


async def test_what_fails_by_a_look_counts_as_a_failure(place: Place) -> None:
    """P15: also a payment that was not known for a while; the tries and the reason are kept."""
    place.wallet.states = [NO]
    place.intend()
    place.ledger.send(payment_hash(1), now=time.time())
    place.engine.resume()
    await place.settle()
    assert place.engine.allowance.left(time.time()).failed == 1
    line = place.line()
    assert (line.status, line.tries, line.trouble) == (Status.FAILED, 1, Trouble("payment_failed", "the payment failed"))
    await place.engine.pay(place.bill())
    assert (place.line().status, place.line().tries) == (Status.SETTLED, 2)


async def test_a_disk_that_is_full_before_the_wallet_is_asked(place: Place) -> None:
    """The intent cannot be written: an error that says so, and the wallet is not asked."""
    (pages,) = place.ledger._db.row("PRAGMA page_count") or (0,)
    place.ledger._db.run(f"PRAGMA max_page_count={pages}")
    bill = place.bill(1)
    many = iter(range(2, 400))
    with pytest.raises(PylonError, match="full"):
        deque(map(place.intend, many), maxlen=0)
    with pytest.raises(PylonError, match="full"):
        await place.engine.pay(bill)
    assert place.wallet.asked == []


async def test_a_disk_that_is_full_when_the_outcome_comes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wallet has paid and nothing can be written: nobody is told that it failed, and it is written as soon as there is room."""
    monkeypatch.setattr(module, "WRITE_PAUSE", 0.005)
    real, broken = Ledger.take, [True]

    def take(ledger: Ledger, payment_hash: bytes, signal: Signal, *, now: float) -> Payment:
        if broken[0] and not isinstance(signal, Sent):
            raise PylonError("the disk is full")
        return real(ledger, payment_hash, signal, now=now)

    monkeypatch.setattr(Ledger, "take", take)
    place.wallet.states = [YES]
    with pytest.raises(PaymentUnknown, match="cannot be written: the disk is full"):
        await place.engine.pay(place.bill())
    assert place.line().status is Status.SENT
    await asyncio.sleep(0.02)
    assert place.line().status is Status.SENT
    broken[0] = False
    await place.settle()
    assert (place.line().status, place.wallet.asked) == (Status.SETTLED, [payment_hash(1)])
