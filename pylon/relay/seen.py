"""What was delivered already, in bounded memory: two generations, the older one forgotten when the younger is full."""

from __future__ import annotations


class Seen:
    """Remembers at least the last `size` event ids (64 hex, whole), at most twice as many."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: set[str] = set()
        self._old: set[str] = set()

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._young or event_id in self._old

    def add(self, event_id: str) -> None:
        """Remember `event_id`; only ever the id of a verified event."""
        if len(self._young) >= self._size:
            self._old, self._young = self._young, set()
        self._young.add(event_id)
