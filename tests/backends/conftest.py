"""The model, and a real llama-server, for the tests of the backends."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pylon.backends import detect
from pylon.backends.embedded import Embedded
from pylon.backends.models import SMOLLM2, pull
from tests.conformance.backend import PATIENCE

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nothing_found_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks a server that happens to run on this machine; engines end soon after their last user.

    A loaded machine makes no server invisible: the probe is patient here, except where its impatience is tested.
    """
    monkeypatch.setattr(detect, "CONNECT_S", 20.0)
    monkeypatch.setattr(detect, "ANSWER_S", 20.0)
    monkeypatch.setenv("PYLON_BACKENDS", "")
    monkeypatch.setenv("PYLON_ENGINE_GRACE", "0.5")


@pytest.fixture(scope="session")
def model_file() -> Path:
    """The real model, pulled once into the user's cache."""
    pull()
    return SMOLLM2.path


@contextmanager
def llama_server(model: Path, *more: str, slots: int = 2, context: int = 2048) -> Iterator[tuple[str, int]]:
    """A real llama-server: its address and its process."""
    command = [sys.executable, "-m", "tests.backends.serve", str(model), str(slots), str(context), *more]
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("http://"):
                    yield line.strip(), process.pid
                    break
            else:
                raise AssertionError("llama-server did not start")
        finally:
            process.kill()


@pytest.fixture(scope="session")
def llama(model_file: Path) -> Iterator[str]:
    """The address of a llama-server that lives as long as the session."""
    with llama_server(model_file) as (url, _):
        yield url


@pytest.fixture
async def backend() -> AsyncIterator[Embedded]:
    """The engine's user."""
    backend = Embedded()
    yield backend
    await backend.aclose()


async def until_gone(pid: int) -> None:
    """Wait until the process has ended (a zombie that nobody collects has ended too)."""
    async with asyncio.timeout(PATIENCE):
        while alive(pid):  # noqa: ASYNC110  # the engine is another process
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
