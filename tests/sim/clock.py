"""Time, chance and order of a simulated world: a heap of what will happen, a seeded generator, nothing else."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

START = 1_780_000_000.0
MOST_STEPS = 20_000


class Clock:
    """`now` moves only by what is scheduled. It stands in for the module `time` where the node reads the clock."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = START
        self._order = 0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []

    def time(self) -> float:
        """Unix seconds."""
        return self.now

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Do something at a time; what is due already comes next, in the order in which it was scheduled."""
        self._order += 1
        heapq.heappush(self._heap, (max(when, self.now), self._order, what))

    def soon(self, what: Callable[[], None], mean: float = 0.3) -> None:
        """Do something after a random while."""
        self.at(self.now + self.chance.expovariate(1 / mean), what)

    def happens(self, probability: float) -> bool:
        """A throw of the dice."""
        return self.chance.random() < probability

    def run(self) -> None:
        """Until nothing is left to happen. Raises AssertionError for a world that never comes to rest."""
        for _ in range(MOST_STEPS):
            if not self._heap:
                return
            self.now, _, what = heapq.heappop(self._heap)
            what()
        raise AssertionError(f"after {MOST_STEPS} steps the world is not at rest")
