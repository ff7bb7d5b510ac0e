"""Several relays, and relays that die: one job, one invoice, one run, and it still ends."""

from __future__ import annotations

from tests.e2e.market import holds_together
from tests.e2e.world import World, port_of
from tests.relay.relays import BlackHole

SLOW = 'default = "one two three four five"\ndelay_ms = 200\n'


def _once(world: World, job: dict[str, object]) -> None:
    """One job, one invoice, one payment, one run, whatever the number of relays (ancestor: defect 1)."""
    holds_together(world, job, 100_000)
    world.until_state("provider", "provider", "delivered")
    assert len(world.jobs("provider", "provider")) == 1
    assert world.earned("provider") == (1000, 1)
    assert world.runs("provider") == ["start", "done"]
    assert len(world.payments("buyer")) == 1


def test_three_relays_at_once(world: World) -> None:
    """The request comes by three relays and is one job; so do the offer and the answer; one of the relays is killed in the middle."""
    relays = [world.nexus(data=f"nexus{number}") for number in range(3)]
    urls = [url for _, url in relays]
    world.home("provider", *urls, script=SLOW)
    world.home("buyer", *urls, sats=100)
    world.provider("provider")
    buyer = world.start("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--json")
    world.until(lambda: world.runs("provider") == ["start"], "the computation")
    relays[1][0].kill()
    done = buyer.done()
    assert done.status == 0, done
    _once(world, done.document)


async def test_one_of_three_swallows_everything(world: World) -> None:
    """A relay that takes connections and never answers delays nothing; `doctor` warns of it."""
    hole = BlackHole()
    await hole.start()
    try:
        urls = [*(world.nexus(data=f"nexus{number}")[1] for number in range(2)), hole.url]
        world.home("provider", *urls, script='default = "It is 4."\n')
        world.home("buyer", *urls, sats=100)
        world.provider("provider")
        job = world.ask("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--timeout", "30")
        _once(world, job)
        looked = world.run("buyer", "doctor", "-v")
        assert f"warn relay: {hole.url}" in looked.out
    finally:
        await hole.stop()


def test_the_relay_is_killed_in_the_middle(world: World) -> None:
    """kill -9 of the only relay while the answer is computed; it comes back with its data, and the job ends as if nothing had been."""
    nexus, url = world.nexus()
    world.home("provider", url, script=SLOW)
    world.home("buyer", url, sats=100)
    world.provider("provider")
    buyer = world.start("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--json")
    world.until(lambda: world.runs("provider") == ["start"], "the computation")
    nexus.kill()
    world.until_state("provider", "provider", "answered")
    world.nexus(port_of(url))
    done = buyer.done()
    assert done.status == 0, done
    _once(world, done.document)


def test_the_relay_is_killed_before_anybody_answers(world: World) -> None:
    """The request is acknowledged, then the relay dies: after its return the provider that comes later still finds it there."""
    nexus, url = world.nexus()
    world.home("provider", url, script=SLOW)
    world.home("buyer", url, sats=100)
    buyer = world.start("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--json")
    world.until_state("buyer", "buyer", "posted")
    nexus.kill()
    world.nexus(port_of(url))
    world.provider("provider")
    done = buyer.done()
    assert done.status == 0, done
    _once(world, done.document)
