"""Buying, paying, waiting, cancelling: many short tests on one relay with one scripted provider and one buyer."""

from __future__ import annotations

import time

import msgspec

from tests.e2e.market import Market
from tests.e2e.world import Document, number


def test_by_hand_submit_status_pay_results(market: Market) -> None:
    """`submit` alone returns the id; any process then shows the price, pays, and collects (ancestor: defect 4)."""
    world = market.world
    before = world.spendable("buyer")
    posted = world.run("buyer", "job", "submit", "What is 2+2?")
    assert posted.status == 0
    job_id = posted.out.split()[1]
    world.until_state("provider", "provider", "invoiced")
    world.until(lambda: world.ask("buyer", "job", "status", job_id)["quote_msat"] == 1000, "the price")
    shown = world.run("buyer", "job", "status", job_id[:12]).out
    assert f"Job {job_id}: posted (buyer)\nPrice: 1 sat, by {market.seller['pubkey']}" in shown
    assert world.spendable("buyer") == before
    paid = world.run("buyer", "job", "pay", job_id[:12])
    assert paid.status == 0, paid
    assert paid.out.startswith("It is 4.\n")
    assert world.run("buyer", "job", "results", job_id[:12]).out == paid.out
    assert before - world.spendable("buyer") == 1000


def test_wait_shows_the_price_and_pays_nothing(market: Market) -> None:
    """`--wait` alone prints the quote."""
    books = market.books()
    quoted = market.world.run("buyer", "job", "submit", "How much?", "--wait")
    assert quoted.status == 0
    assert "Price: 1 sat" in quoted.out
    assert "job pay" in quoted.out
    assert market.books() == books


def test_an_encrypted_job_for_one_provider(market: Market) -> None:
    """`--provider` by npub and by hex key: the answer comes, and both spellings mean the same."""
    for spelling in (market.npub, str(market.seller["pubkey"])):
        job = market.bought("What is 2+2?", "--provider", spelling)
        assert (job["answer"], job["provider"]) == ("It is 4.", market.seller["pubkey"])


def test_odd_prompts_are_prompts(market: Market) -> None:
    """Emoji, right-to-left, NUL by standard input, half an emoji at the cut of a listing: answered like others (ancestor: defect 10)."""
    for prompt in ("😀" * 49 + "é😀", "\u202eمرحبا\u2066", "a\u0301\ufeff\u200d"):
        assert market.bought(prompt)["answer"] == "It is 4."
    sent = market.world.run("buyer", "job", "submit", "-", "--auto-pay", "--json", stdin=b"what\x00is\x00this\x1b[31m")
    assert sent.status == 0, sent
    assert sent.document["prompt"] == "what\x00is\x00this\x1b[31m"
    for home in ("buyer", "provider"):
        listed = market.world.run(home, "job", "list", "-l", "4")
        assert listed.status == 0
        assert not set(listed.out) & set("\x00\x1b\u202e\u2066")


def test_the_longest_answer(market: Market) -> None:
    """`--max-tokens` bounds the answer of a paid job too (ancestor: defect 11)."""
    assert market.bought("What is 2+2?", "--max-tokens", "2")["answer"] == "It is"


def test_cancelling_stops_the_computation(market: Market) -> None:
    """The provider closes the stream of a job that its customer withdraws; it was paid, so exit 9 says what happened."""
    world = market.world
    before = len(world.runs("provider"))
    buyer = world.start("buyer", "job", "submit", "hang on", "--auto-pay", "--json")
    world.until(lambda: len(world.runs("provider")) > before, "the computation")
    world.until_state("buyer", "buyer", "paid")
    (row, *_) = world.jobs("buyer", "buyer")
    cancelled = world.ask("buyer", "job", "cancel", str(row["id"]))
    assert cancelled["status"] == "withdrawn"
    world.until(lambda: world.runs("provider")[before:] == ["start", "closed"], "the end of the computation")
    world.until_state("provider", "provider", "cancelled")
    withdrawn = buyer.done()
    assert (withdrawn.status, withdrawn.error["code"]) == (9, "answer_owed")
    again = world.run("buyer", "job", "cancel", str(row["id"]), "--json")
    assert (again.status, again.error["code"]) == (2, "usage")


def test_cancelling_before_payment(market: Market) -> None:
    """The invoice is closed: nothing is paid, and it cannot be paid any more."""
    world = market.world
    books = market.books()
    quoted = market.submit("What is 2+2?", "--wait")
    job_id = str(quoted.document["id"])
    assert world.run("buyer", "job", "cancel", job_id).status == 0
    world.until_state("provider", "provider", "cancelled")
    assert world.run("buyer", "job", "pay", job_id).status == 6
    assert world.run("buyer", "job", "results", job_id).status == 1
    assert market.books() == books


def test_paid_and_silent_until_the_deadline(market: Market) -> None:
    """A provider that was paid and never answers: exit 9, with how to collect; the money is shown as paid, the answer as owed."""
    world = market.world
    late = market.submit("hang again", "--auto-pay", "--timeout", "4")
    assert late.status == 9
    assert late.error["code"] == "answer_owed"
    assert "job results" in late.error["hint"]
    assert (late.document["status"], late.document["amount_msat"]) == ("lost", 1000)
    waited = world.run("buyer", "job", "results", str(late.document["id"]), "--timeout", "0", "--json")
    assert (waited.status, waited.error["code"]) == (9, "answer_owed")


def test_nobody_offers(market: Market) -> None:
    """A provider that is not there: exit 8 at the deadline, nothing paid."""
    books = market.books()
    stranger = str(market.buyer["pubkey"])
    late = market.submit("What is 2+2?", "--auto-pay", "--timeout", "1.5", "--provider", stranger)
    assert (late.status, late.error["code"]) == (8, "timed_out")
    assert late.document["status"] == "expired"
    assert market.books() == books


def test_the_price_is_not_paid_in_time(market: Market) -> None:
    """A quote that nobody pays ends with the deadline; paying it later is refused."""
    world = market.world
    books = market.books()
    quoted = market.submit("What is 2+2?", "--wait", "--timeout", "2").document
    world.until_state("buyer", "buyer", "expired")
    refused = world.run("buyer", "job", "pay", str(quoted["id"]), "--json")
    assert (refused.status, refused.error["code"]) == (6, "payment")
    assert market.books() == books


def test_equal_prompts_are_jobs_of_their_own(market: Market) -> None:
    """Three equal prompts in one second have three ids, and are paid three times (J5)."""
    world = market.world
    before = world.spendable("buyer")
    started = [world.start("buyer", "job", "submit", "the same", "--auto-pay", "--json") for _ in range(3)]
    jobs = [running.done().document for running in started]
    assert len({job["id"] for job in jobs}) == 3
    assert {job["answer"] for job in jobs} == {"It is 4."}
    assert before - world.spendable("buyer") == 3000
    assert len({row["payment_hash"] for row in world.payments("buyer")}) == len(world.payments("buyer"))


def test_a_shared_listing(market: Market) -> None:
    """`job list` names the newest first, with role, status and price; an id may be typed by its beginning."""
    world = market.world
    job = market.bought("the last one")
    (row,) = msgspec.convert(world.ask("buyer", "job", "list", "-l", "1")["jobs"], list[Document])
    assert (row["id"], row["role"], row["status"], row["amount_msat"]) == (job["id"], "buyer", "done", 1000)
    assert number(row, "kind") == 5050
    assert abs(msgspec.convert(row["created_at"], float) - time.time()) < 3600
    assert world.run("buyer", "job", "results", str(job["id"])[:8]).status == 0
    for wrong in ("123", "xyzw", "0" * 64):
        assert world.run("buyer", "job", "results", wrong).status == 2

