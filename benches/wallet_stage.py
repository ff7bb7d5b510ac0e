"""Real wallets in one folder: homes with a process each, and the private network. The benches and the crash harness play on it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from pylon.config import Home
from pylon.control.client import Gone
from pylon.control.lock import holder, is_held
from pylon.node import client, lock
from pylon.nostr.keys import Identity
from pylon.wallets import network

T = TypeVar("T")
Document = dict[str, object]
PATIENCE = 60.0
"""Seconds after which something that should have happened never will."""
LOOK = 0.05


class HubChannel(msgspec.Struct, frozen=True):
    """One channel, as the hub sees it."""

    peer: str
    capacity_sat: int
    outbound_msat: int
    inbound_msat: int
    funding_txid: str
    usable: bool


class Hub(msgspec.Struct, frozen=True):
    """What `regtest status` says of the hub."""

    node_id: str
    onchain_sat: int
    channels: list[HubChannel]
    closing: list[Document]
    """Channels that are closed, and whose coins have not all come home."""


class Process(msgspec.Struct, frozen=True):
    """One process of the private network."""

    name: str
    pid: int
    rss_bytes: int


class Status(msgspec.Struct, frozen=True):
    """What `regtest status` says, as far as it is needed here."""

    pid: int
    height: int
    mempool: int
    hub: Hub
    processes: list[Process]


class Party:
    """A home and its process."""

    def __init__(self, place: Path, name: str, limits: str = "") -> None:
        self.name = name
        self._starting = asyncio.Lock()
        self.home = Home(place / name)
        self.home.create()
        Identity.generate(12).save(self.home.identity, None)
        self.home.config.write_text(f'relays = []\n[wallet]\nbackend = "ldk"\n[wallet.limits]\n{limits}\n', "utf-8")

    @property
    def pid(self) -> int | None:
        """The process that runs it."""
        return lock.running_pid(self.home)

    async def ask(self, name: str, args: Document | None = None) -> Document:
        """A call to its process, which is started where none runs: for calls that may be asked twice."""
        while True:
            try:
                return await self.once(name, args or {})
            except Gone:
                async with self._starting:  # of many that need it at once, one process is enough
                    await client.ensure_call(self.home, "ping")

    async def once(self, name: str, args: Document) -> Document:
        """A call to its process as it is. Raises Gone where it went away, before or after it did what was asked."""
        return msgspec.json.decode(await client.call(self.home, name, args), type=Document)

    async def number(self, name: str, field: str) -> int:
        """A number out of the answer to a call."""
        return msgspec.convert((await self.ask(name))[field], int)

    async def start(self) -> None:
        """Have its process run."""
        await self.ask("ping")

    async def kill(self) -> None:
        """`kill -9`, and wait until the kernel has done it."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            await until(lambda: not lock.is_running(self.home), f"the end of {self.name}")

    async def stop(self) -> None:
        """End its process in order."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            await until(lambda: not lock.is_running(self.home), f"the end of {self.name}")

    def command(self, *words: str) -> list[str]:
        """The command line of `pylon` for this home."""
        return [sys.executable, "-m", "pylon", "--home", str(self.home.path), *words]


class Stage:
    """The folder, and all that runs in it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.state = place / "state"
        self.state.mkdir(parents=True, exist_ok=True)
        os.environ["PYLON_STATE_DIR"] = str(self.state)  # also for the processes that are started from here
        self.parties: list[Party] = []

    @property
    def folder(self) -> Path:
        """Where the private network lives."""
        return network.place(self.state).folder

    def party(self, name: str, limits: str = "") -> Party:
        """A new home; `limits` are settings of `[wallet.limits]`."""
        made = Party(self.place, name, limits)
        self.parties.append(made)
        return made

    async def ask(self, name: str, args: Document | None = None) -> Document:
        """A call to the private network, which is started where it does not run."""
        return msgspec.json.decode(await network.call(self.state, name, args), type=Document)

    async def status(self) -> Status:
        """How the private network is."""
        return msgspec.convert(await self.ask("status"), Status)

    def serves(self) -> bool:
        """Whether the private network answers."""
        return network.is_served(network.place(self.state).control)

    async def kill_network(self) -> None:
        """`kill -9` of the private network: chain, server and hub."""
        files = network.place(self.state)
        pid = holder(files.lock, files.pid)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: not is_held(files.lock), "the end of the private network")

    async def close(self) -> None:
        """End all processes, the network last."""
        for party in self.parties:
            await party.stop()
        try:
            await network.ask(self.state, "stop")
        except Gone:
            return
        await until(lambda: not is_held(network.place(self.state).lock), "the end of the private network")


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def rss(pid: int) -> int:
    """Bytes of memory that a process has resident."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


async def until(holds: Callable[[], object], what: str, seconds: float = PATIENCE) -> float:
    """Wait for something that other processes bring about: how long it took."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"never came: {what}")
        await asyncio.sleep(LOOK)
    return time.monotonic() - began


async def eventually(ask: Callable[[], Awaitable[T]], good: Callable[[T], object], what: str, seconds: float = PATIENCE) -> T:
    """Ask until the answer is good."""
    began = time.monotonic()
    while not good(answer := await ask()):
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"never came: {what}, last {answer}")
        await asyncio.sleep(LOOK)
    return answer
