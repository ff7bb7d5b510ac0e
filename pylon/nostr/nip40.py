"""NIP-40, expiration (https://github.com/nostr-protocol/nips/blob/master/40.md)."""

from __future__ import annotations

import re

from pylon.nostr.event import Event

_is_time = re.compile(r"[0-9]{1,12}", re.ASCII).fullmatch


def expires_at(event: Event) -> int | None:
    """The Unix second from which the event is void, None where it does not say one. The first readable tag counts."""
    return next((int(text) for text in event.values("expiration") if _is_time(text)), None)


def is_expired(event: Event, now: int) -> bool:
    """Whether "the time at which the message should be deleted by relays" has come.

    "An expiration timestamp does not affect storage of ephemeral events": the caller knows whether that matters.
    """
    expiration = expires_at(event)
    return expiration is not None and expiration <= now
