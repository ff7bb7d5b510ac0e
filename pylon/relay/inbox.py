"""From what many relays sent to what is delivered: each event once for each subscription, matching, verified.

The cheapest question is asked first: delivered before (by the peeked id, nothing parsed), wanted at all (parsed, matched), genuine (id and
signature, in batches off the loop). *Seen* is written after *verified* only: while one copy of an event is being verified, copies with the
same id from other relays wait beside it, and the next one is tried when the first was forged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from pylon.errors import InvalidEvent
from pylon.ingest import Checked, Ingest
from pylon.nostr.event import Event, VerifiedEvent, check_many
from pylon.nostr.filter import Filter
from pylon.nostr.happening import EventArrived
from pylon.relay.seen import Seen

REMEMBERED: Final = 20_000
"""Delivered ids that each subscription remembers at least: some 6 MB when it is full."""
COPIES: Final = 2
"""Copies of one event that may wait for each relay, while another is being verified."""

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
    """One subscription. `checking`: by id, the copies that wait for the one being verified."""

    def __init__(self, sub: str) -> None:
        self.sub = sub
        self.seen = Seen(REMEMBERED)
        self.checking: dict[str, list[tuple[Source, bytes]]] = {}


_Context = tuple[_Box, str, Source]


class Inbox:
    """Calls `on_event(sub, event, url)` once for each event and subscription, `on_repeat(id, url)` for every further copy."""

    def __init__(self, on_event: Callable[[str, VerifiedEvent, str], None], on_repeat: Callable[[str, str], None] | None) -> None:
        self._on_event = on_event
        self._on_repeat = on_repeat
        self._boxes: dict[str, _Box] = {}
        self._stopped: set[Source] = set()
        self._ingest: Ingest[_Context] = Ingest(self._checked, on_room=self._room)

    def open(self, sub: str) -> None:
        """Deliver events of `sub` from now on."""
        self._boxes.setdefault(sub, _Box(sub))

    def close(self, sub: str) -> None:
        """Deliver nothing more for `sub`, and forget what was."""
        self._boxes.pop(sub, None)

    def arrived(self, arrival: EventArrived, filters: Sequence[Filter], source: Source) -> None:
        """`source`, which was asked for `filters`, sent an event."""
        box = self._boxes.get(arrival.sub)
        if box is None:
            return
        if arrival.id is not None and arrival.id in box.seen:
            self._repeat(arrival.id, source.url)
            return
        try:
            event = _decode(arrival.raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            source.strike()
            return
        if event.id in box.seen:  # the id could not be seen without parsing
            self._repeat(event.id, source.url)
        elif len(event.id) != 64 or not any(wanted.matches(event) for wanted in filters):
            source.strike()
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
            box.seen.add(checked.id)
            if self._boxes.get(box.sub) is box:
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
