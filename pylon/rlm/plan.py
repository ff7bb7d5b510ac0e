"""The values of a run: what is wanted, what happens, what came of it."""

from __future__ import annotations

import msgspec

from pylon.rlm.asking import Answer, Ask, Miss
from pylon.units import Msat


class Source(msgspec.Struct, frozen=True):
    """One piece that a run asks about: its text, and the name of what it was cut from."""

    text: str
    name: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A recursive query. Times are Unix seconds, money msat."""

    query: str
    pieces: tuple[Source, ...] = ()
    """Empty: the question itself is broken down."""
    fanout: int
    budget: Msat
    floor: Msat = Msat(1000)
    """The least that a piece is offered: what the cheapest provider asks, as far as is known."""
    fee: Msat = Msat(0)
    """Set aside for the fee of each payment."""
    started: float
    timeout: float
    window: int
    """Characters of notes that fit into one prompt of the coordinating model."""
    root_is_paid: bool
    """The coordinating model is one of the swarm, so its share is set aside first."""
    free: bool = False
    """Nothing costs anything: all is computed here."""
    max_tokens: int = 256
    answer_tokens: int = 512

    @property
    def root_fee(self) -> Msat:
        """Set aside for the fee of a payment to the coordinating model."""
        return self.fee if self.root_is_paid else Msat(0)

    @property
    def deadline(self) -> float:
        """When the run must have ended."""
        return self.started + self.timeout

    @property
    def map_deadline(self) -> float:
        """When pieces are no longer waited for: the last fifth of the time belongs to the synthesis."""
        return self.started + self.timeout * 0.8


class Answered(msgspec.Struct, frozen=True):
    """An ask came back."""

    ask: Ask
    answer: Answer


class Missed(msgspec.Struct, frozen=True):
    """An ask did not."""

    ask: Ask
    miss: Miss


class Tick(msgspec.Struct, frozen=True):
    """The time that a turn asked to be woken at has come."""


Happening = Answered | Missed | Tick


class Progress(msgspec.Struct, frozen=True):
    """How far a run is."""

    phase: str
    pieces: int
    answered: int
    in_flight: int
    spent: Msat


class Turn(msgspec.Struct, frozen=True):
    """What is to be done: asks to start now, and when to come back if nothing happens before."""

    asks: tuple[Ask, ...]
    progress: Progress
    wake: float | None = None


class Lack(msgspec.Struct, frozen=True):
    """A piece without a useful answer, and why."""

    piece: int
    reason: str
    message: str


class Report(msgspec.Struct, frozen=True):
    """What came of a run. `note` says what was left out on the way (a synthesis that failed, a budget that was too small)."""

    answer: str
    pieces: int
    answered: int
    lacking: tuple[Lack, ...]
    spent: Msat
    providers: dict[str, int]
    notes: tuple[str, ...] = ()
