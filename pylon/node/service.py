"""A running node: everything opened in order, and closed in the reverse one.

Two roles. `provider` sells and stays; `idle` only serves commands of this home and ends when nobody needs it any more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack

from pylon import __version__
from pylon.backends.base import Prompt
from pylon.backends.registry import Backends
from pylon.config import CURRENCY, NETWORKS, Config, Home, state_dir
from pylon.control.server import ControlServer
from pylon.errors import NoBackend, UsageError
from pylon.market.job import ProviderState, Role
from pylon.market.terms import Terms
from pylon.node import earning, localrelay, reconcile, succession
from pylon.node.allowance import limits_of
from pylon.node.announce import Announcer
from pylon.node.calls import Calls
from pylon.node.documents import Document
from pylon.node.generate import Generator
from pylon.node.intake import JOBS, Intake, answer_filters, job_filters
from pylon.node.ledger import Ledger
from pylon.node.localrelay import LocalRelay
from pylon.node.node import Node
from pylon.node.offers import Offers
from pylon.node.payments import Payments
from pylon.node.perform import ANSWERS, Performer
from pylon.nostr.keys import Identity
from pylon.relay.pool import Pool
from pylon.units import Msat
from pylon.wallets.base import Wallet
from pylon.wallets.registry import open_wallet

log = logging.getLogger("pylon.node")

IDLE_SECONDS = 600.0
DRAIN_SECONDS = 30.0
LAST_WORDS_SECONDS = 2.0


class Service:
    """One process's node. Use as an asynchronous context manager; the home's lock is held by the caller."""

    node: Node
    wallet: Wallet
    payments: Payments
    config: Config
    offers: Offers
    notice: str
    """What a person should be told once, now."""

    def __init__(self, home: Home, config: Config, identity: Identity, *, provides: bool) -> None:
        self.home = home
        self.config = config
        self.provides = provides
        self._identity = identity
        self.offers = Offers()
        try:
            self._patience = float(os.environ.get("PYLON_IDLE_SECONDS") or IDLE_SECONDS)
        except ValueError as error:
            raise UsageError("PYLON_IDLE_SECONDS is no number of seconds") from error
        self._stack = AsyncExitStack()
        self._stopping = asyncio.Event()
        self._pool_started = False
        self._backends: Backends | None = None
        self._announcer: Announcer | None = None
        self._local: LocalRelay | None = None

    async def __aenter__(self) -> Service:
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._announcer is not None and self._pool_started:
            try:
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await self._announcer.beat("offline")
            except TimeoutError:
                log.info("no relay heard that we leave")
        await self._stack.aclose()

    async def _open(self, stack: AsyncExitStack) -> None:
        config, keys = self.config, self._identity
        ledger = Ledger(self.home.ledger, secret=keys.wallet_secret())
        stack.callback(ledger.close)
        self.wallet = open_wallet(
            config.wallet.backend, home=self.home.path, state=state_dir(), secret=keys.wallet_secret(),
            seed=keys.lightning_seed(NETWORKS.index(config.network)), config=config,
        )
        stack.push_async_callback(self.wallet.aclose)
        slots = 0
        backends = Backends()
        stack.push_async_callback(backends.aclose)
        if self.provides:
            await backends.start(config.backends)
            if not backends.available():
                raise NoBackend("nothing here can answer: no model is running", hint="run `pylon models pull`, or start a llama-server")
            # Really asked, so that an engine that cannot load is found now, and the first customer does not wait for it.
            backend, model = await backends.choose("", config.provider.default_model)
            await backend.count(Prompt("ready?", model=model.name))
            slots = config.provider.slots or max(1, backends.slots())
            self._backends = backends
        terms = Terms(
            pubkey=keys.account(0).pubkey_hex, floor=Msat(config.provider.min_price_msats), per_1k=Msat(config.provider.price_per_1k_msats),
            require_payment=config.provider.require_payment, capacity=slots + config.provider.queue,
            whole_sats=not self.wallet.capabilities.msat,
        )
        self.notice = succession.succeed(ledger, self.wallet.capabilities, time.time())
        self.node = Node(config, keys, ledger, terms)
        self.payments = Payments(
            ledger, self.wallet, CURRENCY[config.network], Msat(config.wallet.max_fee_msats), limits_of(config.wallet.limits)
        )
        stack.push_async_callback(self.payments.aclose)
        self._intake = Intake(self.node, self._backends, self.offers)
        self._pool = Pool(
            config.relays, self.node.accounts,
            on_event=self._intake.on_event, on_repeat=self._intake.on_repeat, on_eose=self._intake.on_eose,
            clock=time.time, rng=random.Random(), recheck=config.recheck_signatures,
        )
        self._generator = Generator(backends, slots, config.provider.default_model) if self.provides else None
        performer = Performer(self.node, self._pool, self.wallet, self.payments, self._generator)
        self._performer = performer
        stack.push_async_callback(self._close_pool)
        stack.push_async_callback(self._intake.aclose)
        stack.push_async_callback(performer.aclose)
        self.node.performer = performer
        self._run(stack, earning.follow(self.node, self.wallet), "the wallet's news")
        self.payments.resume()
        self._run(stack, reconcile.once(self.node, self.wallet), "the comparison with the wallet", ends=True)
        if self.provides or self.node.open_jobs(Role.BUYER) or self.node.open_jobs(Role.PROVIDER):
            await self.relays()
        self.node.resume(provides=self.provides)
        if self._generator is not None:
            line = self._generator.slots
            self._announcer = Announcer(
                self._pool, self.node.provider_keys, config.relays, name=config.provider.name, price=terms.floor, per_1k=terms.per_1k,
                free_slots=lambda: max(0, line.size - line.used),
            )
            self._run(stack, self._announcer.run(self._models), "the announcement")
        self._control = ControlServer(self.home.control, Calls(self).table())
        await self._control.start()
        stack.push_async_callback(self._control.aclose)

    def _run(self, stack: AsyncExitStack, work: Coroutine[None, None, None], what: str, *, ends: bool = False) -> None:
        """Keep a task for the node's whole life; its unexpected end stops the node rather than leaving it half alive. `ends`: it may."""
        task = asyncio.get_running_loop().create_task(work)

        def ended(done: asyncio.Task[None]) -> None:
            if not done.cancelled() and not (ends and done.exception() is None):
                log.critical("%s ended; the node stops", what, exc_info=done.exception())
                self._stopping.set()

        task.add_done_callback(ended)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        stack.push_async_callback(end)

    async def relays(self) -> Pool:
        """The pool, started when it is first needed: a wallet needs no relay."""
        if not self._pool_started:
            self._pool_started = True
            if localrelay.is_wanted(self.config.relays):
                self._local = LocalRelay()
                await self._local.start()
            self._pool.subscribe(ANSWERS, lambda: answer_filters(self.node))
            if self.provides:
                self._pool.subscribe(JOBS, job_filters)
            await self._pool.start()
        return self._pool

    async def _close_pool(self) -> None:
        if self._pool_started:
            await self._pool.aclose()
        if self._local is not None:
            await self._local.aclose()

    def _models(self) -> tuple[str, ...]:
        if self._backends is None:
            return ()
        return tuple(dict.fromkeys(model.name for _, models in self._backends.available() for model in models))

    def status(self) -> Document:
        """`status`."""
        backends = self._backends.available() if self._backends else []
        total, jobs = self.node.ledger.earnings()
        return {
            "running": True,
            "pid": os.getpid(),
            "version": __version__,
            "role": "provider" if self.provides else "idle",
            "uptime_s": round(time.time() - self.node.started_at, 1),
            "pubkey": self.node.provider_keys.pubkey_hex,
            "npub": self.node.provider_keys.npub,
            "relays": [
                {
                    "url": relay.url, "state": str(relay.state), "authenticated": relay.authenticated,
                    "rtt_ms": None if relay.rtt_ms is None else round(relay.rtt_ms, 1), "reason": relay.reason,
                }
                for relay in (self._pool.states() if self._pool_started else [])
            ],
            "backends": [{"name": b.name, "models": [m.name for m in models]} for b, models in backends],
            "slots": {"size": self._generator.slots.size, "used": self._generator.slots.used} if self._generator else None,
            "jobs": self.node.ledger.counts(),
            "earnings": {"total_msat": total, "jobs": jobs},
        }

    def stop(self) -> None:
        """Ask the node to end, once the control client has its answer."""
        asyncio.get_running_loop().call_soon(self._stopping.set)

    async def run(self) -> None:
        """Until `stop`, or, without the provider's role, until nobody needs us any more. Then drain."""
        if self.provides:
            await self._stopping.wait()
        else:
            await self._until_idle()
        await self._drain()

    async def _until_idle(self) -> None:
        patience = self._patience
        needed_at = time.monotonic()
        while not self._stopping.is_set():
            if self._control.clients or self._performer.busy or self.payments.busy or self.node.open_jobs(Role.BUYER):
                needed_at = time.monotonic()
            left = needed_at + patience - time.monotonic()
            if left <= 0:
                log.info("nobody needs this node any more")
                return
            try:
                async with asyncio.timeout(min(left, 5.0)):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def _drain(self) -> None:
        """Let what is being computed end and be delivered; the rest stays in the ledger for the next start."""
        self._intake.close()
        # Without the provider's role nothing is computed here: such jobs wait for the next provider, not for us.
        due = {ProviderState.RUNNING, ProviderState.ANSWERED} if self.provides else {ProviderState.ANSWERED}
        deadline = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < deadline:
            busy = [job for job in self.node.open_jobs(Role.PROVIDER) if job.state in due]
            if not busy:
                return
            log.info("%d jobs are still being answered", len(busy))
            await self.node.any_change(min(1.0, max(0.0, deadline - time.monotonic())))
