"""From what many relays sent to what is delivered: each event once for each subscription, matching, verified.

The cheapest question is asked first: delivered before (by the peeked id, nothing parsed; the listeners ask it too, before they make an
object), wanted at all (parsed, matched), genuine (id and signature, in batches off the loop). *Delivered* is written after *verified* only:
while one copy of an event is being verified, copies with the same id from other relays wait beside it, and the next one is tried when the
first was forged.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from pylon._native import Delivered
from pylon.errors import InvalidEvent
from pylon.ingest import Checked, Ingest
from pylon.nostr.event import Event, VerifiedEvent, check_many
from pylon.nostr.filter import Filter
from pylon.nostr.happening import EventArrived

REMEMBERED: Final = 65_536
"""Delivered events that are remembered at least, of all subscriptions together: at most twice as many, some 6 MB."""
COPIES: Final = 2
"""Copies of one event that may wait for each relay, while another is being verified."""

_is_id = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch
_decode = msgspec.json.Decoder(Event).decode


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
    """One subscription, `scope` in the table of what was delivered. `checking`: by id, the copies that wait for the one being verified."""

    def __init__(self, sub: str, scope: int) -> None:
        self.sub = sub
        self.scope = scope
        self.checking: dict[str, list[tuple[Source, bytes]]] = {}


_Context = tuple[_Box, str, Source]


class Inbox:
    """Calls `on_event(sub, event, url)` once for each event and subscription, `on_repeat(id, url)` for every further copy.

    `delivered` is the table for the listeners: what they drop by it is told to `repeated`.
    """

    def __init__(self, on_event: Callable[[str, VerifiedEvent, str], None], on_repeat: Callable[[str, str], None] | None) -> None:
        self._on_event = on_event
        self._on_repeat = on_repeat
        self.delivered = Delivered(REMEMBERED)
        self._boxes: dict[str, _Box] = {}
        self._stopped: set[Source] = set()
        self._ingest: Ingest[_Context] = Ingest(self._checked, on_room=self._room)

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

    def arrived(self, arrival: EventArrived, filters: Sequence[Filter], source: Source) -> None:
        """`source`, which was asked for `filters`, sent an event."""
        box = self._boxes.get(arrival.sub)
        if box is None:
            return
        if arrival.id is not None and self.delivered.holds(box.scope, arrival.id):
            self._repeat(arrival.id, source.url)
            return
        try:
            event = _decode(arrival.raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            source.strike()
            return
        if not _is_id(event.id) or not any(wanted.matches(event) for wanted in filters):
            source.strike()
        elif self.delivered.holds(box.scope, event.id):  # the id could not be seen without parsing
            self._repeat(event.id, source.url)
        elif event.id in box.checking:
            waiting = box.checking[event.id]
            if sum(other is source for other, _ in waiting) < COPIES:
                waiting.append((source, arrival.raw))
            else:
                source.strike()
        else:
            box.checking[event.id] = []
            if not self._ingest.put(arrival.raw, (box, event.id, source)):
                self._stopped.add(source)
                source.pause_reading()

    def after(self, then: Callable[[], None]) -> None:
        """Call `then` when everything that has arrived was delivered."""
        self._ingest.after(then)

    async def aclose(self) -> None:
        """Deliver what has arrived; nothing may arrive afterwards."""
        await self._ingest.aclose()

    def _checked(self, batch: list[tuple[_Context, Checked]]) -> None:
        for (box, event_id, source), checked in batch:
            copies = box.checking.pop(event_id)
            while isinstance(checked, InvalidEvent) and copies:
                source.strike()
                source, raw = copies.pop(0)
                (checked,) = check_many((raw,))
            if isinstance(checked, InvalidEvent):
                source.strike()
                continue
            if self._boxes.get(box.sub) is box:
                self.delivered.add(box.scope, checked.id)
                self._tell(box.sub, checked, source.url)
                for other, _ in copies:
                    self._repeat(checked.id, other.url)

    def _tell(self, sub: str, event: VerifiedEvent, url: str) -> None:
        try:
            self._on_event(sub, event, url)
        except Exception as error:  # the receiver's fault: reported, and the other events of the batch still arrive
            asyncio.get_running_loop().call_exception_handler({"message": "the receiver of an event failed", "exception": error})

    def _repeat(self, event_id: str, url: str) -> None:
        if self._on_repeat is not None:
            self._on_repeat(event_id, url)

    def _room(self) -> None:
        stopped, self._stopped = self._stopped, set()
        for source in stopped:
            source.resume_reading()
