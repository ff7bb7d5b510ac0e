"""Secrets of the ledger at rest: preimages, which prove that an invoice was paid, are sealed under a key of the identity's.

XChaCha20-Poly1305; the key is made of the identity's wallet secret under a label of its own, so that a copy of the ledger alone gives no
preimage away. Who opens the ledger without the identity (`pylon wallet history`) sees that there is one.
"""

from __future__ import annotations

import hmac
import os

from pylon import _native

_LABEL = b"pylon journal: preimages at rest, version 1"
_NONCE = 24


class Vault:
    """Seals and opens. Without a `secret` what others have sealed cannot be opened, and what is sealed here nobody opens again: nothing
    is ever written in clear."""

    def __init__(self, secret: bytes | None = None) -> None:
        self._key = os.urandom(32) if secret is None else hmac.digest(secret, _LABEL, "sha256")

    def seal(self, preimage: bytes, payment_hash: bytes) -> bytes:
        """The preimage of this hash as it is kept: the nonce, then the ciphertext. Nothing stays nothing."""
        if not preimage:
            return b""
        nonce = os.urandom(_NONCE)
        return nonce + _native.seal(self._key, nonce, preimage, _LABEL + payment_hash)

    def unseal(self, sealed: bytes, payment_hash: bytes) -> bytes:
        """The preimage, or nothing where it was sealed under another key or for another hash."""
        if not sealed:
            return b""
        try:
            return _native.unseal(self._key, sealed[:_NONCE], sealed[_NONCE:], _LABEL + payment_hash)
        except ValueError:
            return b""
