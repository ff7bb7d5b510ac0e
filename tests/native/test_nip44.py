"""NIP-44: native code against the twin on any plaintext and any damage."""

from __future__ import annotations

import base64
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon import _native
from pylon._native import plain

KEYS = st.binary(min_size=32, max_size=32)


@given(KEYS, KEYS, st.binary(min_size=1, max_size=600))
def test_both_ways(key: bytes, nonce: bytes, plaintext: bytes) -> None:
    """Both make the same payload, and each reads the other's."""
    payload = _native.nip44_encrypt(key, plaintext, nonce)
    assert payload == plain.nip44_encrypt(key, plaintext, nonce)
    assert _native.nip44_decrypt(key, payload) == plain.nip44_decrypt(key, payload) == plaintext


@settings(max_examples=6)
@given(st.integers(65_530, 70_000))
def test_around_the_extended_prefix(length: int) -> None:
    """Both agree where the length prefix grows from two bytes to six."""
    key, plaintext = bytes(range(32)), b"\xf0\x9f\xa6\x8a" * (length // 4 + 1)
    payload = _native.nip44_encrypt(key, plaintext[:length], bytes(32))
    assert payload == plain.nip44_encrypt(key, plaintext[:length], bytes(32))
    assert _native.nip44_decrypt(key, payload) == plaintext[:length]


SAMPLE = _native.nip44_encrypt(bytes(32), b"a plaintext of some length", bytes(32))


@given(st.integers(0, len(SAMPLE)), st.integers(0, 4), st.text("AQgw/+=#- \n", max_size=3))
def test_damage(at: int, cut: int, new: str) -> None:
    """Any change to a payload is refused by both, with the same words."""
    damaged = SAMPLE[:at] + new + SAMPLE[at + cut :]
    if damaged == SAMPLE:
        return
    for decrypt in (_native.nip44_decrypt, plain.nip44_decrypt):
        with pytest.raises(ValueError, match=r"^cannot decrypt$"):
            decrypt(bytes(32), damaged)


def forge(padded: bytes) -> str:
    """A payload with a right MAC around any padded plaintext."""
    key, nonce, hmac_key = plain.message_keys(bytes(32), bytes(32))
    ciphertext = plain.chacha20(key, nonce, padded)
    mac = hmac.digest(hmac_key, bytes(32) + ciphertext, "sha256")
    return base64.b64encode(b"\2" + bytes(32) + ciphertext + mac).decode()


@pytest.mark.parametrize(
    "padded",
    [
        bytes(34),
        b"\0\0" + (5).to_bytes(4) + b"hello".ljust(32, b"\0"),
        b"\0\0" + (65_535).to_bytes(4) + bytes(65_536),
        b"\0\0" + (65_537).to_bytes(4) + bytes(65_536),
        b"\0\0\xff\xff\xff\xff" + bytes(32),
        b"\0\5" + b"hello".ljust(64, b"\0"),
        b"\0\5" + b"hello".ljust(31, b"\0") + bytes(2),
        b"\0\x21" + bytes(32),
        b"\xff\xff" + bytes(32),
    ],
    ids=["empty", "small and long", "65535 long", "short of padding", "4 GiB", "too much padding", "odd", "too little", "cut off"],
)
def test_forged_paddings(padded: bytes) -> None:
    """A length that does not fit its padding, or is not in its shortest form, is refused though the MAC is right."""
    for decrypt in (_native.nip44_decrypt, plain.nip44_decrypt):
        with pytest.raises(ValueError, match=r"^cannot decrypt$"):
            decrypt(bytes(32), forge(padded))


def test_the_largest_payload() -> None:
    """A payload above the limit is refused before it is decoded; one of the limit is read."""
    plaintext = b"x" * plain.MAX_PADDED
    payload = _native.nip44_encrypt(bytes(32), plaintext)
    assert len(payload) == plain.MAX_PAYLOAD
    assert _native.nip44_decrypt(bytes(32), payload) == plaintext
    above = _native.nip44_encrypt(bytes(32), plaintext + b"x")
    with pytest.raises(ValueError, match=r"^cannot decrypt$"):
        _native.nip44_decrypt(bytes(32), above)


@given(KEYS, KEYS)
def test_conversation_keys(first: bytes, second: bytes) -> None:
    """The key is the same from both ends, and the twin's."""
    keys = [secret if 0 < int.from_bytes(secret) < plain.ORDER else bytes(31) + b"\1" for secret in (first, second)]
    publics = [_native.public_key(key)[1:] for key in keys]
    shared = _native.nip44_conversation_key(keys[0], publics[1])
    assert shared == _native.nip44_conversation_key(keys[1], publics[0]) == plain.nip44_conversation_key(keys[0], publics[1])


@given(st.binary(min_size=64, max_size=64), st.lists(st.tuples(st.integers(0, 2**31 - 1), st.sampled_from(["", "'", "h"])), max_size=5))
def test_paths(seed: bytes, steps: list[tuple[int, str]]) -> None:
    """BIP-32: both derive the same key at any path."""
    path = "/".join(["m", *(f"{index}{mark}" for index, mark in steps)])
    assert _native.bip32_derive(seed, path) == plain.bip32_derive(seed, path)
