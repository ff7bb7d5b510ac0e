"""Watching a node that runs: its events, new blocks, and how it is."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

import msgspec

from pylon.errors import PylonError
from pylon.lightning.node import LightningError, LightningNode
from pylon.lightning.values import Event, NodeStatus
from pylon.wallets.base import Health, HealthState
from pylon.wallets.ldk import chainsource
from pylon.wallets.ldk.book import Desk
from pylon.wallets.ldk.trouble import judge, trouble

if TYPE_CHECKING:
    from pylon.wallets.ldk.life import Life

log = logging.getLogger(__name__)

PAUSES = (1.0, 60.0)
"""Seconds until what failed is tried again: the first time, and at most."""
SILENT = 8.0
"""A look that takes longer finds a node that does not answer."""
TICK = 2.0
"""Seconds between two looks at the node, and until a source that hung up is asked for new blocks again."""


class Parts(Protocol):
    """What the rest of the wallet does in the life of the node. Every step may be repeated."""

    async def recover(self, node: LightningNode) -> None:
        """The node runs again: bring it and the book together, before its events come."""

    async def handle(self, node: LightningNode, event: Event) -> None:
        """Something happened."""

    async def tick(self, node: LightningNode, status: NodeStatus) -> None:
        """Some time has passed."""


class Watch:
    """One run of a node."""

    def __init__(self, life: Life, node: LightningNode, parts: Parts, desk: Desk, seen: chainsource.Seen) -> None:
        self._life = life
        self._node = node
        self._parts = parts
        self._desk = desk
        self._seen = seen
        self._running = True
        self._broken = False
        self._looking = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._restarting: asyncio.Task[None] | None = None

    def start(self, chain: str) -> None:
        """Begin, with events first."""
        fresh = asyncio.Event()
        works = self._events(), self._blocks(chain, fresh), self._follow(fresh)
        self._tasks = [asyncio.create_task(work) for work in works]

    async def stop(self) -> None:
        """End it; what it was at is done again at the next start."""
        self._running = False
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _blocks(self, chain: str, fresh: asyncio.Event) -> None:
        """Hear of new blocks, where they do not come every ten minutes."""
        while True:
            async for _ in self._life.hub.blocks(chain):
                fresh.set()
            await asyncio.sleep(TICK)

    async def _follow(self, fresh: asyncio.Event) -> None:
        """See new blocks at once; many that came together are one look."""
        while True:
            await fresh.wait()
            fresh.clear()
            try:
                await self._node.sync()
            except LightningError as error:
                log.info("the chain cannot be read now: %s", error.args[1])
            await self.look()

    async def look(self) -> None:
        """See how the node is, and give its parts their time."""
        async with self._looking:
            await self._judge()
        if self._running and (self._broken or self._life.hub.moved) and (self._restarting is None or self._restarting.done()):
            log.warning("the Lightning node starts again: %s", "it broke" if self._broken else "the private network has moved")
            self._restarting = asyncio.create_task(self._life.restart())

    async def _judge(self) -> None:
        health = self._life.health
        try:
            async with asyncio.timeout(SILENT):
                status = await self._node.status()
                self._broken = status.panic is not None
                problem = judge(status, self._life.clock())
                if status.storage_error is None:  # else the node waits in every call until there is room
                    health, away = await self._see(status)
                    problem = problem or away
        except TimeoutError:
            problem = PylonError("the Lightning node does not answer", hint=f"its log is in {self._life.home.folder}")
        except Exception as error:
            problem = trouble(self._life.home.folder, "the wallet has a problem", error)
        if self._running:
            self._life.tell(health if problem is None else degraded(health, problem))

    async def _see(self, status: NodeStatus) -> tuple[Health, PylonError | None]:
        """How a node is that can work; its parts get their time."""
        peers = tuple(peer.node_id for peer in await self._node.peers() if peer.connected)
        if status.height > self._seen.height:
            self._seen = seen = msgspec.structs.replace(self._seen, height=status.height)
            await self._desk.do(lambda book, _: book.note("chain", msgspec.json.encode(seen).decode()))
        away = await self._life.hub.look(peers)
        await self._parts.tick(self._node, status)
        return Health(HealthState.READY, node_id=self._node.node_id, height=status.height, peers=peers), away

    async def _events(self) -> None:
        """Give each event to the parts; one that cannot be worked on now (a full disk) is tried again: the next waits for it."""
        async for event in self._node.events():
            pause, longest = PAUSES
            while True:
                try:
                    await self._parts.handle(self._node, event)
                    break
                except Exception as error:
                    problem = trouble(self._life.home.folder, f"an event of the Lightning node ({event.type}) waits", error)
                    self._life.tell(degraded(self._life.health, problem))
                    await asyncio.sleep(pause)
                    pause = min(longest, 2 * pause)
            self._life.bell.rouse()



def degraded(health: Health, problem: PylonError) -> Health:
    """It works, and that is wrong with it."""
    return msgspec.structs.replace(health, state=HealthState.DEGRADED, problem=problem.message, hint=problem.hint)
