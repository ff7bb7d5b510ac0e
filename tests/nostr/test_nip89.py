"""NIP-89: announcements and heartbeats, ours and strangers'."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import WireError
from pylon.nostr.event import sign
from pylon.nostr.nip89 import Announcement, Heartbeat, announcement_draft, heartbeat_draft, read_announcement, read_heartbeat
from pylon.units import MAX_MSAT, Msat
from tests.nostr.people import ALICE, NOW, event

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
amounts = st.none() | st.integers(0, MAX_MSAT).map(Msat)


@given(
    offer=st.builds(
        Announcement,
        identifier=texts,
        kinds=st.lists(st.integers(0, 65535), min_size=1, max_size=4, unique=True).map(tuple),
        name=texts,
        about=texts,
        models=st.lists(texts, max_size=3).map(tuple),
        price=amounts,
        price_per_1k=amounts,
        encryption=st.booleans(),
    )
)
def test_announcements_round_trip(offer: Announcement) -> None:
    """What we announce can be read back."""
    assert read_announcement(sign(announcement_draft(offer, NOW), ALICE)) == offer


def test_announcement_on_the_wire() -> None:
    """`d` and every `k` are tags (the first Pylon had neither), the content is an object in the manner of kind 0."""
    draft = announcement_draft(Announcement("d1", (5050, 5940), "N", "A", ("m",), Msat(1000), Msat(0), True), NOW)
    assert draft.kind == 31990
    assert draft.tags == (("d", "d1"), ("k", "5050"), ("k", "5940"))
    assert json.loads(draft.content) == {
        "name": "N",
        "about": "A",
        "supportsEncryption": True,
        "price_msat": 1000,
        "price_per_1k_msat": 0,
        "models": ["m"],
        "nip90Params": {"model": {"required": False, "values": ["m"]}},
    }


@pytest.mark.parametrize(
    "content",
    [
        "",
        "prose",
        "[]",
        "null",
        "\x00",
        "{" * 5000,
        '{"name":5,"about":null,"models":"x","price_msat":-1,"supportsEncryption":1}',
        '{"price_msat":1e400,"name":["x"]}',
        f'{{"price_msat":{MAX_MSAT + 1}}}',
        '{"price_msat":1.5}',
        '{"price_msat":"1000"}',
    ],
)
def test_strangers_announcements(content: str) -> None:
    """ "`content` is an optional" object: whatever it is, the kinds are read and nothing crashes (R14)."""
    offer = read_announcement(event(31990, (("k", "5050"), ("k", "x"), ("k",), ("k", "05050"), ("k", "5050"), ("d",)), content))
    assert offer == Announcement("", (5050,))


def test_practice() -> None:
    """Both spellings of the encryption flag are read."""
    for key in ("supportsEncryption", "encryptionSupported"):
        assert read_announcement(event(31990, (("d", "x"), ("k", "5050")), json.dumps({key: True}))).encryption


def test_no_announcement() -> None:
    """Another kind, or no kind on offer (as the first Pylon announced), is refused."""
    for wrong in (event(31989, (("k", "5050"),)), event(31990, (("handler", "compute_provider"),))):
        with pytest.raises(WireError):
            read_announcement(wrong)


def test_heartbeat_round_trip() -> None:
    """The heartbeat carries `d`, status, price, free slots, and ends after 900 seconds."""
    draft = heartbeat_draft("d1", NOW, status="busy", slots=0, price=Msat(1000), price_per_1k=Msat(5))
    beat = read_heartbeat(sign(draft, ALICE))
    assert draft.kind == 11998
    assert beat == Heartbeat("d1", NOW, "busy", 0, Msat(1000), Msat(5), NOW + 900)
    assert read_heartbeat(sign(heartbeat_draft("d1", NOW, status="online", slots=2, price=Msat(1)), ALICE)).price_per_1k is None


def test_alive() -> None:
    """Who has not been heard for 900 seconds is away; so is one whose sign has expired, or who has signed off."""
    beat = read_heartbeat(sign(heartbeat_draft("d1", NOW, status="online", slots=2, price=Msat(1)), ALICE))
    assert beat.alive(NOW)
    assert beat.alive(NOW + 899)
    assert not beat.alive(NOW + 900)
    assert not read_heartbeat(event(11998, (("expiration", str(NOW + 300)),))).alive(NOW + 300)
    assert not read_heartbeat(event(11998, (("expiration", str(NOW + 10**6)),))).alive(NOW + 900)
    assert not read_heartbeat(sign(heartbeat_draft("d1", NOW, status="offline", slots=0, price=Msat(1)), ALICE)).alive(NOW)


@pytest.mark.parametrize(
    ("tag", "price"),
    [
        (("price", "1000", "msat"), 1000),
        (("price", "2", "sats"), 2000),
        (("price", "2", "SAT"), 2000),
        (("price", "1000"), None),
        (("price", "1", "usd"), None),
        (("price", "-1", "msat"), None),
        (("price", "1.5", "msat"), None),
        (("price", "9" * 20, "sat"), None),
        (("price", "1_000", "msat"), None),
        (("price", "٣", "msat"), None),
        (("price",), None),
        (("price", "9" * 5000, "msat"), None),
    ],
)
def test_prices(tag: tuple[str, ...], price: int | None) -> None:
    """A price counts with its unit only."""
    assert read_heartbeat(event(11998, (tag,))).price == price


def test_no_heartbeat() -> None:
    """Only kind 11998 is one; slots that are no number are unknown."""
    with pytest.raises(WireError):
        read_heartbeat(event(1))
    assert read_heartbeat(event(11998, (("slots", "many"), ("status",)))) == Heartbeat("", NOW, "")
