"""What relays tell, turned into signals: whose word counts for which job, and what is passed over (catalogue J, P)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pylon.market.effects import MakeInvoice, Resend
from pylon.market.job import BuyerState, ProviderState, Role
from pylon.market.kinds import KINDS, JobKind, prompt_text, read_sampling
from pylon.market.payment import Status
from pylon.market.signals import Invoiced
from pylon.node import intake
from pylon.node.intake import JOBS, Intake
from pylon.node.journal import Payment
from pylon.node.node import Node
from pylon.node.offers import Offers
from pylon.nostr.event import Draft, VerifiedEvent, check, sign
from pylon.nostr.keys import Identity, Keys
from pylon.nostr.nip09 import deletion_draft
from pylon.units import Msat
from pylon.wallets.base import Direction
from tests.market.scene import CUSTOMER, OTHER, PROVIDER, A, invoice, payment_hash
from tests.node import stage
from tests.node.stage import asks, buyer_job, now, offer, posted, provider_job, result, todo

URL = "ws://127.0.0.1:1"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Node]:
    """A node that performs nothing."""
    node = stage.node(tmp_path / "home")
    yield node
    node.ledger.close()


@pytest.fixture
async def seller(here: Node, tmp_path: Path) -> AsyncIterator[Intake]:
    """The intake of a provider, live on URL."""
    async with stage.backends(tmp_path) as found:
        taken = Intake(here, found, Offers())
        taken.on_eose(JOBS, URL)
        yield taken
        await taken.aclose()


@pytest.fixture
def buyer(here: Node) -> Intake:
    """The intake of a node that only buys."""
    return Intake(here, None, Offers())


async def considered(seller: Intake, *events: VerifiedEvent) -> None:
    """Take events in, and wait until every request among them was decided upon."""
    for event in events:
        seller.on_event(JOBS, event, URL)
    await asyncio.gather(*seller._considered.values())
    await asyncio.sleep(0)


async def test_a_request_that_a_relay_has_filled(here: Node, seller: Intake) -> None:
    """An open job holds what its customer has written, not the white space that the relay has put into it."""
    event = asks()
    await considered(seller, check(event.raw.replace(b'"kind"', b" " * 100_000 + b'"kind"')))
    job = provider_job(here, event.id)
    assert job is not None
    assert job.request == event
    assert job.request.raw == event.raw


# What a buyer believes.


def test_an_offer_in_order_is_paid(here: Node, buyer: Intake) -> None:
    """The ground for all refusals below: without a fault the job goes to pay, and the intent is in the journal."""
    job = posted(here)
    buyer.on_event("answers", offer(job, invoice(at=now())), URL)
    assert buyer_job(here, job.id).state is BuyerState.PAYING
    assert here.ledger.spent(payment_hash(1))


def test_an_offer_that_is_older_than_its_request_is_passed_over(here: Node, buyer: Intake) -> None:
    """Nobody can have answered before he was asked; clocks may differ by a minute."""
    job = posted(here)
    buyer.on_event("answers", offer(job, invoice(at=now()), age=intake.SKEW + 5), URL)
    buyer.on_event("answers", result(job, age=intake.SKEW + 5), URL)
    assert buyer_job(here, job.id).state is BuyerState.POSTED
    buyer.on_event("answers", offer(job, invoice(at=now()), age=intake.SKEW - 5), URL)
    assert buyer_job(here, job.id).state is BuyerState.PAYING


def test_an_answer_to_another_customer_is_passed_over(here: Node, buyer: Intake) -> None:
    """Its `p` names somebody else: it is not for us, whatever its `e` says."""
    job = posted(here)
    good = result(job)
    tags = tuple(("p", CUSTOMER.pubkey_hex) if tag[0] == "p" else tag for tag in good.tags)
    buyer.on_event("answers", sign(Draft(good.kind, good.created_at, good.content, tags), PROVIDER), URL)
    assert buyer_job(here, job.id).state is BuyerState.POSTED


def test_the_kind_of_a_result_is_that_of_its_request(here: Node, buyer: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """NIP-90: "Result kind is always 1000 higher than the request kind", also where both kinds are served here."""
    other = JobKind(5100, "images", lambda request: read_sampling(request, prompt_text(request)))
    monkeypatch.setitem(KINDS, 5100, other)
    job = posted(here)
    good = result(job)
    buyer.on_event("answers", sign(Draft(6100, good.created_at, good.content, good.tags), PROVIDER), URL)
    assert buyer_job(here, job.id).state is BuyerState.POSTED
    buyer.on_event("answers", good, URL)
    assert buyer_job(here, job.id).answer == "It is 4."


def test_an_encrypted_job_is_not_answered_in_clear(here: Node, buyer: Intake) -> None:
    """Who was asked in secret and answers for all to read has not done what was asked."""
    job = posted(here, provider=PROVIDER)
    buyer.on_event("answers", result(job), URL)
    assert buyer_job(here, job.id).state is BuyerState.POSTED
    buyer.on_event("answers", result(job, encrypted=True), URL)
    assert buyer_job(here, job.id).answer == "It is 4."


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_answer_is_none(here: Node, buyer: Intake, text: str) -> None:
    """Nothing was said; the job goes on."""
    job = posted(here)
    good = result(job)
    buyer.on_event("answers", sign(Draft(good.kind, good.created_at, text, good.tags), PROVIDER), URL)
    assert buyer_job(here, job.id).state is BuyerState.POSTED


@pytest.mark.parametrize("status", ["partial", "success", "processing", "whatever", ""])
def test_only_payment_required_is_payable(here: Node, buyer: Intake, status: str) -> None:
    """J14: an invoice under another status is not paid, and a text under it is no answer."""
    job = posted(here)
    buyer.on_event("answers", offer(job, invoice(at=now()), status=status), URL)
    assert buyer_job(here, job.id).state is BuyerState.POSTED
    assert buyer_job(here, job.id).answer is None


def test_an_invoice_that_was_paid_before_is_refused(here: Node, buyer: Intake) -> None:
    """P8: the journal is asked for every offer, whoever sends it, for whatever job."""
    with here.ledger.transaction(full=True):
        here.ledger.intend(Payment(
            direction=Direction.OUT, payment_hash=payment_hash(1), bolt11=invoice(), amount=Msat(1000), status=Status.SETTLED, at=now(),
        ))
    job = posted(here)
    buyer.on_event("answers", offer(job, invoice(at=now())), URL)
    after = buyer_job(here, job.id)
    assert (after.state, [refusal.provider for refusal in after.refusals]) == (BuyerState.POSTED, [A])


# What a provider takes up.


async def test_a_request_becomes_one_job(here: Node, seller: Intake) -> None:
    """J1: from k relays at once, and again when it is stored: one job, one invoice asked for, nothing sent again by the copies."""
    request = asks()
    await considered(seller, request, request, request)
    await considered(seller, request)
    job = provider_job(here, request.id)
    assert job is not None
    assert job.state is ProviderState.OFFERED
    assert len(todo(here, MakeInvoice)) == 1


async def test_a_request_without_an_expiration_has_time_from_now_on(here: Node, seller: Intake) -> None:
    """One that is some minutes old is still taken up, so its time must not be over when its offer is made."""
    request = sign(Draft(5050, now() - 800, "", (("i", "What is 2+2?", "text"),)), CUSTOMER)
    await considered(seller, request)
    job = provider_job(here, request.id)
    assert job is not None
    assert (job.state, job.deadline > now() + 500) == (ProviderState.OFFERED, True)


async def test_a_request_is_known_after_a_restart(here: Node, seller: Intake, tmp_path: Path) -> None:
    """J3: what the ledger knows is not begun anew by the relay that tells it again."""
    request = asks()
    await considered(seller, request)
    again = Node(here.config, Identity.generate(), here.ledger, here.terms)
    async with stage.backends(tmp_path) as found:
        taken = Intake(again, found, Offers())
        await considered(taken, request)
        await taken.aclose()
    assert len(todo(here, MakeInvoice)) == 1


async def test_only_live_relays_ask_again(here: Node, seller: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stored copy from a relay that has just been connected is no customer who misses his offer."""
    monkeypatch.setattr(intake, "REPEAT_SECONDS", -1.0)
    request = asks()
    await considered(seller, request)
    (made,) = todo(here, MakeInvoice)
    here.apply(Role.PROVIDER, request.id, Invoiced(invoice(at=now()), payment_hash(1), Msat(1000), now() + 600), done=made.n)
    seller.on_event(JOBS, request, "ws://127.0.0.1:2")
    seller.on_repeat(request.id, "ws://127.0.0.1:2")
    assert todo(here, Resend) == []
    seller.on_repeat(request.id, URL)
    assert len(todo(here, Resend)) == 1


async def test_copies_within_moments_are_not_looked_up(here: Node, seller: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copies that other relays bring at the same time cost no look into the ledger, however many; of later ones, one a while does."""
    asked: list[str] = []
    monkeypatch.setattr(here.ledger, "provider_job", asked.append)
    request = asks()
    seller.on_event(JOBS, request, URL)
    asked.clear()
    for _ in range(100):
        seller.on_repeat(request.id, URL)
    assert asked == []
    clock = time.time() + intake.REPEAT_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: clock)
    for _ in range(100):
        seller.on_repeat(request.id, URL)
    assert asked == [request.id]


async def test_what_came_is_remembered_in_bounded_memory(seller: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes first."""
    monkeypatch.setattr(intake, "MOST_RECENT", 10)
    for number in range(20):
        seller.on_repeat(f"{number:064x}", URL)
    assert [int(event_id, 16) for event_id in seller._recent] == list(range(10, 20))


@pytest.mark.parametrize("make", [lambda: asks(others=(OTHER.pubkey_hex,)), lambda: asks(provider=OTHER)], ids=["clear", "encrypted"])
async def test_requests_for_others_are_passed_over(here: Node, seller: Intake, make: Callable[[], VerifiedEvent]) -> None:
    """Not even a refusal is sent for a request that names other providers, readable or not."""
    request = make()
    await considered(seller, request)
    assert provider_job(here, request.id) is None


async def test_requests_under_consideration_are_bounded(here: Node, seller: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """J16: beyond the bound a request is told that we are busy, without a word of it being counted."""
    monkeypatch.setattr(intake, "MOST_CONSIDERED", 2)
    requests = [asks(salt=number) for number in range(3)]
    await considered(seller, *requests)
    jobs = [provider_job(here, request.id) for request in requests]
    busy = [job for job in jobs if job is not None and job.trouble is not None and job.trouble.code == "RATE_LIMITED"]
    assert len(busy) >= 1


async def test_no_more_open_jobs_than_the_queue_holds(here: Node, seller: Intake) -> None:
    """J16: the jobs that are open count, whoever sent them; the next one is told that we are busy."""
    requests = [asks(salt=number) for number in range(here.terms.capacity + 1)]
    for request in requests:
        await considered(seller, request)
    jobs = [provider_job(here, request.id) for request in requests]
    assert [job.state for job in jobs if job] == [ProviderState.OFFERED] * here.terms.capacity + [ProviderState.DECLINED]


@pytest.mark.parametrize("kind", [5050, 5001, 5940])
async def test_what_is_quoted_is_what_will_be_asked(here: Node, seller: Intake, kind: int) -> None:
    """Every kind is taken up; a customer who leaves the model to us gets the one that was counted and priced."""
    request = asks(kind=kind)
    await considered(seller, request)
    job = provider_job(here, request.id)
    assert job is not None
    assert (job.state, job.prompt.model) == (ProviderState.OFFERED, "scripted")


async def test_a_translation_into_no_language_is_declined(here: Node, seller: Intake) -> None:
    """The refusal names what is missing."""
    request = asks(kind=5002)
    await considered(seller, request)
    job = provider_job(here, request.id)
    assert job is not None
    assert job.trouble is not None
    assert (job.trouble.code, "language" in job.trouble.message) == ("INVALID_PARAMETER", True)


async def test_a_closed_door(here: Node, seller: Intake) -> None:
    """A node that is about to end takes no new request up."""
    seller.close()
    request = asks()
    await considered(seller, request)
    assert provider_job(here, request.id) is None


def deletion(request: VerifiedEvent, by: Keys = CUSTOMER) -> VerifiedEvent:
    """Kind 5 for a request."""
    return sign(deletion_draft(request, now()), by)


async def test_a_deletion_cancels_its_authors_job(here: Node, seller: Intake) -> None:
    """J7, NIP-09: by its author alone; anybody else's says nothing."""
    request = asks()
    await considered(seller, request)
    seller.on_event(JOBS, deletion(request, OTHER), URL)
    job = provider_job(here, request.id)
    assert job is not None
    assert job.state is ProviderState.OFFERED
    seller.on_event(JOBS, deletion(request), URL)
    job = provider_job(here, request.id)
    assert job is not None
    assert job.state is ProviderState.CANCELLED


async def test_a_deletion_before_its_request(here: Node, seller: Intake) -> None:
    """J7: relays deliver in any order: a request whose deletion is known is not begun; a stranger's deletion keeps nothing out."""
    early, kept = asks(salt=1), asks(salt=2)
    seller.on_event(JOBS, deletion(early), URL)
    seller.on_event(JOBS, deletion(kept, OTHER), URL)
    await considered(seller, early, kept)
    assert provider_job(here, early.id) is None
    assert provider_job(here, kept.id) is not None


async def test_a_deletion_while_we_think(here: Node, seller: Intake) -> None:
    """The customer leaves while the prompt is being counted: nothing is begun."""
    request = asks()
    seller.on_event(JOBS, request, URL)
    await considered(seller, deletion(request))
    assert provider_job(here, request.id) is None


async def test_a_deletion_names_a_bounded_number_of_jobs(here: Node, seller: Intake) -> None:
    """One event of a stranger does not write the ledger full."""
    ids = [f"{number:064x}" for number in range(intake.MOST_DELETED + 50)]
    seller.on_event(JOBS, sign(Draft(5, now(), "", tuple(("e", one) for one in ids)), OTHER), URL)
    assert sum(here.ledger.is_deleted(one, OTHER.pubkey_hex) for one in ids) == intake.MOST_DELETED
