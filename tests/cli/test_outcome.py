"""What became of a job, as an error and its exit status, in every state; and as one line for people."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pylon.cli.outcome import error_of, summary
from pylon.market.job import BuyerState, Trouble
from pylon.node.documents import buyer_document
from tests.market.scene import bought, quote

S = BuyerState


@pytest.mark.parametrize(
    ("state", "at_once", "waited"),
    [
        (S.DRAFT, None, 8), (S.POSTED, None, 8), (S.PAYING, None, 9), (S.UNSURE, None, 9), (S.PAID, None, 9), (S.DONE, None, None),
        (S.FAILED, 7, 7), (S.EXPIRED, 8, 8), (S.WITHDRAWN, 1, 1), (S.LOST, 9, 9),
    ],
)
def test_exit_statuses(state: BuyerState, at_once: int | None, waited: int | None) -> None:
    """None is no error; where the answer was waited for, a job without one is an error too."""
    document = buyer_document(bought(state))
    for expected, error in ((at_once, error_of(document)), (waited, error_of(document, waited=True))):
        assert (error.exit_status if error else None) == expected


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("insufficient_funds", 6), ("over_budget", 6), ("invoice_refused", 6), ("payment_failed", 6), ("payment", 6),
        ("POLICY_VIOLATION", 7), ("RATE_LIMITED", 7), ("anything a stranger says", 7), ("error", 7), ("timed_out", 7), ("answer_owed", 7),
    ],
)
def test_why_it_failed(code: str, status: int) -> None:
    """Our own wallet's reasons are errors of money; a provider's words, whatever they are, are a refusal."""
    error = error_of(buyer_document(bought(S.FAILED, trouble=Trouble(code, "because of the bid"))))
    assert error is not None
    assert error.exit_status == status
    assert "because of the bid" in error.message


def test_no_relay() -> None:
    """A job that no relay has taken: 5, whether the relays said no or its time was over first."""
    for job in (bought(S.EXPIRED, posted_at=None), bought(S.WITHDRAWN, posted_at=None, trouble=Trouble("no_relay", "nobody there"))):
        error = error_of(buyer_document(job))
        assert error is not None
        assert (error.exit_status, "doctor" in error.hint) == (5, True)


def test_withdrawn_after_payment() -> None:
    """The money is gone and the answer may still come: 9."""
    error = error_of(buyer_document(replace(bought(S.PAID), state=S.WITHDRAWN)))
    assert error is not None
    assert error.exit_status == 9


def test_owed_answers_say_how_to_collect() -> None:
    """Exit 9 names the command, with the beginning of the id."""
    job = bought(S.LOST, trouble=Trouble("answer_owed", "no answer came"))
    error = error_of(buyer_document(job))
    assert error is not None
    assert f"pylon job results {job.id[:12]}" in error.hint


def test_withdrawn_after_it_was_paid() -> None:
    """The money is gone and an answer may still come: 9, not 1."""
    error = error_of(buyer_document(bought(S.WITHDRAWN, quote=quote(), paid_at=5.0)))
    assert error is not None
    assert (error.exit_status, "job results" in error.hint) == (9, True)


def test_a_quote_that_waits() -> None:
    """Who waited for the answer of a job that he has not paid is told to pay it."""
    job = bought(S.POSTED, quotes=(quote(),))
    error = error_of(buyer_document(job), waited=True)
    assert error is not None
    assert f"pylon job pay {job.id[:12]}" in error.hint


def test_the_summary() -> None:
    """Sats, fee, provider, model, milliseconds."""
    line = summary(buyer_document(bought(S.DONE, fee=5, answer_model="tiny")))
    assert line.startswith("1 sat + 5 msat fee · provider ")
    assert " · tiny · 0.0 ms (posted 0.0" in line
    free = replace(bought(S.DONE, own=True), quote=None, paid_at=None)
    assert summary(buyer_document(free)).startswith("free (to ourselves) · provider ")
