"""A **scripted** node wallet: no Lightning, no chain, fixed channels and coins over the simulated bank, so that the commands for Lightning
nodes are tested without one; and a control socket that serves it. What a real node does is tested in tests/wallets and tests/e2e."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from pylon.config import Config, Home
from pylon.control.server import Args, Call, ControlServer, Update
from pylon.errors import InsufficientFunds, PylonError
from pylon.node.ledger import Ledger
from pylon.node.payments import Payments
from pylon.node.wallet_calls import WalletCalls
from pylon.nostr.keys import Identity
from pylon.units import Msat
from pylon.wallets.backups import Backup, place
from pylon.wallets.base import Balance, Capabilities, Channel, Coins, Health, HealthState, Wallet
from pylon.wallets.sim import CAPABILITIES, SimWallet

ADDRESS = "bcrt1q" + "0" * 38
TXID = bytes(range(32))
CHANNEL = Channel(
    id="340282366920938463463374607431768211455", peer="02" + "ab" * 32, funding="cd" * 32 + ":0", capacity=Msat(1_000_000_000),
    spendable=Msat(99_000_500), receivable=Msat(880_000_000), reserved=Msat(10_000_000), confirmations=3, usable=True,
)
BALANCE = Balance(Msat(99_000_500), Msat(880_000_000), Msat(0), reserved=Msat(10_000_000))
READY = Health(HealthState.READY, node_id="03" + "ef" * 32, height=1234, peers=(CHANNEL.peer,))
NODE = replace(CAPABILITIES, name="scripted", simulated=False, node=True)


class ScriptedNode(SimWallet):
    """Answers what it was told to, and remembers what it was asked."""

    able = NODE
    known: tuple[Channel, ...] = (CHANNEL,)
    holds = BALANCE
    state = READY

    def begin(self) -> None:
        """Nothing was asked yet."""
        self.closed: list[tuple[str, bool]] = []
        self.sent: list[tuple[str, Msat | None, int | None]] = []

    @property
    def capabilities(self) -> Capabilities:
        """What the test gave it."""
        return self.able

    async def balance(self) -> Balance:
        """What the test gave it."""
        return self.holds

    async def health(self) -> Health:
        """What the test gave it."""
        return self.state

    async def channels(self) -> Sequence[Channel]:
        """What the test gave it."""
        return self.known

    async def close_channel(self, channel: str, *, force: bool) -> None:
        """Only remembered."""
        self.closed.append((channel, force))

    async def address(self) -> str:
        """Always the same."""
        return ADDRESS

    async def send_onchain(self, address: str, amount: Msat | None, *, sat_per_vbyte: int | None) -> Coins:
        """Only remembered, where it has so much."""
        if amount is not None and amount > self.holds.onchain:
            raise InsufficientFunds("there are no such coins in this wallet")
        self.sent.append((address, amount, sat_per_vbyte))
        return Coins(bytes([len(self.sent) - 1]) + TXID[1:], self.holds.onchain if amount is None else amount, Msat(700))

    async def backup(self, target: Path) -> None:
        """Some bytes."""
        with target.open("xb") as file:
            file.write(b"scripted")


class Host:
    """What the calls need."""

    def __init__(self, wallet: SimWallet, ledger: Ledger) -> None:
        self.wallet: Wallet = wallet
        self.payments = Payments(ledger, wallet, "bcrt", Msat(5000))


@contextmanager
def answering(control: Path, begin: Callable[[], tuple[Mapping[str, Call], Callable[[], Awaitable[None]]]]) -> Iterator[None]:
    """A control socket that a thread of this process answers. `begin` gives, in that thread, its calls and how they end."""
    ready, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        calls, end = begin()
        server = ControlServer(control, calls)
        await server.start()
        ready.set()
        await over.wait()
        await server.aclose()
        await end()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()


async def _ping(args: Args, update: Update) -> object:
    return {"pid": os.getpid()}


@contextmanager
def served(home: Home, wallet: SimWallet) -> Iterator[None]:
    """The home's control socket, as a node with this wallet would serve it."""

    def begin() -> tuple[Mapping[str, Call], Callable[[], Awaitable[None]]]:
        ledger = Ledger(home.ledger)

        async def end() -> None:
            await wallet.aclose()
            ledger.close()

        return {"ping": _ping, **WalletCalls(Host(wallet, ledger)).table()}, end

    with answering(home.control, begin):
        yield


@contextmanager
def served_network(control: Path, status: object) -> Iterator[None]:
    """The private network's socket, where all that is known is its status."""

    async def told(args: Args, update: Update) -> object:
        return status

    async def end() -> None:
        return

    control.parent.mkdir(parents=True, exist_ok=True)
    with answering(control, lambda: ({"status": told}, end)):
        yield


def scripted(place: Path) -> tuple[Home, ScriptedNode]:
    """A home with an identity, and its wallet."""
    home = Home(place / "home")
    home.create()
    identity = Identity.generate()
    identity.save(home.identity)
    wallet = ScriptedNode.open(place / "state", identity.wallet_secret(), "regtest")
    wallet.begin()
    return home, wallet


class ScriptedBackups:
    """Backups that are text: `made_at network`."""

    def __init__(self) -> None:
        self.restored: list[Path] = []

    def read_backup(self, source: Path, *, seed: bytes) -> Backup:
        """Only what this class writes."""
        try:
            made_at, network = source.read_text("utf-8").split()
            return Backup(int(made_at), network, READY.node_id)
        except ValueError as error:
            raise PylonError(f"{source} is no backup of a wallet", hint="another file?") from error

    def restore_backup(self, source: Path, *, home: Path, seed: bytes, config: Config) -> Path | None:
        """Only the move aside."""
        here = place(home, config.network)
        aside = here.with_name(f"{here.name}.aside") if here.exists() else None
        if aside:
            here.rename(aside)
        here.mkdir(parents=True)
        (here / "restored").write_bytes(source.read_bytes())
        self.restored.append(source)
        return aside
