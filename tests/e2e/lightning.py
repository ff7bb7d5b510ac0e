"""A world on real Lightning: every home has a node of its own, and all share one private network, which ends with the world."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import msgspec

from pylon.config import Home
from pylon.control.client import Gone
from pylon.control.lock import is_held
from pylon.node import client
from pylon.wallets import network
from tests.e2e.world import Document, World, number


class Lightning(World):
    """Homes with the wallet `ldk` below one folder. The private network is started here, so that no test waits for it."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.ask("nobody", "regtest", "start")

    def home(
        self, name: str, *relays: str, sats: int = 0, more: str = "", network: str = "regtest", script: str = "", wallet: str = "ldk"
    ) -> Document:
        """Make a home; with `sats`, its node runs and has a channel with as many on its side."""
        return super().home(name, *relays, sats=sats, more=more, network=network, script=script, wallet=wallet)

    def _give(self, name: str, sats: int) -> None:
        self.ask(name, "wallet", "fund", str(sats))

    def spendable(self, home: str) -> int:
        """What the wallet can spend (msat)."""
        return number(self.balance(home), "spendable_msat")

    def balance(self, home: str) -> Document:
        """What the wallet says of itself. Asked of the node without a command in between, where one runs: tests look often."""
        try:
            return msgspec.json.decode(asyncio.run(client.call(Home(self.place / home), "wallet.balance")), type=Document)
        except Gone:
            return self.ask(home, "wallet", "balance")

    def everything(self, home: str) -> int:
        """All that the wallet has, wherever it is (msat)."""
        balance = self.balance(home)
        return sum(number(balance, f"{part}_msat") for part in ("spendable", "reserved", "closing", "onchain", "pending"))

    def regtest(self, *words: str) -> Document:
        """A command about the private network."""
        return self.ask("nobody", "regtest", *words)

    def network_status(self) -> Document:
        """What `pylon regtest status` shows, without that command."""
        return msgspec.json.decode(asyncio.run(network.ask(self.place / "state", "status")), type=Document)

    def hub_channels(self) -> list[Document]:
        """The channels of the hub."""
        hub = msgspec.convert(self.network_status()["hub"], Document)
        return msgspec.convert(hub["channels"], list[Document])

    def network_pid(self) -> int:
        """The process of the private network."""
        return int(network.place(self.place / "state").pid.read_text("ascii"))

    def kill_network(self) -> None:
        """`kill -9` of chain, server and hub, and wait until they are gone."""
        os.kill(self.network_pid(), signal.SIGKILL)
        # The lock is free with the last thread; the process may look dead before.
        self.until(lambda: not is_held(network.place(self.place / "state").lock), "the end of the private network")

    def close(self) -> None:
        """End all that was started; the network last."""
        try:
            super().close()
        finally:
            self.run("nobody", "regtest", "stop")
