"""NIP-44 version 2: every vector, through the functions that the node uses."""

from __future__ import annotations

import hashlib
from typing import TypedDict, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon import _native
from pylon.errors import DecryptError
from pylon.nostr import nip44
from tests.nostr.people import ALICE, BOB, vectors


class Vector(TypedDict, total=False):
    sec1: str
    sec2: str
    pub2: str
    conversation_key: str
    nonce: str
    plaintext: str
    payload: str
    pattern: str
    repeat: int
    plaintext_sha256: str
    payload_sha256: str
    note: str


class Extended(TypedDict):
    conversation_key: str
    nonce: str
    pattern: str
    cases: list[dict[str, int | str]]


_V2 = cast(dict[str, dict[str, list[Vector]]], vectors("nip44.vectors.json")["v2"])
VALID, INVALID = _V2["valid"], _V2["invalid"]
EXTENDED = cast(Extended, vectors("nip44-extended.json"))
KEY = bytes(range(32))


@pytest.mark.parametrize("vector", VALID["get_conversation_key"], ids=range(35))
def test_conversation_keys(vector: Vector) -> None:
    """`valid.get_conversation_key`: the key that two people share."""
    assert nip44.conversation_key(bytes.fromhex(vector["sec1"]), bytes.fromhex(vector["pub2"])).hex() == vector["conversation_key"]


@pytest.mark.parametrize("vector", VALID["encrypt_decrypt"], ids=range(10))
def test_encrypt_decrypt(vector: Vector) -> None:
    """`valid.encrypt_decrypt`: both ways, the key being the same from both sides."""
    secret, other = bytes.fromhex(vector["sec1"]), bytes.fromhex(vector["sec2"])
    key = nip44.conversation_key(secret, _native.public_key(other)[1:])
    assert key.hex() == vector["conversation_key"]
    assert nip44.conversation_key(other, _native.public_key(secret)[1:]) == key
    assert nip44.encrypt(key, vector["plaintext"], nonce=bytes.fromhex(vector["nonce"])) == vector["payload"]
    assert nip44.decrypt(key, vector["payload"]) == vector["plaintext"]


@pytest.mark.parametrize("vector", VALID["encrypt_decrypt_long_msg"], ids=range(3))
def test_long_messages(vector: Vector) -> None:
    """`valid.encrypt_decrypt_long_msg`: long texts, known by their hashes."""
    key, text = bytes.fromhex(vector["conversation_key"]), vector["pattern"] * vector["repeat"]
    assert hashlib.sha256(text.encode()).hexdigest() == vector["plaintext_sha256"]
    payload = nip44.encrypt(key, text, nonce=bytes.fromhex(vector["nonce"]))
    assert hashlib.sha256(payload.encode()).hexdigest() == vector["payload_sha256"]
    assert nip44.decrypt(key, payload) == text


@pytest.mark.parametrize("vector", INVALID["decrypt"], ids=lambda vector: vector["note"])
def test_what_must_not_decrypt(vector: Vector) -> None:
    """`invalid.decrypt`: one error for all, which says nothing."""
    with pytest.raises(DecryptError, match=r"^cannot decrypt$"):
        nip44.decrypt(bytes.fromhex(vector["conversation_key"]), vector["payload"])


@pytest.mark.parametrize("vector", INVALID["get_conversation_key"], ids=range(8))
def test_what_is_no_key(vector: Vector) -> None:
    """`invalid.get_conversation_key`: secrets outside 1..n-1, public keys that are not on the curve."""
    with pytest.raises(ValueError):  # noqa: PT011 -- the sentence is the extension's own
        nip44.conversation_key(bytes.fromhex(vector["sec1"]), bytes.fromhex(vector["pub2"]))


def test_lengths() -> None:
    """`invalid.encrypt_msg_lengths`: 0 stays invalid; 65536, 100000 and 10000000 are valid since the extended length prefix."""
    lengths = cast(list[int], INVALID["encrypt_msg_lengths"])
    assert lengths == [0, 65536, 100000, 10000000]
    with pytest.raises(ValueError):  # noqa: PT011 -- the sentence is the extension's own
        nip44.encrypt(KEY, "")
    for length in lengths[1:]:
        assert nip44.decrypt(KEY, nip44.encrypt(KEY, "a" * length)) == "a" * length


@pytest.mark.parametrize("case", EXTENDED["cases"], ids=lambda case: case["len"])
def test_extended_prefix(case: dict[str, int | str]) -> None:
    """The table of the extended length prefix, on both sides of 65,536."""
    key = bytes.fromhex(EXTENDED["conversation_key"])
    text = EXTENDED["pattern"] * int(case["len"])
    payload = nip44.encrypt(key, text, nonce=bytes.fromhex(EXTENDED["nonce"]))
    assert hashlib.sha256(payload.encode()).hexdigest() == case["payload_sha256"]
    assert nip44.decrypt(key, payload) == text


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_any_text(text: str) -> None:
    """Any text comes back, and no two payloads are alike."""
    payload = nip44.encrypt(KEY, text)
    assert nip44.decrypt(KEY, payload) == text
    assert nip44.encrypt(KEY, text) != payload


@given(
    payload=st.text(max_size=200)
    | st.binary(min_size=99, max_size=200).map(lambda data: __import__("base64").b64encode(b"\x02" + data).decode())
)
def test_any_payload(payload: str) -> None:
    """Any other text fails as one error."""
    with pytest.raises(DecryptError, match=r"^cannot decrypt$"):
        nip44.decrypt(KEY, payload)


@pytest.mark.parametrize(
    "payload",
    ["", "#", "#" + "A" * 200, "AQ" + "A" * 200, "text?iv=AAAA", "A" * (nip44.MAX_PAYLOAD + 1), "\ud800" * 200, "👩" * 200, "\x00" * 200],
)
def test_hostile_payloads(payload: str) -> None:
    """Empty, of another version, of NIP-04, too long, not base64, not even Unicode (J14)."""
    with pytest.raises(DecryptError):
        nip44.decrypt(KEY, payload)


def test_a_payload_that_is_too_long() -> None:
    """A payload that would open, made by somebody with more patience, is not decoded beyond MAX_PAYLOAD."""
    payload = _native.nip44_encrypt(KEY, b"a" * 13_000_000)
    assert len(payload) > nip44.MAX_PAYLOAD
    with pytest.raises(DecryptError):
        nip44.decrypt(KEY, payload)


def test_a_changed_payload() -> None:
    """Every character of a payload counts."""
    payload = nip44.encrypt(KEY, "x")
    for place in range(0, len(payload), 7):
        wrong = payload[:place] + ("B" if payload[place] != "B" else "C") + payload[place + 1 :]
        with pytest.raises(DecryptError):
            nip44.decrypt(KEY, wrong)


def test_what_is_not_text() -> None:
    """A plaintext that is not UTF-8 fails like every other; one that is no Unicode is not encrypted; nor is one that is too long."""
    with pytest.raises(DecryptError):
        nip44.decrypt(KEY, _native.nip44_encrypt(KEY, b"\xff"))
    with pytest.raises(UnicodeEncodeError):
        nip44.encrypt(KEY, "\ud800")
    with pytest.raises(ValueError, match="bytes cannot be encrypted"):
        nip44.encrypt(KEY, "é" * (nip44.MAX_TEXT // 2 + 1))
    assert len(nip44.encrypt(KEY, "a" * nip44.MAX_TEXT)) <= nip44.MAX_PAYLOAD


def test_a_conversation_is_of_two() -> None:
    """Alice's key with Bob is Bob's key with Alice."""
    assert nip44.conversation_key(ALICE.export_secret(), BOB.pubkey) == nip44.conversation_key(BOB.export_secret(), ALICE.pubkey)
