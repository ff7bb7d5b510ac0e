"""What we sell, to whom, and for how much: decided from facts, before anything is charged.

`screen` looks at a request alone; `quote` at the prompt, its exact tokens and the model's context. Both end in a signal for the job.
"""

from __future__ import annotations

import msgspec

from pylon.market.job import Trouble
from pylon.market.kinds import KINDS
from pylon.market.prompt import Prompt
from pylon.market.signals import Accepted, Declined
from pylon.nostr import nip90
from pylon.nostr.event import VerifiedEvent
from pylon.nostr.nip90 import JobError, Request
from pylon.units import Msat, ceil_sat

OLDEST = 900
"""Seconds: an older request is not taken up any more."""
AHEAD = 600
"""Seconds that a customer's clock may be ahead of ours."""
MOST_INPUT_BYTES = 512 * 1024
"""A longer prompt fits no model that is served here."""
INVOICE_SECONDS = 600
SHORTEST_INVOICE = 60


class Terms(msgspec.Struct, frozen=True):
    """The provider's terms. `capacity` is how many jobs may be open at once: computed and queued."""

    pubkey: str
    floor: Msat
    per_1k: Msat
    require_payment: bool
    capacity: int
    whole_sats: bool
    """The wallet cannot ask for parts of a sat."""
    max_attempts: int = 3


class NotForUs(Exception):
    """A request that is passed over in silence: it names others, is too old, or has expired."""


def screen(event: VerifiedEvent, request: Request, terms: Terms, *, now: float) -> None:
    """Is this request for us at all? Raises NotForUs (silence) or JobError (an answer is due)."""
    if request.providers and terms.pubkey not in request.providers:
        raise NotForUs("it names other providers")
    if request.expiration is not None and request.expiration <= now:
        raise NotForUs("it has expired")  # NIP-40
    if event.created_at < now - OLDEST:
        raise NotForUs("it is too old")
    if event.created_at > now + AHEAD:
        raise JobError(nip90.BAD_REQUEST, "the request is dated in the future; check your clock")
    if event.kind not in KINDS:
        raise JobError(nip90.BAD_REQUEST, f"kind {event.kind} is not served here")


def read_prompt(request: Request) -> Prompt:
    """The prompt of a request. Raises JobError."""
    if sum(len(item.data.encode("utf-8", "replace")) for item in request.inputs) > MOST_INPUT_BYTES:
        raise JobError(nip90.BAD_REQUEST, f"the inputs are longer than {MOST_INPUT_BYTES} bytes")
    return KINDS[request.kind].read(request)


def quote(request: Request, prompt: Prompt, *, tokens: int, context: int, open_jobs: int, terms: Terms) -> Accepted | Declined:
    """Accept at a price, or decline. `tokens` is the exact length of the prompt, `context` the model's window."""
    if tokens >= context:
        return _no(nip90.INVALID_PARAMETER, f"the prompt has {tokens} tokens and the model takes {context}, answer included")
    if open_jobs >= terms.capacity:
        return _no(nip90.RATE_LIMITED, "busy: the queue is full, ask again later")
    clamped = msgspec.structs.replace(prompt, max_tokens=min(prompt.max_tokens, context - tokens))
    price = price_of(tokens + clamped.max_tokens, terms)
    if price and request.bid is not None and price > request.bid:
        return _no(nip90.POLICY_VIOLATION, f"the price is {price} msat and the bid only {request.bid}")
    return Accepted(clamped, price)


def price_of(tokens: int, terms: Terms) -> Msat:
    """Floor plus tokens, rounded up; to a whole sat where the wallet knows no smaller unit."""
    if not terms.require_payment:
        return Msat(0)
    price = Msat(terms.floor + -(-terms.per_1k * tokens // 1000))
    return ceil_sat(price) if terms.whole_sats else price


def invoice_seconds(deadline: float, now: float) -> int:
    """How long an invoice shall live: not (much) longer than the job it pays for."""
    return max(SHORTEST_INVOICE, min(INVOICE_SECONDS, int(deadline - now)))


def _no(code: str, message: str) -> Declined:
    return Declined(Trouble(code, message))
