"""`pylon rlm` where something fails: a provider dies, the node dies, Ctrl-C, nobody is there, everybody is busy."""

from __future__ import annotations

import signal

from tests.e2e.swarm import Swarm, coverage, lacking, shares
from tests.e2e.world import World, number, port_of

QUESTION = "What does the text say?"
HANGING = 'default = "- a point"\nfail = "hang"\n'


def test_a_provider_dies_in_the_middle(world: World) -> None:
    """Killed with -9 while it computes what it was paid for: those pieces are bought once more, elsewhere, and the answer is whole."""
    swarm = Swarm(world, 2, script='default = "- a point"\n')
    swarm.say("p0", HANGING)
    file = swarm.document("text.txt", 6)
    run = world.start(
        "buyer", "rlm", QUESTION, "--file", file, "--chunk-size", "256", "--fanout", "6", "--timeout", "12", "--budget", "20", "--json"
    )
    world.until(lambda: world.states("p0", "provider").count("running") == 3, "three pieces under way at p0")
    swarm.providers["p0"].kill()
    done = run.done()
    assert done.status == 0, done
    assert coverage(done.document) == (6, 6)
    assert shares(done.document) == {swarm.keys["p1"]: 6}
    # Three at p0 that never came, three and the same three again at p1, one synthesis.
    assert number(done.document, "spent_msat") == 10_000
    assert 100_000_000 - world.spendable("buyer") == 10_000 == sum(world.earned(name)[0] for name in swarm.names)
    # Restarted, it still answers what it was paid for.
    swarm.say("p0", 'default = "- a late point"\n')
    swarm.providers["p0"] = world.provider("p0")
    world.until(lambda: world.states("p0", "provider") == ["delivered"] * 3, "what was owed")


def test_a_provider_dies_and_the_budget_is_used_up(world: World) -> None:
    """What is lost with it cannot be bought again: coverage says so, and the budget holds."""
    swarm = Swarm(world, 2, script='default = "- a point"\n')
    swarm.say("p0", HANGING)
    buyer = swarm.buyer("own", script='default = "joined"\n')
    file = swarm.document("text.txt", 4)
    run = world.start(
        buyer, "rlm", QUESTION, "--file", file, "--chunk-size", "256", "--fanout", "4", "--timeout", "8", "--budget", "4", "--json"
    )
    world.until(lambda: world.states("p0", "provider").count("running") == 2, "two pieces under way at p0")
    swarm.providers["p0"].kill()
    done = run.done()
    assert done.status == 10, done
    assert coverage(done.document) == (2, 4)
    assert [reason for _, reason in lacking(done.document)] == ["silent", "silent"]
    assert done.error["hint"] == "a larger --budget buys more"
    assert (done.document["answer"], number(done.document, "spent_msat")) == ("joined", 4000)
    assert 100_000_000 - world.spendable(buyer) == 4000


def test_busy_providers_are_asked_again(world: World) -> None:
    """One slot each and next to no queue: what is refused is asked again until all is done; refusals cost nothing."""
    queues = ["[provider]\nqueue = 0\n", "[provider]\nqueue = 1\n"]
    swarm = Swarm(world, 2, slots=1, more=queues, script='default = "- a point"\ndelay_ms = 60\n')
    before = swarm.books()
    done = swarm.rlm(
        QUESTION, "--file", swarm.document("text.txt", 8), "--chunk-size", "256", "--fanout", "8", "--timeout", "40", "--json"
    )
    assert done.status == 0, done
    assert coverage(done.document) == (8, 8)
    assert swarm.spent(before, done.document) == 9000
    assert swarm.peak() <= 2
    declined = [row for name in swarm.names for row in world.jobs(name, "provider") if row["status"] == "declined"]
    assert declined
    assert all(row["amount_msat"] is None for row in declined)


def test_ctrl_c_in_the_middle(world: World) -> None:
    """Exit 130 at once; what is in flight ends in the node, each piece paid once, and nothing else is begun."""
    swarm = Swarm(world, 1, script='default = "- a point"\ndelay_ms = 400\n')
    file = swarm.document("text.txt", 12)
    run = world.start("buyer", "rlm", QUESTION, "--file", file, "--chunk-size", "256", "--fanout", "3")
    world.until(lambda: swarm.started() >= 3, "three pieces under way")
    run.send(signal.SIGINT)
    done = run.done()
    assert (done.status, done.out) == (130, "")
    assert "Interrupted" in done.err
    begun = len(world.jobs("buyer", "buyer"))
    assert begun < 12
    world.until(lambda: set(world.states("buyer", "buyer")) == {"done"}, "the end of what was begun")
    assert len(world.jobs("buyer", "buyer")) == begun
    assert 100_000_000 - world.spendable("buyer") == begun * 1000 == world.earned("p0")[0]


def test_the_node_is_killed_in_the_middle(world: World) -> None:
    """The run ends and says so; what may have been paid counts as paid; started again, the node ends its jobs and pays none twice."""
    swarm = Swarm(world, 1, script=HANGING)
    file = swarm.document("text.txt", 3)
    run = world.start("buyer", "rlm", QUESTION, "--file", file, "--chunk-size", "256", "--timeout", "60", "--budget", "12", "--json")
    world.until(lambda: swarm.started() >= 3, "three pieces under way")
    world.kill_node("buyer")
    done = run.done()
    assert done.status == 1, done
    assert "the node went away" in done.error["message"]
    assert "job list" in done.error["hint"]
    assert {reason for _, reason in lacking(done.document)} == {"gone"}
    swarm.say("p0", 'default = "- a point"\n')
    assert number(done.document, "spent_msat") >= 100_000_000 - world.spendable("buyer") == 3000
    world.ask("buyer", "wallet", "balance")
    assert len(world.payments("buyer")) == 3
    assert world.earned("p0")[0] == 3000
    swarm.providers["p0"].kill()


def test_no_provider_at_all(world: World) -> None:
    """A relay and nobody who sells: exit 8 when the time is over, and nothing is paid."""
    _, url = world.nexus()
    world.home("buyer", url, sats=100, more="[backends]\nuse = []\n")
    world.place.joinpath("text.txt").write_text("A short text.\n", "utf-8")
    done = world.run("buyer", "rlm", QUESTION, "--file", str(world.place / "text.txt"), "--timeout", "2", "--json")
    assert (done.status, done.error["code"]) == (8, "timed_out"), done
    assert world.spendable("buyer") == 100_000
    assert set(world.states("buyer", "buyer")) == {"expired"}


def test_no_relay(world: World) -> None:
    """Exit 5 before anything is asked, with the address; a relay of `--relay` is enough."""
    _, url = world.nexus()
    dead = url.replace(str(port_of(url)), "9")
    world.home("buyer", dead, sats=100, more="[backends]\nuse = []\n")
    text = world.place / "text.txt"
    text.write_text("A short text.\n", "utf-8")
    done = world.run("buyer", "rlm", QUESTION, "--file", str(text), "--json")
    assert (done.status, done.error["code"]) == (5, "no_relay"), done
    assert dead in done.error["message"]
    assert world.jobs("buyer", "buyer") == []
    world.home("seller", url, script='default = "It is short."\n')
    world.provider("seller")
    found = world.run("buyer", "rlm", QUESTION, "--file", str(text), "--relay", url, "--json")
    assert (found.status, found.document["answer"]) == (0, "It is short."), found
    assert 100_000 - world.spendable("buyer") == 1000


def test_a_model_that_nobody_has(world: World) -> None:
    """Told at once, with those that there are, and nobody is asked; where one provider has it, every piece goes there."""
    swarm = Swarm(world, 2, script='default = "- a point"\n')
    file = swarm.document("text.txt", 3)
    before = swarm.books()
    done = swarm.rlm(QUESTION, "--file", file, "--chunk-size", "256", "--model", "nope", "--json")
    assert (done.status, done.error["code"]) == (4, "no_model"), done
    assert done.error["hint"] == "they have scripted"
    assert (swarm.books(), swarm.started()) == (before, 0)
    world.home("other", swarm.relay, script='model = "nope"\ndefault = "- another point"\n')
    world.provider("other")
    found = swarm.rlm(QUESTION, "--file", file, "--chunk-size", "256", "--model", "nope", "--json")
    assert (found.status, coverage(found.document)) == (0, (3, 3)), found
    assert len(shares(found.document)) == 1
    assert swarm.started() == 0


def test_no_identity(world: World) -> None:
    """Exit 3 before a file is read or a node is started."""
    done = world.run("nobody", "rlm", QUESTION, "--file", "there-is-none.txt", "--json")
    assert (done.status, done.error["code"]) == (3, "not_set_up")
    assert not list(world.place.glob("nobody/*"))
