"""What the gateway needs of the backends: something to choose from, and engines that answer.

`pylon.backends.registry.Backends` is one. The rooms that do I/O do not import each other: the command `pylon api` brings both together.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from pylon.market.prompt import Chunk, Model, Prompt


class Engine(Protocol):
    """One that answers. Raises what `pylon.backends.base.Backend` says."""

    @property
    def name(self) -> str:
        """What people read."""
        ...

    async def count(self, prompt: Prompt, /) -> int:
        """Tokens of the prompt."""
        ...


class Engines(Protocol):
    """Who can be asked."""

    def available(self) -> Sequence[tuple[Engine, Sequence[Model]]]:
        """Every engine that can be asked now, with its models."""
        ...

    async def choose(self, model: str = "", default: str = "", /) -> tuple[Engine, Model]:
        """The engine to ask, and its model. Raises NoModel, BackendBusy, NoBackend."""
        ...

    def answer(self, prompt: Prompt, /) -> AsyncGenerator[Chunk, None]:
        """Stream the answer of the engine that `choose` names, or of another one where that one says nothing; closing the generator stops
        the computation. Raises what `choose` and `pylon.backends.base.Backend.generate` raise.
        """
        ...
