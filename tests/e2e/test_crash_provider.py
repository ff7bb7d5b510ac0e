"""A provider that is killed with -9, at every stage of a job: once it is started again, the answer comes, paid and computed once."""

from __future__ import annotations

import pytest

from tests.e2e.market import holds_together
from tests.e2e.world import Running, World, port_of

HANGING = 'default = "It is 4."\nfail = "hang"\nafter = 1\n'
ANSWERING = 'default = "It is 4."\n'


@pytest.fixture
def relay(world: World) -> tuple[Running, str]:
    """A relay that both homes use; the provider's script answers at once."""
    running, url = world.nexus()
    world.home("provider", url, script=ANSWERING)
    world.home("buyer", url, sats=100)
    return running, url


def _ask(world: World) -> Running:
    return world.start("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--json")


def _came(world: World, buyer: Running, runs: list[str]) -> None:
    """The buyer who waited has the answer; it was paid once, and computed as often as `runs` says."""
    done = buyer.done()
    assert done.status == 0, done
    assert done.document["answer"] == "It is 4."
    holds_together(world, done.document, 100_000)
    assert world.earned("provider") == (1000, 1)
    assert len(world.payments("buyer")) == 1
    world.until_state("provider", "provider", "delivered")
    assert world.runs("provider") == runs


@pytest.mark.usefixtures("relay")
def test_killed_while_it_makes_the_invoice(world: World) -> None:
    """offered: the invoice is made after the start, and there is one."""
    provider = world.provider("provider")
    with world.bank_held():
        buyer = _ask(world)
        world.until_state("provider", "provider", "offered")
        provider.kill()
    world.provider("provider")
    _came(world, buyer, ["start", "done"])


@pytest.mark.usefixtures("relay")
def test_killed_with_an_open_invoice(world: World) -> None:
    """invoiced: the invoice stands, is paid while the provider is away, and the answer comes after its start."""
    provider = world.provider("provider")
    quoted = world.ask("buyer", "job", "submit", "What is 2+2?", "--wait")
    assert (quoted["status"], quoted["quote_msat"], quoted["amount_msat"]) == ("posted", 1000, None)
    provider.kill()
    assert world.states("provider", "provider") == ["invoiced"]
    buyer = world.start("buyer", "job", "pay", str(quoted["id"]), "--json")
    world.until_state("buyer", "buyer", "paid")
    world.provider("provider")
    _came(world, buyer, ["start", "done"])


@pytest.mark.usefixtures("relay")
def test_killed_while_it_computes(world: World) -> None:
    """running: paid, killed in the middle of the answer; the computation is repeated, and the buyer who waits gets it."""
    world.script("provider", HANGING)
    provider = world.provider("provider")
    buyer = _ask(world)
    world.until(lambda: world.runs("provider") == ["start"], "the computation")
    world.until_state("buyer", "buyer", "paid")  # the payee sees the settlement first
    provider.kill()
    world.script("provider", ANSWERING)
    world.provider("provider")
    _came(world, buyer, ["start", "start", "done"])


def test_killed_before_it_could_send_the_answer(world: World, relay: tuple[Running, str]) -> None:
    """answered: computed while no relay was there, then killed; after the start it is sent, and not computed again."""
    nexus, url = relay
    world.script("provider", 'default = "It is 4."\ndelay_ms = 300\n')
    provider = world.provider("provider")
    buyer = _ask(world)
    world.until(lambda: world.runs("provider") == ["start"], "the computation")
    nexus.kill()
    world.until_state("provider", "provider", "answered")
    provider.kill()
    world.nexus(port_of(url))
    world.provider("provider")
    _came(world, buyer, ["start", "done"])


def _owed(world: World, seconds: str) -> str:
    """Buy an answer that does not come: exit 9 says how to collect it, `doctor` shows it. The job's id."""
    failed = world.run("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--timeout", seconds, "--json")
    assert failed.status == 9, failed
    assert failed.error["code"] == "answer_owed"
    job_id = str(failed.document["id"])
    assert f"job results {job_id[:12]}" in failed.error["hint"]
    assert (failed.document["status"], failed.document["amount_msat"], failed.document["answer"]) == ("lost", 1000, None)
    assert "not answered" in world.run("buyer", "doctor").out
    assert world.earned("provider") == (1000, 1)
    return job_id


def _collected(world: World, job_id: str) -> None:
    """After the next start of the provider `job results` gets the answer, which was paid once."""
    world.script("provider", ANSWERING)
    world.provider("provider")
    collected = world.ask("buyer", "job", "results", job_id)
    assert (collected["status"], collected["answer"]) == ("done", "It is 4.")
    assert len(world.payments("buyer")) == 1
    assert world.earned("provider") == (1000, 1)
    world.until_state("provider", "provider", "delivered")


@pytest.mark.usefixtures("relay")
def test_money_was_taken_and_the_backend_is_broken(world: World) -> None:
    """owing: the provider's doctor shows the debt, too; it is paid at the next start."""
    world.script("provider", 'default = "x"\nfail = "broken"\n')
    provider = world.provider("provider")
    job_id = _owed(world, "3")
    world.until_state("provider", "provider", "owing")
    assert "answer is owed" in world.run("provider", "doctor").out
    provider.end()
    _collected(world, job_id)
    assert "owed" not in world.run("provider", "doctor").out.replace("nothing is owed", "")


@pytest.mark.usefixtures("relay")
def test_money_was_taken_and_the_backend_hangs(world: World) -> None:
    """running, beyond the customer's deadline: killed and started again, it answers."""
    world.script("provider", HANGING)
    provider = world.provider("provider")
    job_id = _owed(world, "3")
    assert world.states("provider", "provider") == ["running"]
    provider.kill()
    _collected(world, job_id)
