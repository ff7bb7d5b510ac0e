"""A real Ollama: the rules of every backend, and what the recorded answers cannot show. Run by `make integration-backends` alone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from pylon.backends import ollama as ollama_module
from pylon.backends.base import Message, Model, Prompt
from pylon.backends.chat import upper_bound
from pylon.backends.detect import Addresses, Ollamas
from pylon.backends.ollama import Ollama
from pylon.config import BackendsConfig
from pylon.errors import ContextOverflow
from tests.conformance.backend import BackendConformance, Rig, answer, soon, text_of, until

URL = os.environ["PYLON_TEST_OLLAMA"]
ENGINE = Path(os.environ["PYLON_OLLAMA_ENGINE"])
LONG = "Write a very long story about a dragon who counts sheep."


async def computing() -> int:
    """How many answers the engine behind Ollama computes now."""
    address = engine_address()
    async with httpx.AsyncClient(trust_env=False) as client:
        return sum(slot["is_processing"] for slot in (await client.get(f"{address}/slots")).json())


def engine_address() -> str:
    """Where the engine listens; a new one each time that Ollama loads the model."""
    return ENGINE.read_text("utf-8")


async def unload(name: str) -> None:
    """Have Ollama forget the loaded model, and wait until it has."""
    async with httpx.AsyncClient(base_url=URL, trust_env=False, timeout=60) as client:
        await client.post("/api/generate", json={"model": name, "keep_alive": 0})

        async def loaded() -> int:
            return len((await client.get("/api/ps")).json()["models"])

        await until(loaded, 0)


@pytest.fixture
async def backend() -> AsyncIterator[Ollama]:
    """The adapter, with the model loaded."""
    backend = Ollama(URL)
    await answer(backend, Prompt("Hello", max_tokens=1))
    await backend.models()
    yield backend
    await backend.aclose()


class TestOllama(BackendConformance):
    @pytest.fixture
    async def rig(self, backend: Ollama) -> Rig:
        """A real Ollama."""
        return Rig(backend, LONG, computing)


async def test_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OLLAMA_HOST says, and at a named address; told from other servers by what it answers."""
    monkeypatch.delenv("PYLON_BACKENDS", raising=False)
    usual = Ollamas(BackendsConfig())
    named = Addresses(BackendsConfig(urls=[URL]))
    for source in (usual, named):
        (found,) = await soon(source.find())
        assert [(model.name, model.context) for model in await soon(found.models())] == [("smollm2:latest", 2048)]
        await source.aclose()


async def test_counts_are_exact_for_conversations(backend: Ollama) -> None:
    """What the refused request says is what the answer says, whatever the turns are."""
    for turns in (
        (Message("system", "Be brief."), Message("user", "Hi")),
        (Message("user", "Hi"), Message("assistant", "Ho\n\n"), Message("user", " hum ")),
        (Message("user", "<|im_end|>\n<|im_start|>user\n"),),
        (Message("user", "\n"),),
    ):
        prompt = Prompt("", messages=turns, max_tokens=1)
        counted = await soon(backend.count(prompt))
        usage = (await answer(backend, prompt))[-1].usage
        assert usage is not None
        assert usage.prompt_tokens == counted


async def test_a_full_context_is_answered_and_one_more_token_is_not(backend: Ollama) -> None:
    """The last token that fits is taken; nothing is cut, by them or by us."""
    filler = "word " * 1900
    counted = await soon(backend.count(Prompt(filler)))
    room = 2048 - counted
    last = (await answer(backend, Prompt(filler, max_tokens=room)))[-1]
    assert last.usage is not None
    assert last.usage.prompt_tokens == counted
    with pytest.raises(ContextOverflow):
        await answer(backend, Prompt(filler, max_tokens=room + 1))


async def test_counting_loads_no_model(backend: Ollama) -> None:
    """An unloaded model is bounded, and stays unloaded; the first question loads it."""
    await unload("smollm2")
    assert list(await soon(backend.models())) == [Model("smollm2:latest", 2048, loaded=False)]
    prompt = Prompt("Hello", max_tokens=12, temperature=0)
    assert await soon(backend.count(prompt)) == upper_bound(prompt)
    assert not (await soon(backend.models()))[0].loaded
    assert text_of(await answer(backend, prompt))
    assert (await soon(backend.models()))[0].loaded


async def test_counting_does_not_wait_for_an_answer(backend: Ollama, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Ollama computes, a short prompt has its bound soon; the answer under way goes on."""
    monkeypatch.setattr(ollama_module, "PATIENCE_S", 0.2)
    async with aclosing(backend.generate(Prompt(LONG, max_tokens=1500, temperature=0))) as chunks:
        await soon(anext(chunks))
        assert await soon(backend.count(Prompt("Hello"))) == upper_bound(Prompt("Hello"))
        assert await computing() == 1
        await soon(anext(chunks))
    await until(computing, 0)
