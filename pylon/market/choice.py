"""Which provider a buyer's job goes with: its quotes, its refusals, and when to give up.

A quote counts only from a provider that was asked, once a provider, and if its invoice passes `spend.vet`. These are rules of the table
in `buyer`.
"""

from __future__ import annotations

from msgspec.structs import replace

from pylon.errors import InvoiceRefused, OverBudget
from pylon.market import spend
from pylon.market.effects import Pay, Publish, Wake
from pylon.market.job import BuyerJob, BuyerState, Quote, Refusal, Trouble
from pylon.market.signals import PayOrdered, Quoted, Refused, Woke, Working
from pylon.market.table import Step
from pylon.nostr.nip09 import deletion_draft

BUYER_ACCOUNT = 1
LAPSE = 5.0
"""Seconds that an open job waits for another provider after one has refused and none is left."""
MOST_PROVIDERS = 64
"""Providers of one job that are kept in mind, each for its quote, its refusal or its work: anybody may speak up for an open job."""

S = BuyerState
BuyerStep = Step[BuyerJob]


def asked(job: BuyerJob, provider: str) -> bool:
    """Whether `provider` was asked: anybody but those to avoid for an open job, else the one named."""
    return job.provider == provider if job.provider else provider not in job.avoid


def seen(job: BuyerJob, now: float) -> BuyerJob:
    """Somebody reacts, so a relay has the request, whether or not its OK has come."""
    return replace(job, state=S.POSTED, posted_at=now) if job.state is S.DRAFT else job


def quoted(job: BuyerJob, signal: Quoted, currency: str, now: float) -> BuyerStep:
    """A quote counts only from a provider that was asked, once a provider, and if the invoice may be paid."""
    known = {q.provider for q in job.quotes} | ({job.quote.provider} if job.quote else set()) | {r.provider for r in job.refusals}
    if not asked(job, signal.provider) or signal.provider in known or len(job.quotes) >= MOST_PROVIDERS:
        return Step(job)
    job = seen(job, now)
    try:
        payable = spend.vet(signal.bolt11, tag=signal.tag, limit=job.bid, currency=currency, now=now, spent_before=signal.spent_before)
        if any(q.payment_hash == payable.payment_hash for q in (*job.quotes, *filter(None, (job.quote,)))):
            raise InvoiceRefused("another provider has offered this very invoice")
    except (InvoiceRefused, OverBudget) as error:
        return go_on(out(job, Refusal(signal.provider, Trouble(error.code, error.message))), now)
    quote = Quote(signal.provider, payable.bolt11, payable.amount, payable.payment_hash, payable.expires_at, now)
    return go_on(replace(job, quotes=(*job.quotes, quote)), now)


def refused(job: BuyerJob, signal: Refused, currency: str, now: float) -> BuyerStep:
    """A provider that was asked is out, and its quote with it."""
    if not asked(job, signal.provider) or any(r.provider == signal.provider for r in job.refusals):
        return Step(job)
    return go_on(out(seen(job, now), Refusal(signal.provider, signal.trouble)), now)


def working(job: BuyerJob, signal: Working, currency: str, now: float) -> BuyerStep:
    """A provider computes without having asked for money: worth waiting for."""
    if not asked(job, signal.provider) or signal.provider in job.working or len(job.working) >= MOST_PROVIDERS:
        return Step(job)
    return Step(replace(seen(job, now), working=(*job.working, signal.provider)))


def pay_ordered(job: BuyerJob, signal: PayOrdered, currency: str, now: float) -> BuyerStep:
    """The person says yes to the oldest quote that lives; where it cannot be paid, the person is asked again."""
    return go_on(job, now, ordered=True)


def out(job: BuyerJob, refusal: Refusal) -> BuyerJob:
    """Without that provider's quotes, and with its reason."""
    return replace(
        job,
        quotes=tuple(q for q in job.quotes if q.provider != refusal.provider),
        refusals=(*(r for r in job.refusals if r.provider != refusal.provider), refusal)[-MOST_PROVIDERS:],
    )


def go_on(job: BuyerJob, now: float, *, ordered: bool = False) -> BuyerStep:
    """What to do with the quotes at hand: pay the first that still lives, wait for one, or give up."""
    if job.state is not S.POSTED:
        return Step(job)
    if now >= job.deadline:
        return expire(job)  # no answer could come in time: nothing is paid any more, however late the clock is read
    living = tuple(q for q in job.quotes if q.expires_at > now + spend.MARGIN)
    if living and (job.auto_pay or ordered):
        quote, *rest = living
        return Step(
            replace(job, state=S.PAYING, quote=quote, quotes=tuple(rest)),
            Pay(quote.bolt11, quote.payment_hash, quote.amount, job.max_fee),
        )
    job = replace(job, quotes=living)
    if not hopeless(job):
        return Step(job)
    if job.provider:
        return give_up(job)
    # Enough timers run already where so many have refused.
    return Step(job, *([Wake(now + LAPSE)] if len(job.refusals) < MOST_PROVIDERS else []))


def hopeless(job: BuyerJob) -> bool:
    """All who reacted have refused: no quote waits, nobody computes."""
    out = {r.provider for r in job.refusals}
    return bool(out) and not job.quotes and out.issuperset(job.working)


def woke_open(job: BuyerJob, signal: Woke, currency: str, now: float) -> BuyerStep:
    """The deadline, or the end of the wait for another provider."""
    if now >= job.deadline:
        return expire(job)
    if job.state is S.POSTED and hopeless(job):
        return give_up(job)
    return Step(job, Wake(job.deadline))  # timers and clocks may be early


def give_up(job: BuyerJob) -> BuyerStep:
    """Failed, for the last reason that was given."""
    return Step(replace(job, state=S.FAILED, trouble=job.refusals[-1].trouble))


def expire(job: BuyerJob) -> BuyerStep:
    """Time is up and nothing was paid: the request is taken back."""
    cancel = () if job.state is S.DRAFT else (Publish(deletion_draft(job.request, int(job.deadline)), BUYER_ACCOUNT),)
    return Step(replace(job, state=S.EXPIRED), *cancel)
