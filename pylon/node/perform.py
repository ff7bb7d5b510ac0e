"""Doing what the tables decide. An effect is stored before it comes here; its outcome goes back as a signal that marks it done.

Done again after a crash, every effect has the same result: an event is signed once and kept; an invoice that was never published is
made anew; a payment is looked up before it is ever tried again; a computation is repeated.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine

from pylon.errors import InsufficientFunds, NoRelay, PaymentFailed, PylonError
from pylon.market.effects import (
    CancelInvoice,
    Generate,
    LookUp,
    MakeInvoice,
    Pay,
    Publish,
    Resend,
    Send,
    StopGenerating,
    Then,
    Wake,
)
from pylon.market.job import BuyerJob, ProviderJob, Role, Trouble
from pylon.market.signals import (
    Delivered,
    Invoiced,
    InvoiceFailed,
    NotPosted,
    PayFailed,
    PayUnknown,
    Posted,
    Signal,
    Woke,
)
from pylon.node.generate import Generator
from pylon.node.ledger import StoredEffect
from pylon.node.node import Node
from pylon.node.payments import Payments, until_written
from pylon.nostr.event import VerifiedEvent, sign
from pylon.nostr.nip40 import expires_at
from pylon.nostr.nip90 import FEEDBACK, RESULT_OFFSET
from pylon.relay.pool import Pool
from pylon.wallets.base import Direction, Wallet

log = logging.getLogger("pylon.node")

ANSWERS = "answers"
"""The subscription by which our requests hear of offers and results."""
POST_SECONDS = 10.0
"""How long a request of ours may wait for the first relay."""
SEND_SECONDS = 30.0
"""How long feedback waits for a relay before it is given up, and a result before it is sent anew."""


class Performer:
    """One task for each effect."""

    def __init__(self, node: Node, pool: Pool, wallet: Wallet, payments: Payments, generator: Generator | None) -> None:
        self._node = node
        self._pool = pool
        self._wallet = wallet
        self._payments = payments
        self._generator = generator
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._stopping = False

    def perform(self, stored: StoredEffect, *, resumed: bool = False) -> None:
        """Begin an effect. `resumed`: it may have been done before a crash."""
        if self._stopping:
            return  # it is stored; the next start does it
        match stored.effect:
            case Wake(at=at):
                self._wake(stored, at)
            case StopGenerating():
                if self._generator is not None:
                    self._generator.stop(stored.job)
                self._node.ledger.finish(stored.n)
            case Publish() as effect:
                self._task(self._publish(stored, effect))
            case Send() as effect:
                self._task(self._post(stored, effect))
            case Resend():
                self._task(self._resend(stored))
            case MakeInvoice() as effect:
                self._task(self._invoice(stored, effect))
            case Pay() as effect:
                self._task(self._pay(stored, effect, resumed))
            case LookUp(payment_hash=payment_hash):
                self._task(self._look_up(stored, payment_hash))
            case CancelInvoice(payment_hash=payment_hash):
                self._task(self._cancel_invoice(stored, payment_hash))
            case Generate() as effect:
                # Without the provider's role there is no backend: the computation waits in the ledger for the next provider.
                if self._generator is not None:
                    self._task(self._generate(stored, effect, self._generator))

    async def aclose(self) -> None:
        """Stop. What is not finished stays stored."""
        self._stopping = True
        for timer in self._timers:
            timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def busy(self) -> bool:
        """Whether anything but waiting for a time is under way."""
        return bool(self._tasks)

    def _task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an effect failed and stays to be done at the next start", exc_info=error)

    def _tell(self, stored: StoredEffect, signal: Signal) -> None:
        self._node.apply(stored.role, stored.job, signal, done=stored.n)

    def _wake(self, stored: StoredEffect, at: float) -> None:
        loop = asyncio.get_running_loop()

        def fire() -> None:
            self._timers.discard(timer)
            if not self._stopping and time.time() < at:
                self._wake(stored, at)  # timers of the loop may be a millisecond early
            elif not self._stopping:
                self._tell(stored, Woke())

        timer = loop.call_later(max(0.001, at - time.time()), fire)
        self._timers.add(timer)

    # Relays.

    def _signed(self, stored: StoredEffect, effect: Publish) -> VerifiedEvent:
        """The event of a Publish, signed once: the stored one after a crash."""
        if stored.event is not None:
            return stored.event
        keys = self._node.accounts[effect.account]
        draft = effect.draft
        if effect.reveal:
            job = self._node.job(stored.role, stored.job)
            draft = type(draft)(draft.kind, draft.created_at, job.preimage.hex() if job else "", draft.tags)
        if effect.seal_to:
            draft = type(draft)(draft.kind, draft.created_at, keys.encrypt(bytes.fromhex(effect.seal_to), draft.content), draft.tags)
        event = sign(draft, keys)
        self._node.ledger.sign(stored.n, event)
        return event

    async def _publish(self, stored: StoredEffect, effect: Publish) -> None:
        event = self._signed(stored, effect)
        while True:
            publication = self._pool.publish(event)
            try:
                await publication.accepted(SEND_SECONDS)
                break
            except NoRelay as error:
                log.warning("job %s: no relay took an event of kind %d: %s", stored.job, event.kind, error.message)
                # A result is owed, so it is sent until a relay takes it; an offer as long as it holds; other feedback is a courtesy.
                if effect.then is not Then.DELIVERED and time.time() >= (expires_at(event) or 0):
                    break
                await asyncio.sleep(1)  # a pause between rounds, so that a relay that refuses at once is not flooded
            finally:
                self._pool.forget(publication)
        if effect.then is Then.DELIVERED:
            self._tell(stored, Delivered())
        else:
            self._node.ledger.finish(stored.n)

    async def _post(self, stored: StoredEffect, effect: Send) -> None:
        """Send a request of ours to each relay after that relay's own EOSE, so that no early answer is missed."""
        job = self._node.job(stored.role, stored.job)
        if not isinstance(job, BuyerJob) or job.ended:
            self._node.ledger.finish(stored.n)
            return
        publication = self._pool.publish(effect.event, after=ANSWERS, urls=effect.urls or None)
        try:
            await publication.accepted(max(0.1, min(POST_SECONDS, job.deadline - time.time())))
        except NoRelay as error:
            self._pool.forget(publication)  # a relay that comes back later must not post what we say was not posted
            self._tell(stored, NotPosted(Trouble(error.code, error.message)))
        else:
            self._tell(stored, Posted())

    async def _resend(self, stored: StoredEffect) -> None:
        job = self._node.job(stored.role, stored.job)
        if isinstance(job, ProviderJob):
            kind = job.request.kind + RESULT_OFFSET if job.answer else FEEDBACK
            if (event := self._node.ledger.published(stored.role, stored.job, kind)) is not None:
                publication = self._pool.publish(event)
                try:
                    await publication.accepted(SEND_SECONDS)
                except NoRelay as error:
                    log.warning("job %s: not sent again: %s", stored.job, error.message)
                finally:
                    self._pool.forget(publication)
        self._node.ledger.finish(stored.n)

    # Money.

    async def _invoice(self, stored: StoredEffect, effect: MakeInvoice) -> None:
        try:
            made = await self._wallet.invoice(effect.amount, effect.memo, effect.expires_in)
        except PylonError as error:
            self._tell(stored, InvoiceFailed(Trouble(error.code, error.message)))
        else:
            self._tell(stored, Invoiced(made.bolt11, made.payment_hash, made.amount, made.expires_at))

    async def _pay(self, stored: StoredEffect, effect: Pay, resumed: bool) -> None:
        """By the engine of payments; an invoice of our own, inside the journal."""
        if self._node.ledger.payment(Direction.IN, effect.payment_hash) is None:
            outcome = await self._payments.perform(effect.payment_hash, resumed=resumed)
            await until_written(lambda: self._tell(stored, outcome))
            return
        try:
            await self._pay_own(stored, effect)
        except (PaymentFailed, InsufficientFunds) as error:
            self._tell(stored, PayFailed(Trouble(error.code, error.message)))
        except PylonError as error:
            self._tell(stored, PayUnknown(Trouble(error.code, error.message)))

    async def _pay_own(self, stored: StoredEffect, effect: Pay) -> None:
        balance = await self._wallet.balance()
        if balance.spendable < effect.amount:
            raise InsufficientFunds(f"the wallet holds {balance.spendable} msat and {effect.amount} are asked")
        if not self._node.settle_own(stored.n, stored.job):
            raise PaymentFailed("the invoice is one of this wallet's own, and not the open one of this job")
        await self._close_invoice(effect.payment_hash)

    async def _look_up(self, stored: StoredEffect, payment_hash: bytes) -> None:
        outcome = await self._payments.resolve(payment_hash)
        await until_written(lambda: self._tell(stored, outcome))

    async def _cancel_invoice(self, stored: StoredEffect, payment_hash: bytes) -> None:
        await self._close_invoice(payment_hash)
        self._node.ledger.finish(stored.n)

    async def _close_invoice(self, payment_hash: bytes) -> None:
        try:
            await self._wallet.cancel(payment_hash)
        except PylonError as error:
            log.warning("an invoice could not be closed: %s", error.message)  # it expires by itself

    # Answers.

    async def _generate(self, stored: StoredEffect, effect: Generate, generator: Generator) -> None:
        if (wait := effect.not_before - time.time()) > 0:
            await asyncio.sleep(wait)
        job = self._node.job(Role.PROVIDER, stored.job)
        if not isinstance(job, ProviderJob):
            raise AssertionError("a computation belongs to a provider's job")
        outcome = await generator.run(job)
        if outcome is None:
            self._node.ledger.finish(stored.n)  # stopped: the job has gone on without it
        else:
            self._tell(stored, outcome)
