"""Ranges of kinds and addresses (NIP-01)."""

from __future__ import annotations

import pytest

from pylon.nostr.kinds import Address, address_of, is_addressable, is_ephemeral, is_regular, is_replaceable, newer, parse_address
from tests.nostr.people import ALICE, NOW, event

ME = ALICE.pubkey_hex


@pytest.mark.parametrize(
    ("kinds", "is_one"),
    [
        ((1, 2, 4, 44, 45, 999, 1000, 5050, 7000, 9999, 40000, 65535), is_regular),
        ((0, 3, 10000, 10002, 11998, 19999), is_replaceable),
        ((20000, 22242, 29999), is_ephemeral),
        ((30000, 31990, 39999), is_addressable),
    ],
)
def test_ranges(kinds: tuple[int, ...], is_one: object) -> None:
    """Every kind belongs to exactly one of the four ranges, at their borders too."""
    ranges = (is_regular, is_replaceable, is_ephemeral, is_addressable)
    for kind in kinds:
        assert [one for one in ranges if one(kind)] == [is_one]


def test_addresses() -> None:
    """ "addressable by their kind, pubkey and d tag value": the first d tag's; other replaceable kinds have none."""
    assert address_of(event(31990, (("d", "a:b", "x"), ("d", "c")))) == Address(31990, ME, "a:b")
    for tags in ((), (("d",),), (("d", ""),), (("d",), ("d", "second"))):
        assert address_of(event(31990, tags)) == Address(31990, ME, "")
    assert address_of(event(10002, (("d", "x"),))) == Address(10002, ME)
    assert address_of(event(1)) is None
    assert address_of(event(20001)) is None


def test_addresses_as_text() -> None:
    """The text of an `a` tag comes back, with colons and line breaks in its identifier."""
    for address in (Address(31990, ME, "a:b\n:"), Address(10002, ME), Address(0, ME), Address(30000, ME, "")):
        assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "::",
        "31990",
        f"31990:{ME}",
        f"1:{ME}:",
        f"20000:{ME}:",
        f"10002:{ME}:x",
        f"031990:{ME}:",
        f"-1:{ME}:",
        f"99999:{ME}:",
        f"31990:{ME.upper()}:",
        f"31990:{ME[:-1]}:",
        f"３1990:{ME}:",
        f" 31990:{ME}:",
    ],
)
def test_no_addresses(text: str) -> None:
    """Anything else is no address."""
    assert parse_address(text) is None


def test_which_is_kept() -> None:
    """The later one replaces; "the event with the lowest id (first in lexical order) should be retained"."""
    old, new = event(10002, at=NOW - 1), event(10002)
    assert newer(new, old)
    assert not newer(old, new)
    assert not newer(new, new)
    low, high = sorted((event(10002, content="a"), event(10002, content="b")), key=lambda one: one.id)
    assert newer(low, high)
    assert not newer(high, low)
