"""Back-off: exponential, full jitter, bounded."""

from __future__ import annotations

from random import Random

from pylon.relay.backoff import Backoff


class Highest(Random):
    """Chance that always gives the most."""

    def uniform(self, a: float, b: float) -> float:
        return b


def waits(backoff: Backoff, count: int) -> list[float]:
    """The next waits."""
    return [backoff.next() for _ in range(count)]


def test_the_bound_doubles_up_to_the_cap() -> None:
    """"random_between(0, min(cap, base * 2 ** attempt))" """
    assert waits(Backoff(0.5, 60, Highest()), 9) == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert max(waits(Backoff(0.5, 60, Highest()), 5000)) == 60


def test_full_jitter() -> None:
    """Any wait from nothing to the bound may come, and the same seed gives the same ones."""
    drawn = waits(Backoff(8, 8, Random(1)), 200)
    assert all(0 <= wait <= 8 for wait in drawn)
    assert min(drawn) < 1
    assert max(drawn) > 7
    assert drawn == waits(Backoff(8, 8, Random(1)), 200)


def test_penalty_and_reset() -> None:
    """Misbehaviour skips three steps; a good connection starts afresh."""
    backoff = Backoff(1, 1000, Highest())
    backoff.penalize()
    assert waits(backoff, 2) == [8, 16]
    backoff.reset()
    assert waits(backoff, 1) == [1]
