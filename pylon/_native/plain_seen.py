"""The twin of `Seen`: what was verified and delivered, in two generations of Python sets."""

from __future__ import annotations

from collections.abc import Hashable


class Generations:
    """The last `capacity` entries at least, twice as many at most."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.young: set[Hashable] = set()
        self.old: set[Hashable] = set()

    def __contains__(self, entry: Hashable) -> bool:
        return entry in self.young or entry in self.old

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def add(self, entry: Hashable) -> None:
        """Remember `entry`; where the young generation is full, the old one is forgotten."""
        if entry in self:
            return
        if len(self.young) == self.capacity:
            self.young, self.old = set(), self.young
        self.young.add(entry)


class Seen:
    """Verified events by (id, signature), deliveries by (scope, id)."""

    def __init__(self, capacity: int) -> None:
        if not 1 <= capacity <= 2**24:
            raise ValueError("a cache has room for 1 entry at least and 2^24 at most")
        self.verifications = Generations(capacity)
        self.deliveries = Generations(capacity)

    @property
    def verified(self) -> int:
        """How many verified events are remembered."""
        return len(self.verifications)

    @property
    def delivered(self) -> int:
        """How many deliveries are remembered."""
        return len(self.deliveries)
