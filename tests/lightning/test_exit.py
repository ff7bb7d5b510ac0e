"""How a process that holds a node ends: by itself, and by a kill; the folder is free afterwards, and nothing that was said is lost."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from pylon.lightning.node import LightningNode
from tests.lightning.net import Net, until

CHILD = """
import sys
from pylon._native.lightning import Node

node = Node(sys.argv[1], bytes(64), "regtest", sys.argv[2], trusted=(sys.argv[3], sys.argv[4]))
node.start()
print(node.node_id, flush=True)
while (event := node.event()) is None or b"channel_ready" not in event:
    if event is not None:
        node.acknowledge()
print("ready", flush=True)
sys.stdin.read(1)
"""


async def child(net: Net, folder: Path) -> tuple[asyncio.subprocess.Process, str]:
    """A process with a node that has a channel, whose event it has not acknowledged."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(folder), net.url, net.hub.node.node_id, net.address,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    node_id = (await process.stdout.readline()).decode().strip()
    return process, node_id


@pytest.mark.parametrize("killed", [False, True])
async def test_a_process_ends(net: Net, tmp_path: Path, killed: bool) -> None:
    """Ended by its own last line (a node that nobody stopped is stopped) or by SIGKILL: the next process has the channel and the event."""
    folder = tmp_path / "child"
    process, node_id = await child(net, folder)

    async def connected() -> bool:
        return any(peer.connected and peer.node_id == node_id for peer in await net.hub.node.peers())

    await until(connected)
    await net.hub.node.open_channel(node_id, "127.0.0.1:1", 1_000_000, 500_000_000)
    assert process.stdout
    assert await process.stdout.readline() == b"ready\n"
    if killed:
        process.kill()
    _, errors = await process.communicate(b"x")
    assert process.returncode == (-signal.SIGKILL if killed else 0), errors
    assert errors == b""
    log = (folder / "node.log").read_text()
    assert ("Shutdown complete." in log) is not killed
    node = LightningNode(folder, bytes(64), "regtest", net.url, trusted=(net.hub.node.node_id, net.address))
    await node.start()
    async with asyncio.timeout(20):
        event = await anext(node.events())
    assert event.type == "channel_ready"

    async def usable() -> bool:
        return [channel.usable for channel in await node.channels()] == [True]

    await until(usable)
    await node.stop()
