"""What was said to a relay and how far it came: the rows of the tables that a `session` keeps."""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct, structs

from pylon._native import FilterIndex
from pylon.nostr.filter import Filter

OVERLAP: Final = 900
"""Seconds by which a subscription reaches back behind what was last heard: clocks differ, and events reach a relay late."""

FINAL: Final = frozenset({"auth-required", "restricted", "blocked", "invalid", "unsupported", "pow", "mute"})
"""Prefixes of a CLOSED after which the same REQ would be closed again."""


MAX_DROPPED: Final = 64
"""Ended subscriptions whose late events are no offence."""

MAX_REASON: Final = 500
"""Characters of a NOTICE, a CLOSED or an OK that are kept."""


class Phase(Enum):
    """Of one REQ or EVENT on the present connection."""

    WAITING = "not said yet, or to be said again"
    SENT = "said, no answer yet"
    LIVE = "EOSE has come"
    HELD = "refused until we are authenticated"
    ENDED = "closed by the relay"


class Said(Struct, kw_only=True):
    """Something that the relay may refuse until we are authenticated. `tried`: the challenge that was answered when it was said."""

    phase: Phase = Phase.WAITING
    tried: str | None = None
    reason: str = ""


class Outgoing(Said, kw_only=True):
    """An event without an answer; `after` names the subscription whose EOSE comes first."""

    text: bytes
    after: str | None


class Request(Said, kw_only=True):
    """A subscription: `filters` are wanted, `asked` were sent last, and what `before` matched may still be on its way.

    `covered`: filters whose stored events have all come; every later event came too until `heard` (Unix seconds).
    """

    filters: tuple[Filter, ...]
    asked: tuple[Filter, ...] = ()
    before: tuple[Filter, ...] = ()
    covered: tuple[Filter, ...] = ()
    heard: int = 0
    index: FilterIndex | None = None
    indexed: tuple[Filter, ...] = ()

    def replace(self, filters: tuple[Filter, ...], heard: int) -> None:
        """Want something else. A REQ without its EOSE is waited for, because the next EOSE could be that of either."""
        self.covered_until(heard)
        self.filters = filters
        if self.phase is not Phase.SENT:
            self.phase = Phase.WAITING

    def send(self, tried: str | None) -> tuple[Filter, ...]:
        """The filters for the REQ that is sent now."""
        self.before, self.asked = self.asked, self.filters
        self.phase, self.tried = Phase.SENT, tried
        return self.advanced()

    def eose(self, heard: int) -> bool:
        """All that was stored has come. False: other filters are wanted by now, and are asked for next."""
        self.before, self.covered, self.heard = (), self.asked, heard
        self.phase = Phase.LIVE if self.asked == self.filters else Phase.WAITING
        return self.phase is Phase.LIVE

    def reset(self, heard: int) -> None:
        """The connection is gone: ask again."""
        self.covered_until(heard)
        self.phase, self.tried, self.asked, self.before = Phase.WAITING, None, (), ()

    def matching(self) -> FilterIndex:
        """What an event that comes now may match: the filters and, until their EOSE, those that they replaced."""
        matching = self.filters + self.asked + self.before
        if self.index is None or matching != self.indexed:
            self.index, self.indexed = FilterIndex(), matching
            for wanted in matching:
                self.index.add(0, wanted)
        return self.index

    def covered_until(self, heard: int) -> None:
        """It is about to stop being live: remember until when nothing was missed."""
        if self.phase is Phase.LIVE:
            self.heard = heard

    def advanced(self) -> tuple[Filter, ...]:
        """The filters to ask for now: `since` is moved forward where everything before it has come already.

        That holds for a filter whose stored events came in full (EOSE) and which asked for no less than this one does now. Filters that
        name ids or an end are left alone: they are not about what is new.
        """
        since = self.heard - OVERLAP
        return tuple(structs.replace(wanted, since=since) if self._has_come(wanted, since) else wanted for wanted in self.filters)

    def _has_come(self, wanted: Filter, since: int) -> bool:
        open_ended = wanted.ids is None and wanted.until is None
        return open_ended and since > (wanted.since or 0) and any(_includes(old, wanted) for old in self.covered)


def _includes(old: Filter, wanted: Filter) -> bool:
    """Whether `old` is `wanted`, reaching back as far or farther."""
    return (old.since or 0) <= (wanted.since or 0) and structs.replace(old, since=wanted.since) == wanted


def readable(text: str) -> str:
    """A stranger's words for a log or a terminal: bounded, without control characters."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:MAX_REASON])


def prefix(reason: str) -> str:
    """NIP-01: "a single word followed by a `:` and then a human readable message"."""
    return reason.partition(":")[0]
