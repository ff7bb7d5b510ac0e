"""Which provider a job goes with: whom we pay, once, and when we give up (section 5 of the design, the catalogue of attacks)."""

from __future__ import annotations

import pytest

from pylon.market import buyer
from pylon.market.choice import BUYER_ACCOUNT, LAPSE, MOST_PROVIDERS
from pylon.market.effects import LookUp, Pay, Publish, Wake
from pylon.market.job import BuyerState, Trouble
from pylon.market.signals import (
    Answered,
    Paid,
    PayFailed,
    PayOrdered,
    PayUnknown,
    Posted,
    Quoted,
    Refused,
    Withdrawn,
    Woke,
    Working,
)
from pylon.units import Msat
from tests.market.scene import CURRENCY, NOW, REQUEST, TROUBLE, A, B, C, bought, buy, invoice, payment_hash, preimage, quote, quoted

S = BuyerState
PAID = Paid(preimage(1), Msat(3))
FAILED = PayFailed(Trouble("payment_failed", "no route"))
UNKNOWN = PayUnknown(Trouble("payment_unknown", "the wallet does not answer"))
LATE = NOW + 120
"""The deadline."""


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
    assert (step.job.state, step.effects, step.job.quotes) == (S.POSTED, (Wake(LATE),), (quote(B, 2),))


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
    assert (step.job.state, step.effects) == (S.POSTED, (Wake(LATE),))
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
    assert buy(bought(S.POSTED, refusals=job.refusals), Refused(A, TROUBLE)).effects == ()
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


@pytest.mark.parametrize("state", [S.DRAFT, S.POSTED, S.PAID])
def test_a_timer_that_is_early_is_set_again(state: S) -> None:
    """A loop rounds to milliseconds and a clock may be set back: no job waits for ever because its deadline was heard too soon."""
    step = buy(bought(state), Woke(), now=LATE - 0.001)
    assert (step.job.state, step.effects) == (state, (Wake(LATE),))
    assert buy(step.job, Woke(), now=LATE).job.ended
