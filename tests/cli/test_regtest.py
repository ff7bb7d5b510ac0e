"""`pylon regtest`: from the command line alone, with its own process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from pylon.cli.main import pylon
from pylon.config import state_dir
from pylon.control.lock import ProcessLock, is_held
from pylon.lightning import built
from pylon.wallets import network
from tests.regtest.stopping import end

NO_VALUE = "regtest sats, no value"


def run(*words: str, status: int = 0) -> str:
    """What a command prints, when it ends as it should."""
    result: Result = CliRunner().invoke(pylon, ["regtest", *words])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def state() -> Iterator[Path]:
    """The state folder of this test; its network is ended."""
    made = state_dir()
    network.place(made).create()
    yield made
    network.place(made).lock.touch()
    end(made)


def test_before_anything_ran() -> None:
    """`status` says so and is no error; `stop` has nothing to do; `mine` says what to do. Nothing is started."""
    document = orjson.loads(run("status", "--json"))
    assert (document["running"], document["pid"], document["height"], document["no_value"]) == (False, None, None, True)
    assert "is not running" in run("status")
    assert "is not running" in run("stop")
    assert orjson.loads(run("stop", "--json")) == {"stopped": False}
    assert orjson.loads(run("mine", "1", "--json", status=1))["error"]["hint"] == "start it: `pylon regtest start`"
    assert not is_held(network.place(state_dir()).lock)


@pytest.mark.skipif(not built(), reason="this build leaves the Lightning node out")
def test_start_status_mine_stop(state: Path) -> None:
    """The life of a network: started, started again, shown, mined, stopped; the chain is there the next time."""
    assert NO_VALUE in run("start")
    again = orjson.loads(run("start", "--json"))
    assert (again["started"], again["running"]) == (False, True)
    assert "is running already" in run("start")
    mined = orjson.loads(run("mine", "3", "--json"))
    assert mined["height"] >= again["height"] + 3
    shown = run("status")
    assert NO_VALUE in shown
    assert f"height {mined['height']}, tip {mined['tip']}" in shown
    assert "Process:" in shown
    run("mine", "0", status=2)
    run("mine", "2001", status=2)
    assert "has stopped" in run("stop")
    assert not is_held(network.place(state).lock)
    assert orjson.loads(run("status", "--json"))["running"] is False
    assert orjson.loads(run("start", "--json"))["height"] >= mined["height"]


def test_a_process_that_does_not_answer(state: Path) -> None:
    """One that holds the lock and serves no socket is starting or ending; that is said, and nothing else is started."""
    place = network.place(state)
    lock = ProcessLock(place.lock, place.pid)
    assert lock.acquire()
    try:
        assert "starting or ending" in orjson.loads(run("status", "--json", status=1))["error"]["message"]
    finally:
        lock.release()


@pytest.mark.skipif(not built(), reason="this build leaves the Lightning node out")
def test_a_process_that_hangs(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that runs and says nothing more: that is said, and `stop` ends it all the same."""
    run("start")
    pid = orjson.loads(run("status", "--json"))["pid"]
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(network, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr("pylon.cli.regtest.STOP_SECONDS", 0.3)
    assert orjson.loads(run("status", "--json", status=1))["error"]["code"] == "network_silent"
    assert "is killed" in run("stop")
    assert not is_held(network.place(state).lock)
