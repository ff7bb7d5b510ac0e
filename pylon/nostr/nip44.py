"""NIP-44 version 2, encrypted payloads (https://github.com/nostr-protocol/nips/blob/master/44.md), over the native extension.

A plaintext may have 65,536 bytes and more since June 2026 (a length prefix of 6 bytes).
"""

from __future__ import annotations

from typing import Final

from pylon import _native
from pylon.errors import DecryptError

MAX_PAYLOAD: Final = 2**24
"""Characters of base64 that are decrypted (about 12 MB of text). What a relay takes is far less; this bounds memory."""


def conversation_key(secret: bytes, pubkey: bytes) -> bytes:
    """The 32 bytes that `secret` (32) and the owner of the x-only `pubkey` (32) share. ValueError for a key that is not on the curve."""
    return _native.nip44_conversation_key(secret, pubkey)


def encrypt(key: bytes, text: str) -> str:
    """`text` (not empty) as a payload in base64. ValueError for an empty text, a lone surrogate, or more than can be decrypted."""
    plaintext = text.encode()
    if len(plaintext) > MAX_PAYLOAD // 2:
        raise ValueError(f"more than {MAX_PAYLOAD // 2} bytes cannot be encrypted")
    return _native.nip44_encrypt(key, plaintext)


def decrypt(key: bytes, payload: str) -> str:
    """The text in `payload`. Raises DecryptError, which is the same whatever was wrong."""
    # "base64 payload length" is checked before it is decoded, so that a long payload costs nothing
    if len(payload) > MAX_PAYLOAD:
        raise DecryptError
    try:
        return _native.nip44_decrypt(key, payload).decode()
    except ValueError as error:
        raise DecryptError from error
