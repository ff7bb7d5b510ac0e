"""The provider's side of a job, as a table.

new -Accepted-> offered -Invoiced-> invoiced -Settled-> running -Generated-> answered -Delivered-> delivered
 · new -Accepted (price 0)-> running · new -Declined-> declined · offered -InvoiceFailed-> failed
 · offered|invoiced|running -Cancelled-> cancelled (the computation is stopped) · invoiced -Expired-> expired
 · expired|cancelled -Settled-> running (a payment can land late: we deliver)
 · running -GenerateFailed-> running (again), failed (free), owing (paid)
 · owing -Woke-> owing (tried again at every start) · owing -Generated-> answered
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

from msgspec.structs import replace

from pylon.market.effects import (
    AnyEffect,
    CancelInvoice,
    Generate,
    MakeInvoice,
    Publish,
    Resend,
    StopGenerating,
    Then,
    Wake,
)
from pylon.market.job import ProviderJob, ProviderState, Trouble
from pylon.market.kinds import KINDS
from pylon.market.signals import (
    Accepted,
    Cancelled,
    Declined,
    Delivered,
    Expired,
    Generated,
    GenerateFailed,
    Invoiced,
    InvoiceFailed,
    Repeated,
    Settled,
    Signal,
    Woke,
)
from pylon.market.table import Fixed, Row, Step, leads, row, rule_of
from pylon.market.terms import Terms, invoice_seconds
from pylon.nostr import nip90
from pylon.nostr.nip90 import error_extra, write_feedback, write_result

PROVIDER_ACCOUNT = 0
BACKOFF = (0.5, 2.0, 5.0, 10.0)
"""Seconds before the next try of a computation that failed."""

S = ProviderState
ProviderStep = Step[ProviderJob]


def advance(job: ProviderJob, signal: Signal, terms: Terms, now: float) -> ProviderStep:
    """The job after `signal`. Raises ImpossibleSignal for what can only be a bug."""
    rule = rule_of(TABLE, job.state, signal)
    if isinstance(rule, Fixed):
        return Step(job)
    step = cast(ProviderStep, rule.act(job, signal, terms, now))
    if step.job.state not in rule.to:
        raise AssertionError(f"{job.state} -{type(signal).__name__}-> {step.job.state} is not in the table")
    return step


def _feedback(job: ProviderJob, status: str, now: float, trouble: Trouble | None = None) -> Publish:
    """Feedback on the job; the sentence of an error goes encrypted where the request was."""
    draft = write_feedback(
        job.request, status, created_at=int(now),
        extra="" if trouble is None else trouble.code if job.encrypted else error_extra(trouble.code, trouble.message),
        content=trouble.message if trouble and job.encrypted else "",
        encrypted=bool(trouble and job.encrypted),
    )
    return Publish(draft, PROVIDER_ACCOUNT, seal_to=job.request.pubkey if trouble and job.encrypted else "")


def _accept(job: ProviderJob, signal: Accepted, terms: Terms, now: float) -> ProviderStep:
    job = replace(job, prompt=signal.prompt, price=signal.price)
    if signal.price == 0:
        return _run(job, now)
    return Step(
        replace(job, state=S.OFFERED),
        MakeInvoice(signal.price, f"pylon:{job.id}", invoice_seconds(job.deadline, now)),
    )


def _decline(job: ProviderJob, signal: Declined, terms: Terms, now: float) -> ProviderStep:
    return Step(replace(job, state=S.DECLINED, trouble=signal.trouble), _feedback(job, "error", now, signal.trouble))


def _run(job: ProviderJob, now: float) -> ProviderStep:
    return Step(replace(job, state=S.RUNNING, attempts=0), _feedback(job, "processing", now), Generate())


def _invoiced(job: ProviderJob, signal: Invoiced, terms: Terms, now: float) -> ProviderStep:
    draft = write_feedback(
        job.request, "payment-required", created_at=int(now), amount=job.price, bolt11=signal.bolt11, expiration=signal.expires_at
    )
    return Step(
        replace(
            job, state=S.INVOICED, bolt11=signal.bolt11, payment_hash=signal.payment_hash, invoice_expires=signal.expires_at
        ),
        Publish(draft, PROVIDER_ACCOUNT),
        Wake(signal.expires_at + 1),
    )


def _no_invoice(job: ProviderJob, signal: InvoiceFailed, terms: Terms, now: float) -> ProviderStep:
    told = Trouble(nip90.SERVICE_UNAVAILABLE, "the provider's wallet cannot make an invoice now")
    return Step(replace(job, state=S.FAILED, trouble=signal.trouble), _feedback(job, "error", now, told))


def _settled(job: ProviderJob, signal: Settled, terms: Terms, now: float) -> ProviderStep:
    return _run(replace(job, paid_at=now, received=signal.amount, preimage=signal.preimage, own=signal.own), now)


def _settled_late(job: ProviderJob, signal: Settled, terms: Terms, now: float) -> ProviderStep:
    # "A payment can land late; we deliver": but never twice, where it was cancelled after it was paid.
    return Step(job) if job.paid else _settled(job, signal, terms, now)


def _generated(job: ProviderJob, signal: Generated, terms: Terms, now: float) -> ProviderStep:
    # A model may cut a character in two; half of one (a lone surrogate) can neither be signed nor stored.
    content = KINDS[job.request.kind].write(signal.text.encode("utf-8", "replace").decode())
    draft = write_result(
        job.request, content, created_at=int(now), model=signal.model, amount=job.price if job.paid else None, encrypted=job.encrypted
    )
    publish = Publish(draft, PROVIDER_ACCOUNT, Then.DELIVERED, seal_to=job.request.pubkey if job.encrypted else "")
    return Step(
        replace(
            job, state=S.ANSWERED, answer=content, model=signal.model, completion_tokens=signal.completion_tokens, trouble=None
        ),
        publish,
    )


def _generate_failed(job: ProviderJob, signal: GenerateFailed, terms: Terms, now: float) -> ProviderStep:
    attempts = job.attempts + 1
    # A backend that broke cools down longer than a few tries last: for a paid job we go on as long as its customer waits.
    if signal.again and (attempts < terms.max_attempts or (job.paid and now < job.deadline)):
        again = Generate(not_before=now + BACKOFF[min(attempts, len(BACKOFF)) - 1])
        return Step(replace(job, attempts=attempts, trouble=signal.trouble), again)
    job = replace(job, attempts=attempts, trouble=signal.trouble, state=S.OWING if job.paid else S.FAILED)
    owed = "; the answer is owed and will be tried again" if job.paid else ""
    return Step(job, _feedback(job, "error", now, Trouble(nip90.SERVICE_UNAVAILABLE, "the computation failed" + owed)))


def _delivered(job: ProviderJob, signal: Delivered, terms: Terms, now: float) -> ProviderStep:
    job = replace(job, state=S.DELIVERED)
    if not job.preimage or job.own:
        return Step(job)
    receipt = write_feedback(job.request, "success", created_at=int(now), encrypted=True)
    return Step(job, Publish(receipt, PROVIDER_ACCOUNT, seal_to=job.request.pubkey, reveal=True))


def _cancel(job: ProviderJob, signal: Cancelled, terms: Terms, now: float) -> ProviderStep:
    effects: list[AnyEffect] = []
    if job.state is S.RUNNING:
        effects.append(StopGenerating())
    if job.payment_hash and not job.paid:
        effects.append(CancelInvoice(job.payment_hash))
    return Step(replace(job, state=S.CANCELLED), *effects)


def _cancel_invoice(job: ProviderJob, signal: Invoiced, terms: Terms, now: float) -> ProviderStep:
    """The invoice came after the customer had left: close it unseen. One that was shown stays the invoice of the job."""
    if not job.payment_hash:
        job = replace(job, bolt11=signal.bolt11, payment_hash=signal.payment_hash)
    return Step(job, CancelInvoice(signal.payment_hash))


def _expire(job: ProviderJob, signal: Signal, terms: Terms, now: float) -> ProviderStep:
    if isinstance(signal, Woke) and now < job.invoice_expires:
        return Step(job, Wake(job.invoice_expires + 1))
    return Step(replace(job, state=S.EXPIRED))


def _resend(job: ProviderJob, signal: Repeated, terms: Terms, now: float) -> ProviderStep:
    return Step(job, Resend())


def _try_again(job: ProviderJob, signal: Woke, terms: Terms, now: float) -> ProviderStep:
    return Step(job, Generate())


SIGNALS: tuple[type[Signal], ...] = (
    Accepted, Declined, Invoiced, InvoiceFailed, Settled, Generated, GenerateFailed, Delivered, Cancelled, Expired, Repeated, Woke,
)


_row = partial(row, SIGNALS)

_NO_MONEY = (Settled, Expired, Generated, GenerateFailed, Delivered)

TABLE: Mapping[str, Row] = {
    S.NEW: _row(
        {
            Accepted: leads(_accept, S.OFFERED, S.RUNNING),
            Declined: leads(_decline, S.DECLINED),
            Cancelled: leads(_cancel, S.CANCELLED),
        },
        Invoiced, InvoiceFailed, *_NO_MONEY,
    ),
    S.OFFERED: _row(
        {
            Invoiced: leads(_invoiced, S.INVOICED),
            InvoiceFailed: leads(_no_invoice, S.FAILED),
            Cancelled: leads(_cancel, S.CANCELLED),
        },
        Declined, *_NO_MONEY,
    ),
    S.INVOICED: _row(
        {
            Settled: leads(_settled, S.RUNNING),
            Expired: leads(_expire, S.EXPIRED),
            Woke: leads(_expire, S.INVOICED, S.EXPIRED),
            Cancelled: leads(_cancel, S.CANCELLED),
            Repeated: leads(_resend, S.INVOICED),
        },
        Declined, Generated, GenerateFailed, Delivered,
    ),
    S.RUNNING: _row(
        {
            Generated: leads(_generated, S.ANSWERED),
            GenerateFailed: leads(_generate_failed, S.RUNNING, S.FAILED, S.OWING),
            Cancelled: leads(_cancel, S.CANCELLED),
        },
        Declined, Delivered,
    ),
    S.ANSWERED: _row({Delivered: leads(_delivered, S.DELIVERED), Repeated: leads(_resend, S.ANSWERED)}, Declined),
    S.DELIVERED: _row({Repeated: leads(_resend, S.DELIVERED)}, Declined),
    S.DECLINED: _row({}, Invoiced, InvoiceFailed, *_NO_MONEY),
    # Rude but real: money that arrives for a job that had ended without any. We deliver.
    S.FAILED: _row({Settled: leads(_settled_late, S.RUNNING, S.FAILED)}, Declined, Delivered),
    S.EXPIRED: _row({Settled: leads(_settled, S.RUNNING)}, Declined, Generated, GenerateFailed, Delivered),
    S.CANCELLED: _row(
        {Settled: leads(_settled_late, S.RUNNING, S.CANCELLED), Invoiced: leads(_cancel_invoice, S.CANCELLED)},
        Delivered,
    ),
    S.OWING: _row({Generated: leads(_generated, S.ANSWERED), Woke: leads(_try_again, S.OWING)}, Declined, Delivered),
}
