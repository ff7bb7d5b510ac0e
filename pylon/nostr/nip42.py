"""NIP-42, authentication of clients to relays (https://github.com/nostr-protocol/nips/blob/master/42.md): kind 22242, both sides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pylon.errors import WireError
from pylon.nostr.event import Draft, VerifiedEvent
from pylon.nostr.relay_url import normalize_url

AUTH: Final = 22242
WINDOW: Final = 600
"""Seconds. "the event created_at is close (e.g. within ~10 minutes) of the current time" """


class AuthRefused(WireError):
    """An AUTH that does not hold. The text carries NIP-42's prefix `auth-required: `: this client has not authenticated."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"auth-required: {reason}")


def auth_draft(url: str, challenge: str, created_at: int) -> Draft:
    """The answer to a relay's challenge, to be signed. `url` is the address that was connected to."""
    return Draft(kind=AUTH, created_at=created_at, tags=(("relay", url), ("challenge", challenge)))


def check_auth(event: VerifiedEvent, challenge: str, urls: Iterable[str], now: int) -> None:
    """Whether `event` answers `challenge` for a relay that is known by `urls`. Raises AuthRefused with the reason."""
    if event.kind != AUTH:  # "that the kind is 22242"
        raise AuthRefused("an AUTH event has kind 22242")
    if abs(now - event.created_at) > WINDOW:
        raise AuthRefused("created_at is more than 10 minutes away from now")
    if (event.first("challenge") or ("challenge",))[1:2] != (challenge,):  # "that the challenge tag matches the challenge sent before"
        raise AuthRefused("challenge mismatch")
    # "that the relay tag matches the relay URL": "URL normalization techniques can be applied."
    relay = (event.first("relay") or ("relay",))[1:2]
    if not relay or normalize_url(relay[0]) not in {normalize_url(url) for url in urls} - {None}:
        raise AuthRefused("relay mismatch")
