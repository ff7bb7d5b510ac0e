"""The port of everything that answers: `Backend`, its values, and how it fails.

A backend is always asked for a stream; closing the iterator (`aclose`) stops the computation. `tests/conformance/backend.py` is the
suite that every adapter runs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from pylon.errors import BackendBroken, BackendBusy
from pylon.market.prompt import Chunk, Message, Model, Prompt, Usage

__all__ = ["Backend", "BackendBroken", "BackendBusy", "Chunk", "Message", "Model", "Prompt", "Usage"]
"""The port, with all its values; the values stand where the rooms beside this one may import them too."""


class Source(Protocol):
    """What an entry point of the group `pylon.backends` makes of the configuration: a kind of engine, looked for again and again."""

    async def find(self) -> Sequence[Backend]:
        """The backends of this kind that can be asked now; the same object for the same engine at every call."""
        ...

    def remarks(self) -> Sequence[str]:
        """Sentences about what was found and cannot be used, for `doctor`."""
        ...

    async def aclose(self) -> None:
        """Close the backends that were found."""
        ...


class Backend(Protocol):
    """One engine. `name` is what people read (`embedded`, `llama-server http://127.0.0.1:8080`)."""

    @property
    def name(self) -> str:
        """What people read; one backend of a node has it."""
        ...

    async def models(self) -> Sequence[Model]:
        """Raises BackendBroken where the engine is gone."""
        ...

    async def count(self, prompt: Prompt, /) -> int:
        """Exact tokens of the prompt, chat template included: known before a price is named.

        Raises ContextOverflow for a text so long that counting it would be a waste, and what `generate` raises.
        """
        ...

    def generate(self, prompt: Prompt, /) -> AsyncGenerator[Chunk, None]:
        """Stream the answer; at most `max_tokens` of it. Closing the generator (`contextlib.aclosing`) stops the computation.

        Raises ContextOverflow where prompt and `max_tokens` together do not fit and NoModel (nothing was computed), BackendBusy,
        BackendBroken, and plain NoBackend where the engine is well and refuses this one request.
        """
        ...

    async def aclose(self) -> None:
        """Let go of the engine."""
        ...
