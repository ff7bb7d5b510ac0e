"""The port of everything that answers: `Backend`, its values, and how it fails.

A backend is always asked for a stream; closing the iterator (`aclose`) stops the computation. `tests/conformance/backend.py` is the
suite that every adapter runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from pylon.errors import NoBackend
from pylon.market.prompt import Prompt

__all__ = ["Backend", "BackendBroken", "BackendBusy", "Chunk", "Model", "Prompt", "Usage"]


class Model(msgspec.Struct, frozen=True):
    """A model that can be asked now. `context` is the real limit of one sequence, in tokens (prompt and answer)."""

    name: str
    context: int
    loaded: bool
    slots: int = 1


class Usage(msgspec.Struct, frozen=True):
    """Tokens, counted by the engine."""

    prompt_tokens: int
    completion_tokens: int


class Chunk(msgspec.Struct, frozen=True):
    """A piece of the answer; the last one carries `usage` and `finish_reason` (`stop` or `length`) and may be empty."""

    text: str
    model: str
    usage: Usage | None = None
    finish_reason: str = ""


class BackendBusy(NoBackend):
    """The backend is there and has no room now (429, 503): ask again later or elsewhere."""

    code = "backend_busy"


class BackendBroken(NoBackend):
    """The backend went away, or answered nonsense, perhaps in the middle of an answer."""

    code = "backend_broken"


class Backend(Protocol):
    """One engine. `name` is what people read (`embedded`, `llama-server http://127.0.0.1:8080`)."""

    @property
    def name(self) -> str: ...
    async def models(self) -> Sequence[Model]:
        """Raises BackendBroken where the engine is gone."""
        ...

    async def count(self, prompt: Prompt, /) -> int:
        """Exact tokens of the prompt, chat template included: known before a price is named."""
        ...

    def generate(self, prompt: Prompt, /) -> AsyncIterator[Chunk]:
        """Stream the answer. Raises ContextOverflow, NoModel (nothing was computed), BackendBusy, BackendBroken."""
        ...

    async def aclose(self) -> None: ...
