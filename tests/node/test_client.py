"""Nodes that are started in the background."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import msgspec
import pytest

from pylon.config import Home
from pylon.errors import NotSetUp, PylonError
from pylon.node import client, lock
from pylon.node.figures import Purse
from pylon.node.ledger import Ledger
from pylon.nostr.keys import Identity
from tests.relay.desk import until


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with an identity, and no relay."""
    made = Home(tmp_path / "home")
    made.create()
    made.config.write_text("relays = []\n", "utf-8")
    Identity.generate(12).save(made.identity, None)
    return made


async def _end(home: Home) -> None:
    """End the home's node, and wait until it has gone."""
    pid = lock.running_pid(home)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
    await until(lambda: not lock.is_running(home))


async def test_nodes_that_start_at_once(home: Home) -> None:
    """Three callers that all find no node: one node runs, and all three are answered by it."""
    answers = await asyncio.gather(*(client.ensure_call(home, "ping") for _ in range(3)))
    try:
        pids = {msgspec.json.decode(answer)["pid"] for answer in answers}
        assert pids == {lock.running_pid(home)}
    finally:
        await _end(home)
    assert not home.pid.exists()


async def test_a_node_that_is_killed_is_replaced(home: Home) -> None:
    """kill -9: the next call starts another one."""
    first = msgspec.json.decode(await client.ensure_call(home, "ping"))["pid"]
    os.kill(first, signal.SIGKILL)
    try:
        second = msgspec.json.decode(await client.ensure_call(home, "ping"))["pid"]
        assert second != first
    finally:
        await _end(home)


async def test_a_node_that_is_never_ready(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, and the caller is told; the next one may start."""
    with monkeypatch.context() as patch:
        patch.setattr(client, "START_SECONDS", 0.0)
        with pytest.raises(PylonError, match="not ready"):
            await asyncio.to_thread(client.spawn, home, "idle")
    assert not lock.is_running(home)
    assert await asyncio.to_thread(client.spawn, home, "idle") == lock.running_pid(home)
    await _end(home)


async def test_a_node_that_cannot_start(home: Home) -> None:
    """What keeps it from starting is raised here, with code and exit status."""
    home.config.write_text("relais = []\n", "utf-8")
    with pytest.raises(PylonError, match=r"line 1.*`relais`") as wrong:
        await asyncio.to_thread(client.spawn, home, "idle")
    assert (wrong.value.code, wrong.value.exit_status) == ("config", 3)
    home.config.write_text("relays = []\n", "utf-8")
    home.ledger.write_bytes(b"this is no database, and long enough to be read as one" * 100)
    with pytest.raises(PylonError, match=r"ledger\.sqlite3"):
        await asyncio.to_thread(client.spawn, home, "idle")
    home.identity.write_text("{}", "utf-8")
    with pytest.raises(PylonError) as broken:
        await asyncio.to_thread(client.spawn, home, "idle")
    assert broken.value.exit_status == 3
    home.identity.unlink()
    with pytest.raises(NotSetUp):
        client.spawn(home, "idle")


async def test_a_home_of_another_wallet_says_so_once(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    """Through the pipe to whoever starts the node, on stderr, and into the log; the next start says nothing."""
    home.config.write_text('relays = []\n[wallet]\nbackend = "sim"\n', "utf-8")
    ledger = Ledger(home.ledger)
    ledger.belong(Purse("elsewhere", "regtest"))
    ledger.close()
    for _ in range(2):
        await client.ensure_call(home, "ping")
        await _end(home)
    said = "This home has left elsewhere on regtest: its wallet is sim on regtest now"
    assert capfd.readouterr().err.count(said) == 1
    assert home.log.read_text("utf-8").count(said) == 1
