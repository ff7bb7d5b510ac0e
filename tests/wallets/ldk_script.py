"""A Lightning node that does what a test says, a hub that only counts, and a wallet `ldk` on them: crashes at any point, quickly."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

from pylon import _native
from pylon.errors import PylonError
from pylon.lightning.node import LightningError, LightningNode
from pylon.lightning.values import Balances, Channel, Claim, Event, LastSync, NodePayment, NodeStatus, Peer, Sweep
from pylon.units import Msat
from pylon.wallets.ldk import chainsource
from pylon.wallets.ldk.chainsource import Seen
from pylon.wallets.ldk.hub import Route
from pylon.wallets.ldk.life import Home
from pylon.wallets.ldk.wallet import LdkWallet

HUB, NODE = "02" + "11" * 32, "02" + "22" * 32
CHANNEL = "aa" * 32
PAYEE = b"\7" * 32
HEIGHT = 200


class Script:
    """The node. `calls` is what was asked of it; everything else may be set. It outlives the wallets that use it."""

    def __init__(self) -> None:
        self.node_id = NODE
        self.calls: list[tuple[object, ...]] = []
        self.refuse: dict[str, list[LightningError]] = {}
        """Refusals to come, by call."""
        self.known: dict[bytes, NodePayment] = {}
        self.open = [channel(CHANNEL, 500_000_000)]
        self.claims: list[Claim] = []
        self.sweeps: list[Sweep] = []
        self.height = HEIGHT
        self.storage_error: str | None = None
        self.sync_error: str | None = None
        self.panic: str | None = None
        self.peered = True
        self.gate: asyncio.Event | None = None
        """A start waits for it."""
        self._queue: list[Event] = []
        self._news = asyncio.Event()

    def asked(self, name: str) -> list[tuple[object, ...]]:
        """What was asked by that call."""
        return [call[1:] for call in self.calls if call[0] == name]

    def happen(self, kind: str, **what: object) -> None:
        """An event; it is told again until it is acknowledged."""
        self._queue.append(Event(kind, **what))  # type: ignore[arg-type]
        self._news.set()

    async def quiet(self) -> None:
        """Until all events are acknowledged."""
        async with asyncio.timeout(10):
            while self._queue:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    def _call(self, name: str, *args: object) -> None:
        self.calls.append((name, *args))
        if self.refuse.get(name):
            raise self.refuse[name].pop(0)

    async def start(self) -> None:
        self._call("start")
        if self.gate is not None:
            await self.gate.wait()

    async def stop(self) -> None:
        self._call("stop")

    async def events(self) -> AsyncIterator[Event]:
        while True:
            while not self._queue:
                self._news.clear()
                await self._news.wait()
            yield self._queue[0]
            self._queue.pop(0)

    async def status(self) -> NodeStatus:
        synced = LastSync(int(time.time()) - (1000 if self.sync_error else 0), None, None)
        return NodeStatus(self.height, "", True, synced, self.storage_error, self.sync_error, self.panic)

    async def peers(self) -> list[Peer]:
        return [Peer(HUB, "127.0.0.1:1", self.peered)]

    async def channels(self) -> list[Channel]:
        return list(self.open)

    async def balances(self) -> Balances:
        return Balances(0, 0, 0, self.claims, self.sweeps)

    async def payments(self) -> list[NodePayment]:
        return list(self.known.values())

    async def payment(self, payment_hash: bytes) -> NodePayment | None:
        return self.known.get(payment_hash)

    async def update_channel(self, user_id: str, node_id: str) -> None:
        self._call("update_channel", user_id, node_id)

    async def close_channel(self, user_id: str, node_id: str, force: bool = False) -> None:
        self._call("close_channel", user_id, node_id, force)

    async def invoice(self, amount_msat: int, memo: str, expires_in: int, payment_hash: bytes | None = None, jit: bool = False) -> str:
        self._call("invoice", amount_msat)
        assert payment_hash is not None
        self.known[payment_hash] = record(payment_hash, "in", "pending", amount_msat)
        return bolt11(amount_msat, payment_hash, expires_in)

    async def pay(self, text: str, max_fee_msat: int) -> None:
        read = _native.bolt11_decode(text)
        self._call("pay", read.payment_hash, max_fee_msat)
        self.known[read.payment_hash] = record(read.payment_hash, "out", "pending", read.amount_msat or 0)

    async def claim(self, preimage: bytes, amount_msat: int) -> None:
        self._call("claim", preimage, amount_msat)

    async def fail(self, payment_hash: bytes) -> None:
        self._call("fail", payment_hash)

    async def forget(self, payment_hash: bytes) -> None:
        self._call("forget", payment_hash)
        self.known.pop(payment_hash, None)

    async def sync(self) -> None:
        self._call("sync")


class Counting:
    """The hub: it gives the script as the node, and counts what is asked of it."""

    moved = False
    private = True
    jit = False

    def __init__(self, script: Script) -> None:
        self._script = script
        self.inbounds = 0
        self.problem: PylonError | None = None

    async def find(self) -> Route:
        return Route("tcp://127.0.0.1:1", (HUB, "127.0.0.1:1"))

    def make_node(self, folder: Path, seed: bytes, route: Route) -> LightningNode:
        return cast("LightningNode", self._script)

    async def look(self, peers: Sequence[str]) -> PylonError | None:
        return self.problem

    async def blocks(self, chain: str) -> AsyncIterator[int]:
        await asyncio.Event().wait()
        yield 0

    async def fund(self, node_id: str, amount: Msat, channels: int) -> None:
        raise AssertionError

    async def inbound(self, node_id: str, amount: Msat, channels: int) -> None:
        self.inbounds += 1

    async def pay(self, bolt11: str) -> None:
        raise AssertionError


class Stage:
    """A folder, a script, and the wallet that runs on them now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.node = Script()
        self.hub = Counting(self.node)
        self.clock = time.time
        self.wallet = self._open()

    def _open(self) -> LdkWallet:
        home = Home(self._folder / "wallet", self._folder / "state", "regtest", b"\1" * 32, b"\2" * 64)
        return LdkWallet(home, self.hub, 1, lambda: self.clock())

    async def crash(self) -> LdkWallet:
        """The process is gone, and begun again. (Its thread has done what it was told before; what waits for an answer never gets it.)"""
        await self.wallet.aclose()
        self.wallet = self._open()
        await self.wallet._life.node()
        return self.wallet

    async def look(self) -> None:
        """Let some time pass in the life of the node."""
        watch = self.wallet._life._watch
        assert watch is not None
        await watch.look()


async def right_chain(url: str, network: str, seen: Seen | None) -> Seen:
    """In the place of `chainsource.check`."""
    return seen or Seen(HEIGHT, 0, chainsource.GENESIS["regtest"])


def channel(name: str, outbound: int, *, usable: bool = True) -> Channel:
    """An open channel of a million sats."""
    inbound = 979_340_000 - outbound
    return Channel(name, "1", HUB, "ff" * 32 + ":0", 1_000_000, outbound, inbound, 10_000, 6, True, usable, False, outbound)


def record(payment_hash: bytes, direction: str, status: str, amount: int, preimage: bytes | None = None) -> NodePayment:
    """What the node remembers of a payment."""
    shown = None if preimage is None else preimage.hex()
    return NodePayment(payment_hash.hex(), direction, status, amount, 0, shown, "bolt11", None, int(time.time()))  # type: ignore[arg-type]


def bolt11(amount: int, payment_hash: bytes, expires_in: int = 600, at: int | None = None) -> str:
    """An invoice of somebody."""
    now = int(time.time()) if at is None else at
    return _native.bolt11_encode(PAYEE, "bcrt", amount, payment_hash, secrets.token_bytes(32), "", now, expires_in, 18)


def secret() -> tuple[bytes, bytes]:
    """A preimage and its hash."""
    preimage = secrets.token_bytes(32)
    return preimage, hashlib.sha256(preimage).digest()
