"""The hub: a Lightning node with coins, the other end of everybody's channels. Here it lives; what it does for others is in `opening`
and `paying`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from pylon.errors import PylonError
from pylon.lightning.node import LightningError, LightningNode
from pylon.lightning.values import Event
from pylon.regtest.record import Record

log = logging.getLogger("pylon.regtest")

KEPT_OUTCOMES = 10_000
RETRY_SECONDS = 1.0


class HubBroken(PylonError):
    """The hub's node cannot be opened or started; the code is the library's."""

    def __init__(self, error: LightningError) -> None:
        code, message = error.args
        super().__init__(f"the hub's Lightning node cannot start: {message}", hint="see daemon.log, and hub/ beside it")
        self.code = code


class Hub:
    """The node and its news. `died` is called where the news end although nobody has stopped the node."""

    def __init__(self, folder: Path, seed: bytes, electrum: str, port: int, fee_msat: int, died: Callable[[], None]) -> None:
        self.address = f"127.0.0.1:{port}"
        try:
            self.node = LightningNode(
                folder / "hub", seed, "regtest", electrum, listen=self.address, alias="Pylon hub", service=True, fee_base_msat=fee_msat,
            )
        except LightningError as error:
            raise HubBroken(error) from error
        self.node_id = self.node.node_id
        self.record = Record(folder / "hub.sqlite3")
        self._died = died
        self._outcomes: dict[str, Event] = {}
        self._pulse = asyncio.Event()
        self._news: asyncio.Task[None] | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._behind = False
        self._started = False
        self._forwarded = -math.inf

    async def start(self) -> None:
        """Raises HubBroken where the node cannot start."""
        try:
            await self.node.start()
        except LightningError as error:
            raise HubBroken(error) from error
        self._started = True
        self.tell_block()
        self._news = asyncio.get_running_loop().create_task(self._follow())
        self._news.add_done_callback(self._ended)

    async def aclose(self) -> None:
        """Stop the node: it writes what it has to, and lets go of its folder."""
        self._started = False
        tasks = [task for task in (self._syncing, self._news) if task is not None]
        if self._news is not None:
            self._news.remove_done_callback(self._ended)
        await self.node.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.record.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.critical("the hub's news ended; the network stops", exc_info=task.exception())
            self._died()

    async def _follow(self) -> None:
        async for event in self.node.events():
            while True:
                try:
                    self._take(event)
                    break
                except sqlite3.OperationalError as error:  # the disk is full: the event stays, and is written down when there is room
                    log.error("the record of channels cannot be written: %s", error)
                    await asyncio.sleep(RETRY_SECONDS)
            if event.type == "channel_pending":
                await self._set_up(event)

    async def _set_up(self, event: Event) -> None:
        """Our side of a new channel as our settings have it. Those that others open begin with the library's own, by which dust is money:
        it would close a channel whose opener pays high fees, as Electrum does on every regtest."""
        try:
            await self.node.update_channel(event.user_id or "", event.peer or "")
        except LightningError as error:
            log.warning("channel %s keeps the library's settings: %s", event.channel, error)

    def _take(self, event: Event) -> None:
        """Write down what happened, then wake those who wait for it. The node is told that it is done when the next one is asked for."""
        now = time.time()
        match event.type:
            case "channel_pending":
                self.record.opened(event.channel or "", event.peer or "", event.funding or "", now)
                log.info("channel %s to %s: funded by %s", event.channel, event.peer, event.funding)
            case "channel_ready":
                log.info("channel %s to %s is ready", event.channel, event.peer)
                self._keep(event.user_id, event)
            case "channel_closed":
                self.record.closed(event.channel or "", event.peer or "", event.reason or "", now)
                log.warning("channel %s to %s is closed: %s", event.channel, event.peer, event.reason)
                self._keep(event.user_id, event)
            case "sent" | "failed":
                log.info("payment %s %s%s", event.payment_hash, event.type, f": {event.reason}" if event.reason else "")
                self._keep(event.payment_hash, event)
            case "forwarded":
                log.debug("forwarded a payment for %s msat", event.fee_msat)
                self._forwarded = time.monotonic()
            case _:
                log.info("%s %s", event.type, event.detail or "")
        self.pulse()

    def _keep(self, key: str | None, event: Event) -> None:
        if key:
            self._outcomes[key] = event
            while len(self._outcomes) > KEPT_OUTCOMES:
                del self._outcomes[next(iter(self._outcomes))]

    def outcome(self, key: str) -> Event | None:
        """The last word on a payment (by its hash) or on a channel that was being opened (by its user id)."""
        return self._outcomes.get(key)

    def busy(self, seconds: float) -> bool:
        """Whether a payment has gone through here in the last so many seconds."""
        return time.monotonic() - self._forwarded < seconds

    def pulse(self) -> None:
        """Wake all who wait for something to change."""
        self._pulse.set()
        self._pulse = asyncio.Event()

    async def change(self, seconds: float) -> None:
        """Until something changes, or so many seconds have gone."""
        try:
            async with asyncio.timeout(seconds):
                await self._pulse.wait()
        except TimeoutError:
            return

    def tell_block(self) -> None:
        """There is a new block, or a coin was spent: the node looks soon, instead of within its ten seconds. One look serves many calls."""
        self._behind = True
        if self._started and (self._syncing is None or self._syncing.done()):
            self._syncing = asyncio.get_running_loop().create_task(self._sync())

    async def _sync(self) -> None:
        while self._behind:
            self._behind = False
            await self.sync()

    async def sync(self) -> None:
        """Look at the chain now. Where that fails it is said in the log; the node tries again by itself."""
        try:
            await self.node.sync()
        except LightningError as error:  # the chain is our own, so this is a full disk, a stop, or a bug
            log.log(logging.WARNING if self._started else logging.DEBUG, "the hub could not look at the chain: %s", error)
        self.pulse()

    async def caught_up(self) -> None:
        """Until no look that was asked for is under way."""
        if self._syncing is not None:
            await asyncio.wait([self._syncing])
