"""Two providers for one job: exactly one is paid, and one that refuses or asks too much is passed over."""

from __future__ import annotations

import pytest

from tests.e2e.world import World

CHEAP = "[provider]\nmin_price_msats = 1000\n"
DEAR = "[provider]\nmin_price_msats = 5000\n"
GREETING = 'default = "It is 4."\n'


@pytest.fixture(autouse=True)
def relay(world: World) -> str:
    """A relay and a buyer."""
    _, url = world.nexus()
    world.home("buyer", url, sats=100)
    return url


def test_the_first_offer_is_taken_and_the_other_is_not_paid(world: World, relay: str) -> None:
    """Both offer; the person pays, and one of the two has the money and the work, the other neither."""
    for name in ("one", "two"):
        world.home(name, relay, script=GREETING)
        world.provider(name)
    quoted = world.ask("buyer", "job", "submit", "What is 2+2?", "--wait")
    for name in ("one", "two"):
        world.until_state(name, "provider", "invoiced")
    job = world.ask("buyer", "job", "pay", str(quoted["id"]))
    assert job["provider"] == quoted["provider"]
    assert len(world.payments("buyer")) == 1
    assert sorted(world.earned(name) for name in ("one", "two")) == [(0, 0), (1000, 1)]
    assert sorted(world.runs(name) for name in ("one", "two")) == [[], ["start", "done"]]
    again = world.ask("buyer", "job", "pay", str(quoted["id"]))
    assert again == job
    assert len(world.payments("buyer")) == 1


def test_one_that_asks_more_than_the_bid_is_passed_over(world: World, relay: str) -> None:
    """The dear one says why it declines; the cheap one, which comes later, gets the job."""
    world.home("dear", relay, script=GREETING, more=DEAR)
    world.home("cheap", relay, script=GREETING, more=CHEAP)
    world.provider("dear")
    buyer = world.start("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--bid", "1000")
    buyer.line("refused   by")
    assert "5000 msat" in buyer.err
    world.provider("cheap")
    assert buyer.done().status == 0
    assert world.earned("dear") == (0, 0)
    assert world.earned("cheap") == (1000, 1)
    (row,) = world.jobs("buyer", "buyer")
    holds = world.ask("buyer", "job", "results", str(row["id"]))
    assert holds["provider"] == world.ask("cheap", "wallet", "whoami")["pubkey"]
    assert 100_000 - world.spendable("buyer") == 1000


def test_one_that_lacks_the_model_is_passed_over(world: World, relay: str) -> None:
    """A refusal before payment leads to the next offer; no model is silently replaced by another (J18)."""
    world.home("other", relay, script='model = "other"\ndefault = "No."\n')
    world.home("wanted", relay, script='model = "wanted"\ndefault = "It is 4."\n')
    for name in ("other", "wanted"):
        world.provider(name)
    job = world.ask("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--model", "wanted")
    assert (job["model"], job["answer"]) == ("wanted", "It is 4.")
    world.until_state("other", "provider", "declined")
    assert world.runs("other") == []
    holds_together_with(world, job, "wanted")


def holds_together_with(world: World, job: dict[str, object], seller: str) -> None:
    """What was paid is what that provider earned."""
    assert job["amount_msat"] == world.earned(seller)[0]
    assert 100_000 - world.spendable("buyer") == job["amount_msat"]
