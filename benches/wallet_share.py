"""What a payment costs through our engine, journal and wallet, beside a payment of a bare node to the same provider in the same run.

Both payers live in this process, so that the node's part can be taken off: from the call that begins a payment to the event that ends it.
"""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from benches.wallet_stage import Party, Stage
from pylon import _native
from pylon.config import NETWORKS, load
from pylon.lightning.node import LightningNode
from pylon.lightning.values import Event
from pylon.node.ledger import Ledger
from pylon.node.payments import Payments
from pylon.nostr.keys import Identity
from pylon.units import Msat
from pylon.wallets import network
from pylon.wallets.ldk import hub
from pylon.wallets.registry import open_wallet

QUARTETS = 12
SATS = 100
FUND_MSAT = 100_000_000
MAX_FEE = Msat(5000)


class Share(NamedTuple):
    """Medians in milliseconds."""

    engine_ms: float
    bare_ms: float
    own_ms: float
    own_p95_ms: float


class Bare:
    """A node and nothing else."""

    def __init__(self, node: LightningNode) -> None:
        self.node = node
        self._waiting: dict[str, asyncio.Future[Event]] = {}
        self._news = asyncio.ensure_future(self._follow())

    @classmethod
    async def open(cls, stage: Stage, folder: Path) -> Bare:
        """A node with a funded channel to the hub."""
        where = await network.ensure(stage.state)
        seed = hashlib.sha512(bytes(folder)).digest()
        node = LightningNode(folder, seed, "regtest", where.electrum, trusted=(where.hub.node_id, where.hub.address))
        await node.start()
        await stage.ask("fund", {"node_id": node.node_id, "amount_msat": FUND_MSAT})
        return cls(node)

    async def _follow(self) -> None:
        async for event in self.node.events():
            waiting = self._waiting.pop(event.payment_hash or "", None)
            if event.type in ("sent", "failed") and waiting is not None:
                waiting.set_result(event)

    async def pay(self, bolt11: str, payment_hash: str) -> None:
        """Pay, and wait for the end."""
        waiting = self._waiting[payment_hash] = asyncio.get_running_loop().create_future()
        await self.node.pay(bolt11, MAX_FEE)
        event = await waiting
        assert event.type == "sent", event

    async def aclose(self) -> None:
        """Stop the node."""
        await self.node.stop()
        await self._news


class Watch:
    """When the node began and ended each payment, seen from between it and the wallet."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.ended: dict[str, float] = {}

    def node(self) -> type[LightningNode]:
        """The node's class, which says so."""
        watch = self

        class Watched(LightningNode):
            async def pay(self, bolt11: str, max_fee_msat: int) -> None:
                watch.began[_hash_of(bolt11)] = time.perf_counter()
                await super().pay(bolt11, max_fee_msat)

            async def events(self) -> AsyncGenerator[Event, None]:
                async for event in super().events():
                    if event.type == "sent":
                        watch.ended[event.payment_hash or ""] = time.perf_counter()
                    yield event

        return Watched


def _hash_of(bolt11: str) -> str:
    return _native.bolt11_decode(bolt11).payment_hash.hex()


async def measure(stage: Stage, provider: Party) -> Share:
    """Quartets of payments: engine, bare, bare, engine."""
    watch = Watch()
    party = stage.party("engine")
    identity, config = Identity.load(party.home.identity, None), load(party.home.config)
    seed = identity.lightning_seed(NETWORKS.index(config.network))
    wallet = open_wallet("ldk", home=party.home.path, state=stage.state, secret=identity.wallet_secret(), seed=seed, config=config)
    with patch.object(hub, "LightningNode", watch.node()):
        await wallet.fund(Msat(FUND_MSAT))
    bare = await Bare.open(stage, party.home.path / "bare")
    ledger = Ledger(party.home.ledger)
    engine = Payments(ledger, wallet, "bcrt", MAX_FEE)
    spent: dict[str, list[float]] = {"engine": [], "bare": [], "own": []}
    try:
        for turn in range(QUARTETS + 1):
            for who in ("engine", "bare", "bare", "engine"):
                made = await provider.ask("wallet.invoice", {"sats": SATS, "memo": ""})
                bolt11, payment_hash = str(made["bolt11"]), str(made["payment_hash"])
                began = time.perf_counter()
                if who == "engine":
                    await engine.pay(bolt11)
                else:
                    await bare.pay(bolt11, payment_hash)
                took = time.perf_counter() - began
                if turn:  # the first turn waits two seconds for the nodes' first look at what to forward
                    spent[who].append(took * 1000)
                    if who == "engine":
                        spent["own"].append((took - (watch.ended[payment_hash] - watch.began[payment_hash])) * 1000)
    finally:
        await engine.aclose()
        await wallet.aclose()
        await bare.aclose()
        ledger.close()
    own = sorted(spent["own"])
    return Share(
        statistics.median(spent["engine"]), statistics.median(spent["bare"]), statistics.median(own), own[int(len(own) * 0.95)]
    )
