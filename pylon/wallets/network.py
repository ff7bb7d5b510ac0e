"""The private Lightning network of this machine: found by its socket, or started.

All homes of a user share one, in `<state>/regtest`. Its process is `pylon.regtest.main`; nothing of it is imported here.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from pylon.control import client
from pylon.control.client import Gone, NotThere
from pylon.control.lock import is_held
from pylon.control.place import Place
from pylon.control.spawn import spawn
from pylon.errors import PylonError, file_error

NAME = "the private network"
PROTOCOL = 1
"""The calls that we know. A process that speaks a higher number is of a newer Pylon."""
START_SECONDS = 60.0
"""How long it may take to be ready: one that runs may have to end first."""
ANSWER_SECONDS = 15.0
TRIES = 3


class NetworkGone(PylonError):
    """The private network went away in the middle of a call: what came of it is not known."""

    code = "network_gone"


class NetworkSilent(PylonError):
    """The private network runs and does not answer."""

    code = "network_silent"


class Hub(msgspec.Struct, frozen=True):
    """The Lightning node that all others have their channels with. `address`: host:port."""

    node_id: str
    address: str


class Network(msgspec.Struct, frozen=True):
    """What a wallet has to know to join. `electrum`: tcp://host:port. `genesis`: the hash of the first block."""

    network: str
    genesis: str
    height: int
    electrum: str
    hub: Hub
    protocol: int = PROTOCOL


class _Tip(msgspec.Struct, frozen=True):
    height: int


class _Said(msgspec.Struct, frozen=True):
    """What an Electrum server says of its tip: first as an answer, then as notifications."""

    result: _Tip | None = None
    params: list[_Tip] = []


def place(state: Path) -> Place:
    """Where the private network of this state folder lives."""
    return Place(state / "regtest")


async def ask(state: Path, name: str, args: dict[str, object] | None = None, *, seconds: float | None = None) -> bytes:
    """One call to the network that runs: its result as JSON.

    Raises NotThere where none runs, Gone where it went away before it answered, NetworkSilent where it has not answered within `seconds`,
    and the PylonError that it answered with.
    """
    try:
        async with asyncio.timeout(seconds):
            return await client.call(place(state).control, name, args, whom=NAME)
    except TimeoutError as error:
        raise NetworkSilent(f"{NAME} has not answered within {seconds:g} s", hint="`pylon regtest stop` ends it") from error
    except OSError as error:  # a folder that may not be read
        raise file_error(error) from error


async def call(state: Path, name: str, args: dict[str, object] | None = None, *, seconds: float | None = None) -> bytes:
    """Like `ask`, but the network is started first where none runs. It is asked once: NetworkGone says that the outcome is not known."""
    for _ in range(TRIES):
        try:
            return await ask(state, name, args, seconds=seconds)
        except NotThere:
            await asyncio.to_thread(start, state)
        except Gone as error:
            raise NetworkGone(f"{NAME} went away in the middle of `{name}`", hint=f"see {place(state).log}") from error
    raise PylonError(f"{NAME} does not stay up", hint=f"see {place(state).log}")


async def ensure(state: Path) -> Network:
    """The private network, started where none runs. Raises PylonError where it cannot be, or is of a newer Pylon."""
    for _ in range(TRIES):
        try:
            network = msgspec.json.decode(await call(state, "network", seconds=ANSWER_SECONDS), type=Network)
            break
        except NetworkGone:
            continue  # it was just ending; this call may be asked again
    else:
        raise PylonError(f"{NAME} does not stay up", hint=f"see {place(state).log}")
    if network.protocol > PROTOCOL:
        raise PylonError(
            f"{NAME} that runs here is of a newer Pylon (protocol {network.protocol}, this one knows {PROTOCOL})",
            hint="use that Pylon, or end the network with `pylon regtest stop`",
        )
    return network


async def blocks(electrum: str) -> AsyncIterator[int]:
    """The height of the chain of an Electrum server (tcp://host:port), then every new one as it comes. Ends when the server hangs up.

    A wallet looks at the chain for each: its node would do so within ten seconds only."""
    parts = urlsplit(electrum)
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except OSError:
        return
    try:
        writer.write(b'{"jsonrpc": "2.0", "id": 0, "method": "blockchain.headers.subscribe", "params": []}\n')
        while (line := await reader.readline()).endswith(b"\n"):
            said = msgspec.json.decode(line, type=_Said)
            for tip in (said.result, *said.params):
                if tip is not None:
                    yield tip.height
    except (OSError, ValueError):  # ValueError: a line without end, or one that is none of ours
        return
    finally:
        writer.close()


def start(state: Path) -> bool:
    """Start the network and wait until it is ready; False where somebody else was quicker. Blocks. Raises what it cannot start for."""
    files = place(state)
    files.create()
    try:
        lock = os.open(files.starting, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise file_error(error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_served(files.control):
            return False
        try:
            said = spawn([sys.executable, "-m", "pylon.regtest.main", str(state)], files.log, START_SECONDS, name=NAME)
        except OSError as error:
            raise file_error(error) from error
        return b"true" in said
    finally:
        os.close(lock)


def was_killed(state: Path) -> bool:
    """Whether the network's process has ended without being told to: it takes its pid file with it when it stops in order."""
    files = place(state)
    return files.pid.exists() and not is_held(files.lock)


def is_served(path: Path) -> bool:
    """Whether somebody accepts connections on this socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True
