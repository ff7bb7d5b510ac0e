"""The rules of every backend, against each one that is built in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from pylon.backends.base import Prompt
from pylon.backends.embedded import Embedded
from pylon.backends.llama_server import LlamaServer
from pylon.backends.openai import OpenAIServer
from pylon.backends.scripted import Scripted
from tests.backends.conftest import llama_server
from tests.conformance.backend import BackendConformance, Rig

LONG = "Write a very long story about a dragon who counts sheep."


async def processing(url: str, key: str = "") -> int:
    """How many slots of a llama-server are computing."""
    async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {key}"} if key else {}) as client:
        return sum(slot["is_processing"] for slot in (await client.get(f"{url}/slots")).json())


@pytest.fixture(scope="module")
def shared_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state folder for all tests of the embedded engine, and so one engine."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def roomy(model_file: Path) -> Iterator[str]:
    """A llama-server with room for a prompt that counts as many tokens as it has bytes."""
    with llama_server(model_file, context=4096) as (url, _):
        yield url


class TestScripted(BackendConformance):
    @pytest.fixture
    async def rig(self, tmp_path: Path) -> Rig:
        """A script with a long reply."""
        script, log = tmp_path / "script.toml", tmp_path / "log"
        script.write_text(
            f'log = "log"\ndefault = "Yes, I am here."\n[[reply]]\nwhen = "dragon"\ntext = "{"once more " * 3000}"\ndelay_ms = 1\n', "utf-8"
        )

        async def running() -> int:
            lines = log.read_text("utf-8").splitlines() if log.exists() else []
            return sum(1 if line.startswith("start") else -1 for line in lines)

        return Rig(Scripted(script), LONG, running)


class TestLlamaServer(BackendConformance):
    @pytest.fixture
    async def rig(self, llama: str) -> AsyncIterator[Rig]:
        """A real llama-server in another process."""
        backend = LlamaServer(llama)
        yield Rig(backend, LONG, lambda: processing(llama))
        await backend.aclose()


class TestOpenAI(BackendConformance):
    """The adapter of any OpenAI-compatible server, in front of a real one: a llama-server, taken for a server of unknown kind."""

    @pytest.fixture
    async def rig(self, roomy: str) -> AsyncIterator[Rig]:
        """Such a server does not count prompts."""
        backend = OpenAIServer(roomy)
        yield Rig(backend, LONG, lambda: processing(roomy), exact=False)
        await backend.aclose()


class TestEmbedded(BackendConformance):
    @pytest.fixture
    async def rig(self, model_file: Path, shared_state: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
        """The embedded engine; it stays from one test to the next."""
        monkeypatch.setenv("PYLON_STATE_DIR", str(shared_state))
        monkeypatch.setenv("PYLON_ENGINE_GRACE", "3")
        backend = Embedded()
        await backend.count(Prompt("Hello"))
        link = backend._link
        assert link is not None
        yield Rig(backend, LONG, lambda: processing(link.hello.url, link.hello.key))
        await backend.aclose()
