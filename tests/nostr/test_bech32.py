"""Bech32 (BIP-173, https://github.com/bitcoin/bips/blob/master/bip-0173.mediawiki, section "Test vectors")."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import WireError
from pylon.nostr import bech32


@given(prefix=st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=10), data=st.binary(max_size=200))
def test_round_trip(prefix: str, data: bytes) -> None:
    """Any bytes come back, from lower and from upper case."""
    text = bech32.encode(prefix, data)
    assert bech32.decode(text) == (prefix, data)
    assert bech32.decode(text.upper()) == (prefix, data)


def test_valid_vectors() -> None:
    """The valid texts of BIP-173 whose data are whole bytes decode and encode to themselves."""
    for text, data in (
        ("A12UEL5L", b""),
        ("a12uel5l", b""),
        ("an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs", b""),
    ):
        prefix, value = bech32.decode(text)
        assert value == data
        assert bech32.encode(prefix, value) == text.lower()


INVALID = [
    "\x201nwldj5",
    "\x7f1axkwrx",
    "\x801eym55h",
    "pzry9x0s0muk",
    "1pzry9x0s0muk",
    "x1b4n0q5v",
    "li1dgmt3",
    "de1lg7wt\xff",
    "A1G7SGD8",
    "10a06t8",
    "1qzzfhee",
    "",
    "1",
    "npub1",
    "npub1zutzeysacnf9rru6zqwmxd54mud0k44tst6l70ja5mhv8jjumytsd2x7nU",
    "npub1zutzeysacnf9rru6zqwmxd54mud0k44tst6l70ja5mhv8jjumytsd2x7nq",
    "npub1\u0130",
    "\u017f1" + "q" * 10,
    "a" * 5001,
]


@pytest.mark.parametrize("text", INVALID, ids=range(len(INVALID)))
def test_invalid_vectors(text: str) -> None:
    """The invalid texts of BIP-173 and some of our own; "Decoders MUST NOT accept strings where some characters are uppercase ..."."""
    with pytest.raises(WireError):
        bech32.decode(text)


def test_left_over_bits() -> None:
    """A last group that is a whole one too many, or not zero, would be a second spelling of the same bytes."""
    assert bech32.decode(bech32.encode("a", b"\x00")) == ("a", b"\x00")
    for words in ([0, 0, 0], [0, 1]):
        rest = bech32.polymod([*bech32._expand("a"), *words, 0, 0, 0, 0, 0, 0]) ^ 1
        text = "a1" + "".join(bech32._ALPHABET[word] for word in [*words, *(rest >> 5 * (5 - i) & 31 for i in range(6))])
        with pytest.raises(WireError, match="left over"):
            bech32.decode(text)


@given(data=st.binary(min_size=32, max_size=32), place=st.integers(0, 57), letter=st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_a_mistyped_character(data: bytes, place: int, letter: str) -> None:
    """One wrong character is always found."""
    text = bech32.encode("npub", data)
    place += 5
    wrong = text[:place] + letter + text[place + 1 :]
    if wrong != text:
        with pytest.raises(WireError, match="checksum"):
            bech32.decode(wrong)


def test_length() -> None:
    """NIP-19: texts end at 5000 characters, both ways."""
    longest = bech32.encode("a", bytes(3117))
    assert len(longest) <= 5000
    assert bech32.decode(longest) == ("a", bytes(3117))
    with pytest.raises(ValueError, match="5000"):
        bech32.encode("a", bytes(3125))
