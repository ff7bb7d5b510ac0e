"""The Lightning node on asyncio: calls run in threads of its own, events arrive through the loop, one at a time.

An event is acknowledged when its consumer comes back for the next one: after its own commit. What was not acknowledged before a stop or
a crash is told again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

import pylon._native.lightning as native
from pylon import __version__
from pylon._native.lightning import LightningError, Node
from pylon.lightning.values import Balances, Channel, Event, NodePayment, NodeStatus, Peer

__all__ = ["LightningError", "LightningNode"]

if native.__version__ != __version__:
    raise ImportError(f"Pylon is {__version__} but its Lightning extension is {native.__version__}: run `make native` or `pip install .`")

T = TypeVar("T")

THREADS = 16
"""Calls wait for the disk, for a peer or for the chain, and a payment must not wait for them."""


class LightningNode:
    """A node of one process and one loop. Its folder is held from its making until `stop`."""

    def __init__(
        self,
        folder: Path,
        seed: bytes,
        network: str,
        chain: str,
        *,
        listen: str | None = None,
        alias: str | None = None,
        trusted: tuple[str, str] | None = None,
        lsps2: tuple[str, str, str | None] | None = None,
        service: bool = False,
        fee_base_msat: int = 0,
        fee_ppm: int = 0,
        full_sync: bool = False,
        workers: int = 2,
        log_level: str = "info",
    ) -> None:
        """Opens the store: some 30 ms without the loop. The words are those of `pylon._native.lightning.Node`."""
        self._node = Node(
            str(folder), seed, network, chain, listen=listen, alias=alias, trusted=trusted, lsps2=lsps2, service=service,
            fee_base_msat=fee_base_msat, fee_ppm=fee_ppm, full_sync=full_sync, workers=workers, log_level=log_level,
        )
        self._threads = ThreadPoolExecutor(THREADS, "lightning")
        self._stopped = asyncio.Event()
        self.node_id = self._node.node_id

    async def _call(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    async def start(self) -> None:
        """Connects to the chain and to peers; LightningError `chain_source` where the chain is away (call it again)."""
        self._stopped.clear()
        await self._call(self._node.start)

    async def stop(self) -> None:
        """Stops the node, ends the iteration of events and lets go of the folder; the second stop does nothing."""
        self._stopped.set()
        await self._call(self._node.stop)

    async def events(self) -> AsyncGenerator[Event]:
        """Events until the stop, each acknowledged when the consumer asks for the next one. For one consumer."""
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()
        loop.add_reader(self._node.fileno(), wake.set)
        stopped = loop.create_task(self._stopped.wait())
        stopped.add_done_callback(lambda _: wake.set())
        try:
            while not self._stopped.is_set():
                text = self._node.event()
                if text is None:
                    wake.clear()
                    await wake.wait()
                    continue
                loop.remove_reader(self._node.fileno())  # it stays readable until the acknowledgement
                yield msgspec.json.decode(text, type=Event)
                if not self._stopped.is_set():
                    self._node.acknowledge()
                    loop.add_reader(self._node.fileno(), wake.set)
        finally:
            loop.remove_reader(self._node.fileno())
            stopped.cancel()

    async def status(self) -> NodeStatus:
        """How the node is."""
        return msgspec.json.decode(await self._call(self._node.status), type=NodeStatus)

    async def connect(self, node_id: str, address: str) -> None:
        """Connects to a peer and remembers it."""
        await self._call(self._node.connect, node_id, address)

    async def disconnect(self, node_id: str) -> None:
        """Disconnects from a peer and forgets it."""
        await self._call(self._node.disconnect, node_id)

    async def peers(self) -> list[Peer]:
        """The peers that are connected or remembered."""
        return msgspec.json.decode(await self._call(self._node.peers), type=list[Peer])

    async def channels(self) -> list[Channel]:
        """The channels that are open or being opened."""
        return msgspec.json.decode(await self._call(self._node.channels), type=list[Channel])

    async def balances(self) -> Balances:
        """All that the node owns."""
        return msgspec.json.decode(await self._call(self._node.balances), type=Balances)

    async def payments(self) -> list[NodePayment]:
        """The payments that the node knows, in no order."""
        return msgspec.json.decode(await self._call(self._node.payments), type=list[NodePayment])

    async def payment(self, payment_hash: bytes) -> NodePayment | None:
        """One payment by its hash."""
        text = await self._call(self._node.payment, payment_hash)
        return None if text is None else msgspec.json.decode(text, type=NodePayment)

    async def forget(self, payment_hash: bytes) -> None:
        """Forget an invoice that nobody paid; what comes for it later is sent back."""
        await self._call(self._node.forget, payment_hash)

    async def open_channel(self, node_id: str, address: str, sats: int, push_msat: int = 0) -> str:
        """Opens a channel and gives the peer `push_msat` of it; the user's id of the channel."""
        return await self._call(self._node.open_channel, node_id, address, sats, push_msat)

    async def close_channel(self, user_id: str, node_id: str, force: bool = False) -> None:
        """Closes a channel, together with the peer or by force."""
        await self._call(self._node.close_channel, user_id, node_id, force)

    async def update_channel(self, user_id: str, node_id: str) -> None:
        """Our side of a channel as the settings have it."""
        await self._call(self._node.update_channel, user_id, node_id)

    async def invoice(self, amount_msat: int, memo: str, expires_in: int, payment_hash: bytes | None = None, jit: bool = False) -> str:
        """An invoice; with a hash it is claimed by `claim` alone."""
        return await self._call(self._node.invoice, amount_msat, memo, expires_in, payment_hash, jit)

    async def pay(self, bolt11: str, max_fee_msat: int) -> None:
        """Begins to pay; an event says how it ended."""
        await self._call(self._node.pay, bolt11, max_fee_msat)

    async def claim(self, preimage: bytes, amount_msat: int) -> None:
        """Claims a payment that is held."""
        await self._call(self._node.claim, preimage, amount_msat)

    async def fail(self, payment_hash: bytes) -> None:
        """Sends a payment that is held back to its payer."""
        await self._call(self._node.fail, payment_hash)

    async def address(self) -> str:
        """A new address of the on-chain wallet."""
        return await self._call(self._node.address)

    async def send_onchain(self, address: str, sats: int | None = None, sat_per_vbyte: int | None = None) -> str:
        """Sends coins, or all that is spendable; the txid."""
        return await self._call(self._node.send_onchain, address, sats, sat_per_vbyte)

    async def sync(self) -> None:
        """Returns after a sync of both wallets that began after this call."""
        await self._call(self._node.sync)
