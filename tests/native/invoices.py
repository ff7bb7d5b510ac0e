"""Builds BOLT11 invoices field by field, right ones and wrong ones, for the tests of the decoders."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from coincurve import PrivateKey

from pylon._native.plain_bolt11 import CHARSET, expand, number_of, polymod, words_of

SECRET = bytes.fromhex("e126f68f7eafcc8b74f54d269fe206be715000f94dac067d1c04a8ca3b2db734")  # of the examples of BOLT11
PAYEE = PrivateKey(SECRET).public_key.format()
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
Field = tuple[str, list[int]]

HASH: Field = ("p", words_of(bytes(range(32))))
PAYMENT_SECRET: Field = ("s", words_of(b"\x11" * 32))
DESCRIPTION: Field = ("d", words_of(b"coffee"))
FEATURES: Field = ("9", [16, 8, 0])  # 8 and 14
BASIC = [HASH, PAYMENT_SECRET, DESCRIPTION, FEATURES]


def checked(hrp: str, words: Sequence[int]) -> str:
    """A bech32 string."""
    check = polymod(expand(hrp) + list(words) + [0] * 6) ^ 1
    return hrp + "1" + "".join(CHARSET[word] for word in [*words, *(check >> 5 * (5 - i) & 31 for i in range(6))])


def build(hrp: str = "lnbc", fields: Sequence[Field] = BASIC, timestamp: int = 1496314658, *, high_s: bool = False) -> str:
    """An invoice with these fields, signed by SECRET."""
    words = [timestamp >> 5 * (6 - i) & 31 for i in range(7)]
    for name, value in fields:
        words += [CHARSET.index(name), len(value) >> 5, len(value) & 31, *value]
    padding = -len(words) * 5 % 8
    signed = hrp.encode() + (number_of(words) << padding).to_bytes((len(words) * 5 + padding) // 8)
    signature = PrivateKey(SECRET).sign_recoverable(hashlib.sha256(signed).digest(), hasher=None)
    if high_s:
        flipped = ORDER - int.from_bytes(signature[32:64])
        signature = signature[:32] + flipped.to_bytes(32) + bytes([signature[64] ^ 1])
    return checked(hrp, words + words_of(signature))
