"""What a running node does for commands: the calls of the control socket."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from pylon.config import Config
from pylon.control.arguments import NoArgs, read
from pylon.control.server import Args, Call, Update
from pylon.errors import NoModel, NoRelay, PaymentError, UsageError
from pylon.market.job import BuyerJob, BuyerState, Job, Role
from pylon.market.signals import PayOrdered, Withdrawn
from pylon.node import documents
from pylon.node.arguments import JobArgs, OffersArgs
from pylon.node.documents import Document
from pylon.node.intake import late_filters
from pylon.node.node import Node
from pylon.node.offers import OFFERS, Offers
from pylon.node.payments import Payments
from pylon.node.perform import ANSWERS
from pylon.node.submission import SubmitArgs, draft_job, request_of
from pylon.node.wallet_calls import WalletCalls
from pylon.nostr.nip90 import SUB_QUERY
from pylon.relay.pool import Pool
from pylon.units import Msat
from pylon.wallets.base import Wallet

RELAY_SECONDS = 5.0
GRACE_SECONDS = 1.0
"""After a deadline, for the job's own alarm to ring first."""


class Host(Protocol):
    """What the calls need of the running service: `relays` starts the pool, `status` is its document, `stop` ends it."""

    node: Node
    wallet: Wallet
    payments: Payments
    config: Config
    offers: Offers

    async def relays(self) -> Pool: ...
    def status(self) -> Document: ...
    def stop(self) -> None: ...


class Calls:
    """The calls, by name."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._wallet = WalletCalls(host)
        self._late = itertools.count()
        self._hears_offers = False

    def table(self) -> Mapping[str, Call]:
        """Every call that the socket serves."""
        return {
            "ping": self._ping,
            "status": self._status,
            "shutdown": self._shutdown,
            "relays": self._relays,
            "job.submit": self._submit,
            "job.ask": self._ask,
            "market.offers": self._offers,
            "job.watch": self._watch,
            "job.pay": self._pay_job,
            "job.cancel": self._cancel,
            **self._wallet.table(),
        }

    async def _status(self, args: Args, update: Update) -> object:
        read(args, NoArgs)
        balance = await self._host.wallet.balance()
        return {**self._host.status(), "wallet": documents.balance_document(self._host.wallet.capabilities, balance)}

    async def _ping(self, args: Args, update: Update) -> object:
        """So that a command can start a node before it asks something that must not be asked twice."""
        read(args, NoArgs)
        return {"pid": os.getpid()}

    async def _shutdown(self, args: Args, update: Update) -> object:
        read(args, NoArgs)
        self._host.stop()
        return {"pid": os.getpid()}

    async def _relays(self, args: Args, update: Update) -> object:
        """How the relays stand once each had a few seconds: for `doctor`."""
        read(args, NoArgs)
        pool = await self._host.relays()
        if await pool.wait_connected(RELAY_SECONDS):
            await pool.wait_eose(ANSWERS, RELAY_SECONDS)
        return {"relays": self._host.status()["relays"]}

    # Jobs.

    async def _submit(self, args: Args, update: Update) -> object:
        """Sign, store and send a request; returns when a relay has it, or none took it."""
        asked = read(args, SubmitArgs)
        request = request_of(asked, self._host.config)
        node = self._host.node
        pool = await self._host.relays()
        if asked.relays:
            await pool.ensure(asked.relays)
        job = draft_job(asked, request, node.buyer_keys, max_fee=Msat(self._host.config.wallet.max_fee_msats), now=time.time())
        node.submit(job)
        return documents.job_document(await node.watch(Role.BUYER, job.id, _reached("posted")))

    async def _ask(self, args: Args, update: Update) -> object:
        """One question for the swarm: to the provider with the most room, where one is known, paid by itself, until it ends."""
        asked = read(args, SubmitArgs)
        offers, node = self._host.offers, self._host.node
        await self._known_offers(asked.relays)
        provider, others = asked.provider, False
        if not provider:
            fitting = offers.fitting(
                asked.kind, most=Msat(asked.bid), avoid=frozenset(asked.avoid), now=time.time(), model=asked.model
            )
            provider, others = (fitting[0] if fitting else ""), len(fitting) > 1
        timeout = min(asked.timeout, asked.patience) if others and asked.patience is not None else asked.timeout
        asked = msgspec.structs.replace(asked, provider=provider, auto_pay=True, timeout=timeout)
        request = request_of(asked, self._host.config)
        job = draft_job(asked, request, node.buyer_keys, max_fee=Msat(self._host.config.wallet.max_fee_msats), now=time.time())
        offers.begin(provider)
        try:
            node.submit(job)
            ended = await self._until_end(job.id, None)
            if isinstance(ended, BuyerJob) and ended.state in (BuyerState.EXPIRED, BuyerState.LOST) and time.time() >= ended.deadline:
                offers.silent(provider, time.time())
            return documents.job_document(ended)
        finally:
            offers.end(provider)

    async def _offers(self, args: Args, update: Update) -> object:
        """Who sells sub-queries now, and what a payment's fee may be: for planning a run. NoRelay where none can be asked, NoModel where
        there are providers and none of them has the model."""
        asked = read(args, OffersArgs)
        pool = await self._host.relays()
        await pool.ensure(asked.relays)
        if not await pool.wait_connected(RELAY_SECONDS):
            why = "; ".join(f"{relay.url}: {relay.reason or relay.state}" for relay in pool.states())
            raise NoRelay(f"no relay can be reached ({why})", hint="`pylon doctor` looks at the relays")
        await self._known_offers(asked.relays)
        offers, now = self._host.offers, time.time()
        found = offers.alive(SUB_QUERY, now, asked.model)
        if not found and (models := offers.models(SUB_QUERY, now)):
            raise NoModel(f"no provider has the model {asked.model!r}", hint=f"they have {', '.join(models)}")
        simulated = self._host.wallet.capabilities.simulated
        return {
            "offers": found,
            "fee_msat": 0 if simulated else self._host.config.wallet.max_fee_msats,
        }

    async def _known_offers(self, urls: list[str]) -> Pool:
        """The pool, `urls` included, with the market's offers heard once."""
        pool = await self._host.relays()
        await pool.ensure(urls)
        if not self._hears_offers:
            self._hears_offers = True
            pool.subscribe(OFFERS, Offers.filters)
        await pool.wait_eose(OFFERS, RELAY_SECONDS)
        return pool

    async def _until_end(self, job_id: str, seen: Callable[[Job], None] | None) -> Job:
        """Wait for the end of a job of ours, or its deadline: a payment whose outcome is open keeps a job alive beyond it."""
        job = self._buyer_job(job_id)
        try:
            async with asyncio.timeout(max(0.0, job.deadline - time.time()) + GRACE_SECONDS):
                return await self._host.node.watch(Role.BUYER, job_id, _reached("end"), seen)
        except TimeoutError:
            return self._buyer_job(job_id)

    async def _watch(self, args: Args, update: Update) -> object:
        """Follow a job of ours; every change is an update."""
        asked = read(args, JobArgs)
        pool = await self._host.relays()
        job: Job = self._buyer_job(asked.id)
        if asked.until == "end":
            return documents.job_document(await self._until_end(asked.id, lambda job: update(documents.job_document(job))))
        late = f"late-{next(self._late)}"
        if job.ended and job.paid:
            pool.subscribe(late, late_filters(self._buyer_job(asked.id)))
        try:
            async with asyncio.timeout(asked.timeout):
                job = await self._host.node.watch(
                    Role.BUYER, asked.id, _reached(asked.until), lambda job: update(documents.job_document(job))
                )
        except TimeoutError:
            job = self._buyer_job(asked.id)
        finally:
            pool.unsubscribe(late)
        return documents.job_document(job)

    async def _pay_job(self, args: Args, update: Update) -> object:
        job = self._buyer_job(read(args, JobArgs).id)
        if job.state in (BuyerState.PAYING, BuyerState.UNSURE) or job.paid:
            return documents.job_document(job)  # begun already: never twice
        if job.ended:
            raise PaymentError(f"the job has ended ({job.state}): there is nothing to pay", hint="submit it again")
        if not job.quotes:
            raise PaymentError("no provider has named a price yet", hint="`pylon job status ID` shows when one has")
        await self._host.relays()
        return documents.job_document(self._host.node.apply(Role.BUYER, job.id, PayOrdered()))

    async def _cancel(self, args: Args, update: Update) -> object:
        job = self._buyer_job(read(args, JobArgs).id)
        if job.ended:
            raise UsageError(f"the job has ended already ({job.state})")
        await self._host.relays()
        return documents.job_document(self._host.node.apply(Role.BUYER, job.id, Withdrawn()))

    def _buyer_job(self, job_id: str) -> BuyerJob:
        job = self._host.node.job(Role.BUYER, job_id)
        if not isinstance(job, BuyerJob):
            raise UsageError(f"this home has posted no job {job_id!r}", hint="`pylon job list` shows those it has")
        return job


def _reached(until: str) -> Callable[[Job], bool]:
    """Whether a job has come as far as is waited for."""

    def holds(job: Job) -> bool:
        if not isinstance(job, BuyerJob):
            raise AssertionError("only jobs of ours are waited for")
        match until:
            case "posted":
                return job.ended or job.state is not BuyerState.DRAFT
            case "quoted":
                return job.ended or bool(job.quotes) or job.quote is not None
            case "answer":
                return job.state is BuyerState.DONE or (job.ended and not job.paid)
            case "end":
                return job.ended
        raise UsageError(f"one can wait until posted, quoted, end or answer, not {until!r}")

    return holds
