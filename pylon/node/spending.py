"""Payments that a person orders, and those whose outcome is open: through the same door and the same journal as those of jobs."""

from __future__ import annotations

import asyncio
import logging
import time

from pylon.errors import InsufficientFunds, PaymentFailed, PaymentUnknown, PylonError
from pylon.market import spend
from pylon.node.journal import Payment, Status
from pylon.node.ledger import Ledger
from pylon.units import Msat
from pylon.wallets.base import Direction, Invoice, Paid, PaymentStatus, Wallet

log = logging.getLogger("pylon.node")

LOOK_SECONDS = (0.2, 1.0, 5.0, 15.0)


class Spending:
    """Pays invoices that belong to no job of ours."""

    def __init__(self, ledger: Ledger, wallet: Wallet, currency: str, max_fee: Msat) -> None:
        self._ledger = ledger
        self._wallet = wallet
        self._currency = currency
        self._max_fee = max_fee
        self._tasks: set[asyncio.Task[None]] = set()

    async def pay(self, bolt11: str) -> tuple[spend.Payable, Paid]:
        """Vet, journal, pay. Raises InvoiceRefused, PaymentFailed, InsufficientFunds, PaymentUnknown (it is followed up)."""
        bolt11 = bolt11.strip()
        spent = self._ledger.spent(spend.read(bolt11).payment_hash)
        payable = spend.vet(bolt11, tag=None, limit=None, currency=self._currency, now=time.time(), spent_before=spent)
        if self._ledger.payment(Direction.IN, payable.payment_hash) is not None:
            raise PaymentFailed("this is an invoice of this very wallet", hint="give it to somebody else to pay")
        with self._ledger.transaction(full=True):
            self._ledger.intend(Payment(
                direction=Direction.OUT, payment_hash=payable.payment_hash, bolt11=bolt11, amount=payable.amount, status=Status.PENDING,
                at=time.time(), memo=payable.description[:200],
            ))
        try:
            paid = await self._wallet.pay(bolt11, max_fee=self._max_fee, key=payable.payment_hash)
        except (PaymentFailed, InsufficientFunds):
            self._failed(payable.payment_hash)
            raise
        except PylonError as error:
            self.follow(payable.payment_hash)
            raise PaymentUnknown(f"the wallet does not say what became of the payment: {error.message}") from error
        self._settled(payable.payment_hash, paid)
        return payable, paid

    async def invoice(self, amount: Msat, memo: str, expires_in: int) -> Invoice:
        """An invoice for a person; its settlement is journaled by the wallet's events."""
        made = await self._wallet.invoice(amount, memo, expires_in)
        with self._ledger.transaction():
            self._ledger.intend(Payment(
                direction=Direction.IN, payment_hash=made.payment_hash, bolt11=made.bolt11, amount=made.amount, status=Status.PENDING,
                at=time.time(), memo=memo[:200],
            ))
        return made

    def resume(self) -> None:
        """At a start: what became of the payments that were under way? Those of jobs are followed by their effects."""
        for payment in self._ledger.pending():
            if not payment.job:
                self.follow(payment.payment_hash)

    def follow(self, payment_hash: bytes) -> None:
        """Look a payment up until the wallet knows."""
        task = asyncio.get_running_loop().create_task(self._follow(payment_hash))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, payment_hash: bytes) -> None:
        tries = 0
        while True:
            try:
                state = await self._wallet.lookup(payment_hash, Direction.OUT)
            except PylonError as error:
                log.warning("a payment cannot be looked up yet: %s", error.message)
            else:
                if state.status is PaymentStatus.SETTLED:
                    self._settled(payment_hash, Paid(state.preimage or b"", state.fee))
                    return
                # A wallet that has never heard of it may be about to: it is asked some more times before that counts as no.
                never_heard = state.status is PaymentStatus.UNKNOWN and tries >= len(LOOK_SECONDS)
                if never_heard or state.status in (PaymentStatus.FAILED, PaymentStatus.EXPIRED):
                    self._failed(payment_hash)
                    return
            await asyncio.sleep(LOOK_SECONDS[min(tries, len(LOOK_SECONDS) - 1)])
            tries += 1

    def _settled(self, payment_hash: bytes, paid: Paid) -> None:
        with self._ledger.transaction(full=True):
            self._ledger.settle(Direction.OUT, payment_hash, now=time.time(), fee=paid.fee, preimage=paid.preimage)

    def _failed(self, payment_hash: bytes) -> None:
        with self._ledger.transaction(full=True):
            self._ledger.fail(payment_hash)

    async def aclose(self) -> None:
        """Stop following; the journal remembers."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
