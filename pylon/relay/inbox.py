"""From what many relays sent to what is delivered: each event once for each subscription, matching, verified.

What was delivered already the listeners drop by the id that a frame claims, before they make an object; the rest is asked in one pass off
the loop, the cheapest question first: is it an event and its id the hash, was it delivered meanwhile, is it wanted, is it genuine.
*Delivered* is written after *verified* only, so a forgery under the id of an event hides nothing: each copy is checked on its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from pylon._native import DUPLICATE, Delivered, Seen, check_events, peek_id
from pylon.ingest import Checked, Ingest
from pylon.nostr.event import VerifiedEvent, load
from pylon.nostr.happening import EventsArrived

REMEMBERED: Final = 65_536
"""Deliveries that are remembered at least, of all subscriptions together: at most twice as many, some 6 MB."""
IN_FLIGHT: Final = 16_384
"""Verified events that are remembered at least: copies that the listener let through, and what several subscriptions want."""


class Source(Protocol):
    """A relay, as the inbox knows it."""

    url: str

    def strike(self) -> None:
        """It sent something that it should not have sent."""

    def pause_reading(self) -> None:
        """Take nothing more from its socket."""

    def resume_reading(self) -> None:
        """There is room again."""


class _Box:
    """One subscription, `scope` in the table of what was delivered; no later one of the same name has it."""

    def __init__(self, sub: str, scope: int) -> None:
        self.sub = sub
        self.scope = scope


_Context = tuple[_Box, Source]


class Inbox:
    """Calls `on_event(sub, event, url)` once for each event and subscription, `on_repeat(id, url)` for every further copy.

    `delivered` is the table for the listeners: what they drop by it is told to `repeated`.
    """

    def __init__(self, on_event: Callable[[str, VerifiedEvent, str], None], on_repeat: Callable[[str, str], None] | None) -> None:
        self._on_event = on_event
        self._on_repeat = on_repeat
        self._boxes: dict[str, _Box] = {}
        self.delivered = Delivered(REMEMBERED)
        self._stopped: set[Source] = set()
        self._ingest: Ingest[_Context] = Ingest(self._checked, seen=Seen(IN_FLIGHT), on_room=self._room)

    def open(self, sub: str) -> None:
        """Deliver events of `sub` from now on."""
        if sub not in self._boxes:
            self._boxes[sub] = _Box(sub, self.delivered.open(sub))

    def close(self, sub: str) -> None:
        """Deliver nothing more for `sub`, and forget what was."""
        self._boxes.pop(sub, None)
        self.delivered.close(sub)

    def repeated(self, ids: bytes, url: str) -> None:
        """A listener dropped further copies of delivered events (32 bytes each)."""
        if self._on_repeat is not None:
            for at in range(0, len(ids), 32):
                self._on_repeat(ids[at : at + 32].hex(), url)

    def arrived(self, arrival: EventsArrived, source: Source) -> None:
        """`source` sent events."""
        box = self._boxes.get(arrival.sub)
        if box is not None and not self._ingest.put(arrival.texts, (box, source), scope=box.scope, wanted=arrival.wanted):
            self._stopped.add(source)
            source.pause_reading()

    def after(self, then: Callable[[], None]) -> None:
        """Call `then` when everything that has arrived was delivered."""
        self._ingest.after(then)

    async def aclose(self) -> None:
        """Deliver what has arrived; nothing may arrive afterwards."""
        await self._ingest.aclose()

    def _checked(self, batch: list[tuple[_Context, bytes, Checked]]) -> None:
        for (box, source), text, first in batch:
            checked = self._in_turn(box, text) if first == DUPLICATE else first
            if isinstance(checked, int):
                if checked != DUPLICATE:
                    source.strike()
                elif self._on_repeat is not None and self._boxes.get(box.sub) is box:
                    self._on_repeat(_id_of(text), source.url)
            elif self._boxes.get(box.sub) is box:
                if self.delivered.add(box.scope, checked.id):
                    self._tell(box.sub, checked, source.url)
                elif self._on_repeat is not None:  # so long ago that `seen` has forgotten it
                    self._on_repeat(checked.id, source.url)

    def _in_turn(self, box: _Box, text: bytes) -> Checked:
        """What a copy is: the event itself, where it is genuine and the one that it repeats stands behind it, in a batch checked sooner.

        The EOSE of its relay may stand between the two, and must not overtake the event.
        """
        if self._boxes.get(box.sub) is not box or self.delivered.holds(box.scope, _id_of(text)):
            return DUPLICATE
        return check_events([text])[0]

    def _tell(self, sub: str, event: VerifiedEvent, url: str) -> None:
        try:
            self._on_event(sub, event, url)
        except Exception as error:  # the receiver's fault: reported, and the other events of the batch still arrive
            asyncio.get_running_loop().call_exception_handler({"message": "the receiver of an event failed", "exception": error})

    def _room(self) -> None:
        stopped, self._stopped = self._stopped, set()
        for source in stopped:
            source.resume_reading()


def _id_of(text: bytes) -> str:
    """The id of what the check calls a copy: the one in plain sight is the event's own, as it has shown."""
    return peek_id(text) or load(text).id
