"""The life of the embedded node: started when it is first needed, begun again when it fails, watched while it runs, stopped in order.

A wallet that nobody has used costs nothing. One that exists starts in the background. Before the node starts, the source of blocks is
checked. What fails is said at once to whoever needs the node, and tried again with growing pauses; nothing is lost by it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from pylon.errors import PylonError
from pylon.lightning.node import LightningError, LightningNode
from pylon.wallets.base import Health, HealthState
from pylon.wallets.ldk import behind, chainsource
from pylon.wallets.ldk.bell import Bell
from pylon.wallets.ldk.book import Desk
from pylon.wallets.ldk.hub import Hub
from pylon.wallets.ldk.locks import BOOK, WalletLock, lock_folder, lock_seed
from pylon.wallets.ldk.trouble import explain, trouble
from pylon.wallets.ldk.watch import PAUSES, TICK, Parts, Watch

log = logging.getLogger(__name__)

PATIENCE = 15.0
"""Seconds that a call waits for a node that is starting."""
STOPPING = 6.0
"""Seconds that the node has to stop."""


class Home(msgspec.Struct, frozen=True):
    """Where a wallet lives and what it may know. `key` seals what its book keeps secret, `seed` is the node's."""

    folder: Path
    state: Path
    network: str
    key: bytes
    seed: bytes

    @property
    def book(self) -> Path:
        """The file of the book: where it is, the wallet exists."""
        return self.folder / BOOK


class Life:
    """One wallet's node, in one event loop."""

    def __init__(self, home: Home, hub: Hub, parts: Parts, clock: Callable[[], float] = time.time) -> None:
        self.home = home
        self.hub = hub
        self.bell = Bell()
        self.health = Health(HealthState.OFF)
        self.started_at = 0.0
        """By the clock of the loop."""
        self._parts = parts
        self.clock = clock
        self._locks: list[WalletLock] = []
        self._desk: Desk | None = None
        self._opening = asyncio.Lock()
        self._node: LightningNode | None = None
        self._seed_lock: WalletLock | None = None
        self._seen: chainsource.Seen | None = None
        self._attempt: asyncio.Task[LightningNode] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._watch: Watch | None = None
        self._behind = False
        self._folder = asyncio.Lock()
        """Held while a node stops: until then it has the folder."""
        self._closed = False

    @property
    def exists(self) -> bool:
        """Whether this wallet was ever used."""
        return self._desk is not None or self.home.book.exists()

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._closed

    @property
    def running(self) -> LightningNode | None:
        """The node, where it runs."""
        return self._node

    @property
    def opened(self) -> Desk | None:
        """The book, where it is open already."""
        return self._desk

    async def desk(self) -> Desk:
        """The book, opened at its first use. Raises PylonError where another process has it, or it cannot be used."""
        async with self._opening:
            if self._closed:
                raise PylonError("the wallet is closed")
            if self._desk is None:
                lock = await asyncio.to_thread(lock_folder, self.home.folder)
                try:
                    durable = self.home.network != "regtest"
                    self._desk = await Desk.open(self.home.book, self.home.key, durable=durable, clock=self.clock)
                except BaseException:
                    lock.release()
                    raise
                self._locks.append(lock)
                self.bell.rouse()
            return self._desk

    def wake(self) -> None:
        """Start in the background, and keep it running."""
        if self._keeper is None and not self._closed:
            self._keeper = asyncio.create_task(self._keep())

    async def node(self) -> LightningNode:
        """The node, running. Starts it, and waits for a start. Raises PylonError that says why it cannot."""
        if self._closed:
            raise PylonError("the wallet is closed")
        self.wake()
        if self._node is not None:
            return self._node
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.shield(self._try())
        except TimeoutError as error:
            raise PylonError("the Lightning node is still starting", hint="`pylon wallet status` says how it is") from error

    async def restart(self) -> None:
        """Stop the node; the next use, or the next look, starts it again (the network has moved to another address)."""
        await self._end()
        self._try()

    async def aclose(self) -> None:
        """Stop everything within a few seconds. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for task in (self._keeper, self._attempt):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await self._end()
        async with self._opening:
            if self._desk is not None:
                await self._desk.close()
        for lock in self._locks:
            lock.release()
        self.health = Health(HealthState.OFF)
        self.bell.rouse()

    def _try(self) -> asyncio.Task[LightningNode]:
        """The start that is under way, or a new one."""
        if self._attempt is None or self._attempt.done():
            self._attempt = asyncio.create_task(self._start())
            self._attempt.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._attempt

    async def _start(self) -> LightningNode:
        if self._node is not None:
            return self._node
        self.tell(Health(HealthState.STARTING))
        node: LightningNode | None = None
        try:
            desk = await self.desk()
            route = await self.hub.find()
            self._seen = await self._check(desk, route.chain)
            async with self._folder:
                if self._behind:
                    await asyncio.to_thread(behind.give_up_channels, self.home.folder)
                    self._behind = False
                    log.warning("the channels are older than what their peers know: given up, their money comes back on the chain")
                node = await asyncio.to_thread(self.hub.make_node, self.home.folder, self.home.seed, route)
            if self._seed_lock is None:
                self._seed_lock = await asyncio.to_thread(lock_seed, self.home.state, node.node_id, self.home.folder)
                self._locks.append(self._seed_lock)
            await node.start()
            self.started_at = asyncio.get_running_loop().time()
            await self._parts.recover(node)
        except BaseException as error:
            if node is not None:
                await self._stop(node)
            if isinstance(error, LightningError):
                error = explain(error, self.home.folder)
            if isinstance(error, PylonError):
                self.tell(Health(HealthState.FAILED, error.message, error.hint))
            raise error
        self._node = node
        self._watch = Watch(self, node, self._parts, desk, self._seen)
        self._watch.start(route.chain)
        self.tell(Health(HealthState.READY, node_id=node.node_id, height=self._seen.height))
        return node

    async def _check(self, desk: Desk, chain: str) -> chainsource.Seen:
        """The source of blocks is the one of before."""
        known = await desk.do(lambda book, _: book.mark("chain"))
        seen = await chainsource.check(chain, self.home.network, msgspec.json.decode(known, type=chainsource.Seen) if known else None)
        await desk.do(lambda book, _: book.note("chain", msgspec.json.encode(seen).decode()))
        return seen

    async def _keep(self) -> None:
        pause, longest = PAUSES
        while True:
            try:
                node = await asyncio.shield(self._try())
            except Exception as error:
                trouble(self.home.folder, "the Lightning node does not start", error)
                await asyncio.sleep(pause)
                pause = min(longest, 2 * pause)
                continue
            pause = PAUSES[0]
            while self._node is node and self._watch is not None:
                await self._watch.look()
                await asyncio.sleep(TICK)

    async def _end(self) -> None:
        node, watch = self._node, self._watch
        self._node = self._watch = None
        if watch is not None:
            await watch.stop()
        if node is not None:
            async with self._folder:
                await self._stop(node)

    async def _stop(self, node: LightningNode) -> None:
        try:
            async with asyncio.timeout(STOPPING):
                self._behind = behind.is_behind(await node.status())
                await node.stop()
        except (TimeoutError, LightningError) as error:
            log.warning("the Lightning node did not stop in order: %r", error)

    def tell(self, health: Health) -> None:
        """How the node is now."""
        if health.state is not self.health.state:
            log.info("the Lightning node is %s %s", health.state, health.problem)
            self.bell.rouse()
        self.health = health
