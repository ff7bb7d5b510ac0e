"""The node as a daemon: start, status, stop; a signal lets it finish; one process per home (ancestor: defects 3 and 10)."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.market import holds_together
from tests.e2e.world import World

SLOW = 'default = "one two three four"\ndelay_ms = 300\n'
HANGING = 'default = "one two three"\nfail = "hang"\nafter = 1\n'


@pytest.fixture
def relay(world: World) -> str:
    """A relay."""
    return world.nexus()[1]


def test_start_status_stop(world: World, relay: str) -> None:
    """It forks nothing that runs threads, has a pid file and a log, serves commands, sells, and leaves nothing behind."""
    world.home("provider", relay, script='default = "It is 4."\n')
    world.home("buyer", relay, sats=100)
    assert world.ask("provider", "status") | {"jobs": {}} == {
        "running": False, "pid": None, "uptime_s": None, "relays": [], "backends": [], "jobs": {}, "wallet": None,
    }
    started = world.run("provider", "start")
    assert started.status == 0
    assert str(world.place / "provider" / "node.log") in started.out
    status = world.ask("provider", "status")
    assert (status["running"], status["role"], status["pid"]) == (True, "provider", world.node_pid("provider"))
    assert os.getpgid(world.node_pid("provider")) != os.getpgid(0)
    for words in (["start"], ["start", "-f"]):
        again = world.run("provider", *words)
        assert (again.status, "already running" in again.err) == (0, True), again
    assert world.ask("provider", "status")["pid"] == status["pid"]
    job = world.ask("buyer", "job", "submit", "What is 2+2?", "--auto-pay")
    holds_together(world, job, 100_000)
    stopped = world.run("provider", "stop")
    assert stopped.out == "Pylon has stopped.\n"
    assert not (world.place / "provider" / "node.pid").exists()
    assert world.ask("provider", "status")["running"] is False
    assert world.run("provider", "stop").out == "Pylon is not running.\n"
    assert "delivered" in world.log("provider")


def test_sigterm_lets_it_finish(world: World, relay: str) -> None:
    """A job that is being answered is answered and delivered before the end."""
    world.home("provider", relay, script=SLOW)
    world.home("buyer", relay, sats=100)
    provider = world.provider("provider")
    buyer = world.start("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--json")
    world.until(lambda: world.runs("provider") == ["start"], "the computation")
    provider.send(signal.SIGTERM)
    assert provider.done().status == 0
    assert buyer.done().document["answer"] == "one two three four"
    assert world.states("provider", "provider") == ["delivered"]
    assert world.runs("provider") == ["start", "done"]


def test_stop_kills_what_does_not_end(world: World, relay: str) -> None:
    """`stop -t` kills after its time, `stop -f` at once; what is unfinished is done at the next start."""
    world.home("provider", relay, script=HANGING)
    world.home("buyer", relay, sats=100)
    assert world.run("provider", "start").status == 0
    buyer = world.start("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--json")
    world.until(lambda: world.runs("provider") == ["start"], "the computation")
    killed = world.run("provider", "stop", "-t", "0.5")
    assert (killed.status, "is killed" in killed.err) == (0, True)
    assert world.run("provider", "start").status == 0
    world.until(lambda: world.runs("provider") == ["start", "start"], "the second computation")
    killed = world.run("provider", "stop", "-f")
    assert (killed.status, killed.err) == (0, "")
    world.script("provider", SLOW)
    assert world.run("provider", "start").status == 0
    assert buyer.done().document["answer"] == "one two three four"
    assert world.earned("provider") == (1000, 1)


def test_a_stale_pid_file_stops_nobody(world: World, relay: str) -> None:
    """After kill -9 the pid file and the socket are left; `status` and `stop` are not misled, and `start` works."""
    world.home("provider", relay, script=SLOW)
    assert world.run("provider", "start").status == 0
    world.kill_node("provider")
    assert (world.place / "provider" / "node.pid").exists()
    assert world.ask("provider", "status")["running"] is False
    assert world.run("provider", "stop").out == "Pylon is not running.\n"
    assert world.run("provider", "start").status == 0
    assert world.ask("provider", "status")["running"] is True


def test_stop_without_a_pid_file(world: World, relay: str) -> None:
    """The lock says that it runs; where the pid file is lost, the node itself says as which process."""
    world.home("provider", relay, script=SLOW)
    assert world.run("provider", "start").status == 0
    (world.place / "provider" / "node.pid").unlink()
    assert world.run("provider", "stop").out == "Pylon has stopped.\n"
    assert world.ask("provider", "status")["running"] is False


def test_an_idle_node_does_not_wait_for_what_it_cannot_do(world: World, relay: str) -> None:
    """A paid job that a killed provider left is for the next provider: a node without that role ends at once, and so the start is quick."""
    world.home("provider", relay, script=HANGING)
    world.home("buyer", relay, sats=100)
    provider = world.provider("provider")
    buyer = world.start("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--json")
    world.until(lambda: world.runs("provider") == ["start"], "the computation")
    provider.kill()
    world.script("provider", 'default = "It is 4."\n')
    assert world.ask("provider", "wallet", "balance")["spendable_msat"] == 1000
    assert world.ask("provider", "status")["role"] == "idle"
    world.provider("provider")
    assert buyer.done().document["answer"] == "It is 4."
    assert "still being answered" not in world.log("provider")


def test_an_idle_node_makes_room(world: World, relay: str) -> None:
    """`pylon start` takes over while `job submit --auto-pay` of the same home waits; the buyer's command goes on with the new node."""
    world.home("home", relay, sats=100, script='default = "It is 4."\n')
    buyer = world.start("home", "job", "submit", "What is 2+2?", "--auto-pay", "--json")
    world.until_state("home", "buyer", "posted")
    idle = world.node_pid("home")
    assert world.ask("home", "status")["role"] == "idle"
    assert world.run("home", "start").status == 0
    done = buyer.done()
    assert done.status == 0, done
    assert (done.document["answer"], done.document["own"]) == ("It is 4.", True)
    assert world.node_pid("home") != idle
    assert world.spendable("home") == 100_000
    assert world.earned("home") == (1000, 1)
    assert sorted(str(row["direction"]) for row in world.payments("home") if row["own"]) == ["in", "out"]


def test_without_a_backend(world: World, relay: str) -> None:
    """Exit 4, naming `pylon models pull`, in the foreground and as a daemon."""
    world.home("provider", relay)
    for words in (["start"], ["start", "-f"]):
        done = world.run("provider", *words)
        assert done.status == 4, done
        assert "pylon models pull" in done.err
    assert world.ask("provider", "status")["running"] is False


def test_an_idle_node_ends_by_itself(world: World, relay: str) -> None:
    """A node that a command has started leaves when nobody needs it."""
    world.home("home", relay)
    world.environment["PYLON_IDLE_SECONDS"] = "0.2"
    world.ask("home", "wallet", "balance")
    world.until(lambda: not (world.place / "home" / "node.pid").exists(), "the end of the idle node")
    assert world.ask("home", "wallet", "balance")["spendable_msat"] == 0
