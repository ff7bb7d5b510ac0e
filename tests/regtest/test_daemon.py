"""The private network's process: started once by many, killed and started again, and what keeps it from starting."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pylon.control.client import NotThere
from pylon.control.lock import is_held
from pylon.errors import PylonError
from pylon.lightning import built

if not built():
    pytest.skip("this build leaves the Lightning node out", allow_module_level=True)

from pylon.regtest import documents
from pylon.wallets import network
from tests.regtest.side import Side, call, until
from tests.regtest.stopping import end, pid_of

STARTER = """
import asyncio, sys
from pathlib import Path
from pylon.wallets import network
found = asyncio.run(network.ensure(Path(sys.argv[1])))
print(found.hub.node_id, found.electrum, found.height)
"""


def starter(state: Path) -> subprocess.Popen[str]:
    """A process that needs the private network."""
    return subprocess.Popen([sys.executable, "-c", STARTER, str(state)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _files(folder: Path) -> set[Path]:
    return set(folder.iterdir())


def log_of(state: Path) -> str:
    """What the process has written."""
    return network.place(state).log.read_text("utf-8")


def test_eight_that_need_it_at_once(state: Path) -> None:
    """Exactly one process is started, and all eight find it."""
    said = [one.communicate(timeout=60) for one in [starter(state) for _ in range(8)]]
    assert len({out for out, _ in said}) == 1, said
    assert said[0][0], said
    assert log_of(state).count("ready") == 1


def test_kill_in_the_middle_of_the_start(state: Path) -> None:
    """Killed again and again while it starts, at ever later moments: the next one starts, with the same chain and hub, and coins."""
    place = network.place(state)
    for milliseconds in range(20, 500, 40):
        with place.log.open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "pylon.regtest.main", str(state)], stdout=log, stderr=log)
        try:
            process.wait(milliseconds / 1000)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    asyncio.run(_the_same_again(state))


async def _the_same_again(state: Path) -> None:
    first = await network.ensure(state)
    assert not network.was_killed(state)
    end(state, signal.SIGKILL)
    assert network.was_killed(state)  # so that a wallet which has payments there starts it again
    second = await network.ensure(state)
    assert (second.hub, second.electrum, second.height) == (first.hub, first.electrum, first.height)
    await until(lambda: call(state, "status"), lambda said: said["mempool"] == 0)


async def test_killed_with_channels(state: Path, tmp_path: Path) -> None:
    """kill -9 right after an answer: the chain is no shorter, the channel is there, the node finds the hub again and pays over it."""
    joined = await network.ensure(state)
    async with Side(tmp_path / "one", joined) as one:
        for _ in range(3):
            height = (await call(state, "mine"))["height"]
            opened = (await call(state, "fund", node_id=one.id, amount_msat=5_000_000))["channels"]
            assert isinstance(opened, list)
            end(state, signal.SIGKILL)
            again = await network.ensure(state)
            assert (again.hub, again.electrum) == (joined.hub, joined.electrum)
            assert again.height >= int(str(height))
            channels = await one.usable(1)
            assert opened[0] in {channel.funding for channel in channels}
        await one.usable(3)
        assert await one.spendable() == 15_000_000
        paid = await call(state, "pay", bolt11=await one.node.invoice(1_000_000, "x", 600))
        assert paid["fee_msat"] == 0
        await until(one.totals, lambda said: said["spendable"] == 16_000_000)


async def test_terminated(state: Path) -> None:
    """SIGTERM: it ends cleanly, and leaves no pid file and no socket."""
    await network.ensure(state)
    place = network.place(state)
    end(state, signal.SIGTERM)
    assert not network.was_killed(state)  # it was stopped, and nobody starts it against that
    assert not {place.pid, place.control} & _files(place.folder)
    assert log_of(state).rstrip().endswith("ends")
    with pytest.raises(NotThere):
        await network.ask(state, "ping")


async def test_stop_while_a_wallet_is_connected(state: Path, tmp_path: Path) -> None:
    """A node that is connected keeps nobody from stopping; it comes back by itself when the network does."""
    joined = await network.ensure(state)
    async with Side(tmp_path / "one", joined) as one:
        await call(state, "fund", node_id=one.id, amount_msat=5_000_000)
        await one.usable(1)
        assert await call(state, "stop") == {}
        end(state)
        await network.ensure(state)
        await one.usable(1)


async def test_stale_files(state: Path) -> None:
    """A socket that nobody serves and a pid file of somebody else are no obstacle."""
    place = network.place(state)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(place.control))
    place.pid.write_text("1\n", "ascii")
    place.lock.touch()
    assert not is_held(place.lock)
    await network.ensure(state)
    assert pid_of(state) not in (None, 1)


def test_files_are_the_users_alone(state: Path) -> None:
    """The folder, the socket and the hub's keys."""
    network.start(state)
    place = network.place(state)
    for path, mode in ((place.folder, 0o700), (place.control, 0o600), (place.folder / "hub.seed", 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode


async def test_ports_that_are_taken(state: Path) -> None:
    """The same ports as before; where another program has them now, others."""
    first = await network.ensure(state)
    end(state)
    port = int(first.electrum.rpartition(":")[2])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        second = await network.ensure(state)
    assert second.electrum != first.electrum
    assert second.hub == first.hub


@pytest.mark.parametrize(
    ("spoil", "code", "sentence"),
    [
        (lambda folder: (folder / "ports.json").write_text(json.dumps({"version": 2})), "error", "newer Pylon"),
        (lambda folder: (folder / "hub.seed").write_bytes(b"short"), "error", "does not hold 64 bytes"),
        (lambda folder: (folder / "hub.seed").unlink(), "error", "keys are missing"),
        (lambda folder: (folder / "hub.seed").write_bytes(bytes(64)), "", "Lightning node cannot start"),
        (lambda folder: _version(folder / "hub.sqlite3", 99), "error", "has version 99"),
        (lambda folder: _version(folder / "chain" / "chain.sqlite3", 99), "error", "has version 99"),
    ],
    ids=["ports", "short seed", "no seed", "other seed", "record", "chain"],
)
async def test_a_folder_that_cannot_be_used(state: Path, spoil: object, code: str, sentence: str) -> None:
    """Every cause is a sentence for a person, at the one who needs the network; nothing runs afterwards."""
    await network.ensure(state)
    end(state)
    assert callable(spoil)
    spoil(network.place(state).folder)
    with pytest.raises(PylonError, match=sentence) as refused:
        await network.ensure(state)
    assert code in ("", refused.value.code)
    assert not is_held(network.place(state).lock)


def _version(path: Path, number: int) -> None:
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {number}")
    db.close()


async def test_a_network_of_a_newer_pylon(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that runs and speaks a protocol that we do not know is left alone."""
    assert network.PROTOCOL == documents.PROTOCOL
    await network.ensure(state)
    monkeypatch.setattr(network, "PROTOCOL", documents.PROTOCOL - 1)
    with pytest.raises(PylonError, match="newer Pylon"):
        await network.ensure(state)


async def test_a_state_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file where the folder should be: a sentence that names it."""
    (tmp_path / "state").write_text("a file")
    with pytest.raises(PylonError, match="state/regtest"):
        await network.ensure(tmp_path / "state")


async def test_the_system_refuses(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full when the process is started: the same, and nothing is left behind."""

    def full(*_: object, **__: object) -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(network.place(state).log))

    monkeypatch.setattr(network, "spawn", full)
    with pytest.raises(PylonError, match="No space left on device"):
        await network.ensure(state)
    monkeypatch.undo()
    await network.ensure(state)


async def test_memory(state: Path) -> None:
    """The whole network is one process of less than 200 MB."""
    await network.ensure(state)
    processes = (await call(state, "status"))["processes"]
    assert isinstance(processes, list)
    (process,) = processes
    assert process["pid"] == pid_of(state)
    assert process["rss_bytes"] < 200_000_000
