"""A private network for a group of tests, and wallets `ldk` on it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from pylon.control.client import Gone, NotThere
from pylon.units import Msat
from pylon.wallets import network
from pylon.wallets.ldk.hub import Hub, PrivateHub
from pylon.wallets.ldk.life import Home
from pylon.wallets.ldk.wallet import LdkWallet

FUNDS = Msat(200_000_000)


class World:
    """The folders, the network's calls, and the wallets that were opened."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.state = base / "state"
        self.state.mkdir(parents=True, exist_ok=True)
        self.opened: list[LdkWallet] = []

    def open(
        self, name: str, *, seed_of: str = "", clock: Callable[[], float] = time.time, channels: int = 1, hub: Hub | None = None
    ) -> LdkWallet:
        """The wallet of that name; the second time, the same one again after a restart. `seed_of`: with the keys of that one."""
        owner = seed_of or name
        seed = hashlib.sha512(f"{self.base}{owner}".encode()).digest()
        folder = self.base / name / "wallet" / "regtest"
        home = Home(folder, self.state, "regtest", hashlib.sha256(owner.encode()).digest(), seed)
        self.opened.append(LdkWallet(home, hub or PrivateHub(self.state), channels, clock))
        return self.opened[-1]

    async def ask(self, name: str, **args: object) -> Any:
        """A call to the network that runs."""
        return msgspec.json.decode(await network.ask(self.state, name, args))

    async def stop(self) -> None:
        """End the network."""
        try:
            await network.ask(self.state, "stop")
        except (NotThere, Gone):
            return


@asynccontextmanager
async def world(base: Path) -> AsyncIterator[World]:
    """A world that ends with its wallets and its network."""
    made = World(base)
    try:
        yield made
    finally:
        for wallet in made.opened:
            await wallet.aclose()
        await made.stop()
