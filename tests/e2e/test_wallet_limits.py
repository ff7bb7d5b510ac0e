"""The limits of spending in the processes that people run: what a person and a job may still pay, and how paying goes on after failures."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.world import Document, World

ANSWER = 'default = "It is 4."\n'


def limit(world: World, home: str, text: str) -> None:
    """Write the limits of a home; its node, if any, ends so that they hold."""
    config = Path(world.place / home / "config.toml")
    config.write_text(config.read_text("utf-8") + f"[wallet.limits]\n{text}\n", "utf-8")
    world.run(home, "stop")


def bill(world: World, home: str, sats: int) -> str:
    """An invoice of that home."""
    return str(world.ask(home, "wallet", "invoice", str(sats))["bolt11"])


def part(document: Document, name: str) -> Document:
    """A document in a document."""
    found = document[name]
    assert isinstance(found, dict)
    return found


def test_a_person_is_held_to_the_limits(world: World) -> None:
    """P25, P26: exit 6, a code of its own, what is left; nothing is written, nothing leaves; the fee's limit is set aside."""
    world.home("alice", sats=100)
    world.home("bob")
    limit(world, "alice", "per_day_sats = 25")
    world.ask("alice", "wallet", "pay", bill(world, "bob", 10))
    refused = world.run("alice", "wallet", "pay", bill(world, "bob", 11), "--json")
    assert (refused.status, refused.error["code"]) == (6, "over_limit")
    assert "up to 16 sats with the fee, and 15 sats are left of per_day_sats = 25" in refused.error["message"]
    world.ask("alice", "wallet", "pay", bill(world, "bob", 10))
    document = world.ask("alice", "wallet", "limits")
    assert part(document, "day") == {"limit_msat": 25_000, "used_msat": 20_000, "left_msat": 5_000}
    assert len(world.payments("alice")) == 2
    assert world.spendable("alice") == 80_000


def test_a_job_over_its_limit_is_not_paid(world: World) -> None:
    """P26: the job ends at once with the reason, not as a refusal of the provider's; a person who raises the limit buys."""
    _, url = world.nexus()
    world.home("buyer", url, sats=100)
    world.home("provider", url, script=ANSWER)
    world.provider("provider")
    limit(world, "buyer", "per_job_sats = 5")
    done = world.run("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--json")
    assert (done.status, done.error["code"]) == (6, "over_limit"), done
    assert "nothing was paid" in done.error["message"]
    assert world.spendable("buyer") == 100_000
    (row,) = world.payments("buyer")
    assert (row["status"], row["tries"]) == ("failed", 0)
    limit_raised = (world.place / "buyer" / "config.toml").read_text("utf-8").replace("per_job_sats = 5", "per_job_sats = 6")
    (world.place / "buyer" / "config.toml").write_text(limit_raised, "utf-8")
    world.run("buyer", "stop")
    assert world.ask("buyer", "job", "submit", "What is 2+2?", "--auto-pay")["answer"] == "It is 4."


def test_failures_stop_paying_and_a_person_goes_on(world: World) -> None:
    """Invoices that nobody can pay any more, three times: paused, said with when it ends; `--reset` goes on at once."""
    world.home("alice", sats=100)
    world.home("bob")
    world.home("carol", sats=100)
    limit(world, "alice", "failures = 3")
    for _ in range(3):
        made = bill(world, "bob", 1)
        world.ask("carol", "wallet", "pay", made)  # somebody else was quicker: the bank refuses a second payment
        failed = world.run("alice", "wallet", "pay", made, "--json")
        assert (failed.status, failed.error["code"]) == (6, "payment_failed"), failed
    paused = world.run("alice", "wallet", "pay", bill(world, "bob", 1), "--json")
    assert (paused.status, paused.error["code"]) == (6, "payments_paused")
    breaker = part(world.ask("alice", "wallet", "limits"), "breaker")
    assert breaker["failed"] == 3
    assert breaker["paused_until"] is not None
    shown = world.run("alice", "wallet", "limits", "--reset")
    assert (shown.status, "0 in a row" in shown.out) == (0, True)
    world.ask("alice", "wallet", "pay", bill(world, "bob", 1))
