"""A real gateway over a real registry, whose only engine is scripted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pylon.backends.registry import Backends
from pylon.config import BackendsConfig
from pylon.gateway.app import make_app
from pylon.gateway.ask import Places
from pylon.gateway.server import Server, serve

PATIENCE = 60.0

SCRIPT = """
model = "actor"
context = 400
slots = 2
log = "runs.log"
default = "I do not know."

[[reply]]
when = "Speak like a pirate"
text = "Arr, it be 4."

[[reply]]
when = "2+2"
text = "It is 4."

[[reply]]
when = "count"
text = "one two three four five"

[[reply]]
when = "busy"
fail = "busy"

[[reply]]
when = "break at once"
fail = "broken"

[[reply]]
when = "break later"
text = "one two three"
fail = "broken"
after = 2

[[reply]]
when = "hang"
text = "one two three"
fail = "hang"
after = 1

[[reply]]
when = "silence"
fail = "hang"

[[reply]]
when = "odd"
text = "\\u0000 \\u202e 😀 é"
"""


@dataclass
class Stage:
    """A running gateway, its engines, and the folder of the script."""

    server: Server
    backends: Backends
    places: Places
    folder: Path

    @property
    def url(self) -> str:
        """The address."""
        return self.server.url

    @property
    def v1(self) -> str:
        """What clients call the base URL."""
        return f"{self.url}/v1"

    def runs(self) -> list[str]:
        """How the answers that have ended ended."""
        log = self.folder / "runs.log"
        lines = log.read_text("utf-8").splitlines() if log.exists() else []
        return [line.split()[2] for line in lines if line.startswith("end ")]

    async def until_runs(self, count: int) -> list[str]:
        """Wait until so many answers have ended."""
        async with asyncio.timeout(PATIENCE):
            while len(self.runs()) < count:  # noqa: ASYNC110  # the log is a file
                await asyncio.sleep(0.01)
        return self.runs()

    async def until_running(self, count: int) -> None:
        """Wait until so many requests are under way."""
        async with asyncio.timeout(PATIENCE):
            while self.places.taken != count:  # noqa: ASYNC110  # nothing tells when
                await asyncio.sleep(0.01)


@asynccontextmanager
async def gateway(config: BackendsConfig, folder: Path, *, key: str = "", most: int = 64) -> AsyncIterator[Stage]:
    """A gateway on a free port."""
    backends, places = Backends(), Places(most)
    await backends.start(config)
    server = serve(make_app(backends, key=key, places=places), "127.0.0.1", 0)
    try:
        yield Stage(server, backends, places, folder)
    finally:
        await server.aclose()
        await backends.aclose()


@pytest.fixture
def scripted(tmp_path: Path) -> BackendsConfig:
    """The configuration of the scripted engine."""
    (tmp_path / "script.toml").write_text(SCRIPT, "utf-8")
    return BackendsConfig(use=["scripted"], script=str(tmp_path / "script.toml"))


@pytest.fixture
async def stage(scripted: BackendsConfig, tmp_path: Path) -> AsyncIterator[Stage]:
    """A gateway over the scripted engine."""
    async with gateway(scripted, tmp_path) as stage:
        yield stage
