"""Which events the relay takes: each rule is a function that returns None, or a reason with its NIP-01 prefix (no I/O, no clock).

A rule sees the connection and the event, whose form, id and signature were checked before. `POLICIES` are asked in order; the first
reason is the answer. Third parties add rules through the entry points `pylon.policies`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from typing import Final, Protocol

import msgspec

from pylon.nexus.record import VANISH
from pylon.nostr.event import Event
from pylon.nostr.nip40 import expires_at
from pylon.nostr.nip42 import AUTH
from pylon.nostr.relay_url import normalize_url

MAX_FUTURE: Final = 900
"""Seconds that `created_at` may lie ahead of our clock; announced as `created_at_upper_limit` (NIP-11)."""
MAX_TAGS: Final = 2500
"""Announced as `max_event_tags` (NIP-11)."""
REPOSTS: Final = (6, 16)


class Connection(Protocol):
    """What a rule may know of the connection that an event came by."""

    @property
    def authenticated(self) -> Set[str]:
        """The keys that have authenticated (NIP-42), 64 hex characters each."""

    @property
    def names(self) -> Set[str]:
        """The addresses of this relay, in one spelling (nostr.relay_url)."""

    @property
    def now(self) -> int:
        """Unix seconds."""


Policy = Callable[[Connection, Event], str | None]


def authenticated(connection: Connection, event: Event) -> str | None:
    """NIP-42 before any EVENT. "auth-required: for when a client has not performed AUTH and the relay requires that"."""
    return None if connection.authenticated else "auth-required: authentication required"


def no_auth_event(connection: Connection, event: Event) -> str | None:
    """NIP-42: "relays MUST exclude kind: 22242 events from being broadcasted to any client"."""
    return "invalid: an event of kind 22242 is sent with AUTH, not with EVENT" if event.kind == AUTH else None


def not_expired(connection: Connection, event: Event) -> str | None:
    """NIP-40: "Relays SHOULD drop any events that are published to them if they are expired"."""
    at = expires_at(event)
    return "invalid: the event has expired" if at is not None and at <= connection.now else None


def timely(connection: Connection, event: Event) -> str | None:
    """NIP-11's `created_at_upper_limit`."""
    if event.created_at > connection.now + MAX_FUTURE:
        return f"invalid: created_at is more than {MAX_FUTURE} seconds in the future"
    return None


def not_too_many_tags(connection: Connection, event: Event) -> str | None:
    """NIP-11's `max_event_tags`: every indexed tag costs memory for as long as the event is stored."""
    return f"invalid: more than {MAX_TAGS} tags" if len(event.tags) > MAX_TAGS else None


def protected(connection: Connection, event: Event) -> str | None:
    """NIP-70: an event with `["-"]` is taken from its authenticated author alone, and not inside a repost by anybody."""
    if any(tag and tag[0] == "-" for tag in event.tags) and event.pubkey not in connection.authenticated:
        return "restricted: this event may only be published by its author"
    if event.kind in REPOSTS and _embeds_protected(event.content):
        return "restricted: a repost of an event that may only be published by its author"
    return None


def vanish_from_here(connection: Connection, event: Event) -> str | None:
    """NIP-62: a request to vanish counts where it names the relay, or ALL_RELAYS; any other is not for us to keep."""
    if event.kind != VANISH or any(name == "ALL_RELAYS" or normalize_url(name) in connection.names for name in event.values("relay")):
        return None
    return "blocked: this request to vanish does not name this relay"


POLICIES: Final[tuple[Policy, ...]] = (authenticated, no_auth_event, not_expired, timely, not_too_many_tags, protected, vanish_from_here)


def judge(policies: Iterable[Policy], connection: Connection, event: Event) -> str | None:
    """The first reason against `event`, or None."""
    for policy in policies:
        if (reason := policy(connection, event)) is not None:
            return reason
    return None


class _Embedded(msgspec.Struct):
    tags: list[list[str]] = []


def _embeds_protected(content: str) -> bool:
    try:
        embedded = msgspec.json.decode(content, type=_Embedded)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return False
    return any(tag[:1] == ["-"] for tag in embedded.tags)
