"""A Lightning node of the tests, on the private network, in this process."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from pylon.control.place import Place
from pylon.lightning.node import LightningNode
from pylon.lightning.values import Channel, Event
from pylon.regtest.daemon import Daemon
from pylon.wallets import network
from pylon.wallets.network import Network

Document = dict[str, object]


class Side:
    """A node and its news. Use as an asynchronous context manager."""

    def __init__(self, folder: Path, joined: Network) -> None:
        self.node = LightningNode(
            folder, hashlib.sha512(folder.name.encode()).digest(), "regtest", joined.electrum,
            trusted=(joined.hub.node_id, joined.hub.address),
        )
        self.id = self.node.node_id
        self.news: list[Event] = []
        self._woken = asyncio.Event()
        self._electrum = joined.electrum
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Side:
        await self.node.start()
        self._tasks = [asyncio.ensure_future(self._follow()), asyncio.ensure_future(self._look())]
        return self

    async def __aexit__(self, *_: object) -> None:
        following, looking = self._tasks
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await self.node.stop()
        await following

    async def _follow(self) -> None:
        async for event in self.node.events():
            self.news.append(event)
            self._woken.set()
            self._woken = asyncio.Event()

    async def _look(self) -> None:
        """As a wallet does: at the chain when there is a new block, not only every ten seconds."""
        async for _ in network.blocks(self._electrum):
            await self.node.sync()

    async def event(self, *types: str, seconds: float = 30.0) -> Event:
        """The next event of these types; it is taken out of the news."""
        async with asyncio.timeout(seconds):
            while True:
                for event in self.news:
                    if event.type in types:
                        self.news.remove(event)
                        return event
                await self._woken.wait()

    async def usable(self, count: int, seconds: float = 30.0) -> list[Channel]:
        """The channels, when so many can be used."""
        async with asyncio.timeout(seconds):
            while True:
                channels = [channel for channel in await self.node.channels() if channel.usable]
                if len(channels) >= count:
                    return channels
                await asyncio.sleep(0.02)

    async def totals(self) -> Document:
        """What it can spend and receive, in msat."""
        return {"spendable": await self.spendable(), "receivable": await self.receivable()}

    async def coins(self) -> Document:
        """What it can spend on-chain, in sats, after a look at the chain."""
        await self.node.sync()
        return {"onchain": (await self.node.balances()).onchain_spendable_sat}

    async def spendable(self) -> int:
        """What it can spend, in msat."""
        return sum(channel.outbound_msat for channel in await self.node.channels())

    async def receivable(self) -> int:
        """What it can be paid, in msat."""
        return sum(channel.inbound_msat for channel in await self.node.channels())


async def hold(payer: Side, payee: Side, amount_msat: int) -> tuple[bytes, Event]:
    """A payment that arrived and is kept: its preimage, and its event at the payee."""
    preimage = os.urandom(32)
    await payer.node.pay(await payee.node.invoice(amount_msat, "hold", 600, hashlib.sha256(preimage).digest()), 10_000)
    return preimage, await payee.event("claimable")


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Daemon, Network]]:
    """A private network in this process, whose parts a test can reach."""
    place = Place(folder)
    place.create()
    async with Daemon(place) as daemon:
        yield daemon, msgspec.convert(daemon.network(), Network)


async def call(state: Path, name: str, **args: object) -> Document:
    """A call to the private network that runs."""
    return msgspec.json.decode(await network.ask(state, name, args), type=Document)


async def until(ask: Callable[[], Awaitable[Document]], holds: Callable[[Document], bool], seconds: float = 20.0) -> Document:
    """Ask until the answer is as it should be."""
    async with asyncio.timeout(seconds):
        while True:
            if holds(said := await ask()):
                return said
            await asyncio.sleep(0.02)
