"""The port between a recursive query and whoever answers its parts: a model of this machine, or the swarm.

`Asker.ask` never raises: what went wrong is a `Miss` with a reason and a cost, because money may be gone all the same.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

import msgspec

from pylon.units import Msat


class Ask(msgspec.Struct, frozen=True):
    """One question of a run. `number` is its own, `piece` the part it is about (-1: none), `limit` the most it may cost (msat)."""

    number: int
    piece: int
    text: str
    max_tokens: int
    limit: Msat
    deadline: float
    patience: float = 0.0
    """When it may be given up if somebody else can be asked instead (Unix seconds); 0: not before the deadline."""
    root: bool = False
    """For the coordinating model: it breaks questions down and joins answers."""
    avoid: tuple[str, ...] = ()
    """Providers that shall not be asked again about this piece."""


class Answer(msgspec.Struct, frozen=True):
    """What came back. `provider` is a public key, or the name of a local backend."""

    text: str
    provider: str
    cost: Msat = Msat(0)
    model: str = ""


class Reason(StrEnum):
    """Why there is no answer. `busy` is worth asking again later; the others are worth asking elsewhere."""

    BUSY = "busy"
    REFUSED = "refused"
    PRICE = "price"
    OVERFLOW = "overflow"
    FAILED = "failed"
    SILENT = "silent"
    UNREACHABLE = "unreachable"
    MONEY = "money"
    GONE = "gone"
    """What asks for us has ended, and what became of the question is not known."""


class Miss(msgspec.Struct, frozen=True):
    """No answer, why, and what it cost nevertheless."""

    reason: Reason
    message: str
    provider: str = ""
    cost: Msat = Msat(0)


class Asker(Protocol):
    """Whoever answers. Never raises; returns by `ask.deadline`."""

    async def ask(self, ask: Ask, /) -> Answer | Miss:
        """Answer one question."""
        ...
