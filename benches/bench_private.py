"""NIP-44 and BOLT11, beside the slow twin in Python."""

from __future__ import annotations

from functools import partial

import pytest

from benches.conftest import Against
from benches.inputs import AUX, SECRET, prose, sha
from pylon import _native
from pylon._native import plain


@pytest.mark.parametrize("size", [100, 2_000])
def test_nip44(against: Against, size: int) -> None:
    """One payload made and read again, with a conversation key that is kept."""
    key, nonce, plaintext = sha("conversation"), bytes(32), prose(size, 1)[:size].encode()
    against(
        f"NIP-44 both ways, {size} B", lambda: _native.nip44_decrypt(key, _native.nip44_encrypt(key, plaintext, nonce)),
        "the twin in Python", lambda: plain.nip44_decrypt(key, plain.nip44_encrypt(key, plaintext, nonce)),
    )


def test_conversation_key(against: Against) -> None:
    """The shared key of two keys."""
    pubkey = _native.public_key(sha("peer"))[1:]
    against(
        "NIP-44 conversation key", partial(_native.nip44_conversation_key, SECRET, pubkey),
        "the twin in Python (coincurve)", partial(plain.nip44_conversation_key, SECRET, pubkey),
    )


def test_bolt11_decode(against: Against) -> None:
    """One invoice of the usual kind: checksum, fields, features, the payee recovered."""
    invoice = _native.bolt11_encode(SECRET, "bcrt", 1_000_000, sha("hash"), AUX, "one answer", 1_700_000_000, 600, 18)
    against(
        "decode one BOLT11 invoice", partial(_native.bolt11_decode, invoice), "the twin in Python (coincurve)",
        partial(plain.bolt11_decode, invoice), agree=lambda ours, theirs: bool(ours.payee == theirs.payee),
    )
