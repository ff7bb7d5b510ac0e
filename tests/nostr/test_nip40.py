"""NIP-40: expiration."""

from __future__ import annotations

import pytest

from pylon.nostr.nip40 import expires_at, is_expired
from tests.nostr.people import NOW, event


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "1e9", " 5", "５", "9" * 13, "0x10", "1_000", "+5"])
def test_unreadable(text: str) -> None:
    """A value that is no plain number of seconds says nothing, and the next tag counts."""
    assert expires_at(event(tags=(("expiration", text),))) is None
    assert not is_expired(event(tags=(("expiration", text),)), NOW)
    assert expires_at(event(tags=(("expiration",), ("expiration", text), ("expiration", "7"), ("expiration", "8")))) == 7


def test_the_moment() -> None:
    """ "the time at which the message should be deleted by relays": from that second on."""
    some = event(tags=(("expiration", str(NOW)),))
    assert expires_at(some) == NOW
    assert is_expired(some, NOW)
    assert is_expired(some, NOW + 1)
    assert not is_expired(some, NOW - 1)
    assert not is_expired(event(), NOW)
