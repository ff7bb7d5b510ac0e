"""Relays in memory that drop, duplicate, reorder, delay, and are away for a while."""

from __future__ import annotations

from collections.abc import Callable

from pylon.nostr.event import VerifiedEvent
from tests.sim.clock import Clock

Listener = Callable[[VerifiedEvent], None]
Wants = Callable[[VerifiedEvent], bool]


class Relay:
    """One relay. What it took it keeps; whether and when it tells is another matter."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.up = True
        self.faults = True
        self.stored: dict[str, VerifiedEvent] = {}
        self.listeners: dict[Listener, Wants] = {}

    def publish(self, event: VerifiedEvent) -> bool:
        """Whether it said OK. Even without an OK it may have taken the event."""
        if not self.up or (self.faults and self.clock.happens(0.1)):
            return False
        if event.id not in self.stored:
            self.stored[event.id] = event
            for listener, wants in self.listeners.items():
                self._tell(listener, wants, event)
        return not (self.faults and self.clock.happens(0.1))

    def _tell(self, listener: Listener, wants: Wants, event: VerifiedEvent) -> None:
        # Some events are lost, and some come that were not asked for.
        if (self.faults and self.clock.happens(0.1)) or not (wants(event) or (self.faults and self.clock.happens(0.02))):
            return
        for _ in range(2 if self.faults and self.clock.happens(0.15) else 1):
            self.clock.soon(lambda: listener(event))

    def subscribe(self, listener: Listener, wants: Wants) -> None:
        """Stored events first, then live ones; a REQ after a reconnect does the same again."""
        self.listeners[listener] = wants
        if self.up:
            for event in list(self.stored.values()):
                self._tell(listener, wants, event)

    def go(self, *, up: bool) -> None:
        """Away, or back: those who listen ask for everything again."""
        self.up = up
        if up:
            for listener, wants in self.listeners.items():
                self.subscribe(listener, wants)
