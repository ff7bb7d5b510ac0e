"""A backend whose answers stand in a file: for tests, demonstrations and trying out a market without a model. It computes nothing.

The script is TOML, named by `script` in `[backends]` and used only where `use` names `scripted`; it is read anew for every question:

    model = "scripted"            # the name it offers
    context = 4096                # tokens (here: words) of prompt and answer together
    slots = 2
    default = "I do not know."    # the answer to a prompt that no reply fits
    delay_ms = 20                 # before each token
    log = "runs.log"              # a line for every start and every end of an answer; relative to the script

    [[reply]]
    when = "2+2"                  # the first reply whose `when` is part of the prompt (of any turn) is given
    text = "It is 4."
    fail = "broken"               # busy | overflow (at once) · broken | hang (after `after` tokens)
    after = 1
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import tomllib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from pylon.backends.base import Backend, BackendBroken, BackendBusy, Chunk, Model, Prompt, Usage
from pylon.backends.http import overflow
from pylon.config import BackendsConfig
from pylon.errors import ConfigError, NoModel

Fail = Literal["", "busy", "overflow", "broken", "hang"]


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said to prompts that contain `when`."""

    when: str
    text: str = ""
    delay_ms: float | None = None
    fail: Fail = ""
    after: int = 0


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    model: str = "scripted"
    context: int = 4096
    slots: int = 2
    default: str = "This is a scripted answer."
    delay_ms: float = 0
    fail: Fail = ""
    after: int = 0
    log: str = ""
    reply: list[Reply] = msgspec.field(default_factory=list)

    def answer(self, text: str) -> Reply:
        """The reply to a prompt."""
        for reply in self.reply:
            if reply.when in text:
                return reply
        return Reply("", self.default, fail=self.fail, after=self.after)


def load(path: Path) -> Script:
    """Read a script. Raises ConfigError."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Script)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"the script {path} of the scripted backend cannot be used: {error}") from error


class Scripted:
    """Answers from the script at `path`. Raises ConfigError where it cannot be read."""

    name = "scripted"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free = asyncio.Semaphore(load(path).slots)
        self._numbers = itertools.count(1)

    def _script(self) -> Script:
        try:
            return load(self._path)
        except ConfigError as error:
            raise BackendBroken(error.message) from error

    async def models(self) -> Sequence[Model]:
        """The model that the script names."""
        script = self._script()
        return [Model(script.model, script.context, loaded=True, slots=script.slots)]

    async def count(self, prompt: Prompt) -> int:
        """The number of words."""
        self._known(self._script(), prompt)
        return len(_whole(prompt).split())

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Say the reply, word by word."""
        script = self._script()
        self._known(script, prompt)
        reply = script.answer(_whole(prompt))
        asked, limit = await self.count(prompt), max(1, prompt.max_tokens)
        if reply.fail == "overflow" or asked + limit > script.context:
            raise overflow(asked, limit, script.context)
        if reply.fail == "busy":
            raise BackendBusy(f"{self.name} is busy: the script says so")
        delay_s = (script.delay_ms if reply.delay_ms is None else reply.delay_ms) / 1000
        words = re.findall(r"\s*\S+\s*$|\s*\S+", reply.text)
        async with self._free:
            run = f"{os.getpid()}.{next(self._numbers)}"
            self._note(script, f"start {run}")
            end = "closed"
            try:
                for said, word in enumerate(words[:limit]):
                    await self._stumble(reply, said)
                    await asyncio.sleep(delay_s)
                    yield Chunk(word, script.model)
                await self._stumble(reply, len(words[:limit]))
                end = "done"
                usage = Usage(asked, min(len(words), limit))
                yield Chunk("", script.model, usage, "length" if len(words) > limit else "stop")
            except BackendBroken:
                end = "broken"
                raise
            finally:
                self._note(script, f"end {run} {end}")

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _stumble(self, reply: Reply, said: int) -> None:
        """Fail as the script says, where the time has come."""
        if said < reply.after:
            return
        if reply.fail == "broken":
            raise BackendBroken(f"{self.name} broke off: the script says so")
        if reply.fail == "hang":
            await asyncio.Event().wait()

    def _known(self, script: Script, prompt: Prompt) -> None:
        """Raises NoModel for another model's name."""
        if prompt.model not in ("", script.model):
            raise NoModel(f"{self.name} has no model {prompt.model!r}; it has {script.model}")

    def _note(self, script: Script, line: str) -> None:
        """Append to the log, in one write, so that several processes may share it."""
        if script.log:
            with (self._path.parent / script.log).open("ab", buffering=0) as log:
                log.write(line.encode() + b"\n")


def _whole(prompt: Prompt) -> str:
    """All turns of the prompt."""
    return "\n".join(turn.text for turn in prompt.turns)


class ScriptedSource:
    """The scripted backend: a `Source`. Raises ConfigError where the configuration names no script, or one that cannot be read."""

    def __init__(self, config: BackendsConfig) -> None:
        if not config.script:
            raise ConfigError('backends.use names "scripted", and backends.script names no script', hint="name a TOML file there")
        self._backend = Scripted(Path(config.script).expanduser())

    async def find(self) -> Sequence[Backend]:
        """It is always there."""
        return [self._backend]

    def remarks(self) -> Sequence[str]:
        """Nothing."""
        return []

    async def aclose(self) -> None:
        """Nothing is open."""
