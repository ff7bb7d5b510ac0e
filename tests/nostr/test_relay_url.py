"""Addresses of relays in one spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.nostr.relay_url import normalize_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("ws://127.0.0.1:7700/", "ws://127.0.0.1:7700"),
        ("WS://LocalHost:80", "ws://localhost"),
        ("wss://a.b:443/x/?q=1#f", "wss://a.b/x?q=1"),
        ("wss://a.b:80", "wss://a.b:80"),
        ("wss://a.b/X", "wss://a.b/X"),
        ("wss://[::1]:7700", "wss://[::1]:7700"),
        ("ws://a.b.", "ws://a.b"),
        ("http://a.b", None),
        ("a.b", None),
        ("wss://", None),
        ("wss://:7700", None),
        ("wss://a.b:70000", None),
        ("wss://[::1", None),
        ("ws://user:pass@a.b", None),
        ("ws://a b", None),
        ("ws://a\tb", None),
        ("ws://a\u202eb", None),
        ("ws://" + "a" * 2000, None),
        ("", None),
    ],
)
def test_spellings(text: str, url: str | None) -> None:
    """Scheme and host in lower case, no default port, trailing slash or fragment; what is no relay's address is None."""
    assert normalize_url(text) == url


@given(text=st.text(max_size=60) | st.text("ws:/[]@.%#?ab1 ", max_size=30).map(lambda tail: "ws://" + tail))
def test_any_text(text: str) -> None:
    """No text crashes it, and a normalised address stays as it is."""
    url = normalize_url(text)
    assert url is None or normalize_url(url) == url
