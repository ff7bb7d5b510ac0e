"""All backends of this node: found through the entry points `pylon.backends`, looked for again and again, and chosen from.

An entry point is a factory `(BackendsConfig) -> Source`; its name is what `use` in `[backends]` lists, in the order of preference.
Pylon's own engines (`llama-server`, `ollama`, `embedded`, `scripted`) come in by the same door as everybody's. What answers at the
addresses that the operator has named is used besides, before all others.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from importlib.metadata import entry_points

import msgspec

from pylon.backends.base import Backend, BackendBroken, BackendBusy, Chunk, Model, Prompt, Source
from pylon.backends.detect import Addresses
from pylon.config import BackendsConfig
from pylon.errors import ConfigError, ContextOverflow, NoBackend, NoModel

log = logging.getLogger(__name__)

GROUP = "pylon.backends"
PROBE_EVERY_S = 20.0
COOL_S = 5.0
COOL_MAX_S = 120.0
PULL = "run `pylon models pull`, or start a llama-server or Ollama"
LATEST = ":latest"
"""What Ollama adds to the name of a model without a tag; asking for either means the same model."""


class Watched:
    """A backend whose failures are noted: one that breaks cools down for 5, 10, 20 … 120 s before it is chosen again."""

    def __init__(self, inner: Backend, broke: Callable[[], None], clock: Callable[[], float]) -> None:
        self._inner = inner
        self._broke = broke
        self._clock = clock
        self._failures = 0
        self._cool_until = 0.0
        self.models_now: Sequence[Model] = ()
        self.running = 0
        """Answers under way."""

    @property
    def name(self) -> str:
        """The engine's name."""
        return self._inner.name

    @property
    def cools_for_s(self) -> float:
        """Seconds until it may be chosen again; 0 where it may be now."""
        return max(0.0, self._cool_until - self._clock())

    async def models(self) -> Sequence[Model]:
        """What it offers now."""
        try:
            self.models_now = await self._inner.models()
        except NoBackend:
            self.models_now = ()  # nothing to choose from until the next look
            raise
        return self.models_now

    async def count(self, prompt: Prompt) -> int:
        """Exact tokens of the prompt."""
        try:
            return await self._inner.count(prompt)
        except NoBackend as error:
            self._note(error)
            raise

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Stream the answer."""
        self.running += 1
        try:
            async with aclosing(self._inner.generate(prompt)) as chunks:
                async for chunk in chunks:
                    yield chunk
            self._failures = 0
        except NoBackend as error:
            self._note(error)
            raise
        finally:
            self.running -= 1

    async def aclose(self) -> None:
        """The source that found it closes it."""

    def _note(self, error: NoBackend) -> None:
        """Only a broken engine cools down: one that is busy or refuses a request is well. A busy one may ask to be left alone a while."""
        if isinstance(error, BackendBusy) and error.after_s:
            self._cool_until = max(self._cool_until, self._clock() + error.after_s)
        if isinstance(error, BackendBroken):
            self._cool_until = self._clock() + min(COOL_S * 2**self._failures, COOL_MAX_S)
            self._failures = min(self._failures + 1, 10)
            log.warning("%s broke (%s); it is asked again in %.0f s", self.name, error.message, self.cools_for_s)
            self._broke()


class Backends:
    """What can answer here. `start` looks once and goes on looking in the background until `aclose`."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sources: list[Source] = []
        self._watched: dict[Backend, Watched] = {}
        self._found: list[Watched] = []
        self._look_now = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    async def start(self, config: BackendsConfig) -> None:
        """Look for the engines that `config` names. Raises ConfigError; finding none is no error here."""
        doors = {door.name: door for door in entry_points(group=GROUP)}
        for name in config.use:
            if name not in doors:
                known = ", ".join(sorted(doors)) or "none is installed"
                raise ConfigError(f"backends.use names {name!r}, which is not a kind of backend here ({known})", hint="mend config.toml")
        self._sources = [Addresses(config), *(doors[name].load()(config) for name in dict.fromkeys(config.use))]
        await self.refresh()
        self._looking = asyncio.create_task(self._look(), name="backends")

    async def refresh(self) -> None:
        """Look for all of them now."""
        self._look_now.clear()
        found = [self._watch(backend) for source in self._sources for backend in await source.find()]
        answers = await asyncio.gather(*(watched.models() for watched in found), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, NoBackend):
                raise answer
        self._found = found

    def remarks(self) -> list[str]:
        """Sentences about what was found and cannot be used, for `doctor`."""
        return [remark for source in self._sources for remark in source.remarks()]

    def available(self) -> list[tuple[Backend, Sequence[Model]]]:
        """Every backend that can be asked now, with its models."""
        return [(watched, watched.models_now) for watched in self._ready()]

    def slots(self) -> int:
        """How many answers can be computed at a time."""
        return sum(max(model.slots for model in watched.models_now) for watched in self._ready())

    async def answer(self, prompt: Prompt, default: str = "") -> AsyncGenerator[Chunk, None]:
        """Stream the answer of the backend that `choose` names. Where it is busy or breaks before it has said a word, another one that has
        the same model is asked, once. Raises what `choose` and `Backend.generate` raise.
        """
        backend, model = await self.choose(prompt.model, default)
        asked = msgspec.structs.replace(prompt, model=model.name)
        said = False
        try:
            async with aclosing(backend.generate(asked)) as chunks:
                async for chunk in chunks:
                    said = said or bool(chunk.text)
                    yield chunk
            return
        except (BackendBusy, BackendBroken) as error:
            if said:
                raise
            try:
                other, _ = await self.choose(model.name, besides=backend)
            except NoBackend:
                raise error from None
            log.info("%s did not answer (%s); %s is asked", backend.name, error.message, other.name)
            try:
                async with aclosing(other.generate(asked)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except ContextOverflow:  # the other one has less room for the same model: no reason to give the job up
                raise error from None

    async def choose(self, model: str = "", default: str = "", *, besides: Backend | None = None) -> tuple[Backend, Model]:
        """The backend to ask, and its model.

        The model asked for, and no other; where none was asked for, `default` if it is here, else a loaded one, else any. Among equals
        the one with the most room, by the answers under way: who generates at once (nothing awaited between) is counted before the next
        one chooses. `besides` is passed over. Raises NoModel naming what is here, BackendBusy where all cool down, NoBackend.
        """
        if not self._ready():
            await self.refresh()
        ready = self._ready()
        if not ready:
            if cooling := [watched for watched in self._found if watched.cools_for_s]:
                soonest = min(cooling, key=lambda watched: watched.cools_for_s)
                raise BackendBusy(f"{soonest.name} is not well and is tried again in {soonest.cools_for_s:.0f} s")
            raise NoBackend("nothing here can answer: no engine was found", hint=PULL)
        offers = [(watched, offer) for watched in ready if watched is not besides for offer in watched.models_now]
        wanted = _bare(model or (default if any(_bare(offer.name) == _bare(default) for _, offer in offers) else ""))
        fitting = [(watched, offer) for watched, offer in offers if not wanted or _bare(offer.name) == wanted]
        if not fitting:
            raise NoModel(
                f"the model {wanted!r} is not here; here are {', '.join(dict.fromkeys(offer.name for _, offer in offers))}",
                hint="ask for one of them, or for none in particular",
            )
        return min(fitting, key=lambda found: (not found[1].loaded, found[0].running / found[1].slots))

    async def aclose(self) -> None:
        """Stop looking and close all."""
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
            self._looking = None
        for source in self._sources:
            await source.aclose()
        self._sources, self._found = [], []
        self._watched.clear()

    def _ready(self) -> list[Watched]:
        """Those that were found, offer something and do not cool down."""
        return [watched for watched in self._found if watched.models_now and not watched.cools_for_s]

    def _watch(self, backend: Backend) -> Watched:
        """The one `Watched` of a backend."""
        if backend not in self._watched:
            self._watched[backend] = Watched(backend, self._look_now.set, self._clock)
        return self._watched[backend]

    async def _look(self) -> None:
        """Look every 20 s, and at once when a backend has broken."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_EVERY_S):
                    await self._look_now.wait()
            try:
                await self.refresh()
            except Exception:  # a third party's source: the others must go on being looked for
                log.exception("looking for backends failed")


def _bare(name: str) -> str:
    return name.removesuffix(LATEST)
