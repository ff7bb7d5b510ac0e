"""The relay that a node starts as its child. The port is another one than people's: 7700 may be in use on this computer."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from pylon.config import LOCAL_RELAY
from pylon.node.localrelay import PORT, LocalRelay, is_wanted

OWNER = """
import asyncio, sys
from pylon.node.localrelay import LocalRelay
async def main():
    await LocalRelay(int(sys.argv[1])).start()
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
def port() -> int:
    """A port that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _children() -> set[int]:
    """Our child processes that run `pylon nexus`."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("ascii", "replace").rpartition(")")[2].split()
            command = (stat.parent / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z" and b"nexus" in command:
            found.add(int(stat.parent.name))
    return found


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _until(port: int, wanted: bool) -> None:
    async with asyncio.timeout(30):
        while await _listens(port) is not wanted:  # noqa: ASYNC110 - another process brings it about
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("relays", "wanted"),
    [
        ([LOCAL_RELAY], True), ([f"{LOCAL_RELAY}/"], True), ([f"ws://localhost:{PORT}"], True),
        (["wss://relay.example", LOCAL_RELAY], True),
        ([], False), (["ws://127.0.0.1:7701"], False), (["wss://127.0.0.1:7700"], False), (["ws://127.0.0.1:77000"], False),
    ],
)
def test_when_it_is_wanted(relays: list[str], wanted: bool) -> None:
    """Only where the configuration lists it."""
    assert is_wanted(relays) is wanted


async def test_it_listens_and_ends_with_us(port: int) -> None:
    """Ours is started where nobody listens; a second one finds it there and leaves it alone; closing ends ours."""
    ours, theirs = LocalRelay(port), LocalRelay(port)
    await ours.start()
    await theirs.start()
    assert (ours.is_ours, theirs.is_ours) == (True, False)
    await theirs.aclose()
    assert await _listens(port)
    await ours.aclose()
    assert not await _listens(port)
    assert _children() == set()


async def test_a_relay_that_is_killed_is_replaced(port: int) -> None:
    """kill -9 of the child: another one listens soon, on the same port."""
    relay = LocalRelay(port)
    await relay.start()
    try:
        (first,) = _children()
        os.kill(first, signal.SIGKILL)
        await _until(port, False)
        await _until(port, True)
        (second,) = _children()
        assert second != first
    finally:
        await relay.aclose()


async def test_it_ends_when_its_node_is_killed(port: int) -> None:
    """kill -9 of the node: its relay, which nobody would end any more, ends by itself."""
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", OWNER, str(port), stdout=asyncio.subprocess.PIPE)
    assert owner.stdout is not None
    assert await owner.stdout.readline() == b"ready\n"
    assert await _listens(port)
    owner.kill()
    await owner.wait()
    await _until(port, False)
