"""The twin of `FilterIndex`: every filter is asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol


class Wanted(Protocol):
    """A filter that says itself what it matches, `pylon.nostr.filter.Filter`."""

    def matches(self, event: Any, /) -> bool:
        """Whether the event meets every condition."""
        ...


class FilterIndex:
    """Filters under keys."""

    def __init__(self) -> None:
        self._filters: dict[int, list[Wanted]] = {}

    def add(self, key: int, wanted: Wanted) -> None:
        """Add a filter to those of `key`."""
        self._filters.setdefault(key, []).append(wanted)

    def remove(self, key: int) -> None:
        """Remove all filters of `key`."""
        self._filters.pop(key, None)

    def match(self, event: Any) -> list[int]:
        """The keys of which a filter matches, each once, ascending."""
        return sorted(key for key, filters in self._filters.items() if any(wanted.matches(event) for wanted in filters))

    def match_many(self, events: Iterable[Any]) -> list[list[int]]:
        """`match` of each event."""
        return [self.match(event) for event in events]

    def __len__(self) -> int:
        return sum(map(len, self._filters.values()))
