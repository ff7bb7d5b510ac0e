"""A state machine as a table that can be read: (state, signal) -> rule, for every pair.

A rule is a transition (a function and the states it may lead to), `SAME` (a repeat, a late or an early arrival: nothing changes) or
`IMPOSSIBLE` (a bug of ours, which raises).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

from pylon.market.effects import AnyEffect
from pylon.market.signals import Signal

J = TypeVar("J")


class Step(Generic[J]):
    """The job after a signal, and what is to be done."""

    __slots__ = ("effects", "job")

    def __init__(self, job: J, *effects: AnyEffect) -> None:
        self.job = job
        self.effects = effects


class Fixed(StrEnum):
    """Rules without a function."""

    SAME = "same"
    IMPOSSIBLE = "impossible"


SAME = Fixed.SAME
IMPOSSIBLE = Fixed.IMPOSSIBLE


class Rule(msgspec.Struct, frozen=True):
    """A transition: `act` makes the step, whose state is one of `to`."""

    to: frozenset[str]
    act: Callable[..., object]


class ImpossibleSignal(Exception):
    """A signal that cannot come in this state: a bug, never a stranger's doing."""


Row = Mapping[type[Signal], "Rule | Fixed"]


def leads(act: Callable[..., object], *to: str) -> Rule:
    """A rule that runs `act` and ends in one of the states `to`."""
    return Rule(frozenset(to), act)


def row(signals: Iterable[type[Signal]], rules: Mapping[type[Signal], Rule], *impossible: type[Signal]) -> Row:
    """A total row: the given transitions, the impossible, `SAME` for all other `signals`."""
    return {signal: rules.get(signal) or (IMPOSSIBLE if signal in impossible else SAME) for signal in signals}


def rule_of(table: Mapping[str, Row], state: str, signal: Signal) -> Rule | Fixed:
    """The rule of a pair. Raises ImpossibleSignal for pairs that are `IMPOSSIBLE`, KeyError for a table that is not total."""
    rule = table[state][type(signal)]
    if rule is IMPOSSIBLE:
        raise ImpossibleSignal(f"{type(signal).__name__} in state {state}")
    return rule
