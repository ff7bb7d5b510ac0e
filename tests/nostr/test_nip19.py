"""NIP-19: keys and ids for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import UsageError, WireError
from pylon.nostr import bech32
from pylon.nostr.kinds import Address
from pylon.nostr.nip19 import (
    AddressPointer,
    Entity,
    EventPointer,
    Note,
    Profile,
    PublicKey,
    SecretKey,
    decode,
    encode,
    public_key,
)

EXAMPLES: list[tuple[str, Entity]] = [
    (
        "npub180cvv07tjdrrgpa0j7j7tmnyl2yr6yr7l8j4s3evf6u64th6gkwsyjh6w6",
        PublicKey("3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d"),
    ),
    (
        "npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg",
        PublicKey("7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"),
    ),
    (
        "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5",
        SecretKey(bytes.fromhex("67dea2ed018072d675f5415ecfaed7d2597555e202d85b3d65ea4e58d2d92ffa")),
    ),
    (
        "nprofile1qqsrhuxx8l9ex335q7he0f09aej04zpazpl0ne2cgukyawd24mayt8gpp4mhxue69uhhytnc9e3k7mgpz4mhxue69uhkg6nzv9ejuumpv34kytnrdaksjlyr9p",
        Profile("3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d", ("wss://r.x.com", "wss://djbas.sadkb.com")),
    ),
]


@pytest.mark.parametrize(("text", "entity"), EXAMPLES)
def test_examples(text: str, entity: Entity) -> None:
    """The examples of NIP-19, "and vice-versa"."""
    assert decode(text) == entity
    assert decode(text.upper()) == entity
    assert encode(entity) == text


keys = st.binary(min_size=32, max_size=32).map(bytes.hex)
relays = st.lists(st.text(st.characters(max_codepoint=126, min_codepoint=33), max_size=60), max_size=4).map(tuple)
kinds = st.integers(0, 2**32 - 1)
entities = st.one_of(
    st.builds(PublicKey, keys),
    st.builds(SecretKey, st.binary(min_size=32, max_size=32)),
    st.builds(Note, keys),
    st.builds(Profile, keys, relays),
    st.builds(EventPointer, keys, relays, st.none() | keys, st.none() | kinds),
    st.builds(AddressPointer, st.builds(Address, kinds, keys, st.text(st.characters(exclude_categories=["Cs"]), max_size=50)), relays),
)


@given(entity=entities)
def test_round_trip(entity: Entity) -> None:
    """Every entity survives both ways."""
    assert decode(encode(entity)) == entity


def test_unknown_values_are_ignored() -> None:
    """ "TLVs that are not recognized or supported should be ignored, rather than causing an error." """
    key = bytes(range(32))
    data = b"\x09\x02xx" + b"\x00\x20" + key + b"\xff\x00" + b"\x01\x05wss:/" + b"\x00\x20" + bytes(32)
    assert decode(bech32.encode("nprofile", data)) == Profile(key.hex(), ("wss:/",))


BROKEN = [
    ("npub", bytes(31)),
    ("npub", bytes(33)),
    ("npub", b""),
    ("nsec", bytes(31)),
    ("note", bytes(64)),
    ("nprofile", b""),
    ("nprofile", b"\x00"),
    ("nprofile", b"\x00\x20" + bytes(31)),
    ("nprofile", b"\x00\x1f" + bytes(31)),
    ("nprofile", b"\x00\x20" + bytes(32) + b"\x01"),
    ("nprofile", b"\x00\x20" + bytes(32) + b"\x01\xff"),
    ("nprofile", b"\x00\x20" + bytes(32) + b"\x01\x01\xff"),
    ("nprofile", b"\x01\x01a"),
    ("nevent", b"\x00\x20" + bytes(32) + b"\x02\x01a"),
    ("nevent", b"\x00\x20" + bytes(32) + b"\x03\x02aa"),
    ("naddr", b"\x00\x01a"),
    ("naddr", b"\x00\x01a\x02\x20" + bytes(32)),
    ("naddr", b"\x00\x01\xff\x02\x20" + bytes(32) + b"\x03\x04" + bytes(4)),
    ("nrelay", b"\x00\x01a"),
    ("lnurl", b"x"),
]


@pytest.mark.parametrize(("prefix", "data"), BROKEN, ids=range(len(BROKEN)))
def test_broken_entities(prefix: str, data: bytes) -> None:
    """Wrong lengths, cut values and missing ones are refused."""
    with pytest.raises(WireError):
        decode(bech32.encode(prefix, data))


def test_too_long() -> None:
    """A TLV holds 255 bytes: a longer relay cannot be encoded. A text over 5000 characters is not decoded."""
    with pytest.raises(ValueError, match="256"):
        encode(Profile("00" * 32, ("w" * 256,)))
    with pytest.raises(WireError, match="5000"):
        decode("nprofile1" + "q" * 5000)


def test_public_key_for_the_command_line() -> None:
    """npub, nprofile and hex in any case, with white space around, give the hex key."""
    expected = "3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d"
    for text in (EXAMPLES[0][0], f"  {EXAMPLES[0][0]}\n", EXAMPLES[0][0].upper(), EXAMPLES[3][0], expected, expected.upper()):
        assert public_key(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "npub1",
        "alice",
        "0" * 63,
        "0" * 65,
        "\u0660" * 64,
        EXAMPLES[0][0][:-1] + "q",
        encode(Note("00" * 32)),
        "npub1" + "\x00" * 50,
        "👩" * 64,
    ],
)
def test_no_public_key(text: str) -> None:
    """Anything else is a UsageError with what was expected."""
    with pytest.raises(UsageError) as caught:
        public_key(text)
    assert "npub1" in caught.value.hint


def test_a_secret_is_not_repeated() -> None:
    """An nsec given for a public key is refused without showing it, and a decoded one hides from repr."""
    nsec = EXAMPLES[2][0]
    with pytest.raises(UsageError, match="secret key") as caught:
        public_key(nsec)
    assert nsec not in str(caught.value)
    assert "67dea2ed" not in repr(decode(nsec))
    assert "\\xde" not in repr(decode(nsec))
