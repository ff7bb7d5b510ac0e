"""Choosing among backends, and what happens when they go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from pylon.backends.base import BackendBroken, BackendBusy, Model, Prompt
from pylon.backends.registry import Backends
from pylon.config import BackendsConfig
from pylon.errors import ConfigError, ContextOverflow, NoBackend, NoModel
from tests.backends.site import WELL, reply, site
from tests.conformance.backend import answer, soon, text_of


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script that may be rewritten."""
    path = tmp_path / "script.toml"
    path.write_text('default = "Yes."\n')
    return path


def rewrite(script: Path, text: str) -> None:
    """Change what the backend says from now on."""
    script.write_text(text, "utf-8")


def scripted(script: Path, *more: str) -> BackendsConfig:
    """A configuration that uses the script."""
    return BackendsConfig(use=["scripted", *more], script=str(script))


@pytest.fixture
async def backends() -> AsyncIterator[Backends]:
    """To be started by the test."""
    backends = Backends(clock=Clock())
    yield backends
    await backends.aclose()


def server(model: str, slots: int = 2) -> dict[str, bytes]:
    """A llama-server with one model."""
    props = {"total_slots": slots, "default_generation_settings": {"n_ctx": 512}}
    return WELL | {"/v1/models": reply(200, {"data": [{"id": model}]}), "/props": reply(200, props)}


async def test_nothing_to_ask(backends: Backends) -> None:
    """Without a backend the sentence names `pylon models pull`; the object stays usable."""
    await backends.start(BackendsConfig(use=["llama-server"]))
    for _ in range(2):
        with pytest.raises(NoBackend) as caught:
            await soon(backends.choose())
        assert "pylon models pull" in caught.value.hint
        assert type(caught.value) is NoBackend
    assert backends.available() == []
    assert backends.slots() == 0


async def test_the_model_asked_for_and_no_other(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    """An asked-for model is found wherever it is; one that is absent is refused, naming those that are here."""
    async with site(server("large")) as one, site(server("small", 3)) as two:
        monkeypatch.setenv("PYLON_BACKENDS", f"{one},{two}")
        await backends.start(BackendsConfig(use=["llama-server"]))
        backend, model = await backends.choose("small")
        assert (backend.name, model) == (f"llama-server {two}", Model("small", 512, loaded=True, slots=3))
        with pytest.raises(NoModel, match="large, small"):
            await backends.choose("medium")
        with pytest.raises(NoModel):
            await backends.choose("medium", "large")
        assert (await backends.choose("", "small"))[1].name == "small"
        assert (await backends.choose("", "medium"))[1].name == "large"
        assert backends.slots() == 5
        assert [[model.name for model in models] for _, models in backends.available()] == [["large"], ["small"]]


@pytest.mark.usefixtures("model_file")
async def test_a_loaded_model_goes_first(backends: Backends, script: Path) -> None:
    """An engine that would have to be started comes after one that runs, whatever the order of `use`."""
    await backends.start(BackendsConfig(use=["embedded", "scripted"], script=str(script)))
    assert (await backends.choose())[0].name == "scripted"
    assert (await backends.choose("smollm2-135m"))[0].name == "embedded"


async def test_the_one_with_the_most_room(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among equals the less busy one is chosen."""
    async with site(server("same")) as one, site(server("same")) as two:
        monkeypatch.setenv("PYLON_BACKENDS", f"{one},{two}")
        await backends.start(BackendsConfig(use=["llama-server"]))
        first, _ = await backends.choose()
        async with aclosing(first.generate(Prompt("2+2?", max_tokens=8))) as chunks:
            await soon(anext(chunks))
            assert (await backends.choose())[0] is not first
        assert (await backends.choose())[0] is first


async def test_a_broken_backend_cools_down_longer_each_time(script: Path) -> None:
    """5, 10, 20 … 120 s; until then it is not chosen, and an answer sets it back."""
    clock = Clock()
    backends = Backends(clock=clock)
    await backends.start(scripted(script))
    rewrite(script, 'default = "Yes."\nfail = "broken"\n')
    for cool in (5, 10, 20, 40, 80, 120, 120):
        backend, _ = await backends.choose()
        with pytest.raises(BackendBroken):
            await answer(backend, Prompt("x"))
        clock.now += cool - 0.5
        with pytest.raises(BackendBusy, match="tried again"):
            await backends.choose()
        assert backends.slots() == 0
        clock.now += 1
    rewrite(script, 'default = "Yes."\n')
    backend, _ = await backends.choose()
    assert text_of(await answer(backend, Prompt("x"))) == "Yes."
    rewrite(script, 'fail = "broken"\n')
    with pytest.raises(BackendBroken):
        await answer(backend, Prompt("x"))
    clock.now += 5.5
    assert (await backends.choose())[0] is backend
    await backends.aclose()


@pytest.mark.parametrize(("fail", "error"), [("busy", BackendBusy), ("overflow", ContextOverflow)])
async def test_a_refusal_does_not_cool_down(backends: Backends, script: Path, fail: str, error: type[NoBackend]) -> None:
    """A backend that is busy, or refuses a prompt, is well."""
    rewrite(script, f'fail = "{fail}"\n')
    await backends.start(scripted(script))
    backend, _ = await backends.choose()
    with pytest.raises(error):
        await answer(backend, Prompt("x"))
    assert (await backends.choose())[0] is backend


async def test_loss_and_return(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that goes is missed, and found again when it is back, without a new start."""
    async with site(WELL) as url:
        monkeypatch.setenv("PYLON_BACKENDS", url)
        await backends.start(BackendsConfig(use=["llama-server"]))
        assert backends.slots() == 2
    await soon(backends.refresh())
    with pytest.raises(NoBackend):
        await backends.choose()
    async with site(WELL, port=int(url.rpartition(":")[2])):
        assert (await soon(backends.choose()))[1].name == "tiny"


async def test_a_failure_is_looked_into_at_once(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that breaks is looked for again without waiting for the next round."""
    async with site(WELL) as url:
        monkeypatch.setenv("PYLON_BACKENDS", url)
        await backends.start(BackendsConfig(use=["llama-server"]))
        backend, _ = await backends.choose()
    with pytest.raises(BackendBroken):
        await soon(backend.count(Prompt("x")))
    async with asyncio.timeout(30):
        while backends._found:  # noqa: ASYNC110  # the background look has no other sign
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("model_file")
async def test_six_jobs_on_two_slots(backends: Backends) -> None:
    """More jobs than slots are all answered by the real engine."""
    await backends.start(BackendsConfig(use=["embedded"]))
    assert backends.slots() == 2
    backend, model = await backends.choose()
    jobs = [answer(backend, Prompt(f"Say {number}", model=model.name, max_tokens=8)) for number in range(6)]
    assert all(text_of(chunks) for chunks in await asyncio.gather(*jobs))


@pytest.mark.parametrize(
    ("config", "word"),
    [
        (BackendsConfig(use=["lama-server"]), "lama-server"),
        (BackendsConfig(use=["scripted"]), "backends.script"),
        (BackendsConfig(use=["scripted"], script="/nowhere/script.toml"), "/nowhere/script.toml"),
        (BackendsConfig(use=["llama-server"], urls=["gpu"]), "backends.urls"),
    ],
)
async def test_settings_that_are_wrong(
    backends: Backends, config: BackendsConfig, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each wrong setting is one sentence that names it."""
    monkeypatch.delenv("PYLON_BACKENDS")
    with pytest.raises(ConfigError, match=word):
        await backends.start(config)
