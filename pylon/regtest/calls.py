"""What the private network does for wallets and commands: the calls of its socket."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Protocol

import msgspec

from pylon.control.arguments import NoArgs, read
from pylon.control.server import Args, Call, Update
from pylon.errors import UsageError
from pylon.regtest.chain import Chain
from pylon.regtest.coins import Coins
from pylon.regtest.documents import PROTOCOL, Document
from pylon.regtest.hub import Hub
from pylon.regtest.miner import Miner
from pylon.regtest.opening import Opener
from pylon.regtest.paying import Payer
from pylon.regtest.resolve import Resolver
from pylon.units import MAX_MSAT

NODE_ID = re.compile("0[23][0-9a-f]{64}")


class ChannelArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node, and what it is to spend or to receive, over at least so many channels."""

    node_id: str
    amount_msat: int
    channels: int = 1


class PayArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An invoice for the hub to pay."""

    bolt11: str


class FaucetArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where on-chain coins go, and how many."""

    address: str
    sats: int


class MineArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many blocks; `force`: also while a payment is held."""

    blocks: int = 1
    force: bool = False


class ResolveArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ids of channels that the caller knows to be closed."""

    channels: list[str] = []


class ReorgArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many of the last blocks go, and how many come in their place."""

    depth: int
    blocks: int


class Host(Protocol):
    """What the calls need of the running network."""

    chain: Chain
    coins: Coins
    hub: Hub
    miner: Miner
    opener: Opener
    payer: Payer
    resolver: Resolver

    def network(self) -> Document: ...
    async def status(self) -> Document: ...
    def stop(self) -> None: ...


class Calls:
    """The calls, by name."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def table(self) -> Mapping[str, Call]:
        """Every call that the socket serves."""
        return {
            "ping": self._ping,
            "network": self._network,
            "status": self._status,
            "fund": self._fund,
            "inbound": self._inbound,
            "pay": self._pay,
            "faucet": self._faucet,
            "mine": self._mine,
            "resolve": self._resolve,
            "reorg": self._reorg,
            "stop": self._stop,
        }

    async def _ping(self, args: Args, _: Update) -> Document:
        read(args, NoArgs)
        return {"pid": os.getpid(), "protocol": PROTOCOL}

    async def _network(self, args: Args, _: Update) -> Document:
        read(args, NoArgs)
        return self._host.network()

    async def _status(self, args: Args, _: Update) -> Document:
        read(args, NoArgs)
        return await self._host.status()

    async def _fund(self, args: Args, _: Update) -> Document:
        asked = _channels(args)
        return {"channels": await self._host.opener.fund(asked.node_id, asked.amount_msat, asked.channels)}

    async def _inbound(self, args: Args, _: Update) -> Document:
        asked = _channels(args)
        return {"channels": await self._host.opener.inbound(asked.node_id, asked.amount_msat, asked.channels)}

    async def _pay(self, args: Args, _: Update) -> Document:
        preimage, fee_msat = await self._host.payer.pay(read(args, PayArgs).bolt11)
        return {"preimage": preimage, "fee_msat": fee_msat}

    async def _faucet(self, args: Args, _: Update) -> Document:
        asked = read(args, FaucetArgs)
        try:
            return {"txid": self._host.coins.pay(asked.address, asked.sats)}
        except ValueError as error:
            raise UsageError(f"the faucet cannot pay that: {error}") from error

    async def _mine(self, args: Args, _: Update) -> Document:
        asked = read(args, MineArgs)
        await self._host.miner.mine(asked.blocks, force=asked.force)
        return self._top()

    async def _resolve(self, args: Args, _: Update) -> Document:
        channels = read(args, ResolveArgs).channels
        return {"waiting": await self._host.resolver.resolve(channels), **self._top()}

    async def _reorg(self, args: Args, _: Update) -> Document:
        asked = read(args, ReorgArgs)
        try:
            self._host.chain.reorg(asked.depth, asked.blocks)
        except ValueError as error:
            raise UsageError(str(error)) from error
        return self._top()

    def _top(self) -> Document:
        return {"height": self._host.chain.height, "tip": self._host.chain.tip}

    async def _stop(self, args: Args, _: Update) -> Document:
        read(args, NoArgs)
        self._host.stop()
        return {}


def _channels(args: Args) -> ChannelArgs:
    asked = read(args, ChannelArgs)
    if not NODE_ID.fullmatch(asked.node_id):
        raise UsageError("a node's id is a public key of 66 hexadecimal digits")
    if not 0 <= asked.amount_msat <= MAX_MSAT:
        raise UsageError(f"an amount is 0 to {MAX_MSAT} msat")
    return asked
