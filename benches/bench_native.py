"""The native functions, each with its unit of work and its reference. No bench states an absolute time."""

from __future__ import annotations

import hashlib
from typing import Any

import coincurve
import msgspec
import orjson
import pytest

from benches.conftest import Against
from pylon import _native
from pylon._native import plain

SECRET = hashlib.sha256(b"bench").digest()
SIGNER = _native.Signer(SECRET)
PUBKEY = SIGNER.pubkey.hex()
OTHER = coincurve.PrivateKey(SECRET)
MESSAGE = hashlib.sha256(b"message").digest()
AUX = bytes(32)
WORDS = "the node answers a job request with a result event and asks the relay for more work when its queue is short\n"


class Wire(msgspec.Struct):
    """An event as the reference reads it."""

    id: str
    pubkey: str
    created_at: int
    kind: int
    tags: list[list[str]]
    content: str
    sig: str


decode = msgspec.json.Decoder(Wire).decode


def fields(size: int, number: int = 0) -> tuple[str, int, int, list[list[str]], str]:
    """What an event of about `size` bytes is made of."""
    content = (f'{number} "' + WORDS * (size // len(WORDS) + 1))[:size]
    return PUBKEY, 1_700_000_000 + number, 5050, [["p", PUBKEY], ["e", PUBKEY, "", "reply"]], content


def raw(size: int, number: int) -> bytes:
    """A signed event as JSON."""
    pubkey, created_at, kind, tags, content = fields(size, number)
    identity = _native.event_id(pubkey, created_at, kind, tags, content)
    return orjson.dumps(
        {
            "id": identity.hex(), "pubkey": pubkey, "created_at": created_at, "kind": kind, "tags": tags, "content": content,
            "sig": SIGNER.sign(identity, AUX).hex(),
        }
    )


def reference_id(values: tuple[Any, ...]) -> bytes:
    """The id by orjson and hashlib."""
    return hashlib.sha256(orjson.dumps((0, *values))).digest()


def reference_check(events: list[bytes]) -> bytes:
    """The checks by msgspec, orjson, hashlib and coincurve."""
    codes = bytearray()
    for text in events:
        event = decode(text)
        identity = reference_id((event.pubkey, event.created_at, event.kind, event.tags, event.content))
        key = coincurve.PublicKeyXOnly(bytes.fromhex(event.pubkey))
        codes.append(0 if identity.hex() == event.id and key.verify(bytes.fromhex(event.sig), identity) else 3)
    return bytes(codes)


def test_verify(against: Against) -> None:
    """One BIP-340 signature of 32 bytes, the key as bytes."""
    signature = SIGNER.sign(MESSAGE, AUX)
    assert _native.verify(SIGNER.pubkey, signature, MESSAGE)
    against(
        "verify one signature", lambda: _native.verify(SIGNER.pubkey, signature, MESSAGE),
        "coincurve", lambda: coincurve.PublicKeyXOnly(SIGNER.pubkey).verify(signature, MESSAGE),
    )


def test_sign(against: Against) -> None:
    """One BIP-340 signature of 32 bytes with a key that is kept."""
    assert SIGNER.sign(MESSAGE, AUX) == OTHER.sign_schnorr(MESSAGE, AUX)
    against(
        "sign one id", lambda: SIGNER.sign(MESSAGE, AUX),
        "coincurve (new keypair and self-check a call)", lambda: OTHER.sign_schnorr(MESSAGE, AUX),
    )


@pytest.mark.parametrize("size", [100, 2_000, 64_000])
def test_event_id(against: Against, size: int) -> None:
    """The id of one event, given as Python values."""
    values = fields(size)
    assert _native.event_id(*values) == reference_id(values)
    against(f"event id, {size} B of content", lambda: _native.event_id(*values), "orjson and hashlib", lambda: reference_id(values))


@pytest.mark.parametrize("size", [100, 2_000])
def test_check_events(against: Against, size: int) -> None:
    """64 events from their JSON: form, id, signature."""
    events = [raw(size, number) for number in range(64)]
    assert _native.check_events(events) == reference_check(events) == bytes(64)
    against(
        f"check 64 events, {size} B of content", lambda: _native.check_events(events),
        "msgspec, orjson, hashlib and coincurve", lambda: reference_check(events), quartets=40,
    )


def test_check_bad_ids(against: Against) -> None:
    """64 events whose id is wrong: everything but the signature."""
    events = [raw(300, number).replace(b"queue", b"cache", 1) for number in range(64)]
    assert _native.check_events(events) == bytes([_native.BAD_ID]) * 64
    against(
        "check 64 events with a wrong id, 300 B", lambda: _native.check_events(events),
        "msgspec, orjson and hashlib", lambda: [reference_id(msgspec.structs.astuple(decode(text))[1:6]) for text in events],
    )


@pytest.mark.parametrize("size", [100, 2_000])
def test_nip44(against: Against, size: int) -> None:
    """One payload made and read again, with a conversation key that is kept."""
    key, nonce, plaintext = bytes(range(32)), bytes(32), (WORDS * 30)[:size].encode()
    assert _native.nip44_encrypt(key, plaintext, nonce) == plain.nip44_encrypt(key, plaintext, nonce)
    against(
        f"NIP-44 both ways, {size} B", lambda: _native.nip44_decrypt(key, _native.nip44_encrypt(key, plaintext, nonce)),
        "the twin in Python", lambda: plain.nip44_decrypt(key, plain.nip44_encrypt(key, plaintext, nonce)), quartets=20,
    )


def test_conversation_key(against: Against) -> None:
    """The shared key of two keys."""
    pubkey = _native.public_key(hashlib.sha256(b"peer").digest())[1:]
    assert _native.nip44_conversation_key(SECRET, pubkey) == plain.nip44_conversation_key(SECRET, pubkey)
    against(
        "NIP-44 conversation key", lambda: _native.nip44_conversation_key(SECRET, pubkey),
        "the twin in Python (coincurve)", lambda: plain.nip44_conversation_key(SECRET, pubkey),
    )


def test_bolt11_decode(against: Against) -> None:
    """One invoice of the usual kind: checksum, fields, features, the payee recovered."""
    invoice = _native.bolt11_encode(SECRET, "bcrt", 1_000_000, MESSAGE, AUX, "one answer", 1_700_000_000, 600, 18)
    assert _native.bolt11_decode(invoice).payee == plain.bolt11_decode(invoice).payee
    against(
        "decode one invoice", lambda: _native.bolt11_decode(invoice),
        "the twin in Python (coincurve)", lambda: plain.bolt11_decode(invoice), quartets=40,
    )


TEXTS = {
    "English prose": "\n\n".join([" ".join(["The mill turned while the tide was out. It stood still when the water rose."] * 8)] * 1_600),
    "Chinese without spaces": "潮水退去的時候磨坊轉動水漲的時候停止" * 18_000,
}


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("most", [4_096, 65_536])
def test_chunk_spans(against: Against, language: str, most: int) -> None:
    """A text of 1 MB cut into spans: UTF-8 checked, boundaries found."""
    text = TEXTS[language].encode()[:999_999]
    assert _native.chunk_spans(text, most) == plain.chunk_spans(text, most)
    against(
        f"spans of {most} B, 1 MB, {language}", lambda: _native.chunk_spans(text, most),
        "the twin in Python (bytes.rfind, regex)", lambda: plain.chunk_spans(text, most), quartets=20,
    )
