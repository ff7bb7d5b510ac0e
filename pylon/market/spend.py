"""The one door for money that leaves: may this invoice be paid?

Everything that spends asks `vet` first, then journals, then calls the wallet. BOLT11 is decoded strictly in Rust; amount, network, expiry
and the payment hash are checked here; who asks (the payee of the job) is checked by the table that calls it.
"""

from __future__ import annotations

import msgspec

from pylon import _native
from pylon.errors import InvoiceRefused, OverBudget
from pylon.units import Msat, ceil_sat

MOST_CHARACTERS = 7089
"""The longest invoice read here (BOLT11 sets no limit; a QR code holds this many characters)."""
MARGIN = 2
"""Seconds an invoice must still live, so that a payment can complete."""
FUTURE = 600
"""Seconds an invoice may be dated ahead of our clock."""
LONGEST_LIFE = 10 * 365 * 86_400
"""Seconds after which no invoice counts as payable, whatever it says: BOLT11 allows an expiry of any length."""


class Payable(msgspec.Struct, frozen=True):
    """An invoice that may be paid."""

    bolt11: str
    amount: Msat
    payment_hash: bytes
    payee: bytes
    expires_at: int
    description: str


def read(bolt11: str) -> _native.Bolt11:
    """Decode strictly. Raises InvoiceRefused, also for strings that are not BOLT11 (Spark, LNURL, lightning addresses)."""
    if len(bolt11) > MOST_CHARACTERS:
        raise InvoiceRefused(f"the invoice is longer than {MOST_CHARACTERS} characters")
    if not bolt11.lower().startswith("ln") or bolt11.lower().startswith("lnurl"):
        kind = "nothing" if not bolt11 else "a lightning address" if "@" in bolt11 else "no BOLT11 invoice"
        raise InvoiceRefused(f"there is {kind} to pay here, only BOLT11 invoices can be paid")
    try:
        return _native.bolt11_decode(bolt11)
    except ValueError as error:
        raise InvoiceRefused(f"the invoice is not valid BOLT11: {error}") from error


def vet(bolt11: str, *, tag: Msat | None, limit: Msat | None, currency: str, now: float, spent_before: bool) -> Payable:
    """The invoice, if it may be paid. `tag` is the amount the provider announced, `limit` the bid or what is left of the budget
    (None: a person named this invoice), `currency` the BOLT11 prefix of our network.

    Raises InvoiceRefused or OverBudget with the reason.
    """
    invoice = read(bolt11)
    if invoice.currency != currency:
        raise InvoiceRefused(f"the invoice is for another network (ln{invoice.currency}, this wallet pays ln{currency})")
    if not invoice.amount_msat:
        # An amount of our own choosing could be anything: never supply one.
        raise InvoiceRefused("the invoice names no amount")
    amount = Msat(invoice.amount_msat)
    # The tag may have been rounded up to a whole sat by a wallet without millisats, never more (docs/protocol.md).
    if tag is not None and amount > ceil_sat(tag):
        raise InvoiceRefused(f"the invoice asks {amount} msat and its event announced {tag}")
    if limit is not None and amount > limit:
        raise OverBudget(f"the invoice asks {amount} msat and the limit is {limit}")
    expires_at = invoice.timestamp + min(invoice.expiry, LONGEST_LIFE)
    if expires_at <= now + MARGIN:
        raise InvoiceRefused("the invoice has expired")
    if invoice.timestamp > now + FUTURE:
        raise InvoiceRefused("the invoice is dated in the future")
    if spent_before:
        raise InvoiceRefused("an invoice with this payment hash was paid before")
    return Payable(bolt11, amount, invoice.payment_hash, invoice.payee, expires_at, invoice.description or "")
