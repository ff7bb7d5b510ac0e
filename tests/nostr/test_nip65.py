"""NIP-65: the list of a key's relays."""

from __future__ import annotations

import pytest

from pylon.errors import WireError
from pylon.nostr.event import sign
from pylon.nostr.nip65 import RelayList, read_relay_list, relay_list_draft
from tests.nostr.people import ALICE, NOW, event


def test_round_trip() -> None:
    """ "If the marker is omitted, the relay is both read and write." """
    urls = ("ws://127.0.0.1:7700", "wss://relay.example")
    signed = sign(relay_list_draft(urls, NOW), ALICE)
    assert signed.kind == 10002
    assert signed.content == ""
    assert read_relay_list(signed) == RelayList(urls, urls)


def test_markers_and_rubbish() -> None:
    """`read` and `write` are kept apart, spellings joined, and what is no relay's address left out."""
    tags = (
        ("r", "wss://A.example/"),
        ("r", "wss://a.example"),
        ("r", "wss://b.example", "write"),
        ("r", "wss://c.example", "read"),
        ("r", "wss://d.example", "both"),
        ("r",),
        ("r", "http://e.example"),
        ("r", "ws://user@f.example"),
        ("x", "wss://g.example"),
        (),
    )
    lists = read_relay_list(event(10002, tags))
    assert lists.read == ("wss://a.example", "wss://c.example", "wss://d.example")
    assert lists.write == ("wss://a.example", "wss://b.example", "wss://d.example")


def test_another_kind() -> None:
    """Only kind 10002 is a relay list."""
    with pytest.raises(WireError):
        read_relay_list(event(1))
