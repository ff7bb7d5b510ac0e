"""A private network for a group of tests, and wallets `ldk` on it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from pylon.config import Config, WalletConfig
from pylon.control.client import Gone, NotThere
from pylon.units import Msat
from pylon.wallets import network
from pylon.wallets.ldk.wallet import LdkWallet, open_ldk

FUNDS = Msat(200_000_000)


class World:
    """The folders, the network's calls, and the wallets that were opened."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.state = base / "state"
        self.state.mkdir(parents=True, exist_ok=True)
        self.opened: list[LdkWallet] = []

    def open(self, name: str, config: Config | None = None) -> LdkWallet:
        """The wallet of that name; the second time, the same one again after a restart."""
        wallet = open_ldk(
            home=self.base / name, state=self.state, secret=self.secret(name),
            seed=hashlib.sha512(f"{self.base}{name}".encode()).digest(), config=config or Config(wallet=WalletConfig(backend="ldk")),
        )  # fmt: skip
        assert isinstance(wallet, LdkWallet)
        self.opened.append(wallet)
        return wallet

    def secret(self, name: str) -> bytes:
        """The secret of that wallet."""
        return hashlib.sha256(name.encode()).digest()

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
