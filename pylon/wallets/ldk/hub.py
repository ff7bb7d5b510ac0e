"""Who this wallet's node has its channels with: the hub of the private network, or a provider of inbound room (LSPS2) on a real network."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from pylon.control.client import Gone, NotThere
from pylon.errors import PylonError
from pylon.lightning.node import LightningNode
from pylon.units import Msat
from pylon.wallets import network

GRACE = 3.0
"""Seconds without the hub until that is a problem: it connects within one."""
NAMES = {"mainnet": "bitcoin"}
"""Networks whose name is another one for the node."""


class Route(msgspec.Struct, frozen=True):
    """What a node needs to join: where blocks come from, and its peer (node id, host:port)."""

    chain: str
    peer: tuple[str, str] | None


class Hub(Protocol):
    """The counterpart of all our channels."""

    moved: bool
    """It has another address than the node was given."""

    @property
    def private(self) -> bool:
        """Whether it is the hub of the private network: it gives sats without value, and room, for the asking."""
        ...

    @property
    def jit(self) -> bool:
        """Whether it opens a channel when a payment arrives for which there is no room (LSPS2)."""
        ...

    async def find(self) -> Route:
        """The way to it, for a node that starts. Raises PylonError."""
        ...

    def make_node(self, folder: Path, seed: bytes, route: Route) -> LightningNode:
        """A node with its channels there. Blocks for some 30 ms."""
        ...

    async def look(self, peers: Sequence[str]) -> PylonError | None:
        """What is wrong with it, seen from a node that is connected to `peers`."""
        ...

    def blocks(self, chain: str) -> AsyncIterator[int]:
        """A height for each new block, until the source hangs up; none where the node looks often enough by itself."""
        ...

    async def fund(self, node_id: str, amount: Msat, channels: int) -> None:
        """Open channels in which `amount` is ours to spend."""
        ...

    async def inbound(self, node_id: str, amount: Msat, channels: int) -> None:
        """Have room to receive `amount`, over at least so many channels."""
        ...

    async def pay(self, bolt11: str) -> None:
        """Have it pay an invoice."""
        ...


class PrivateHub:
    """The hub of the private network of this machine. Sats there have no value."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._route: Route | None = None
        self._there_at = 0.0
        self.moved = False

    private = True
    jit = False

    async def find(self) -> Route:
        """The private network, started where none runs."""
        found = await network.ensure(self._state)
        self._there_at = time.monotonic()
        self._route, self.moved = Route(found.electrum, (found.hub.node_id, found.hub.address)), False
        return self._route

    def make_node(self, folder: Path, seed: bytes, route: Route) -> LightningNode:
        """A node that trusts the hub."""
        return LightningNode(folder, seed, "regtest", route.chain, trusted=route.peer)

    async def look(self, peers: Sequence[str]) -> PylonError | None:
        """Where it is away: does the network run, and still where it was? What was stopped is not started here: `regtest stop` means it.
        What was killed is: payments may be on their way through it."""
        now = time.monotonic()
        if self._route is None or self._route.peer is None or self._route.peer[0] in peers:
            self._there_at = now
        elif network.was_killed(self._state):
            await network.ensure(self._state)
        if self._route is None or now - self._there_at < GRACE:
            return None
        try:
            found = msgspec.json.decode(await network.ask(self._state, "network"), type=network.Network)
        except NotThere:
            return PylonError("the private network does not run", hint="start it with `pylon regtest start`; a payment starts it too")
        except Gone:
            return PylonError("the private network is just ending", hint="start it with `pylon regtest start`")
        self.moved = Route(found.electrum, (found.hub.node_id, found.hub.address)) != self._route
        return PylonError("the hub of the private network is not connected", hint="wait a moment: it is tried all the time")

    def blocks(self, chain: str) -> AsyncIterator[int]:
        """Blocks come on demand, many at once."""
        return network.blocks(chain)

    async def fund(self, node_id: str, amount: Msat, channels: int) -> None:
        """See `Hub`."""
        await network.call(self._state, "fund", {"node_id": node_id, "amount_msat": amount, "channels": channels})

    async def inbound(self, node_id: str, amount: Msat, channels: int) -> None:
        """See `Hub`."""
        await network.call(self._state, "inbound", {"node_id": node_id, "amount_msat": amount, "channels": channels})

    async def pay(self, bolt11: str) -> None:
        """See `Hub`."""
        await network.call(self._state, "pay", {"bolt11": bolt11})


class Provider:
    """A real network: blocks from a source of the user's choice, room from a provider if he names one."""

    def __init__(self, net: str, chain: str, lsp: str, token: str) -> None:
        self._network = net
        self._chain = chain
        self._token = token
        node_id, _, address = lsp.partition("@")
        self._peer = (node_id, address) if lsp else None
        self.moved = False

    private = False

    @property
    def jit(self) -> bool:
        """With a provider it is."""
        return self._peer is not None

    async def find(self) -> Route:
        """What the settings say."""
        if not self._chain:
            raise PylonError(f"no source of blocks is set for {self._network}", hint="set `[wallet] chain` in config.toml")
        return Route(self._chain, self._peer)

    def make_node(self, folder: Path, seed: bytes, route: Route) -> LightningNode:
        """A node whose every commit reaches the disk."""
        lsps2 = None if self._peer is None else (*self._peer, self._token or None)
        name = NAMES.get(self._network, self._network)
        return LightningNode(folder, seed, name, route.chain, trusted=self._peer, lsps2=lsps2, full_sync=True)

    async def look(self, peers: Sequence[str]) -> PylonError | None:
        """Whether the provider is connected."""
        if self._peer is None or self._peer[0] in peers:
            return None
        return PylonError("the provider of inbound room is not connected", hint="check `[wallet] lsp` and the connection")

    async def blocks(self, chain: str) -> AsyncIterator[int]:
        """A block takes ten minutes; the node looks every half."""
        none: tuple[int, ...] = ()
        for height in none:
            yield height

    async def fund(self, node_id: str, amount: Msat, channels: int) -> None:
        """There is no faucet."""
        raise PylonError(f"there is no faucet on {self._network}", hint="receive with `pylon wallet invoice`")

    async def inbound(self, node_id: str, amount: Msat, channels: int) -> None:
        """Room comes with the payment (LSPS2), or not at all."""

    async def pay(self, bolt11: str) -> None:
        """There is no faucet."""
        await self.fund("", Msat(0), 0)
