"""The private network, running: everything opened in order, and closed in the reverse one.

The order is the shortest way to a hub that can open channels: while the chain is opened the Lightning module is loaded; the hub's coins
are in a block before the hub looks at the chain for the first time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack

from pylon.control.place import Place
from pylon.control.server import ControlServer
from pylon.errors import UsageError
from pylon.regtest import documents, kept
from pylon.regtest.calls import Calls
from pylon.regtest.chain import Chain
from pylon.regtest.coins import Coins
from pylon.regtest.documents import Document
from pylon.regtest.electrum import ElectrumServer
from pylon.regtest.hub import Hub
from pylon.regtest.kept import Ports
from pylon.regtest.miner import Miner
from pylon.regtest.opening import Opener
from pylon.regtest.paying import Payer
from pylon.regtest.purse import Purse
from pylon.regtest.resolve import Resolver

log = logging.getLogger("pylon.regtest")

FIRST_BLOCKS = 110
"""A reward can be spent a hundred blocks later: the first ten are the faucet's."""


class Daemon:
    """One process's private network. Use as an asynchronous context manager; the folder's lock is held by the caller."""

    chain: Chain
    coins: Coins
    hub: Hub
    miner: Miner
    purse: Purse
    opener: Opener
    payer: Payer
    resolver: Resolver
    electrum: str

    def __init__(self, place: Place) -> None:
        self.place = place
        self.folder = place.folder
        self._stack = AsyncExitStack()
        self._stopping = asyncio.Event()
        self._began = time.monotonic()

    async def __aenter__(self) -> Daemon:
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _open(self, stack: AsyncExitStack) -> None:
        fee_msat = _fee()
        seed = kept.hub_seed(self.folder)
        ports = kept.read_ports(self.folder)
        self.chain = chain = await asyncio.to_thread(Chain.open, self.folder / "chain")
        stack.callback(chain.close)
        if chain.height < FIRST_BLOCKS:
            chain.mine(FIRST_BLOCKS - chain.height)
        server = ElectrumServer(chain)
        ports = Ports(electrum=await server.start(kept.free_port(ports.electrum)), hub=kept.free_port(ports.hub))
        stack.push_async_callback(server.aclose)
        kept.write_ports(self.folder, ports)
        self.electrum = f"tcp://127.0.0.1:{ports.electrum}"
        self.coins = Coins(chain)
        first = not (self.folder / "hub").exists()
        self.hub = hub = Hub(self.folder, seed, self.electrum, ports.hub, fee_msat, self.stop)
        stack.push_async_callback(hub.aclose)
        self.miner = Miner(chain, hub)
        self.purse = Purse(hub, self.coins, self.miner)
        stack.push_async_callback(self.purse.aclose)
        if first:
            await self.purse.pour()
            chain.mine(1)
        await hub.start()
        self.opener = Opener(chain, hub, self.purse)
        self.payer = Payer(hub)
        self.resolver = Resolver(chain, server, hub, self.miner)
        self._run(stack, self.miner.run(), "the miner")
        self._run(stack, self.resolver.run(), "what closed channels wait for")
        control = ControlServer(self.place.control, Calls(self).table(), name="the private network", log_file=str(self.place.log))
        await control.start()
        stack.push_async_callback(control.aclose)

    def _run(self, stack: AsyncExitStack, work: Coroutine[None, None, None], what: str) -> None:
        """Keep a task for the network's whole life; its unexpected end stops the network rather than leaving it half alive."""
        task = asyncio.get_running_loop().create_task(work)

        def ended(done: asyncio.Task[None]) -> None:
            if not done.cancelled():
                log.critical("%s ended; the network stops", what, exc_info=done.exception())
                self.stop()

        async def end() -> None:
            task.remove_done_callback(ended)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        task.add_done_callback(ended)
        stack.push_async_callback(end)

    def network(self) -> Document:
        """`network`."""
        return documents.network(self.chain, self.hub, self.electrum)

    async def status(self) -> Document:
        """`status`."""
        return {
            "running": True, "pid": os.getpid(), **self.network(), "tip": self.chain.tip, "tip_ahead_s": round(self.chain.ahead(), 1),
            "mempool": self.chain.mempool,
            "uptime_s": round(time.monotonic() - self._began, 1), "no_value": True,
            "hub": await documents.hub_document(self.chain, self.hub), "processes": documents.processes(),
        }

    def stop(self) -> None:
        """Ask the network to end, once the client has its answer."""
        asyncio.get_running_loop().call_soon(self._stopping.set)

    async def run(self) -> None:
        """Until `stop`."""
        await self._stopping.wait()


def _fee() -> int:
    """What the hub takes for forwarding a payment: nothing, unless a test wants to see fees."""
    text = os.environ.get("PYLON_REGTEST_FEE_MSAT") or "0"
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise UsageError("PYLON_REGTEST_FEE_MSAT is no number of millisats")
    return int(text)

