"""The relay's life: start, stop, and what stands in the way of it."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from pylon.config import NexusConfig
from pylon.nexus.server import CannotListen, serve
from pylon.nexus.store import Locked
from tests.nexus.client import ALICE, BOB, TIMEOUT, Client, Closed, connected, note
from tests.nexus.conftest import Clock
from tests.nexus.test_store import finish, start


async def test_closing_answers_what_was_received(tmp_path: Path, clock: Clock) -> None:
    """After `aclose` every event that was acknowledged is on disk, and every connection was told that the relay goes away."""
    server = await serve(NexusConfig(port=0), tmp_path, clock=clock)
    client = await Client.open(server.url, ALICE)
    for _ in range(300):
        client.say("EVENT", note())
    first = await client.receive()
    await server.aclose()
    acknowledged = [first[1]]
    try:
        while True:
            acknowledged.append((await client.receive())[1])
    except Closed:
        assert client.close_code == 1001
    again = await serve(NexusConfig(port=0), tmp_path, clock=clock)
    async with connected(again.url, BOB) as bob:
        assert set(acknowledged) <= set(await bob.ids({}))
    await again.aclose()
    await again.aclose()


async def test_a_client_that_does_not_say_goodbye(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end does not wait for a peer that does not answer the CLOSE."""
    monkeypatch.setattr("pylon.nexus.peer.CLOSE_TIMEOUT", 0.05)
    server = await serve(NexusConfig(port=0), tmp_path, clock=clock)
    client = await Client.open(server.url, ALICE)
    client.transport.underlying_transport.pause_reading()
    await asyncio.wait_for(server.aclose(), 20)
    client.transport.underlying_transport.abort()


async def test_a_port_in_use(tmp_path: Path, clock: Clock) -> None:
    """The port is named, and the folder is free again afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=f"port {port} of 127.0.0.1 is in use"):
            await serve(NexusConfig(port=port), tmp_path, clock=clock)
    server = await serve(NexusConfig(port=0), tmp_path, clock=clock)
    await server.aclose()


async def test_an_address_that_is_not_ours(tmp_path: Path, clock: Clock) -> None:
    """A host that cannot be listened on is one sentence too."""
    with pytest.raises(CannotListen, match="cannot listen on"):
        await serve(NexusConfig(host="192.0.2.1", port=0), tmp_path, clock=clock)


async def test_two_relays_and_one_folder(tmp_path: Path, clock: Clock) -> None:
    """The second is refused."""
    server = await serve(NexusConfig(port=0), tmp_path, clock=clock)
    with pytest.raises(Locked):
        await serve(NexusConfig(port=0), tmp_path, clock=clock)
    await server.aclose()


async def test_ipv6(tmp_path: Path, clock: Clock) -> None:
    """Listening on ::1."""
    server = await serve(NexusConfig(host="::1", port=0), tmp_path, clock=clock)
    assert server.url == f"ws://[::1]:{server.port}"
    async with connected(server.url, ALICE) as client:
        await client.accept(note())
    await server.aclose()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_command(tmp_path: Path, number: int) -> None:
    """`pylon nexus --json` says where it listens and ends with 0 when told to."""
    process, url = await asyncio.to_thread(start, tmp_path)
    client = await Client.open(url)
    assert url.startswith("ws://127.0.0.1:")
    assert await asyncio.to_thread(finish, process, number) == 0
    with pytest.raises(Closed):
        await client.receive()


async def test_the_command_of_a_parent(tmp_path: Path) -> None:
    """With --until-eof the relay ends with its standard input, and Ctrl-C in the parent's terminal does not end it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pylon", "nexus", "--port", "0", "--data", str(tmp_path), "--until-eof", "--json",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    url = orjson.loads(await process.stdout.readline())["url"]
    process.send_signal(signal.SIGINT)
    process.stdin.write(b"ignored")
    async with connected(url):
        pass
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), TIMEOUT) == 0


def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """`pylon nexus` to its end."""
    return subprocess.run([sys.executable, "-m", "pylon", "nexus", *arguments], capture_output=True, timeout=30, check=False)


def test_the_command_on_a_port_in_use(tmp_path: Path) -> None:
    """One sentence, exit 1, no traceback; with --json the error document."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        plain = run("--port", port, "--data", str(tmp_path))
        json = run("--port", port, "--data", str(tmp_path), "--json")
    assert (plain.returncode, json.returncode) == (1, 1)
    assert b"is in use" in plain.stderr
    assert b"Traceback" not in plain.stderr
    assert orjson.loads(json.stdout)["error"]["code"] == "nexus_address"


def test_the_command_and_a_strange_file(tmp_path: Path) -> None:
    """A folder whose events.log is something else is refused and left alone."""
    (tmp_path / "events.log").write_text("my diary")
    answer = run("--port", "0", "--data", str(tmp_path))
    assert answer.returncode == 1
    assert b"is not a log" in answer.stderr
    assert (tmp_path / "events.log").read_text() == "my diary"
