"""What this wallet's channels hold, and that there are enough of them: room to receive, one in the place of each that was lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from pylon.errors import PylonError
from pylon.lightning.node import LightningError, LightningNode
from pylon.lightning.values import Channel, Event
from pylon.units import Msat, msat_of_sats
from pylon.wallets.base import Balance
from pylon.wallets.ldk.book import Book
from pylon.wallets.ldk.life import Life
from pylon.wallets.ldk.slots import Slots
from pylon.wallets.ldk.trouble import code_of

log = logging.getLogger(__name__)

YOUNG_SECONDS = 15.0
"""A node that started later than this, or a channel that came later, has just come back."""
FORGOTTEN_SECONDS = 8.0
"""What is on its way stands in a channel by now, so long after all channels have become usable again."""
TOLD_SECONDS = 3.0
"""What a close decided is told by an event of the node a moment after its balances show it, and until then the record may say failed."""
REACHING = 10.0
"""Seconds that a payment or an invoice waits for the hub."""
OPENING = 15.0
"""Seconds that a channel of the hub may take until it can be used."""
USUAL = Msat(100_000_000)
"""Room to receive that is asked for in the place of a lost channel."""


class Channels:
    """The channels of one wallet."""

    def __init__(self, life: Life, slots: Slots, wanted: int) -> None:
        self._life = life
        self._slots = slots
        self._wanted = wanted
        self._asking = asyncio.Lock()
        self._refilling: asyncio.Task[None] | None = None
        self._changed_at = 0.0
        self._usable_since: float | None = None

    async def spendable(self, node: LightningNode) -> Msat:
        """What can be sent: all of the channels that are ready, whether their peer is there or not."""
        return Msat(sum(channel.outbound_msat for channel in await node.channels() if channel.ready))

    async def receivable(self, node: LightningNode) -> Msat:
        """What can be received."""
        return Msat(sum(channel.inbound_msat for channel in await node.channels() if channel.ready))

    async def balance(self, node: LightningNode, pending: Msat, queued: Msat) -> Balance:
        """All that is ours, each msat in one place. What is promised to payments that wait for their turn is not spendable any more."""
        channels, balances = await node.channels(), await node.balances()
        ready, open_ = [channel for channel in channels if channel.ready], {channel.id for channel in channels}
        ours = {claim.channel: claim.sat for claim in balances.claims if claim.kind == "open"}
        desk = await self._life.desk()
        agreed = await desk.do(lambda book, _: book.agreed())
        coming = [
            claim.sat for claim in balances.claims
            # Closed by both sides and in a block: the coins are there, and only LDK still waits for more blocks.
            if claim.kind in ("confirming", "contentious", "revoked") and not (claim.kind == "confirming" and claim.channel in agreed)
        ]
        coming += [sat for channel, sat in ours.items() if channel not in open_]
        coming += [sweep.sat for sweep in balances.sweeps if sweep.kind != "confirmed"]
        # A sweep that is not confirmed counts as closing; the chain's wallet counts it among what is not spendable.
        onchain = min(balances.onchain_sat, balances.onchain_spendable_sat + balances.anchor_reserve_sat)
        reserved = sum(min(channel.reserve_sat, ours.get(channel.id, channel.reserve_sat)) for channel in ready)
        return Balance(
            spendable=Msat(sum(channel.outbound_msat for channel in ready) - queued),
            receivable=Msat(sum(channel.inbound_msat for channel in ready)),
            pending=pending,
            reserved=msat_of_sats(reserved),
            closing=msat_of_sats(sum(coming)),
            onchain=msat_of_sats(onchain),
        )

    async def room(self, node: LightningNode, amount: Msat) -> bool:
        """Have room to receive that much. False where it comes with the payment (LSPS2). Raises PylonError where there is none."""
        if await self._fits(node, amount):
            return True
        if not self._life.hub.private:
            return not self._life.hub.jit
        async with self._asking:
            if not await self._fits(node, amount):
                await self.reach(node)
                await self._life.hub.inbound(node.node_id, amount, self._wanted)
                await self.until(node, lambda receivable, _: receivable >= amount)
        return True

    async def reach(self, node: LightningNode) -> None:
        """Wait a little for the hub where no channel can be used. On the private network it is started where it does not run."""
        if any(channel.usable for channel in await node.channels()) or not self._life.hub.private:
            return
        if await self._connected(node):
            return
        await self._life.hub.find()
        try:
            async with asyncio.timeout(REACHING):
                while not await self._connected(node):  # noqa: ASYNC110 the node tells of no connections
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise PylonError("the private network's hub is not connected", hint="try again; `pylon regtest status` says more") from error

    async def fund(self, node: LightningNode, amount: Msat) -> None:
        """New channels from the hub in which exactly that much is ours to spend."""
        async with self._asking:
            await self.reach(node)
            before = await self.spendable(node)
            await self._life.hub.fund(node.node_id, amount, self._wanted)
            await self.until(node, lambda _, spendable: spendable >= before + amount)

    async def doubtful(self, node: LightningNode, closes: int) -> bool:
        """Whether one of our channels closed after that many had, and something of it is still on its way."""
        await self._missed(node)
        await self.resolve(node)
        desk = await self._life.desk()
        return await desk.do(lambda book, now: book.closed_since(closes, now, TOLD_SECONDS))

    async def resolve(self, node: LightningNode) -> None:
        """Write down which closed channels have nothing on its way any more."""
        desk = await self._life.desk()
        closed = await desk.do(lambda book, _: book.unresolved())
        if closed:
            balances = await node.balances()
            busy = {claim.channel for claim in balances.claims} | {sweep.channel for sweep in balances.sweeps if sweep.kind != "confirmed"}
            if over := [channel for channel in closed if channel not in busy]:
                await desk.do(lambda book, now: book.resolved(over, now))

    async def forgot(self, node: LightningNode, payment_hash: bytes) -> bool:
        """Whether a payment without an end is surely not on its way. A crash can part the node's record from its channels, either way:
        the record is written after the first step, and a payment that waits in the channel's queue is lost with the process. All
        channels work again and have had their time, and none holds it, nor any dust that could be it."""
        since = self._usable_since
        if since is None or asyncio.get_running_loop().time() - since < FORGOTTEN_SECONDS:
            return False
        claims = (await node.balances()).claims
        return not any(claim.payment_hash == payment_hash.hex() or (claim.kind == "open" and claim.outgoing_payment) for claim in claims)

    def settle_again(self) -> None:
        """Something may just have begun: what the channels hold says nothing for a while."""
        self._usable_since = None

    def young(self) -> bool:
        """Whether the node, or a channel, has just come (back)."""
        return asyncio.get_running_loop().time() - max(self._life.started_at, self._changed_at) < YOUNG_SECONDS

    async def ready(self, node: LightningNode, event: Event) -> None:
        """A channel can be used, or is about to."""
        channel, peer, funding = event.channel or "", event.peer or "", event.funding or ""
        desk = await self._life.desk()
        await desk.do(lambda book, now: book.saw_channel(channel, peer, funding, now))
        if event.type == "channel_ready" and event.user_id is not None:
            try:
                await node.update_channel(event.user_id, peer)
            except LightningError as error:
                if code_of(error) != "channel_update_failed":
                    raise
                log.info("a channel that became ready is closed again")  # told again after a crash: the event of its close follows
        await self._count(node)

    async def closed(self, node: LightningNode, event: Event) -> None:
        """A channel is closed. Where we did not want that, another takes its place."""
        channel, peer, reason = event.channel or "", event.peer or "", event.detail or event.reason or ""
        desk = await self._life.desk()
        lost = await desk.do(lambda book, now: book.lost_channel(channel, peer, reason, now))
        log.warning("a channel is closed (%s); its money comes back on the chain", reason)
        await self._count(node)
        if lost:
            self._refill(node)

    async def recover(self, node: LightningNode) -> None:
        """After a start: the channels that are there, and those that are not any more."""
        self._usable_since = None
        desk = await self._life.desk()
        for channel in await node.channels():
            await desk.do(partial(_saw, channel))
        await self._missed(node)
        await self._count(node)

    async def tick(self, node: LightningNode) -> None:
        """A wallet that had a channel has as many as it should."""
        await self.resolve(node)
        desk, channels = await self._life.desk(), await node.channels()
        if not all(channel.usable for channel in channels):
            self._usable_since = None
        elif self._usable_since is None:
            self._usable_since = asyncio.get_running_loop().time()
        if self._life.hub.private and await desk.do(lambda book, _: book.lacks_channels(self._wanted, len(channels))):
            self._refill(node)

    def close(self) -> None:
        """Ask for no more."""
        if self._refilling is not None:
            self._refilling.cancel()

    async def _missed(self, node: LightningNode) -> None:
        """Channels that the book has open and the node does not have: the event of their close is on its way, or was lost."""
        desk = await self._life.desk()
        there = {channel.id for channel in await node.channels()}
        for channel in await desk.do(lambda book, _: book.open_channels()) - there:
            if await desk.do(partial(_lost, channel)):
                self._refill(node)

    async def _count(self, node: LightningNode) -> None:
        self._changed_at = asyncio.get_running_loop().time()
        self._slots.resize(sum(channel.ready for channel in await node.channels()))

    def _refill(self, node: LightningNode) -> None:
        """Ask for a channel in the place of one that was lost, until there is one."""
        if self._life.hub.private and (self._refilling is None or self._refilling.done()):
            self._refilling = asyncio.create_task(self._ask(node))

    async def _ask(self, node: LightningNode) -> None:
        pause = 0.25
        while not self._life.closed:
            try:
                async with self._asking:
                    await self._life.hub.inbound(node.node_id, USUAL, self._wanted)
                return
            except PylonError as error:
                log.info("no new channel yet: %s", error.message)
                await asyncio.sleep(pause)
                pause = min(5.0, 2 * pause)

    async def _fits(self, node: LightningNode, amount: Msat) -> bool:
        return await self.receivable(node) >= amount

    async def _connected(self, node: LightningNode) -> bool:
        return any(peer.connected for peer in await node.peers())

    async def until(self, node: LightningNode, enough: Callable[[int, int], bool]) -> None:
        """Until the channels show it: what can be received, what can be sent."""
        try:
            async with asyncio.timeout(OPENING):
                while True:
                    ring = self._life.bell.ring
                    channels = [channel for channel in await node.channels() if channel.usable]
                    if enough(sum(one.inbound_msat for one in channels), sum(one.outbound_msat for one in channels)):
                        return
                    await self._life.bell.wait(ring, 0.1)
        except TimeoutError as error:
            raise PylonError("the hub opened a channel that cannot be used yet", hint="look at `pylon wallet channels`") from error


def _saw(channel: Channel, book: Book, now: int) -> None:
    book.saw_channel(channel.id, channel.peer, channel.funding, now)


def _lost(channel: str, book: Book, now: int) -> bool:
    return book.lost_channel(channel, "", "", now)
