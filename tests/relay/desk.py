"""A pool for tests, and everything that it tells."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from random import Random

from pylon._native import Signer
from pylon.nostr.event import VerifiedEvent
from pylon.nostr.filter import Filter
from pylon.relay.pool import Options, Pool, State
from tests.relay.relays import NOW, signer

QUICK = Options(connect_timeout=5.0, backoff_base=0.01, backoff_cap=0.02, close_timeout=0.5)
NOTES = Filter(kinds=(1,))


class Desk:
    """What a pool tells, and a pool that tells it."""

    def __init__(
        self, urls: Iterable[str], options: Options = QUICK, signers: tuple[Signer, ...] = (), clock: float = NOW,
        tls: ssl.SSLContext | None = None, recheck: bool = True,
    ) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.repeats: list[tuple[str, str]] = []
        self.eose: list[tuple[str, str]] = []
        self.failures: list[Exception] = []
        self.pool = Pool(
            urls, signers or (signer(9),), on_event=self.event, on_repeat=lambda event_id, url: self.repeats.append((event_id, url)),
            on_eose=lambda sub, url: self.eose.append((sub, url)), clock=lambda: clock, rng=Random(1), options=options, tls=tls,
            recheck=recheck,
        )

    def event(self, sub: str, event: VerifiedEvent, url: str) -> None:
        """A new event."""
        if self.failures:
            raise self.failures.pop()
        self.events.append((sub, event.content, url))

    def state(self, number: int = 0) -> State:
        """How one of the relays stands."""
        return self.pool.states()[number].state

    def contents(self) -> list[str]:
        """The texts that were delivered, in order."""
        return [content for _, content, _ in self.events]


@asynccontextmanager
async def desk(
    urls: Iterable[str], options: Options = QUICK, signers: tuple[Signer, ...] = (), clock: float = NOW,
    tls: ssl.SSLContext | None = None, recheck: bool = True,
) -> AsyncIterator[Desk]:
    """A started pool, ended at the end."""
    made = Desk(urls, options, signers, clock, tls, recheck)
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


