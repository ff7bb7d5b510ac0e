"""The embedded engine as a backend: llama-server's protocol, spoken with the one engine process of this user.

The process is started by whoever needs it first (`pylon.backends.link`) and replaced when it has died. Needs the model of
`pylon models pull` and PyPI `xllamacpp`, an ordinary dependency.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from pylon.backends.base import Backend, BackendBroken, Chunk, Model, Prompt
from pylon.backends.link import CONTEXT, SLOTS, Link, end, open_link
from pylon.backends.llama_server import LlamaServer
from pylon.backends.models import SMOLLM2, Weights
from pylon.config import BackendsConfig
from pylon.errors import NoModel

HEALTH_S = 8.0
"""A running engine lists its models at once, whatever it computes; one that does not in this time hangs."""


class Embedded:
    """The engine, held from the first question until `aclose`."""

    name = "embedded"

    def __init__(self, weights: Weights = SMOLLM2) -> None:
        self._weights = weights
        self._starting = asyncio.Lock()
        self._link: Link | None = None
        self._server: LlamaServer | None = None
        self._doubted = False
        """Something broke: whether the engine still lives is looked into before it is asked again."""

    async def models(self) -> Sequence[Model]:
        """The one model; loaded where this process holds a running engine. Asking does not start it."""
        loaded = False
        if self._server is not None and self._link is not None and not self._link.gone:
            try:
                async with asyncio.timeout(HEALTH_S):
                    await self._server.models()
                loaded = True
            except TimeoutError:  # it lives and does not even list its models: it hangs
                await end(self._link.hello.pid)
            except BackendBroken:
                self._doubted = True
        return [Model(self._weights.name, CONTEXT, loaded=loaded, slots=SLOTS)]

    async def count(self, prompt: Prompt) -> int:
        """Exact tokens of the prompt, chat template included."""
        server = await self._ready(prompt)
        try:
            return await server.count(prompt)
        except BackendBroken:
            self._doubted = True
            raise

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Stream the answer; starts the engine where none runs."""
        server = await self._ready(prompt)
        try:
            async with aclosing(server.generate(prompt)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except BackendBroken:
            self._doubted = True
            raise

    async def aclose(self) -> None:
        """Let go of the engine; it ends by itself when nobody else uses it."""
        async with self._starting:
            await self._drop()

    @property
    def pid(self) -> int | None:
        """The engine's process, while it is held."""
        return None if self._link is None or self._link.gone else self._link.hello.pid

    async def _ready(self, prompt: Prompt) -> LlamaServer:
        """The running engine. Raises NoModel, BackendBroken."""
        if prompt.model not in ("", self._weights.name):
            raise NoModel(f"{self.name} has no model {prompt.model!r}; it has {self._weights.name}")
        async with self._starting:
            if self._server is not None and self._link is not None and not self._link.gone and not self._doubted:
                return self._server
            if not self._weights.present():
                raise NoModel(f"the model {self._weights.name} is not here any more", hint="run `pylon models pull`")
            link = await open_link(self._weights)
            self._doubted = False
            if self._server is not None and self._link is not None and self._link.hello == link.hello:
                await link.aclose()  # it lives; answers may be under way over what we have
                return self._server
            await self._drop()
            self._link = link
            self._server = LlamaServer(link.hello.url, key=link.hello.key, name=self.name)
            return self._server

    async def _drop(self) -> None:
        """Close what is left of an engine."""
        if self._server is not None:
            await self._server.aclose()
        if self._link is not None:
            await self._link.aclose()
        self._server = self._link = None


class EmbeddedSource:
    """The embedded engine, where its model and its library are: a `Source`."""

    def __init__(self, config: BackendsConfig) -> None:
        self._backend = Embedded()
        self._installed = importlib.util.find_spec("xllamacpp") is not None

    async def find(self) -> Sequence[Backend]:
        """The engine, if it could be started."""
        return [self._backend] if self._installed and SMOLLM2.present() else []

    def remarks(self) -> Sequence[str]:
        """What is missing."""
        if not self._installed:
            return ["the embedded engine needs the package xllamacpp, which is not installed"]
        return [] if SMOLLM2.present() else ["the embedded engine has no model yet: run `pylon models pull`"]

    async def aclose(self) -> None:
        """Let go of it."""
        await self._backend.aclose()
