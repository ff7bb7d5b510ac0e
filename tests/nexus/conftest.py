"""A relay for each test, with a clock that the test can set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from pylon.config import NexusConfig
from pylon.nexus.server import Server, serve
from tests.nexus.client import NOW


class Clock:
    """Unix seconds, as the test wants them."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest_asyncio.fixture
async def clock() -> Clock:
    """The relay's clock."""
    return Clock()


@pytest_asyncio.fixture
async def relay(tmp_path: Path, clock: Clock) -> AsyncIterator[Server]:
    """A relay on a free port."""
    server = await serve(NexusConfig(port=0, urls=["wss://relay.example.org/"]), tmp_path / "nexus", clock=clock)
    try:
        yield server
    finally:
        await server.aclose()
