"""The buyer's table, transition by transition, against section 5 of the design: whom we pay, when, and whose answer counts."""

from __future__ import annotations

from typing import cast

import pytest

from pylon.errors import NeverSent, OverLimit, PaymentError, PaymentsPaused
from pylon.market.buyer import TABLE
from pylon.market.effects import Effect, LookUp, Pay, Publish, Wake
from pylon.market.job import BuyerState, Refusal, Trouble
from pylon.market.signals import (
    Answered,
    NotPosted,
    Paid,
    PayFailed,
    PayOrdered,
    PayUnknown,
    Posted,
    Refused,
    Signal,
    Withdrawn,
    Woke,
    Working,
)
from pylon.market.table import Rule
from pylon.units import Msat
from tests.market.scene import NOW, TROUBLE, A, B, C, bought, buy, payment_hash, preimage, quote, quoted

S = BuyerState
PAID = Paid(preimage(1), Msat(3))
FAILED = PayFailed(Trouble("payment_failed", "no route"))
UNKNOWN = PayUnknown(Trouble("payment_unknown", "the wallet does not answer"))
REFUSAL = Refusal(A, TROUBLE)
LATE = NOW + 120
"""The deadline."""

Row = tuple[S, dict[str, object], Signal, float, S, tuple[type[Effect], ...]]
OPEN: list[Row] = [
    row
    for state in (S.DRAFT, S.POSTED)
    for row in cast(
        tuple[Row, ...],
        (
            (state, {}, Posted(), NOW, S.POSTED, ()),
            (state, {}, quoted(), NOW, S.PAYING, (Pay,)),
            (state, {"auto_pay": False}, quoted(), NOW, S.POSTED, ()),
            (state, {"provider": B}, quoted(), NOW, state, ()),
            (state, {"provider": A}, quoted(amount=3000), NOW, S.FAILED, ()),
            (state, {}, quoted(amount=3000), NOW, S.POSTED, (Wake,)),
            (state, {}, quoted(), LATE, S.EXPIRED, (Publish,)),
            (state, {}, Refused(A, TROUBLE), NOW, S.POSTED, (Wake,)),
            (state, {"provider": A}, Refused(A, TROUBLE), NOW, S.FAILED, ()),
            (state, {"provider": A}, Refused(B, TROUBLE), NOW, state, ()),
            (state, {}, Refused(A, TROUBLE), LATE, S.EXPIRED, (Publish,)),
            (state, {}, Answered(A, "4", "tiny"), NOW, S.DONE, ()),
            (state, {"provider": A}, Answered(B, "4", "tiny"), NOW, state, ()),
            (state, {}, Withdrawn(), NOW, S.WITHDRAWN, (Publish,)),
            (state, {}, Working(A), NOW, S.POSTED, ()),
            (state, {"provider": B}, Working(A), NOW, state, ()),
            (state, {}, Woke(), NOW, state, (Wake,)),
        ),
    )
]
IN_FLIGHT: list[Row] = [
    row
    for state in (S.PAYING, S.UNSURE)
    for row in cast(
        tuple[Row, ...],
        (
            (state, {}, PAID, NOW, S.PAID, (Wake,)),
            (state, {"answer": "4", "answered_by": A}, PAID, NOW, S.DONE, ()),
            (state, {}, FAILED, NOW, S.POSTED, (Wake, Wake)),
            (state, {"quotes": (quote(B, 2),)}, FAILED, NOW, S.PAYING, (Pay,)),
            (state, {"provider": A}, FAILED, NOW, S.FAILED, ()),
            (state, {}, FAILED, LATE, S.EXPIRED, (Publish,)),
            (state, {"withdrawn": True, "quotes": (quote(B, 2),)}, FAILED, NOW, S.WITHDRAWN, (Publish,)),
            (state, {}, Posted(), NOW, state, ()),
            (state, {}, quoted(B, 2), NOW, state, ()),
            (state, {}, Refused(A, TROUBLE), NOW, state, ()),
            (state, {}, Answered(A, "4", "tiny"), NOW, state, ()),
            (state, {}, Withdrawn(), NOW, state, ()),
        ),
    )
]
ROWS: list[Row] = [
    *OPEN,
    *IN_FLIGHT,
    (S.DRAFT, {}, Woke(), LATE, S.EXPIRED, ()),
    (S.POSTED, {}, Woke(), LATE, S.EXPIRED, (Publish,)),
    (S.POSTED, {"refusals": (REFUSAL,)}, Woke(), NOW, S.FAILED, ()),
    (S.DRAFT, {}, NotPosted(TROUBLE), NOW, S.WITHDRAWN, ()),
    (S.POSTED, {"quotes": (quote(),), "auto_pay": False}, PayOrdered(), NOW, S.PAYING, (Pay,)),
    (S.POSTED, {"auto_pay": False}, PayOrdered(), NOW, S.POSTED, ()),
    (S.POSTED, {"provider": A, "refusals": (REFUSAL,), "auto_pay": False}, PayOrdered(), NOW, S.FAILED, ()),
    (S.POSTED, {"quotes": (quote(),), "auto_pay": False}, PayOrdered(), LATE, S.EXPIRED, (Publish,)),
    (S.PAYING, {}, UNKNOWN, NOW, S.UNSURE, (LookUp,)),
    (S.PAID, {}, Answered(A, "4", "tiny"), NOW, S.DONE, ()),
    (S.PAID, {}, Answered(B, "5", "tiny"), NOW, S.PAID, ()),
    (S.PAID, {}, Refused(A, TROUBLE), NOW, S.LOST, ()),
    (S.PAID, {}, Refused(B, TROUBLE), NOW, S.PAID, ()),
    (S.PAID, {}, Woke(), NOW, S.PAID, (Wake,)),
    (S.PAID, {}, Woke(), LATE, S.LOST, ()),
    (S.PAID, {}, Withdrawn(), NOW, S.WITHDRAWN, (Publish,)),
    (S.LOST, {}, Answered(A, "4", "tiny"), NOW, S.DONE, ()),
    (S.LOST, {}, Answered(B, "5", "tiny"), NOW, S.LOST, ()),
    (S.WITHDRAWN, {"paid_at": NOW, "quote": quote()}, Answered(A, "4", "tiny"), NOW, S.DONE, ()),
    (S.WITHDRAWN, {"paid_at": NOW, "quote": quote()}, Answered(B, "5", "tiny"), NOW, S.WITHDRAWN, ()),
    (S.WITHDRAWN, {}, Answered(A, "4", "tiny"), NOW, S.WITHDRAWN, ()),
]


@pytest.mark.parametrize(("state", "changes", "signal", "now", "after", "does"), ROWS)
def test_a_transition(
    state: S, changes: dict[str, object], signal: Signal, now: float, after: S, does: tuple[type[Effect], ...]
) -> None:
    """One line of the table: the state it leads to and the effects it has."""
    step = buy(bought(state, **changes), signal, now=now)
    assert step.job.state is after
    assert tuple(type(effect) for effect in step.effects) == does


def test_every_transition_of_the_table_has_a_line_here() -> None:
    """The list above is complete, and names every state that a rule may lead to."""
    wanted = {
        (state, signal, to) for state, rules in TABLE.items() for signal, rule in rules.items() if isinstance(rule, Rule) for to in rule.to
    }
    assert wanted == {(state, type(signal), after) for state, _, signal, _, after, _ in ROWS}


def test_the_answer_of_the_payee_waits_for_the_wallet() -> None:
    """The payee sees the settlement first: its answer is kept in `paying` and `unsure`, then `Paid` completes the job."""
    for job in (bought(S.PAYING), buy(bought(S.PAYING), UNKNOWN).job):
        kept = buy(job, Answered(A, "4", "tiny"), now=NOW + 1).job
        assert (kept.state, kept.answer) == (job.state, "4")
        done = buy(kept, PAID, now=NOW + 2).job
        assert (done.state, done.answer, done.answered_by, done.fee, done.preimage) == (S.DONE, "4", A, 3, preimage(1))


def test_of_two_answers_the_first_wins() -> None:
    """A second, different result of the same provider changes nothing."""
    kept = buy(bought(S.PAYING), Answered(A, "4", "tiny"), Answered(A, "5", "tiny")).job
    assert kept.answer == "4"
    done = buy(bought(S.PAID), Answered(A, "4", "tiny"), Answered(A, "5", "tiny")).job
    assert done.answer == "4"


@pytest.mark.parametrize("state", [S.PAYING, S.UNSURE, S.PAID, S.LOST])
def test_the_answer_of_one_who_was_not_paid_is_not_taken(state: S) -> None:
    """With a payment under way or made, only the payee's result counts."""
    assert buy(bought(state), Answered(B, "42", "tiny")).job == bought(state)


def test_an_answer_to_a_payment_that_failed_is_not_kept() -> None:
    """What came while we thought we paid was not paid for; the next provider starts with a clean record."""
    job = buy(bought(S.PAYING, quotes=(quote(B, 2),)), Answered(A, "4", "tiny"), FAILED).job
    assert (job.answer, job.answered_by, job.answer_model, job.answered_at) == (None, "", "", None)
    assert buy(job, PAID).job.state is S.PAID


def test_a_free_answer_completes_an_open_job() -> None:
    """`posted -Answered-> done`: the first valid one, from anybody where nobody was named."""
    job = buy(bought(S.POSTED), Answered(C, "4", "tiny")).job
    assert (job.state, job.answered_by, job.paid) == (S.DONE, C, False)


def test_a_late_result_of_what_was_paid_is_taken() -> None:
    """`lost|withdrawn -Answered-> done`, only where it was paid and only from the payee."""
    lost = buy(bought(S.PAID), Woke(), now=LATE).job
    assert lost.trouble == Trouble("answer_owed", "paid, and no answer came before the deadline")
    assert buy(lost, Answered(A, "4", "tiny")).job.trouble is None
    for state in (S.EXPIRED, S.WITHDRAWN, S.FAILED):
        assert buy(bought(state), Answered(A, "4", "tiny")).job == bought(state)


def test_what_the_wallet_has_never_heard_of_is_tried_again_with_the_same_hash() -> None:
    """P13: lost in a crash before the wallet had it. To pay another provider would be a second payment if the first turned up after all;
    the same hash can only be paid once. An offer that has run out meanwhile is not paid."""
    never = PayFailed(Trouble(NeverSent.code, "the wallet has never heard of it"))
    step = buy(bought(BuyerState.UNSURE, quotes=(quote(B, 2),)), never)
    assert (step.job.state, step.job.quote, step.job.quotes, step.job.refusals) == (BuyerState.PAYING, quote(), (quote(B, 2),), ())
    assert step.effects[0] == Pay(quote().bolt11, payment_hash(1), Msat(1000), Msat(10))
    late = buy(bought(BuyerState.UNSURE, quote=quote(expires_at=NOW + 1)), never)
    assert (late.job.state, late.job.quotes) == (BuyerState.POSTED, ())
    left = buy(bought(BuyerState.UNSURE, withdrawn=True), never)
    assert left.job.state is BuyerState.WITHDRAWN


@pytest.mark.parametrize("kind", [OverLimit, PaymentsPaused])
def test_our_own_limits_end_a_job_that_has_no_other_offer(kind: type[PaymentError]) -> None:
    """P26: to wait for another provider would not help; a cheaper offer that waits is tried."""
    no = PayFailed(Trouble(kind.code, "no"))
    assert buy(bought(BuyerState.PAYING), no).job.state is BuyerState.FAILED
    assert buy(bought(BuyerState.PAYING, quotes=(quote(B, 2),)), no).job.state is BuyerState.PAYING
