"""The slow twin of `core` in Python: the same functions, written to be read, as the oracle of the differential tests.

It is never used at run time. Signatures are coincurve's, an independent binding of libsecp256k1; the rest is written from the
specifications: NIP-01, BIP-340, BIP-32, NIP-44 (with RFC 8439 and RFC 5869). BOLT11 stands in `plain_bolt11`, the spans of texts
in `plain_chunk`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import struct
from collections.abc import Iterator, Sequence

from coincurve import PrivateKey, PublicKey, PublicKeyXOnly

from pylon._native.plain_bolt11 import Invoice, bolt11_decode
from pylon._native.plain_chunk import chunk_spans, is_utf8

__all__ = [
    "BAD_ID", "BAD_SIGNATURE", "BAD_UTF8", "OK", "SYNTAX", "Invoice", "bip32_derive", "bolt11_decode", "check_codes", "chunk_spans",
    "event_id", "is_utf8", "nip44_conversation_key", "nip44_decrypt", "nip44_encrypt", "padded_len", "public_key", "sign", "verify",
    "verify_batch",
]

OK, SYNTAX, BAD_ID, BAD_SIGNATURE, BAD_UTF8 = range(5)
MAX_CREATED_AT = 2**53
FIELDS = {"id", "pubkey", "created_at", "kind", "tags", "content", "sig"}
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
MAX_PADDED = 16 << 20
MAX_PAYLOAD = -(-(1 + 32 + 6 + MAX_PADDED + 32) // 3) * 4


def event_id(pubkey: str, created_at: int, kind: int, tags: Sequence[Sequence[str]], content: str) -> bytes:
    """The NIP-01 id (32 bytes). ValueError for a field outside its range or a lone surrogate."""
    if not is_hex(pubkey, 64) or not 0 <= created_at <= MAX_CREATED_AT or not 0 <= kind <= 65535:
        raise ValueError("a field is outside what NIP-01 allows")
    text = json.dumps([0, pubkey, created_at, kind, [list(tag) for tag in tags], content], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def is_hex(value: object, digits: int) -> bool:
    """Whether `value` is a string of so many lower-case hexadecimal digits."""
    return isinstance(value, str) and len(value) == digits and set(value) <= set("0123456789abcdef")


def is_text(value: object) -> bool:
    """Whether `value` is a string that UTF-8 can hold: no half of a surrogate pair."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object whose names differ."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def natural(text: str) -> int:
    """A JSON integer without a sign."""
    if text.startswith("-"):
        raise ValueError("negative")
    return int(text)


def refused(text: str) -> object:
    """What JSON has and an event has not: fractions, exponents, NaN."""
    raise ValueError(text)


def check_event(raw: bytes) -> int:
    """One code for one JSON event object, or for one frame `["EVENT",{...}]` or `["EVENT","subscription",{...}]`."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return BAD_UTF8
    try:
        event = json.loads(text, object_pairs_hook=once, parse_int=natural, parse_float=refused, parse_constant=refused)
    except (ValueError, RecursionError):
        return SYNTAX
    if isinstance(event, list):
        if len(event) not in (2, 3) or event[0] != "EVENT" or not all(is_text(name) for name in event[:-1]):
            return SYNTAX
        event = event[-1]
    if not isinstance(event, dict) or set(event) != FIELDS:
        return SYNTAX
    tags, content, created_at, kind = event["tags"], event["content"], event["created_at"], event["kind"]
    well_formed = (
        is_hex(event["id"], 64)
        and is_hex(event["sig"], 128)
        and type(created_at) is int
        and type(kind) is int
        and isinstance(content, str)
        and isinstance(tags, list)
        and all(isinstance(tag, list) and all(isinstance(value, str) for value in tag) for tag in tags)
    )
    if not well_formed:
        return SYNTAX
    try:
        identity = event_id(event["pubkey"], created_at, kind, tags, content)
    except ValueError:
        return SYNTAX
    if identity.hex() != event["id"]:
        return BAD_ID
    return OK if verify(bytes.fromhex(event["pubkey"]), bytes.fromhex(event["sig"]), identity) else BAD_SIGNATURE


def check_codes(events: list[bytes], signatures: bool = True) -> bytes:
    """One code for each event, with its signature or without."""
    codes = [check_event(raw) for raw in events]
    return bytes(OK if code == BAD_SIGNATURE and not signatures else code for code in codes)


def verify(pubkey: bytes, signature: bytes, message: bytes) -> bool:
    """BIP-340, by coincurve."""
    if len(pubkey) != 32 or len(signature) != 64:
        raise ValueError("a wrong length")
    try:
        return PublicKeyXOnly(pubkey).verify(signature, message)
    except ValueError:
        return False


def verify_batch(pubkeys: bytes, signatures: bytes, messages: bytes) -> bytes:
    """One byte a signature, one after the other: 1 for a right one, else 0."""
    count = len(pubkeys) // 32
    if (len(pubkeys), len(signatures), len(messages)) != (32 * count, 64 * count, 32 * count):
        raise ValueError("a wrong length")
    items = range(count)
    return bytes(
        verify(pubkeys[32 * i : 32 * i + 32], signatures[64 * i : 64 * i + 64], messages[32 * i : 32 * i + 32]) for i in items
    )


def sign(secret: bytes, message: bytes, aux: bytes) -> bytes:
    """A BIP-340 signature of 32 bytes, by coincurve."""
    return PrivateKey(secret).sign_schnorr(message, aux)


def public_key(secret: bytes) -> bytes:
    """The compressed public key (33 bytes)."""
    if len(secret) != 32 or not 1 <= int.from_bytes(secret) < ORDER:
        raise ValueError("not a secret key")
    return PublicKey.from_valid_secret(secret).format()


def bip32_derive(seed: bytes, path: str) -> bytes:
    """The private key at `path` (BIP-32) from a seed of 64 bytes."""
    if len(seed) != 64 or not path.startswith("m") or path[1:2] not in ("", "/"):
        raise ValueError("not a seed and a path")
    digest = hmac.digest(b"Bitcoin seed", seed, "sha512")
    key, chain = digest[:32], digest[32:]
    for step in path.split("/")[1:]:
        digits = step.removesuffix("'") if step.endswith("'") else step.removesuffix("h")
        if not (digits.isascii() and digits.isdigit() and int(digits) < 2**31):
            raise ValueError("not a step of a path")
        index = int(digits) + (2**31 if digits != step else 0)
        data = b"\0" + key if index >= 2**31 else PrivateKey(key).public_key.format()
        digest = hmac.digest(chain, data + struct.pack(">I", index), "sha512")
        key = ((int.from_bytes(digest[:32]) + int.from_bytes(key)) % ORDER).to_bytes(32)
        chain = digest[32:]
    return key


def rotate(value: int, bits: int) -> int:
    """A rotation to the left in 32 bits."""
    return (value << bits | value >> (32 - bits)) & 0xFFFFFFFF


def chacha20(key: bytes, nonce: bytes, data: bytes) -> bytes:
    """RFC 8439 section 2.4, the counter from 0."""
    return bytes(a ^ b for a, b in zip(data, keystream(key, nonce), strict=False))


def keystream(key: bytes, nonce: bytes) -> Iterator[int]:
    """The endless stream of key bytes."""
    quarters = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
    counter = 0
    while True:
        start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), counter, *struct.unpack("<3I", nonce)]
        x = list(start)
        for _ in range(10):
            for a, b, c, d in quarters:
                for first, second, third, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                    x[first] = (x[first] + x[second]) & 0xFFFFFFFF
                    x[third] = rotate(x[third] ^ x[first], bits)
        yield from struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(x, start, strict=True)))
        counter += 1


def padded_len(length: int) -> int:
    """The length that NIP-44 pads to."""
    if length <= 32:
        return 32
    next_power = 1 << (length - 1).bit_length()
    chunk = 32 if next_power <= 256 else next_power // 8
    return chunk * ((length - 1) // chunk + 1)


def nip44_conversation_key(secret: bytes, pubkey: bytes) -> bytes:
    """The key that two keys share (32 bytes)."""
    if len(pubkey) != 32:
        raise ValueError("not an x-only public key")
    public_key(secret)
    shared = PublicKey(b"\2" + pubkey).multiply(secret).format()[1:]
    return hmac.digest(b"nip44-v2", shared, "sha256")


def message_keys(conversation_key: bytes, nonce: bytes) -> tuple[bytes, bytes, bytes]:
    """ChaCha key and nonce, HMAC key: HKDF-expand to 76 bytes (RFC 5869 section 2.3)."""
    if len(conversation_key) != 32 or len(nonce) != 32:
        raise ValueError("a wrong length")
    okm, block = b"", b""
    for counter in (1, 2, 3):
        block = hmac.digest(conversation_key, block + nonce + bytes([counter]), "sha256")
        okm += block
    return okm[:32], okm[32:44], okm[44:76]


def nip44_encrypt(conversation_key: bytes, plaintext: bytes, nonce: bytes) -> str:
    """The payload in base64."""
    if not 1 <= len(plaintext) < 2**32:
        raise ValueError("a wrong length")
    key, chacha_nonce, hmac_key = message_keys(conversation_key, nonce)
    length = len(plaintext)
    prefix = struct.pack(">H", length) if length < 65536 else struct.pack(">HI", 0, length)
    ciphertext = chacha20(key, chacha_nonce, prefix + plaintext.ljust(padded_len(length), b"\0"))
    mac = hmac.digest(hmac_key, nonce + ciphertext, "sha256")
    return base64.b64encode(b"\2" + nonce + ciphertext + mac).decode()


def nip44_decrypt(conversation_key: bytes, payload: str) -> bytes:
    """The plaintext; ValueError `cannot decrypt` for every failure."""
    failure = ValueError("cannot decrypt")
    if len(payload) > MAX_PAYLOAD:
        raise failure
    try:
        data = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise failure from None
    # base64 that is not the shortest form, a version that is not 2, or less than the smallest payload
    if base64.b64encode(data).decode() != payload or data[:1] != b"\2" or len(data) < 99:
        raise failure
    nonce, ciphertext, mac = data[1:33], data[33:-32], data[-32:]
    key, chacha_nonce, hmac_key = message_keys(conversation_key, nonce)
    if not hmac.compare_digest(hmac.digest(hmac_key, nonce + ciphertext, "sha256"), mac):
        raise failure
    padded = chacha20(key, chacha_nonce, ciphertext)
    start, length = 2, int.from_bytes(padded[:2])
    if length == 0:
        start, length = 6, int.from_bytes(padded[2:6])
        if length < 65536:
            raise failure
    if len(padded) != start + padded_len(length):
        raise failure
    return padded[start : start + length]
