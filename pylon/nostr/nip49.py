"""NIP-49, a secret key encrypted with a passphrase (https://github.com/nostr-protocol/nips/blob/master/49.md): `ncryptsec1…`."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from typing import Final

from pylon import _native
from pylon.errors import DecryptError, WireError
from pylon.nostr import bech32

PREFIX: Final = "ncryptsec"
MAX_LOG_N: Final = 20
"""2^20 rounds of scrypt take 1 GiB of memory, which is what hashlib can give."""

_VERSION: Final = 2
_LENGTH: Final = 1 + 1 + 16 + 24 + 1 + 32 + 16
_UNTRACKED: Final = b"\x02"
"""KEY_SECURITY_BYTE: "if the client does not track this data" """


def scrypt_key(passphrase: str, salt: bytes, log_n: int) -> bytes:
    """The 32 bytes that scrypt (N=2^log_n, r=8, p=1) makes of the passphrase, NFKC-normalised first. ValueError for a lone surrogate."""
    n = 1 << log_n
    # OpenSSL counts 128 * r * (N + p + 2) bytes; its own default limit is 32 MiB
    limit = min(128 * 8 * (n + 64), 2**31 - 1)
    password = unicodedata.normalize("NFKC", passphrase).encode()
    return hashlib.scrypt(password, salt=salt, n=n, r=8, p=1, maxmem=limit, dklen=32)


def encrypt(secret: bytes, passphrase: str, *, log_n: int = 16) -> str:
    """`secret` (32 bytes) as `ncryptsec1…`, with a fresh salt and nonce."""
    salt, nonce = os.urandom(16), os.urandom(24)
    sealed = _native.seal(scrypt_key(passphrase, salt, log_n), nonce, secret, _UNTRACKED)
    return bech32.encode(PREFIX, bytes((_VERSION, log_n)) + salt + nonce + _UNTRACKED + sealed)


def decrypt(text: str, passphrase: str) -> bytes:
    """The secret key (32 bytes). Raises WireError for a text of another form, DecryptError for the wrong passphrase."""
    prefix, data = bech32.decode(text)
    if prefix != PREFIX or len(data) != _LENGTH:  # "The output prior to bech32 encoding should be 91 bytes long."
        raise WireError("not an ncryptsec of NIP-49")
    if data[0] != _VERSION:
        raise WireError("an ncryptsec of an unknown version")
    log_n = data[1]
    if not 1 <= log_n <= MAX_LOG_N:
        raise WireError(f"an ncryptsec that asks for 2^{log_n} rounds of scrypt; at most 2^{MAX_LOG_N} are done here")
    salt, nonce, security, sealed = data[2:18], data[18:42], data[42:43], data[43:]
    try:
        return _native.unseal(scrypt_key(passphrase, salt, log_n), nonce, sealed, security)
    except ValueError as error:
        raise DecryptError from error
