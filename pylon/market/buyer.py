"""The buyer's side of a job, as a table.

draft -Posted-> posted -Quoted-> paying -Paid-> paid -Answered-> done · posted -Answered-> done (free) · posted -Woke-> expired (at the deadline)
 · posted -Withdrawn-> withdrawn · paying -PayFailed-> posted, or paying with the next quote · paying -PayUnknown-> unsure, then -Paid-> paid or
 -PayFailed-> posted (by looking it up, never by paying again) · paying|unsure -Answered-> same, the answer kept (the payee sees the settlement
 first), then -Paid-> done · posted -Refused-> posted with the next quote, else failed · paid -Refused|Woke-> lost
 · lost|withdrawn -Answered-> done, where it was paid (a late result)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from msgspec.structs import replace

from pylon.errors import InsufficientFunds, InvoiceRefused, OverBudget
from pylon.market import spend
from pylon.market.effects import LookUp, Pay, Publish, Wake
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
from pylon.market.table import IMPOSSIBLE, SAME, Fixed, Row, Rule, Step, leads, rule_of
from pylon.nostr.nip90 import write_cancel

BUYER_ACCOUNT = 1
LAPSE = 5.0
"""Seconds that an open job waits for another provider after one has refused and none is left."""

S = BuyerState
BuyerStep = Step[BuyerJob]


def advance(job: BuyerJob, signal: Signal, currency: str, now: float) -> BuyerStep:
    """The job after `signal`; `currency` is the BOLT11 prefix of our network. Raises ImpossibleSignal for what can only be a bug."""
    rule = rule_of(TABLE, job.state, signal)
    if isinstance(rule, Fixed):
        return Step(job)
    step = cast(BuyerStep, rule.act(job, signal, currency, now))
    if step.job.state not in rule.to:
        raise AssertionError(f"{job.state} -{type(signal).__name__}-> {step.job.state} is not in the table")
    return step


def asked(job: BuyerJob, provider: str) -> bool:
    """Whether `provider` was asked: anybody for an open job, else the one named."""
    return not job.provider or job.provider == provider


def _posted(job: BuyerJob, signal: Posted, currency: str, now: float) -> BuyerStep:
    posted_at = now if job.posted_at is None else job.posted_at
    return Step(replace(job, state=S.POSTED if job.state is S.DRAFT else job.state, posted_at=posted_at))


def _not_posted(job: BuyerJob, signal: NotPosted, currency: str, now: float) -> BuyerStep:
    return Step(replace(job, state=S.WITHDRAWN, trouble=signal.trouble))


def _out(job: BuyerJob, refusal: Refusal) -> BuyerJob:
    """Without that provider's quotes, and with its reason."""
    return replace(
        job,
        quotes=tuple(q for q in job.quotes if q.provider != refusal.provider),
        refusals=(*(r for r in job.refusals if r.provider != refusal.provider), refusal),
    )


def _quoted(job: BuyerJob, signal: Quoted, currency: str, now: float) -> BuyerStep:
    """A quote counts only from a provider that was asked, once a provider, and if the invoice may be paid."""
    known = {q.provider for q in job.quotes} | ({job.quote.provider} if job.quote else set()) | {r.provider for r in job.refusals}
    if not asked(job, signal.provider) or signal.provider in known:
        return Step(job)
    job = _seen(job, now)
    try:
        payable = spend.vet(signal.bolt11, tag=signal.tag, limit=job.bid, currency=currency, now=now, spent_before=signal.spent_before)
    except (InvoiceRefused, OverBudget) as error:
        return _next(_out(job, Refusal(signal.provider, Trouble(error.code, error.message))), now)
    quote = Quote(signal.provider, payable.bolt11, payable.amount, payable.payment_hash, payable.expires_at, now)
    return _next(replace(job, quotes=(*job.quotes, quote)), now)


def _seen(job: BuyerJob, now: float) -> BuyerJob:
    """Somebody reacts, so a relay has the request, whether or not its OK has come."""
    return replace(job, state=S.POSTED, posted_at=now) if job.state is S.DRAFT else job


def _next(job: BuyerJob, now: float, *, ordered: bool = False) -> BuyerStep:
    """What to do with the quotes at hand: pay the first that still lives, wait for one, or give up."""
    if job.state is not S.POSTED:
        return Step(job)
    living = tuple(q for q in job.quotes if q.expires_at > now + spend.MARGIN)
    if living and (job.auto_pay or ordered):
        quote, *rest = living
        return Step(
            replace(job, state=S.PAYING, quote=quote, quotes=tuple(rest)),
            Pay(quote.bolt11, quote.payment_hash, quote.amount, job.max_fee),
        )
    job = replace(job, quotes=living)
    if not _hopeless(job):
        return Step(job)
    if job.provider:
        return _give_up(job)
    return Step(job, Wake(now + LAPSE))


def _hopeless(job: BuyerJob) -> bool:
    """All who reacted have refused: no quote waits, nobody computes."""
    out = {r.provider for r in job.refusals}
    return bool(out) and not job.quotes and out.issuperset(job.working)


def _working(job: BuyerJob, signal: Working, currency: str, now: float) -> BuyerStep:
    if not asked(job, signal.provider) or signal.provider in job.working:
        return Step(job)
    return Step(replace(_seen(job, now), working=(*job.working, signal.provider)))


def _give_up(job: BuyerJob) -> BuyerStep:
    return Step(replace(job, state=S.FAILED, trouble=job.refusals[-1].trouble))


def _refused(job: BuyerJob, signal: Refused, currency: str, now: float) -> BuyerStep:
    if not asked(job, signal.provider) or any(r.provider == signal.provider for r in job.refusals):
        return Step(job)
    return _next(_out(_seen(job, now), Refusal(signal.provider, signal.trouble)), now)


def _pay_ordered(job: BuyerJob, signal: PayOrdered, currency: str, now: float) -> BuyerStep:
    return _next(job, now, ordered=True)


def _take(job: BuyerJob, signal: Answered, now: float) -> BuyerJob:
    return replace(
        job, answer=signal.text, answered_by=signal.provider, answer_model=signal.model, answered_at=now, trouble=None
    )


def _answered_free(job: BuyerJob, signal: Answered, currency: str, now: float) -> BuyerStep:
    if not asked(job, signal.provider):
        return Step(job)
    return Step(replace(_take(_seen(job, now), signal, now), state=S.DONE))


def _payee(job: BuyerJob) -> str:
    if job.quote is None:
        raise AssertionError("a job that is being paid has a quote")
    return job.quote.provider


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
    job = replace(_out(job, Refusal(_payee(job), signal.trouble)), state=S.POSTED, quote=None, answer=None, answered_by="", answered_at=None)
    if signal.trouble.code == InsufficientFunds.code and not job.quotes:
        return _give_up(job)
    if now >= job.deadline:
        return _expire(job)
    return _next(job, now)


def _pay_unknown(job: BuyerJob, signal: PayUnknown, currency: str, now: float) -> BuyerStep:
    if job.quote is None:
        raise AssertionError("a job that is being paid has a quote")
    return Step(replace(job, state=S.UNSURE, trouble=signal.trouble), LookUp(job.quote.payment_hash))


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


def _woke_posted(job: BuyerJob, signal: Woke, currency: str, now: float) -> BuyerStep:
    if now >= job.deadline:
        return _expire(job)
    if job.state is S.POSTED and _hopeless(job):
        return _give_up(job)
    return Step(job)


def _expire(job: BuyerJob) -> BuyerStep:
    cancel = () if job.state is S.DRAFT else (Publish(write_cancel(job.request, created_at=int(job.deadline)), BUYER_ACCOUNT),)
    return Step(replace(job, state=S.EXPIRED), *cancel)


def _woke_paid(job: BuyerJob, signal: Woke, currency: str, now: float) -> BuyerStep:
    if now < job.deadline:
        return Step(job)
    return Step(replace(job, state=S.LOST, trouble=Trouble("answer_owed", "paid, and no answer came before the deadline")))


def _withdraw(job: BuyerJob, signal: Withdrawn, currency: str, now: float) -> BuyerStep:
    return Step(replace(job, state=S.WITHDRAWN), Publish(write_cancel(job.request, created_at=int(now)), BUYER_ACCOUNT))


SIGNALS: tuple[type[Signal], ...] = (
    Posted, NotPosted, Quoted, PayOrdered, Paid, PayFailed, PayUnknown, Refused, Working, Answered, Withdrawn, Woke,
)


def _row(rules: Mapping[type[Signal], Rule], *impossible: type[Signal]) -> Row:
    """A total row: the given transitions, the impossible, `SAME` for all others."""
    return {signal: rules.get(signal) or (IMPOSSIBLE if signal in impossible else SAME) for signal in SIGNALS}


_PAYMENT = (Paid, PayFailed, PayUnknown)
_OPEN: Mapping[type[Signal], Rule] = {
    Quoted: leads(_quoted, S.DRAFT, S.POSTED, S.PAYING, S.FAILED),
    Refused: leads(_refused, S.DRAFT, S.POSTED, S.FAILED),
    Answered: leads(_answered_free, S.DRAFT, S.POSTED, S.DONE),
    Withdrawn: leads(_withdraw, S.WITHDRAWN),
    Working: leads(_working, S.DRAFT, S.POSTED),
    Posted: leads(_posted, S.POSTED),
    Woke: leads(_woke_posted, S.DRAFT, S.POSTED, S.FAILED, S.EXPIRED),
}
_IN_FLIGHT: Mapping[type[Signal], Rule] = {
    Paid: leads(_paid, S.PAID, S.DONE),
    PayFailed: leads(_pay_failed, S.POSTED, S.PAYING, S.FAILED, S.EXPIRED),
    Quoted: leads(_quoted, S.PAYING, S.UNSURE),
    Refused: leads(_refused, S.PAYING, S.UNSURE),
    Answered: leads(_kept, S.PAYING, S.UNSURE),
    Posted: leads(_posted, S.PAYING, S.UNSURE),
}
_LATE: Mapping[type[Signal], Rule] = {Answered: leads(_answered_late, S.DONE, S.LOST, S.WITHDRAWN)}

TABLE: Mapping[str, Row] = {
    S.DRAFT: _row({**_OPEN, NotPosted: leads(_not_posted, S.WITHDRAWN)}, *_PAYMENT),
    S.POSTED: _row({**_OPEN, PayOrdered: leads(_pay_ordered, S.POSTED, S.PAYING, S.FAILED)}, *_PAYMENT),
    S.PAYING: _row({**_IN_FLIGHT, PayUnknown: leads(_pay_unknown, S.UNSURE)}),
    S.UNSURE: _row(_IN_FLIGHT),
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
    S.WITHDRAWN: _row(_LATE, PayFailed, PayUnknown),
    S.LOST: _row(_LATE, PayFailed, PayUnknown),
}
