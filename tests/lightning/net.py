"""A private chain with an Electrum server, a hub and as many nodes as a test wants, all in one process and on one loop."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pylon.lightning.node import LightningError, LightningNode
from pylon.lightning.values import Event
from pylon.regtest.chain import Chain
from pylon.regtest.coins import Coins
from pylon.regtest.electrum import ElectrumServer

PATIENCE = 30.0


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a coroutine function answers yes."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - what another process or thread does
            await asyncio.sleep(0.01)


class Party:
    """A node with the events that it told."""

    def __init__(self, net: Net, name: str, folder: Path, **settings: Any) -> None:
        seed = hashlib.sha512(name.encode()).digest()
        self.node = LightningNode(folder, seed, "regtest", net.url, **settings)
        self.told: list[Event] = []
        self._more = asyncio.Condition()
        self._seen = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the node and listen."""
        await self.node.start()
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for event in self.node.events():
            async with self._more:
                self.told.append(event)
                self._more.notify_all()

    async def stop(self) -> None:
        """Stop the node; its events end with it."""
        await self.node.stop()
        if self._task:
            await self._task

    async def event(self, *types: str) -> Event:
        """The next event of these types."""
        async with asyncio.timeout(PATIENCE), self._more:
            while True:
                while self._seen < len(self.told):
                    event = self.told[self._seen]
                    self._seen += 1
                    if event.type in types:
                        return event
                await self._more.wait()

    async def usable(self, count: int = 1) -> None:
        """Wait until so many channels are usable."""

        async def there() -> bool:
            return sum(channel.usable for channel in await self.node.channels()) >= count

        await until(there)

    async def outbound_msat(self) -> int:
        """What can be sent."""
        return sum(channel.outbound_msat for channel in await self.node.channels())


class Net:
    """The private network of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.chain = Chain.open(folder / "chain")
        self.chain.mine(110)
        self.coins = Coins(self.chain)
        self.server = ElectrumServer(self.chain)
        self.url = ""
        self.address = f"127.0.0.1:{free_port()}"
        self.parties: list[Party] = []

    async def start(self) -> None:
        """The server, and a hub with coins."""
        self.url = f"tcp://127.0.0.1:{await self.server.start()}"
        self.hub = self.party("hub", listen=self.address, alias="hub", service=True)
        await self.hub.start()
        await self.coins_for(self.hub, 4)

    async def coins_for(self, party: Party, count: int, sats: int = 50_000_000) -> None:
        """So many coins for the on-chain wallet of a node."""
        for _ in range(count):
            self.coins.pay(await party.node.address(), sats)
        self.chain.mine()
        await party.node.sync()

    def party(self, name: str, folder: Path | None = None, **settings: Any) -> Party:
        """A node that was not started."""
        made = Party(self, name, folder or self.folder / name, **settings)
        self.parties.append(made)
        return made

    async def wallet(self, name: str, folder: Path | None = None, **settings: Any) -> Party:
        """A node of a user, connected to the hub."""
        made = self.party(name, folder, trusted=(self.hub.node.node_id, self.address), **settings)
        await made.start()
        await self.connected(made)
        return made

    async def connected(self, party: Party) -> None:
        """Wait for the connection to the hub, as both see it."""

        async def seen() -> bool:
            return any(peer.connected and peer.node_id == party.node.node_id for peer in await self.hub.node.peers())

        await until(seen)

    async def fund(self, party: Party, sats: int = 1_000_000, push_msat: int = 500_000_000) -> None:
        """A channel from the hub, of which the node has `push_msat`."""
        before = sum(channel.usable for channel in await party.node.channels())
        await self.hub.node.sync()
        await self.hub.node.open_channel(party.node.node_id, "127.0.0.1:1", sats, push_msat)
        await party.usable(before + 1)

    async def close(self) -> None:
        """Stop all of it."""
        for party in self.parties:
            with suppress(LightningError):
                await party.stop()
        await self.server.aclose()
        self.chain.close()


async def hold(payee: Party, payer: Party, amount_msat: int, number: int) -> tuple[bytes, Event]:
    """A payment that the payee holds: its preimage, and the event."""
    preimage = hashlib.sha256(number.to_bytes(8, "big")).digest()
    invoice = await payee.node.invoice(amount_msat, "held", 600, hashlib.sha256(preimage).digest())
    await payer.node.pay(invoice, 10_000)
    return preimage, await payee.event("claimable")
