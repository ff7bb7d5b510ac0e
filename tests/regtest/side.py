"""A Lightning node of the tests, on the private network, in this process."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from pylon.lightning.node import LightningNode
from pylon.lightning.values import Channel, Event
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
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Side:
        await self.node.start()
        self._following = asyncio.get_running_loop().create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.node.stop()
        assert self._following is not None
        await self._following

    async def _follow(self) -> None:
        async for event in self.node.events():
            self.news.append(event)
            self._woken.set()
            self._woken = asyncio.Event()

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

    async def spendable(self) -> int:
        """What it can spend, in msat."""
        return sum(channel.outbound_msat for channel in await self.node.channels())

    async def receivable(self) -> int:
        """What it can be paid, in msat."""
        return sum(channel.inbound_msat for channel in await self.node.channels())


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
