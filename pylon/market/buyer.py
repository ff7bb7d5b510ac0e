"""The buyer's side of a job, as a table.

draft -Posted-> posted -Quoted-> paying -Paid-> paid -Answered-> done · posted -Answered-> done (free)
 · posted -Woke-> expired (at the deadline) · posted -Withdrawn-> withdrawn · paying -PayFailed-> posted, or paying with the next quote
 · paying -PayUnknown-> unsure, then -Paid-> paid or -PayFailed-> posted (by looking it up, never by paying again)
 · paying|unsure -Answered-> same, the answer kept (the payee sees the settlement first), then -Paid-> done
 · paying|unsure -Withdrawn-> same, then -PayFailed-> withdrawn (-Paid-> paid: the money is gone, the answer is taken)
 · posted -Refused-> posted with the next quote, else failed · paid -Refused|Woke-> lost
 · lost|withdrawn -Answered-> done, where it was paid (a late result)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

from msgspec.structs import replace

from pylon.errors import InsufficientFunds, NeverSent, OverLimit, PaymentsPaused
from pylon.market import choice
from pylon.market.choice import BUYER_ACCOUNT
from pylon.market.effects import LookUp, Publish, Wake
from pylon.market.job import BuyerJob, BuyerState, Quote, Refusal, Trouble
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
from pylon.market.table import Fixed, Row, Rule, Step, leads, row, rule_of
from pylon.nostr.nip09 import deletion_draft

OURS = (InsufficientFunds.code, OverLimit.code, PaymentsPaused.code)
"""Why a payment fails at our own side: waiting for another provider would not help."""

S = BuyerState
BuyerStep = Step[BuyerJob]


def _never(payment_hash: bytes) -> bool:
    return False


def advance(job: BuyerJob, signal: Signal, currency: str, now: float, spent: Callable[[bytes], bool] = _never) -> BuyerStep:
    """The job after `signal`. `currency` is the BOLT11 prefix of our network; `spent` says whether the journal knows a payment to a hash
    (an invoice that waits here may have been paid for another job meanwhile). Raises ImpossibleSignal for what can only be a bug."""
    rule = rule_of(TABLE, job.state, signal)
    if isinstance(rule, Fixed):
        return Step(job)
    if any(spent(q.payment_hash) for q in job.quotes):
        job = replace(job, quotes=tuple(q for q in job.quotes if not spent(q.payment_hash)))
    step = cast(BuyerStep, rule.act(job, signal, currency, now))
    if step.job.state not in rule.to:
        raise AssertionError(f"{job.state} -{type(signal).__name__}-> {step.job.state} is not in the table")
    return step


def _posted(job: BuyerJob, signal: Posted, currency: str, now: float) -> BuyerStep:
    posted_at = now if job.posted_at is None else job.posted_at
    return Step(replace(job, state=S.POSTED if job.state is S.DRAFT else job.state, posted_at=posted_at))


def _not_posted(job: BuyerJob, signal: NotPosted, currency: str, now: float) -> BuyerStep:
    return Step(replace(job, state=S.WITHDRAWN, trouble=signal.trouble))


def _take(job: BuyerJob, signal: Answered, now: float) -> BuyerJob:
    return replace(
        job, answer=signal.text, answered_by=signal.provider, answer_model=signal.model, answered_at=now, trouble=None
    )


def _answered_free(job: BuyerJob, signal: Answered, currency: str, now: float) -> BuyerStep:
    if not choice.asked(job, signal.provider):
        return Step(job)
    return Step(replace(_take(choice.seen(job, now), signal, now), state=S.DONE))


def _quote(job: BuyerJob) -> Quote:
    if job.quote is None:
        raise AssertionError("a job that is being paid has a quote")
    return job.quote


def _payee(job: BuyerJob) -> str:
    return _quote(job).provider


def _kept(job: BuyerJob, signal: Answered, currency: str, now: float) -> BuyerStep:
    """The payee sees the settlement before our wallet tells us: its answer waits for the wallet's word."""
    return Step(_take(job, signal, now) if signal.provider == _payee(job) and job.answer is None else job)


def _paid(job: BuyerJob, signal: Paid, currency: str, now: float) -> BuyerStep:
    job = replace(job, paid_at=now, fee=signal.fee, preimage=signal.preimage, own=signal.own, trouble=None)
    if job.answer is not None:
        return Step(replace(job, state=S.DONE, answered_at=now))
    return Step(replace(job, state=S.PAID), Wake(job.deadline))


def _pay_failed(job: BuyerJob, signal: PayFailed, currency: str, now: float) -> BuyerStep:
    """Nothing left the wallet: the next quote, and this provider is out. What it may have sent meanwhile was not paid for."""
    quote, again = _quote(job), signal.trouble.code == NeverSent.code
    # What the wallet has never heard of was lost on the way to it, in a crash perhaps: the same hash is the one that is safe to pay.
    job = replace(job, quotes=(quote, *job.quotes)) if again else choice.out(job, Refusal(quote.provider, signal.trouble))
    job = replace(job, state=S.POSTED, quote=None, answer=None, answered_by="", answer_model="", answered_at=None)
    if job.withdrawn:
        return _withdraw(job, signal, currency, now)
    if signal.trouble.code in OURS and not job.quotes:
        return choice.give_up(job)
    step = choice.go_on(job, now, ordered=again)
    # The timer of the deadline may have come, a little early, while we paid.
    return Step(step.job, *step.effects, Wake(job.deadline)) if step.job.state is S.POSTED else step


def _pay_unknown(job: BuyerJob, signal: PayUnknown, currency: str, now: float) -> BuyerStep:
    return Step(replace(job, state=S.UNSURE, trouble=signal.trouble), LookUp(_quote(job).payment_hash))


def _answered(job: BuyerJob, signal: Answered, currency: str, now: float) -> BuyerStep:
    if signal.provider != _payee(job):
        return Step(job)
    return Step(replace(_take(job, signal, now), state=S.DONE))


def _answered_late(job: BuyerJob, signal: Answered, currency: str, now: float) -> BuyerStep:
    return _answered(job, signal, currency, now) if job.paid else Step(job)


def _refused_after_pay(job: BuyerJob, signal: Refused, currency: str, now: float) -> BuyerStep:
    if signal.provider != _payee(job):
        return Step(job)
    return Step(replace(job, state=S.LOST, trouble=signal.trouble))


def _woke_paid(job: BuyerJob, signal: Woke, currency: str, now: float) -> BuyerStep:
    if now < job.deadline:
        return Step(job, Wake(job.deadline))  # timers and clocks may be early
    return Step(replace(job, state=S.LOST, trouble=Trouble("answer_owed", "paid, and no answer came before the deadline")))


def _withdraw_later(job: BuyerJob, signal: Withdrawn, currency: str, now: float) -> BuyerStep:
    return Step(replace(job, withdrawn=True))


def _withdraw(job: BuyerJob, signal: Signal, currency: str, now: float) -> BuyerStep:
    return Step(replace(job, state=S.WITHDRAWN), Publish(deletion_draft(job.request, int(now)), BUYER_ACCOUNT))


SIGNALS: tuple[type[Signal], ...] = (
    Posted, NotPosted, Quoted, PayOrdered, Paid, PayFailed, PayUnknown, Refused, Working, Answered, Withdrawn, Woke,
)
_row = partial(row, SIGNALS)
_PAYMENT = (Paid, PayFailed, PayUnknown)


def _open(state: BuyerState) -> Mapping[type[Signal], Rule]:
    """Nothing is being paid."""
    return {
        Quoted: leads(choice.quoted, state, S.POSTED, S.PAYING, S.FAILED, S.EXPIRED),
        Refused: leads(choice.refused, state, S.POSTED, S.FAILED, S.EXPIRED),
        Answered: leads(_answered_free, state, S.DONE),
        Withdrawn: leads(_withdraw, S.WITHDRAWN),
        Working: leads(choice.working, state, S.POSTED),
        Posted: leads(_posted, S.POSTED),
        Woke: leads(choice.woke_open, state, *([S.FAILED] if state is S.POSTED else []), S.EXPIRED),
    }


def _in_flight(state: BuyerState) -> Mapping[type[Signal], Rule]:
    """A payment may be on its way: only the wallet's word leads on."""
    return {
        Paid: leads(_paid, S.PAID, S.DONE),
        PayFailed: leads(_pay_failed, S.POSTED, S.PAYING, S.FAILED, S.EXPIRED, S.WITHDRAWN),
        Posted: leads(_posted, state),
        Quoted: leads(choice.quoted, state),
        Refused: leads(choice.refused, state),
        Answered: leads(_kept, state),
        Withdrawn: leads(_withdraw_later, state),
    }


TABLE: Mapping[str, Row] = {
    S.DRAFT: _row({**_open(S.DRAFT), NotPosted: leads(_not_posted, S.WITHDRAWN)}, *_PAYMENT),
    S.POSTED: _row({**_open(S.POSTED), PayOrdered: leads(choice.pay_ordered, S.POSTED, S.PAYING, S.FAILED, S.EXPIRED)}, *_PAYMENT),
    S.PAYING: _row({**_in_flight(S.PAYING), PayUnknown: leads(_pay_unknown, S.UNSURE)}),
    S.UNSURE: _row(_in_flight(S.UNSURE)),
    S.PAID: _row(
        {
            Answered: leads(_answered, S.PAID, S.DONE),
            Refused: leads(_refused_after_pay, S.PAID, S.LOST),
            Woke: leads(_woke_paid, S.PAID, S.LOST),
            Withdrawn: leads(_withdraw, S.WITHDRAWN),
        },
        PayFailed, PayUnknown,
    ),
    S.DONE: _row({}, PayFailed, PayUnknown),
    S.FAILED: _row({}, *_PAYMENT),
    S.EXPIRED: _row({}, *_PAYMENT),
    S.WITHDRAWN: _row({Answered: leads(_answered_late, S.WITHDRAWN, S.DONE)}, PayFailed, PayUnknown),
    S.LOST: _row({Answered: leads(_answered_late, S.LOST, S.DONE)}, PayFailed, PayUnknown),
}
