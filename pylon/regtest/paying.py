"""The hub pays invoices: that is how the faucet gives sats to a wallet that has the room for them.

A payment is known by its hash, and is made once: what is under way is waited for, what failed is not tried again, and what is not known is
said to be unknown.
"""

from __future__ import annotations

import asyncio
import logging

from pylon._native import Bolt11, bolt11_decode
from pylon.config import CURRENCY
from pylon.errors import InvoiceRefused, PaymentFailed, PaymentUnknown
from pylon.lightning.node import LightningError
from pylon.regtest.hub import Hub

log = logging.getLogger("pylon.regtest")

PAY_SECONDS = 30.0
MAX_FEE_MSAT = 10_000
NOT_BEGUN = {"invalid", "not_running", "payment_sending_failed"}
"""After these words of the library nothing has left; after any other a payment may be under way."""


class Payer:
    """Pays for the hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def pay(self, bolt11: str) -> tuple[str, int]:
        """The preimage and the fee in msat. Raises InvoiceRefused, PaymentFailed, PaymentUnknown."""
        invoice = _read(bolt11)
        payment_hash = invoice.payment_hash
        known = await self._hub.node.payment(payment_hash)
        if known is None or known.direction == "in":
            await self._begin(bolt11, payment_hash)
        elif known.status == "failed":
            raise PaymentFailed("the hub could not pay this invoice before, and does not try one twice", hint="make a new invoice")
        return await self._end(payment_hash)

    async def _begin(self, bolt11: str, payment_hash: bytes) -> None:
        try:
            await self._hub.node.pay(bolt11, MAX_FEE_MSAT)
        except LightningError as error:
            code, message = error.args
            if code == "duplicate_payment":
                log.info("payment %s is under way already", payment_hash.hex())
            elif code in NOT_BEGUN:
                raise PaymentFailed(f"the hub cannot pay: {message}", hint="is the wallet open, and has it room to receive?") from error
            else:
                raise PaymentUnknown(f"whether the hub has paid is not known: {message}", hint="look at the balance") from error

    async def _end(self, payment_hash: bytes) -> tuple[str, int]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PAY_SECONDS
        while (left := deadline - loop.time()) > 0:
            payment = await self._hub.node.payment(payment_hash)
            if payment is not None and payment.status == "succeeded" and payment.preimage is not None:
                return payment.preimage, payment.fee_msat or 0
            if payment is not None and payment.status == "failed":
                await self._check_gone(payment_hash)
                raise PaymentFailed("the hub could not pay the invoice", hint="is the wallet open, and has it room to receive?")
            await self._hub.change(min(left, 1.0))
        raise PaymentUnknown(f"the hub's payment is still under way after {PAY_SECONDS:g} s", hint="look at the balance")

    async def _check_gone(self, payment_hash: bytes) -> None:
        """A payment whose channel was closed on its way counts as failed in the library, and may still be claimed on the chain."""
        text = payment_hash.hex()
        if any(claim.payment_hash == text for claim in (await self._hub.node.balances()).claims):
            raise PaymentUnknown("the channel was closed with this payment in it: the chain decides", hint="look at the balance later")


def _read(bolt11: str) -> Bolt11:
    try:
        invoice = bolt11_decode(bolt11)
    except ValueError as error:
        raise InvoiceRefused(f"not an invoice: {error}") from error
    if invoice.currency != CURRENCY["regtest"]:
        raise InvoiceRefused(f"the invoice is of another network (`ln{invoice.currency}`); the hub has regtest sats only")
    if invoice.amount_msat is None:
        raise InvoiceRefused("the invoice names no amount")
    return invoice
