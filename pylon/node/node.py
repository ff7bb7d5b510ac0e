"""The node: the only place where relays, market, wallet and backends meet.

`apply` is its heart: a signal goes into a job's table, the step is stored with its effects in one transaction, the effects are performed,
whoever watches the job is told. It never awaits, so steps cannot interleave.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from pylon.config import CURRENCY, Config
from pylon.market import buyer, provider
from pylon.market.choice import BUYER_ACCOUNT
from pylon.market.effects import AnyEffect, Pay, Send, Then, Wake
from pylon.market.job import BuyerJob, BuyerState, Job, ProviderJob, ProviderState, Role
from pylon.market.payment import Status
from pylon.market.signals import Invoiced, Paid, PayFailed, PayUnknown, Settled, Signal, Woke
from pylon.market.terms import Terms
from pylon.node.journal import Payment
from pylon.node.ledger import Ledger, StoredEffect, role_of
from pylon.nostr.keys import Identity, Keys
from pylon.wallets.base import Direction

log = logging.getLogger("pylon.node")

NOT_TO_BE_PAID = (ProviderState.EXPIRED, ProviderState.CANCELLED)
"""Where the invoice of a job is closed in the journal."""


class Performs(Protocol):
    """Who does the effects; `resumed`: it may have been done before a crash."""

    def perform(self, stored: StoredEffect, *, resumed: bool = False) -> None:
        """Begin an effect."""


class Node:
    """The state of a running node. Everything here runs on the loop's thread."""

    def __init__(self, config: Config, identity: Identity, ledger: Ledger, terms: Terms) -> None:
        self.config = config
        self.ledger = ledger
        self.terms = terms
        self.currency = CURRENCY[config.network]
        self.accounts: tuple[Keys, Keys] = (identity.account(provider.PROVIDER_ACCOUNT), identity.account(BUYER_ACCOUNT))
        self.performer: Performs | None = None
        self.started_at = time.time()
        self._left = ledger.unfinished()
        """What the last run left to be done. Read before anything can happen, so that nothing of this run is among it."""
        self._open: dict[tuple[Role, str], Job] = {(role_of(job), job.id): job for job in ledger.open_jobs()}
        self._watchers: dict[tuple[Role, str], set[asyncio.Event]] = {}
        self._any = asyncio.Event()

    @property
    def provider_keys(self) -> Keys:
        """Account 0: sells."""
        return self.accounts[provider.PROVIDER_ACCOUNT]

    @property
    def buyer_keys(self) -> Keys:
        """Account 1: buys, so that one home can be both sides."""
        return self.accounts[BUYER_ACCOUNT]

    def job(self, role: Role, job_id: str) -> Job | None:
        """The record of a job, open or ended."""
        found = self._open.get((role, job_id))
        if found is not None:
            return found
        return self.ledger.provider_job(job_id) if role is Role.PROVIDER else self.ledger.buyer_job(job_id)

    def open_jobs(self, role: Role) -> list[Job]:
        """All jobs of that side that have not ended."""
        return [job for (side, _), job in self._open.items() if side is role]

    def apply(self, role: Role, job_id: str, signal: Signal, *, done: int | None = None) -> Job:
        """Take a signal in. `done` is the effect whose outcome it is. KeyError for a job that this home does not know."""
        job = self.job(role, job_id)
        if job is None:
            raise KeyError(job_id)
        return self._advance(job, signal, done)

    def begin(self, job: ProviderJob, signal: Signal) -> Job:
        """The first signal of a request that we consider."""
        return self._advance(job, signal, None)

    def submit(self, job: BuyerJob) -> None:
        """Store a new request of ours and send it.

        The disk is not waited for: what a power cut forgets was not paid, since the step that pays waits for all before it."""
        with self.ledger.transaction():
            stored = self.ledger.put(job, [Send(job.request, Then.POSTED, job.urls), Wake(job.deadline)], now=time.time())
        self._changed(job)
        self._perform(stored)

    def _advance(self, job: Job, signal: Signal, done: int | None) -> Job:
        now = time.time()
        after: Job
        effects: tuple[AnyEffect, ...]
        if isinstance(job, ProviderJob):
            step = provider.advance(job, signal, self.terms, now)
            after, effects = step.job, step.effects
        else:
            bought = buyer.advance(job, signal, self.currency, now, self.ledger.spent)
            after, effects = bought.job, bought.effects
        money = isinstance(signal, Settled | Paid | PayFailed) or any(isinstance(effect, Pay) for effect in effects)
        if after is job and not effects and not money and done is None:
            return job  # a repeat: strangers can send as many as they like, and none is worth a write
        with self.ledger.transaction(full=money):
            self._journal(job, signal, now)
            if isinstance(after, ProviderJob) and after.payment_hash and after.state in NOT_TO_BE_PAID:
                self.ledger.close_invoice(after.payment_hash)
            stored = self.ledger.put(after, effects, done=done, now=now)
        if after != job:
            log.info("%s job %s: %s -> %s", role_of(job), job.id, job.state, after.state)
            self._changed(after)
        self._perform(stored)
        return after

    def _journal(self, job: Job, signal: Signal, now: float) -> None:
        """What a signal says about money, in the same transaction as the step."""
        match signal:
            case Invoiced(bolt11=bolt11, payment_hash=payment_hash, amount=amount):
                self.ledger.intend(Payment(
                    direction=Direction.IN, payment_hash=payment_hash, bolt11=bolt11, amount=amount, status=Status.OPEN, at=now,
                    memo=f"pylon:{job.id}", job=job.id, peer=job.request.pubkey,
                ))
            case Settled(amount=amount, preimage=preimage, own=own) if isinstance(job, ProviderJob):
                self.ledger.settle(Direction.IN, job.payment_hash, now=now, preimage=preimage, own=own, received=amount)
            case Paid() | PayFailed() | PayUnknown() if isinstance(job, BuyerJob) and job.quote:
                self.ledger.take(job.quote.payment_hash, signal, now=now)
            case _:
                pass

    def settle_own(self, n: int, job_id: str) -> bool:
        """Pay our own provider inside the journal, both sides in one transaction.

        Only the *exact* invoice that stands open for the very job that our account 1 posted: False otherwise.
        """
        bought, sold = self.job(Role.BUYER, job_id), self.job(Role.PROVIDER, job_id)
        if not isinstance(bought, BuyerJob) or not isinstance(sold, ProviderJob) or bought.quote is None:
            return False
        open_invoice = self.ledger.payment(Direction.IN, bought.quote.payment_hash)
        if (
            open_invoice is None
            or open_invoice.status is not Status.OPEN
            or open_invoice.job != job_id
            or open_invoice.bolt11 != bought.quote.bolt11
            or sold.bolt11 != bought.quote.bolt11
            or sold.state is not ProviderState.INVOICED
            or sold.request.pubkey != self.buyer_keys.pubkey_hex
            or bought.quote.provider != self.provider_keys.pubkey_hex
            or bought.state is not BuyerState.PAYING
        ):
            return False
        now = time.time()
        earned = provider.advance(sold, Settled(bought.quote.amount, own=True), self.terms, now)
        paid = buyer.advance(bought, Paid(b"", fee=bought.fee, own=True), self.currency, now)
        with self.ledger.transaction(full=True):
            self.ledger.settle(Direction.IN, bought.quote.payment_hash, now=now, own=True)
            self.ledger.settle(Direction.OUT, bought.quote.payment_hash, now=now, own=True)
            stored = self.ledger.put(earned.job, earned.effects, now=now)
            stored += self.ledger.put(paid.job, paid.effects, done=n, now=now)
        log.info("job %s is paid by this home itself", job_id)
        self._changed(earned.job)
        self._changed(paid.job)
        self._perform(stored)
        return True

    def _perform(self, stored: list[StoredEffect]) -> None:
        if self.performer is not None:
            for effect in stored:
                self.performer.perform(effect)

    def resume(self, *, provides: bool) -> None:
        """What a start does: every effect that the last run left and, for a provider, another try for answers that are owed."""
        if self.performer is None:
            raise AssertionError("nobody performs effects yet")
        left, self._left = self._left, []
        for stored in left:
            self.performer.perform(stored, resumed=True)
        for job in self.open_jobs(Role.PROVIDER):
            if provides and job.state is ProviderState.OWING:
                self.apply(Role.PROVIDER, job.id, Woke())

    def _changed(self, job: Job) -> None:
        key = (role_of(job), job.id)
        if job.ended:
            self._open.pop(key, None)
        else:
            self._open[key] = job
        for event in self._watchers.get(key, ()):
            event.set()
        self._any.set()

    async def any_change(self, seconds: float) -> None:
        """Wait until some job changes, at most so long."""
        self._any.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._any.wait()
        except TimeoutError:
            return

    async def watch(self, role: Role, job_id: str, until: Callable[[Job], bool], seen: Callable[[Job], None] | None = None) -> Job:
        """Wait until the job looks as wanted; `seen` is called with every version. KeyError for an unknown job."""
        changed = asyncio.Event()
        watchers = self._watchers.setdefault((role, job_id), set())
        watchers.add(changed)
        try:
            while True:
                changed.clear()
                job = self.job(role, job_id)
                if job is None:
                    raise KeyError(job_id)
                if seen is not None:
                    seen(job)
                if until(job):
                    return job
                await changed.wait()
        finally:
            watchers.discard(changed)
            if not watchers:
                self._watchers.pop((role, job_id), None)
