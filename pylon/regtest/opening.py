"""Channels from the hub: `fund` gives the other side sats, `inbound` room to receive.

One is opened at a time, and the hub's on-chain wallet looks at the chain between two: it does not know its own unconfirmed spending until
it has looked, and would spend the same coin twice.
"""

from __future__ import annotations

import asyncio
import logging

from pylon.errors import PylonError
from pylon.lightning.node import LightningError
from pylon.lightning.values import Channel
from pylon.regtest import plan
from pylon.regtest.chain import Chain
from pylon.regtest.hub import Hub
from pylon.regtest.plan import Plan
from pylon.regtest.purse import Purse

log = logging.getLogger("pylon.regtest")

CONNECT_SECONDS = 10.0
READY_SECONDS = 15.0
LOOK_SECONDS = 0.02
NO_ADDRESS = "127.0.0.1:1"
"""Wallets listen nowhere: they connect to the hub, and a channel is opened over that connection."""


class NotConnected(PylonError):
    """The node has no connection to the hub."""

    code = "not_connected"


class OpenFailed(PylonError):
    """A channel could not be opened."""

    code = "open_failed"


class Opener:
    """Opens channels, one after the other."""

    def __init__(self, chain: Chain, hub: Hub, purse: Purse) -> None:
        self._chain = chain
        self._hub = hub
        self._purse = purse
        self._turn = asyncio.Lock()
        self._spent = ""
        """The last funding transaction that the hub's own wallet has not seen yet."""

    async def fund(self, node_id: str, amount_msat: int, channels: int = 1) -> list[str]:
        """Open channels so that the node can spend exactly `amount_msat` more: their funding outpoints."""
        plans = plan.outward(amount_msat, channels)
        await self._connected(node_id)
        async with self._turn:
            return await self._open(node_id, plans)

    async def inbound(self, node_id: str, amount_msat: int, channels: int = 1) -> list[str]:
        """Open what is lacking for the node to receive `amount_msat` over so many channels: their funding outpoints."""
        plan.inward(amount_msat, channels)
        await self._connected(node_id)
        async with self._turn:
            there = await self._usable(node_id)
            lacking = max(0, amount_msat - sum(channel.next_limit_msat for channel in there))
            wanted = max(0, channels - len(there))
            if not lacking and not wanted:
                return []
            return await self._open(node_id, plan.inward(lacking, max(1, wanted)))

    async def _connected(self, node_id: str) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONNECT_SECONDS
        while not any(peer.connected and peer.node_id == node_id for peer in await self._hub.node.peers()):
            if loop.time() > deadline:
                raise NotConnected(f"the node {node_id} is not connected to the hub", hint="a wallet connects when it is open")
            await asyncio.sleep(LOOK_SECONDS)  # the library has no event for a peer that connects

    async def _usable(self, node_id: str) -> list[Channel]:
        """The channels with a node. One that is only being taken up again after a restart is waited for, not replaced."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONNECT_SECONDS
        while True:
            there = [channel for channel in await self._hub.node.channels() if channel.peer == node_id]
            if all(channel.usable for channel in there) or loop.time() > deadline:
                return [channel for channel in there if channel.usable]
            await asyncio.sleep(LOOK_SECONDS)

    async def _open(self, node_id: str, plans: list[Plan]) -> list[str]:
        await self._look()
        await self._purse.have(sum(one.capacity_sat for one in plans))
        return [await self._open_one(node_id, one) for one in plans]

    async def _open_one(self, node_id: str, one: Plan) -> str:
        await self._look()
        try:
            user_id = await self._hub.node.open_channel(node_id, NO_ADDRESS, one.capacity_sat, one.push_msat)
        except LightningError as error:
            raise OpenFailed(f"the hub cannot open a channel to {node_id}: {error.args[-1]}") from error
        channel = await self._ready(user_id, node_id)
        self._spent = channel.funding.partition(":")[0]
        return channel.funding

    async def _look(self) -> None:
        """The hub's wallet looks at the chain, once its last spending has come there: before that it would see nothing."""
        await self._hub.caught_up()
        if self._spent:
            deadline = asyncio.get_running_loop().time() + READY_SECONDS
            while not self._chain.knows(self._spent):
                if asyncio.get_running_loop().time() > deadline:
                    raise OpenFailed("the hub's last funding transaction does not reach the chain", hint="the network's log says why")
                await self._hub.change(0.1)
            await self._hub.sync()
            self._spent = ""

    async def _ready(self, user_id: str, node_id: str) -> Channel:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_SECONDS
        while True:
            for channel in await self._hub.node.channels():
                if channel.user_id == user_id and channel.usable:
                    return channel
            outcome = self._hub.outcome(user_id)
            if outcome is not None and outcome.type == "channel_closed":
                raise OpenFailed(f"the node {node_id} refuses a channel: {outcome.reason}")
            if loop.time() > deadline:
                raise OpenFailed(
                    f"a channel to {node_id} is not ready after {READY_SECONDS:g} s", hint="it may become ready yet: look at the balance"
                )
            await self._hub.change(0.1)
