"""What a session has to tell: one small value for each thing that a relay said and that matters (see `session`).

`Eose` and `Notice` are the messages of NIP-01 themselves, told for subscriptions that are ours and texts that are short.
"""

from __future__ import annotations

import msgspec

from pylon._native import FilterIndex
from pylon.nostr.message import Eose, Notice


class EventsArrived(msgspec.Struct, frozen=True):
    """Events came for our subscription `sub`, one behind the other; nothing was checked. `texts`: EVENT messages, or the events alone.

    `wanted` is what had been asked for when they came.
    """

    sub: str
    texts: list[bytes]
    wanted: FilterIndex


class EventsRepeated(msgspec.Struct, frozen=True):
    """Events that were delivered before came again, and were dropped unread: their `ids` (32 bytes each)."""

    ids: bytes


class SubscriptionClosed(msgspec.Struct, frozen=True):
    """The relay ended a subscription. `final`: asking again on this connection is of no use."""

    sub: str
    reason: str
    final: bool


class Accepted(msgspec.Struct, frozen=True):
    """The relay has our event."""

    event_id: str
    reason: str


class Rejected(msgspec.Struct, frozen=True):
    """The relay does not take our event; `reason` carries the prefix of NIP-01 where the relay gave one."""

    event_id: str
    reason: str


class Authenticated(msgspec.Struct, frozen=True):
    """The relay answered OK to our AUTH for `pubkey` (64 hex)."""

    pubkey: str


class AuthFailed(msgspec.Struct, frozen=True):
    """The relay refused our AUTH for `pubkey` (64 hex), or we have no key at all (empty)."""

    pubkey: str
    reason: str


Happening = EventsArrived | EventsRepeated | Eose | SubscriptionClosed | Accepted | Rejected | Notice | Authenticated | AuthFailed
