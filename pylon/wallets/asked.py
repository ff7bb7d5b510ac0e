"""What may be asked of an invoice, by BOLT 11 and by common sense: the same for every wallet that makes its own."""

from __future__ import annotations

import hashlib
import secrets

from pylon.errors import PaymentError
from pylon.units import MAX_MSAT, Msat, show_sats

MAX_EXPIRY = 365 * 24 * 3600
MAX_MEMO = 639
"""Bytes of UTF-8 in a BOLT11 description: 1023 groups of 5 bits (BOLT 11, tagged fields)."""


def hash_of(
    amount: Msat, memo: str, expires_in: int, preimage: bytes | None, payment_hash: bytes | None
) -> tuple[bytes, bytes | None]:
    """The payment hash of the invoice that is asked for, and its preimage: a fresh one where neither is given, None for a hold invoice.
    Raises PaymentError for what no invoice can be."""
    if preimage is not None and payment_hash is not None:
        raise PaymentError("an invoice is made from a preimage or from a payment hash, not from both")
    if not 0 < amount <= MAX_MSAT:
        raise PaymentError(f"an invoice cannot ask for {show_sats(amount)}")
    if not 0 < expires_in <= MAX_EXPIRY:
        raise PaymentError(f"an invoice expires after 1 second to {MAX_EXPIRY} seconds, not {expires_in}")
    if len(memo.encode("utf-8", "surrogatepass")) > MAX_MEMO:
        raise PaymentError(f"an invoice's description has at most {MAX_MEMO} bytes")
    if payment_hash is None:
        preimage = secrets.token_bytes(32) if preimage is None else preimage
        payment_hash = hashlib.sha256(preimage).digest()
    if len(payment_hash) != 32 or (preimage is not None and len(preimage) != 32):
        raise PaymentError("a preimage and a payment hash have 32 bytes")
    return payment_hash, preimage
