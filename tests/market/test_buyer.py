"""The buyer's table, transition by transition, against section 5 of the design: whom we pay, when, and whose answer counts."""

from __future__ import annotations

from typing import cast

import pytest

from pylon.market import buyer
from pylon.market.buyer import TABLE
from pylon.market.choice import BUYER_ACCOUNT, LAPSE, MOST_PROVIDERS
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
    Quoted,
    Refused,
    Signal,
    Withdrawn,
    Woke,
    Working,
)
from pylon.market.table import Rule
from pylon.units import Msat
from tests.market.scene import CURRENCY, NOW, REQUEST, TROUBLE, A, B, C, bought, buy, invoice, payment_hash, preimage, quote, quoted

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
            (state, {}, Woke(), NOW, state, ()),
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
            (state, {}, FAILED, NOW, S.POSTED, (Wake,)),
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
    (S.PAID, {}, Woke(), NOW, S.PAID, ()),
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


# Whom we pay.


def test_the_first_acceptable_quote_is_paid_as_it_stands() -> None:
    """The effect carries the exact invoice, its hash and amount, and the fee limit of the job."""
    step = buy(bought(S.POSTED), quoted())
    assert step.effects == (Pay(invoice(), payment_hash(1), Msat(1000), Msat(10)),)
    assert step.job.quote == quote()


def test_a_quote_that_overtakes_the_ok_is_no_less_good() -> None:
    """The relay's OK may come after the first offer: the job counts as posted by then, and its time is kept."""
    job = buy(bought(S.DRAFT), quoted(), now=NOW + 1).job
    assert (job.state, job.posted_at) == (S.PAYING, NOW + 1)
    assert buy(job, Posted(), now=NOW + 2).job.posted_at == NOW + 1


def test_two_providers_quote_and_one_is_paid() -> None:
    """The second offer waits; it never starts a second payment."""
    step = buy(bought(S.POSTED), quoted(), quoted(B, 2))
    assert step.effects == ()
    assert step.job.quotes == (quote(B, 2),)


@pytest.mark.parametrize("state", [S.PAYING, S.UNSURE, S.PAID, S.DONE, S.LOST])
def test_a_second_quote_of_the_payee_changes_nothing(state: S) -> None:
    """The same feedback from k relays, re-signed, or for more money: one payment."""
    for again in (quoted(), quoted(A, 9), quoted(A, 9, 2000)):
        step = buy(bought(state), again)
        assert (step.job, step.effects) == (bought(state), ())


def test_a_waiting_provider_cannot_replace_its_quote() -> None:
    """Once a provider: a cheaper bait followed by a dearer invoice, or the other way round, is not looked at."""
    job = buy(bought(S.POSTED, auto_pay=False), quoted(A, 1, 1000)).job
    assert buy(job, quoted(A, 2, 500)).job is job


def test_a_copied_invoice_is_not_kept_twice() -> None:
    """Another provider offers the very same invoice: paying it once for each would pay one of them for nothing."""
    job = buy(bought(S.POSTED, auto_pay=False), quoted(A, 1), quoted(B, 1)).job
    assert [q.provider for q in job.quotes] == [A]
    assert job.refusals[0].provider == B
    job = buy(bought(S.PAYING), quoted(B, 1)).job
    assert (job.quotes, job.refusals[0].provider) == ((), B)


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        (quoted(amount=2001), "the limit is 2000"),
        (Quoted(A, invoice(1, 2000), Msat(1000), False), "its event announced 1000"),
        (Quoted(A, invoice(1, None), Msat(1000), False), "names no amount"),
        (Quoted(A, invoice(1, currency="bc"), Msat(1000), False), "another network"),
        (quoted(spent=True), "paid before"),
        (Quoted(A, "alice@example.com", Msat(1000), False), "a lightning address"),
        (Quoted(A, "", None, False), "nothing"),
    ],
)
def test_a_bad_invoice_puts_its_provider_out_and_nothing_is_paid(signal: Quoted, reason: str) -> None:
    """The refusal is kept with its reason, and other providers are still considered."""
    step = buy(bought(S.POSTED), signal)
    assert reason in step.job.refusals[0].trouble.message
    assert not any(isinstance(effect, Pay) for effect in step.effects)
    assert buy(step.job, quoted(B, 2)).job.quote == quote(B, 2)


def test_a_payment_that_fails_goes_to_the_next_quote_that_lives() -> None:
    """Quotes that have expired meanwhile are dropped; the failed provider is out and is not paid on a new offer."""
    job = bought(S.PAYING, quotes=(quote(B, 2, expires_at=NOW + 60), quote(C, 3)))
    step = buy(job, FAILED, now=NOW + 60)
    assert step.effects == (Pay(invoice(3), payment_hash(3), Msat(1000), Msat(10)),)
    assert buy(step.job, quoted(A, 9)).job is step.job


def test_an_invoice_that_was_paid_for_another_job_meanwhile_is_dropped() -> None:
    """It waited here, unpaid, while the same invoice was paid for another job of ours: each hash is paid once."""
    job = bought(S.PAYING, quotes=(quote(B, 2), quote(C, 3)))
    step = buyer.advance(job, FAILED, CURRENCY, NOW, {payment_hash(2)}.__contains__)
    assert step.job.quote == quote(C, 3)
    waiting = bought(S.POSTED, auto_pay=False, quotes=(quote(B, 2),))
    step = buyer.advance(waiting, PayOrdered(), CURRENCY, NOW, {payment_hash(2)}.__contains__)
    assert (step.job.state, step.job.quotes, step.effects) == (S.POSTED, (), ())


def test_an_empty_wallet_ends_the_job_at_once() -> None:
    """No quote within the bid waits, and the wallet holds too little: there is nothing to wait for."""
    job = buy(bought(S.PAYING), PayFailed(Trouble("insufficient_funds", "the wallet holds 0 sats"))).job
    assert (job.state, job.trouble) == (S.FAILED, Trouble("insufficient_funds", "the wallet holds 0 sats"))


def test_without_auto_pay_nothing_leaves_until_the_person_says_so() -> None:
    """Offers wait; the order pays one; where it fails the person is asked again."""
    job = buy(bought(S.POSTED, auto_pay=False), quoted(A, 1), quoted(B, 2)).job
    step = buy(job, PayOrdered())
    assert step.job.quote == quote(A, 1)
    step = buy(step.job, PayOrdered())
    assert step.effects == ()
    step = buy(step.job, FAILED)
    assert (step.job.state, step.effects, step.job.quotes) == (S.POSTED, (), (quote(B, 2),))


def test_nothing_is_paid_at_or_after_the_deadline() -> None:
    """The timer may come late, the offer never pays later than the job lives."""
    for signal in (quoted(), PayOrdered()):
        step = buy(bought(S.POSTED, quotes=(quote(B, 2),)), signal, now=LATE)
        assert step.job.state is S.EXPIRED
        assert not any(isinstance(effect, Pay) for effect in step.effects)


def test_unknown_is_looked_up_and_never_paid_again() -> None:
    """`paying -PayUnknown-> unsure`: the one effect is the look-up of that hash; quotes, orders and time change nothing."""
    step = buy(bought(S.PAYING), UNKNOWN)
    assert step.effects == (LookUp(payment_hash(1)),)
    for signal in (quoted(B, 2), PayOrdered(), Woke(), UNKNOWN, Withdrawn(), Refused(A, TROUBLE)):
        after = buy(step.job, signal, now=LATE + 1000)
        assert (after.job.state, after.effects) == (S.UNSURE, ())


def test_a_cancel_while_paying_stops_what_has_not_left() -> None:
    """If the payment fails, nothing more is paid and the request is taken back; if it succeeds, the answer is taken."""
    job = buy(bought(S.PAYING, quotes=(quote(B, 2),)), Withdrawn()).job
    failed = buy(job, FAILED)
    assert failed.job.state is S.WITHDRAWN
    assert [type(effect) for effect in failed.effects] == [Publish]
    assert buy(job, PAID, Answered(A, "4", "tiny")).job.state is S.DONE


# Whose answer counts.


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
    assert buy(bought(S.EXPIRED), Answered(A, "4", "tiny")).job.state is S.EXPIRED


# When to give up.


def test_a_refusal_leaves_an_open_job_to_the_others_for_a_while() -> None:
    """Nobody else has spoken: it waits `LAPSE` seconds, then fails with the reason given."""
    step = buy(bought(S.POSTED), Refused(A, TROUBLE))
    assert step.effects == (Wake(NOW + LAPSE),)
    failed = buy(step.job, Woke(), now=NOW + LAPSE).job
    assert (failed.state, failed.trouble) == (S.FAILED, TROUBLE)


def test_one_who_computes_is_waited_for() -> None:
    """`processing` without a quote: a free answer is on its way, so a refusal elsewhere does not end the job."""
    step = buy(bought(S.POSTED), Working(B), Refused(A, TROUBLE), Woke(), now=NOW + LAPSE)
    assert (step.job.state, step.effects) == (S.POSTED, ())
    assert buy(step.job, Refused(B, TROUBLE), Woke(), now=NOW + LAPSE).job.state is S.FAILED


def test_a_refusal_takes_the_quote_of_its_provider_away() -> None:
    """Who takes its offer back is not paid."""
    job = buy(bought(S.POSTED, auto_pay=False), quoted(A, 1), quoted(B, 2), Refused(A, TROUBLE)).job
    assert job.quotes == (quote(B, 2),)


def test_strangers_cannot_make_a_record_grow_without_bound() -> None:
    """Anybody may speak up for an open job: what is remembered of them is bounded, and a good quote still counts."""
    job = bought(S.POSTED, auto_pay=False)
    for n in range(MOST_PROVIDERS * 2):
        stranger = f"{n:064x}"
        job = buy(job, Working(stranger), Refused(stranger, TROUBLE)).job
    assert len(job.working) == len(job.refusals) == MOST_PROVIDERS
    assert buy(job, quoted()).job.quotes == (quote(),)
    full = bought(S.PAYING, quotes=tuple(quote(f"{n:064x}", n + 2) for n in range(MOST_PROVIDERS)))
    assert buy(full, quoted(C, 999)).job is full


def test_a_withdrawal_is_published_for_those_who_serve() -> None:
    """Kind 5 with `e`, `k` and, where one was named, `p`, by the buyer's own account."""
    (publish,) = buy(bought(S.POSTED), Withdrawn()).effects
    assert isinstance(publish, Publish)
    assert (publish.draft.kind, publish.account) == (5, BUYER_ACCOUNT)
    assert publish.draft.tags == (("e", REQUEST.id), ("k", "5050"))


def test_a_paid_job_wakes_at_its_deadline() -> None:
    """`paid -TimedOut-> lost` needs a timer of its own."""
    assert buy(bought(S.PAYING), PAID).effects == (Wake(LATE),)
