"""A ratio of two speeds that holds on a noisy machine.

A quartet runs candidate, reference, reference, candidate, each for one short slice of thread CPU time; its ratio is
(A1 + A2) / (B1 + B2), so that a drift of the clock which is linear over the quartet cancels out. The estimator is the median over
all quartets.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

Call = Callable[[], object]


class Ratio(NamedTuple):
    """`value` is candidate / reference (below 1: the candidate is faster); the best times are in microseconds a call."""

    value: float
    candidate_us: float
    reference_us: float


def spend(call: Call, times: int) -> int:
    """Nanoseconds of thread CPU time for so many calls."""
    start = time.thread_time_ns()
    for _ in range(times):
        call()
    return time.thread_time_ns() - start


def repeats(call: Call, slice_us: int) -> int:
    """How many calls fill a slice."""
    return max(1, slice_us * 1000 // max(1, min(spend(call, 1) for _ in range(5))))


def ratio(candidate: Call, reference: Call, quartets: int = 200, slice_us: int = 300) -> Ratio:
    """The ratio of the time of one call of `candidate` to one of `reference`."""
    a, b = repeats(candidate, slice_us), repeats(reference, slice_us)
    ratios: list[float] = []
    best_a, best_b = float("inf"), float("inf")
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(quartets):
            first, second, third, fourth = spend(candidate, a), spend(reference, b), spend(reference, b), spend(candidate, a)
            ratios.append((first + fourth) / a / ((second + third) / b))
            best_a, best_b = min(best_a, first, fourth), min(best_b, second, third)
    finally:
        if collecting:
            gc.enable()
    return Ratio(statistics.median(ratios), best_a / a / 1000, best_b / b / 1000)
