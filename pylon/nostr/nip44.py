"""NIP-44 version 2, encrypted payloads (https://github.com/nostr-protocol/nips/blob/master/44.md), over the native extension.

A plaintext may have 65,536 bytes and more since June 2026 (a length prefix of 6 bytes).
"""

from __future__ import annotations

from typing import Final

from pylon import _native
from pylon.errors import DecryptError

MAX_PAYLOAD: Final = 2**24
"""Characters of base64 that are decrypted. What a relay takes is far less; this bounds memory."""

MAX_TEXT: Final = 10 * 2**20
"""Bytes of UTF-8 that are encrypted: padded and in base64 they fit into MAX_PAYLOAD."""


def conversation_key(secret: bytes, pubkey: bytes) -> bytes:
    """The 32 bytes that `secret` (32) and the owner of the x-only `pubkey` (32) share. ValueError for a key that is not on the curve."""
    return _native.nip44_conversation_key(secret, pubkey)


def encrypt(key: bytes, text: str, *, nonce: bytes | None = None) -> str:
    """`text` as a payload in base64. ValueError for an empty text, a lone surrogate, or more than MAX_TEXT.

    `nonce` (32 bytes) is for test vectors; it is random when None, and one that is used twice gives the texts away.
    """
    plaintext = text.encode()
    if len(plaintext) > MAX_TEXT:
        raise ValueError(f"more than {MAX_TEXT} bytes cannot be encrypted")
    return _native.nip44_encrypt(key, plaintext, nonce)


def decrypt(key: bytes, payload: str) -> str:
    """The text in `payload`. Raises DecryptError, which is the same whatever was wrong."""
    # before anything is decoded, so that a long payload costs nothing
    if len(payload) > MAX_PAYLOAD:
        raise DecryptError
    try:
        return _native.nip44_decrypt(key, payload).decode()
    except ValueError as error:
        raise DecryptError from error
