"""A buyer's node that is killed with -9: the job goes on in the next one, and nothing is paid twice."""

from __future__ import annotations

import pytest

from tests.e2e.market import holds_together
from tests.e2e.world import World

SLOW = 'default = "one two three four five six"\ndelay_ms = 400\n'


@pytest.fixture(autouse=True)
def _homes(world: World) -> None:
    _, relay = world.nexus()
    world.home("provider", relay, script=SLOW)
    world.home("buyer", relay, sats=100)
    world.provider("provider")


def test_killed_between_payment_and_answer(world: World) -> None:
    """The command that waits starts another node, and gets the answer."""
    buyer = world.start("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--json")
    world.until_state("buyer", "buyer", "paid")
    world.kill_node("buyer")
    done = buyer.done()
    assert done.status == 0, done
    assert done.document["answer"] == "one two three four five six"
    holds_together(world, done.document, 100_000)
    assert len(world.payments("buyer")) == 1


def test_killed_with_its_command(world: World) -> None:
    """Node and command are killed; `job results` of another process gets the answer, which was paid once."""
    buyer = world.start("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--json")
    world.until_state("buyer", "buyer", "paid")
    buyer.kill()
    world.kill_node("buyer")
    (row,) = world.jobs("buyer", "buyer")
    assert row["status"] == "paid"
    collected = world.ask("buyer", "job", "results", str(row["id"]))
    assert (collected["status"], collected["answer"]) == ("done", "one two three four five six")
    holds_together(world, collected, 100_000)
    assert len(world.payments("buyer")) == 1
    world.until_state("provider", "provider", "delivered")
    assert world.runs("provider") == ["start", "done"]


def test_killed_while_it_pays(world: World) -> None:
    """The intent is journaled and the bank was not reached: the next node looks the payment up, and pays once."""
    quoted = world.ask("buyer", "job", "submit", "What is 2+2?", "--wait")
    with world.bank_held():
        paying = world.start("buyer", "job", "pay", str(quoted["id"]), "--json")
        world.until_state("buyer", "buyer", "paying")
        paying.kill()
        world.kill_node("buyer")
    collected = world.ask("buyer", "job", "results", str(quoted["id"]))
    assert (collected["status"], collected["answer"]) == ("done", "one two three four five six")
    holds_together(world, collected, 100_000)
    assert [row["status"] for row in world.payments("buyer")] == ["settled"]
