"""What is to be done about a job. Effects are values: the ledger stores them with the job's new state, then `node.perform` does them.

Each outcome comes back as a signal. An effect that was stored and not finished is done again after a restart; so every one of them is
idempotent, by its nature or by the way it is performed.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from pylon.nostr.event import Draft, VerifiedEvent
from pylon.units import Msat


class Then(StrEnum):
    """Which signal follows when a relay has accepted an event."""

    NOTHING = "nothing"
    POSTED = "posted"
    DELIVERED = "delivered"


class Effect(msgspec.Struct, frozen=True, tag=True):
    """The base of all effects."""


class Publish(Effect, frozen=True):
    """Sign `draft` by account `account` and publish it. With `seal_to`, `draft.content` is first encrypted to that key (NIP-44).

    The signed event is kept with the effect before it is sent, so that a repeat after a crash sends the very same event. `reveal`: the
    content is the preimage of the job, put in when it is signed, so that it does not stand here in clear."""

    draft: Draft
    account: int
    then: Then = Then.NOTHING
    seal_to: str = ""
    reveal: bool = False


class Send(Effect, frozen=True):
    """Publish an event that is signed already. `urls` empty: on all relays."""

    event: VerifiedEvent
    then: Then = Then.NOTHING
    urls: tuple[str, ...] = ()


class Resend(Effect, frozen=True):
    """Publish again what this job published last for good (offer or result): the same event, so no relay stores it twice."""


class MakeInvoice(Effect, frozen=True):
    """Ask the wallet for an invoice."""

    amount: Msat
    memo: str
    expires_in: int


class Pay(Effect, frozen=True):
    """Pay `bolt11`. After a restart it is looked up first."""

    bolt11: str
    payment_hash: bytes
    amount: Msat
    max_fee: Msat


class LookUp(Effect, frozen=True):
    """Ask the wallet, until it knows, what became of a payment of ours."""

    payment_hash: bytes


class CancelInvoice(Effect, frozen=True):
    """Close an invoice of ours that shall not be paid any more."""

    payment_hash: bytes


class Generate(Effect, frozen=True):
    """Ask the model; the prompt stands in the job."""

    not_before: float = 0


class StopGenerating(Effect, frozen=True):
    """Stop the computation of this job, if it runs."""


class Wake(Effect, frozen=True):
    """Send `Woke` at this time."""

    at: float


AnyEffect = Publish | Send | Resend | MakeInvoice | Pay | LookUp | CancelInvoice | Generate | StopGenerating | Wake
