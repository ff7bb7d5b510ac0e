"""Many relays as one: what is asked is asked of all, what arrives is delivered once, what is published goes everywhere.

No relay can delay another: each has its own line, its own EOSE and its own queue, and whoever waits takes the first answer.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from random import Random
from typing import Final

from pylon.nostr.event import Signer, VerifiedEvent
from pylon.nostr.filter import Filter
from pylon.nostr.happening import Accepted, EventsArrived, EventsRepeated, Happening, Rejected
from pylon.nostr.message import Eose, Notice
from pylon.nostr.session import Session
from pylon.relay.dial import canonical
from pylon.relay.inbox import Inbox
from pylon.relay.link import Link
from pylon.relay.options import Options, RelayState, State
from pylon.relay.publication import Publication, PublishAnswer
from pylon.relay.recheck import Recheck

__all__ = ["Options", "Pool", "Publication", "PublishAnswer", "RelayState", "State"]

SETTLE: Final = 0.25
"""Seconds that the other relays have after the fastest one's EOSE: with a busy loop's delay, less than 300 ms for whoever waits."""
MAX_PUBLICATIONS: Final = 10_000

Filters = Sequence[Filter] | Callable[[], Sequence[Filter]]

log = logging.getLogger("pylon.relay")


class _Subscription:
    def __init__(self, filters: Filters) -> None:
        self.filters = filters
        self.asked: tuple[Filter, ...] = ()
        self.eose: set[str] = set()
        self.first_eose: float | None = None

    def wanted(self) -> tuple[Filter, ...]:
        """The filters of this moment."""
        return tuple(self.filters() if callable(self.filters) else self.filters)


class Pool:
    """The relays at `urls`, each authenticated with `signers`. Made where an event loop runs; everything happens on its thread.

    `on_event(sub, event, url)`: a new verified event. `on_repeat(id, url)`: a delivered event came again. `on_eose(sub, url)`: all that
    this relay had stored was delivered. `clock` gives Unix seconds, `rng` the jitter of the waiting times. `recheck`: see Recheck.
    """

    def __init__(
        self,
        urls: Iterable[str],
        signers: Sequence[Signer],
        *,
        on_event: Callable[[str, VerifiedEvent, str], None],
        on_repeat: Callable[[str, str], None] | None = None,
        on_eose: Callable[[str, str], None] | None = None,
        clock: Callable[[], float],
        rng: Random,
        options: Options | None = None,
        tls: ssl.SSLContext | None = None,
        recheck: bool = True,
    ) -> None:
        self._signers = signers
        self._on_eose = on_eose
        self._clock = clock
        self._rng = rng
        self._options = options or Options()
        self._tls = tls
        self._recheck = Recheck() if recheck else None
        self._inbox = Inbox(on_event, on_repeat)
        self._links: dict[str, Link] = {}
        self._subscriptions: dict[str, _Subscription] = {}
        self._publications: dict[str, list[Publication]] = {}
        self._moved = asyncio.Event()
        self._started = False
        for url in urls:
            self._have(url)

    async def start(self) -> None:
        """Connect to every relay; nothing is waited for."""
        self._started = True
        for link in self._links.values():
            link.start()

    async def aclose(self) -> None:
        """End every connection with its closing handshake, and deliver what has arrived."""
        if self._recheck is not None:
            self._recheck.check()
        await asyncio.gather(*(link.aclose() for link in self._links.values()))
        await self._inbox.aclose()

    async def ensure(self, urls: Iterable[str]) -> None:
        """Have these relays too, with everything that is subscribed to; one that waits for its next attempt tries now."""
        for url in urls:
            self._have(url).wake()

    def states(self) -> list[RelayState]:
        """How every relay stands."""
        return [
            RelayState(link.url, link.state, bool(link.session.authenticated), link.rtt_ms, link.reason) for link in self._links.values()
        ]

    async def wait_connected(self, timeout: float) -> bool:  # noqa: ASYNC109 - time-out is an answer here, not an error
        """Whether, within `timeout` seconds, a relay is open, and authenticated where it wants that."""
        return await self._until(lambda: any(link.usable for link in self._links.values()), timeout)

    # Subscriptions

    def subscribe(self, sub_id: str, filters: Filters) -> None:
        """Ask every relay for `filters` (one at least), also after reconnecting; a function is asked again for every new connection.

        The same `sub_id` replaces the filters. Raises ValueError without filters, WireError for an id that NIP-01 forbids.
        """
        subscription = self._subscriptions.get(sub_id)
        if subscription is None:
            subscription = _Subscription(filters)
        subscription.filters = filters
        wanted = subscription.wanted()
        if not wanted:
            raise ValueError("a subscription has at least one filter")
        if wanted != subscription.asked:
            subscription.eose.clear()
            subscription.first_eose = None
        self._subscriptions[sub_id] = subscription
        subscription.asked = wanted
        self._inbox.open(sub_id)
        for link in self._links.values():
            link.session.subscribe(sub_id, wanted)
            link.turn()

    def unsubscribe(self, sub_id: str) -> None:
        """End a subscription everywhere. One that does not exist is no error."""
        if self._subscriptions.pop(sub_id, None) is not None:
            self._inbox.close(sub_id)
            for link in self._links.values():
                link.session.unsubscribe(sub_id)
                link.turn()

    async def wait_eose(self, sub_id: str, timeout: float) -> bool:  # noqa: ASYNC109 - time-out is an answer here, not an error
        """Whether a relay has delivered all it had stored within `timeout` seconds; the others get 250 ms more, dead ones nothing."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        subscription = self._subscription(sub_id)
        if not await self._until(lambda: subscription.first_eose is not None, timeout):
            return False
        first = subscription.first_eose
        if first is not None:
            await self._until(lambda: self._all_eose(subscription), min(first + SETTLE, deadline) - loop.time())
        return True

    def _subscription(self, sub_id: str) -> _Subscription:
        if sub_id not in self._subscriptions:
            raise ValueError(f"there is no subscription {sub_id!r} to wait for")
        return self._subscriptions[sub_id]

    def _all_eose(self, subscription: _Subscription) -> bool:
        return all(link.url in subscription.eose for link in self._links.values() if link.state not in (State.WAITING, State.CLOSED))

    # Publishing

    def publish(self, event: VerifiedEvent, *, after: str | None = None, urls: Sequence[str] | None = None) -> Publication:
        """Send `event` to every relay, or to those of `urls`, as soon as each is open, and again after a reconnect, until it answers.

        With `after`, a relay gets it only after its own EOSE of that subscription; ValueError if there is none. A relay of `urls`
        that this pool does not have yet is added.
        """
        if after is not None:
            self._subscription(after)
        links = list(self._links.values()) if urls is None else [self._have(url) for url in dict.fromkeys(urls)]
        publication = Publication(event, (link.url for link in links), self._why)
        if links:
            self._bound_publications()
            self._publications.setdefault(event.id, []).append(publication)
        send = partial(self._send, publication, links, after)
        if self._recheck is None:
            send(True)
        else:
            self._recheck.put(event, send)
        return publication

    def _send(self, publication: Publication, links: Sequence[Link], after: str | None, holds: bool) -> None:
        event = publication.event
        if not holds:
            log.critical("the signature of our event %s does not hold: it is not sent", event.id)
        for link in links if publication in self._publications.get(event.id, ()) else ():
            if holds:
                link.session.publish(event, after=after)
                link.turn()
            else:
                self._answered(event.id, link.url, False, "error: our signature does not hold, this machine computes wrongly")

    def forget(self, publication: Publication) -> None:
        """Nobody waits for it any more: stop sending it to relays that have not answered."""
        event_id = publication.event.id
        others = [other for other in self._publications.get(event_id, ()) if other is not publication]
        if others:
            self._publications[event_id] = others
        elif self._publications.pop(event_id, None) is not None:
            for url in publication.answers:
                self._links[url].session.forget(event_id)

    def _bound_publications(self) -> None:
        """Whoever does not `forget` must not fill the memory: the oldest goes first."""
        while len(self._publications) >= MAX_PUBLICATIONS:
            for publication in list(next(iter(self._publications.values()))):
                log.warning("event %s was never answered by all relays and is no longer sent", publication.event.id)
                self.forget(publication)

    def _why(self, url: str) -> str:
        link = self._links[url]
        return link.reason or ("no answer" if link.usable else f"{link.state}")

    # What the lines say (link.Owner)

    def opening(self, link: Link, /) -> None:
        """A new connection: ask for what is wanted now."""
        for sub_id, subscription in self._subscriptions.items():
            if wanted := subscription.wanted():
                link.session.subscribe(sub_id, wanted)

    def happened(self, link: Link, happening: Happening, /) -> None:
        """A relay said something that matters."""
        match happening:
            case EventsArrived():
                self._inbox.arrived(happening, link)
            case EventsRepeated(ids):
                self._inbox.repeated(ids, link.url)
            case Eose(sub_id):
                self._inbox.after(lambda: self._eose(sub_id, link.url))
            case Accepted(event_id, reason):
                self._answered(event_id, link.url, True, reason)
            case Rejected(event_id, reason):
                self._answered(event_id, link.url, False, reason)
            case Notice(words):
                log.info("%s says %r", link.url, words)
            case _:
                self._ring()

    def changed(self, link: Link, /) -> None:
        """A state has changed."""
        self._ring()

    def _eose(self, sub_id: str, url: str) -> None:
        subscription = self._subscriptions.get(sub_id)
        if subscription is None:
            return
        subscription.eose.add(url)
        if subscription.first_eose is None:
            subscription.first_eose = asyncio.get_running_loop().time()
        self._ring()
        if self._on_eose is not None:
            self._on_eose(sub_id, url)

    def _answered(self, event_id: str, url: str, ok: bool, reason: str) -> None:
        waiting = self._publications.get(event_id, [])
        for publication in waiting:
            publication.answered(url, ok, reason)
        rest = [publication for publication in waiting if not publication.complete]
        if rest:
            self._publications[event_id] = rest
        else:
            self._publications.pop(event_id, None)

    def _have(self, address: str) -> Link:
        """The line to a relay, made where there is none."""
        url = canonical(address)
        if url not in self._links:
            if url.startswith("wss:") and self._tls is None:
                self._tls = ssl.create_default_context()
            link = Link(Session(url, self._signers), self, self._options, self._inbox.delivered, self._clock, self._rng, self._tls)
            self._links[url] = link
            for sub, subscription in self._subscriptions.items():
                link.session.subscribe(sub, subscription.asked)
            if self._started:
                link.start()
        return self._links[url]

    def _ring(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def _until(self, holds: Callable[[], bool], seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    await self._moved.wait()
        except TimeoutError:
            return holds()
        return True
