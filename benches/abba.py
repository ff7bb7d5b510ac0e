"""A ratio of two speeds that holds on a noisy machine.

A quartet runs candidate, reference, reference, candidate, each for one short slice of thread CPU time; its ratio is
(A1 + A2) / (B1 + B2), so that a drift of the clock which is linear over the quartet cancels out. The estimator is the median over
all quartets. A call that is longer than a slice is a slice by itself.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

Call = Callable[[], object]

SLICE_US = 300
FEWEST, MOST = 15, 200
"""Quartets of one measurement: as many as fit into its time, within these bounds."""
SECONDS = 1.0


class Ratio(NamedTuple):
    """`value` is candidate / reference (below 1: the candidate is faster); the best slices are in microseconds a unit of work."""

    value: float
    candidate_us: float
    reference_us: float


class Side(NamedTuple):
    """One of the two: `spend` runs a slice and gives the nanoseconds that it took; a slice holds so many units of work."""

    spend: Callable[[], int]
    units: float


def spent(call: Call, times: int) -> int:
    """Nanoseconds of thread CPU time for so many calls."""
    start = time.thread_time_ns()
    for _ in range(times):
        call()
    return time.thread_time_ns() - start


def repeats(call: Call, slice_us: int = SLICE_US) -> int:
    """How many calls fill a slice, by the fastest of some; one where a single call is longer than a slice."""
    fastest = spent(call, 1)
    for _ in range(8):
        if fastest > slice_us * 1000:
            return 1
        fastest = min(fastest, spent(call, 1))
    return max(1, slice_us * 1000 // max(1, fastest))


def side(call: Call, units: int = 1, slice_us: int = SLICE_US) -> Side:
    """Slices of a call that does so many units of work."""
    times = repeats(call, slice_us)
    return Side(lambda: spent(call, times), times * units)


def fitting(candidate: Side, reference: Side, seconds: float = SECONDS) -> int:
    """How many quartets fit into so many seconds."""
    return max(FEWEST, min(MOST, int(seconds * 1e9 / max(1, 2 * (candidate.spend() + reference.spend())))))


def ratio(candidate: Side, reference: Side, quartets: int) -> Ratio:
    """The ratio of one unit of work of `candidate` to one of `reference`."""
    ratios: list[float] = []
    best_a = best_b = float("inf")
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(quartets):
            first, second, third, fourth = candidate.spend(), reference.spend(), reference.spend(), candidate.spend()
            ratios.append((first + fourth) / (second + third))
            best_a, best_b = min(best_a, first, fourth), min(best_b, second, third)
    finally:
        if collecting:
            gc.enable()
    value = statistics.median(ratios) * reference.units / candidate.units
    return Ratio(value, best_a / candidate.units / 1000, best_b / reference.units / 1000)
