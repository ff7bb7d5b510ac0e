"""The pool against scripted relays over real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from random import Random

import pytest

from pylon.errors import NoRelay, UsageError
from pylon.nostr.event import VerifiedEvent
from pylon.nostr.filter import Filter
from pylon.relay.pool import Options, Pool, State
from tests.relay.relays import NOW, AuthRelay, BlackHole, Relay, note, running, signer

QUICK = Options(connect_timeout=5.0, backoff_base=0.01, backoff_cap=0.02, close_timeout=0.5)
NOTES = Filter(kinds=(1,))


class Desk:
    """What a pool tells, and a pool that tells it."""

    def __init__(self, urls: Iterable[str], options: Options = QUICK) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.repeats: list[tuple[str, str]] = []
        self.eose: list[tuple[str, str]] = []
        self.pool = Pool(
            urls, [signer(9)], on_event=self.event, on_repeat=lambda event_id, url: self.repeats.append((event_id, url)),
            on_eose=lambda sub, url: self.eose.append((sub, url)), clock=lambda: NOW, rng=Random(1), options=options,
        )

    def event(self, sub: str, event: VerifiedEvent, url: str) -> None:
        """A new event."""
        self.events.append((sub, event.content, url))

    def contents(self) -> list[str]:
        """The texts that were delivered, in order."""
        return [content for _, content, _ in self.events]


@asynccontextmanager
async def desk(urls: Iterable[str], options: Options = QUICK) -> AsyncIterator[Desk]:
    """A started pool, ended at the end."""
    made = Desk(urls, options)
    await made.pool.start()
    try:
        yield made
    finally:
        await made.pool.aclose()


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds that other tasks bring about; ten seconds mean that it never will."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in several places, also inside the scripted relays
            await asyncio.sleep(0.005)


async def test_subscribe_and_publish() -> None:
    """What is stored and what comes later is delivered, and a published event gets its OK."""
    relay = Relay()
    relay.stored.append(note("stored"))
    async with running(relay) as urls, desk(urls) as here:
        here.pool.subscribe("s", [NOTES])
        assert await here.pool.wait_eose("s", 5)
        assert here.contents() == ["stored"]
        publication = here.pool.publish(note("new", by=9), after="s")
        assert await publication.accepted(5) == relay.url
        await until(lambda: here.contents() == ["stored", "new"])
        assert [state.state for state in here.pool.states()] == [State.OPEN]
    assert relay.close_codes == [1000]


async def test_auth_first() -> None:
    """A relay that asks for AUTH gets it, and everything is said after its OK."""
    relay = AuthRelay()
    async with running(relay) as urls, desk(urls) as here:
        here.pool.subscribe("s", [NOTES])
        publication = here.pool.publish(note("new", by=9), after="s")
        assert await publication.accepted(5) == relay.url
        assert [state.state for state in here.pool.states()] == [State.AUTHENTICATED]
        assert here.pool.states()[0].authenticated


async def test_black_hole_delays_nothing() -> None:
    """With one of three relays dead, EOSE and publishing do not wait for it."""
    one, two, hole = Relay(), Relay(), BlackHole()
    async with running(one, two, hole) as urls, desk(urls) as here:
        here.pool.subscribe("s", [NOTES])
        assert await here.pool.wait_eose("s", 4)
        publication = here.pool.publish(note("new", by=9), after="s")
        assert await publication.accepted(4) in (one.url, two.url)
        await until(lambda: len(here.repeats) == 1)
        assert here.contents() == ["new"]


async def test_all_refuse() -> None:
    """Where no relay is there, the error names the reason of each."""
    gone = Relay()
    async with running(gone):
        pass
    async with desk([gone.url]) as here:
        await until(lambda: here.pool.states()[0].reason)
        with pytest.raises(NoRelay, match="connection refused"):
            await here.pool.publish(note("new", by=9)).accepted(0.05)


async def test_bad_address() -> None:
    """An address that is none is refused when the pool is made."""
    with pytest.raises(UsageError, match="not the address"):
        Desk(["https://example.com"])
