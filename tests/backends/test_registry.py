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
from tests.backends.site import HANG, STOP, WELL, reply, site, stream, text
from tests.conformance.backend import answer, soon, text_of

CHAT = "/v1/chat/completions"


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


async def test_jobs_that_begin_at_once_are_spread(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one that has chosen is counted before the next one chooses, though no server has said a word yet."""
    silent = server("same") | {CHAT: HANG}
    async with site(silent) as one, site(silent) as two, site(silent | server("same", 4) | {CHAT: HANG}) as three:
        monkeypatch.setenv("PYLON_BACKENDS", f"{one},{two},{three}")
        await backends.start(BackendsConfig(use=[]))
        jobs = [asyncio.create_task(anext(backends.answer(Prompt("2+2?", max_tokens=8)))) for _ in range(8)]
        await asyncio.sleep(0)
        assert sorted(watched.running for watched in backends._found) == [2, 2, 4]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        assert [watched.running for watched in backends._found] == [0, 0, 0]


BUSY = reply(503, {"error": {"message": "no slot"}}, "Retry-After: 7\r\n")
BROKEN = reply(500, {"error": {"message": "gone"}})


async def said(backends: Backends, prompt: Prompt = Prompt("2+2?", max_tokens=8)) -> str:  # noqa: B008  # frozen
    """The whole answer."""
    async with asyncio.timeout(60), aclosing(backends.answer(prompt)) as chunks:
        return "".join([chunk.text async for chunk in chunks])


@pytest.mark.parametrize("first", [BUSY, BROKEN, stream(STOP)])
async def test_another_one_answers_where_the_first_has_said_nothing(
    backends: Backends, monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    """One that is busy, or breaks before its first word, is replaced at once by another that has the model."""
    async with site(server("same") | {CHAT: first}) as one, site(server("same")) as two:
        monkeypatch.setenv("PYLON_BACKENDS", f"{one},{two}")
        await backends.start(BackendsConfig(use=[]))
        assert await said(backends) == "Four."


@pytest.mark.parametrize("other", [server("other"), server("same") | {CHAT: BUSY}])
async def test_a_failure_without_another_one_is_told(
    backends: Backends, monkeypatch: pytest.MonkeyPatch, other: dict[str, bytes]
) -> None:
    """Another model is no replacement, and there is one retry only."""
    async with site(server("same") | {CHAT: BUSY}) as one, site(other) as two:
        monkeypatch.setenv("PYLON_BACKENDS", f"{one},{two}")
        await backends.start(BackendsConfig(use=[]))
        with pytest.raises(BackendBusy):
            await said(backends, Prompt("2+2?", model="same", max_tokens=8))


async def test_less_room_elsewhere_is_no_reason_to_give_up(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the other one has a shorter context, what is told is that the first is busy: it will answer later."""
    props = {"total_slots": 1, "default_generation_settings": {"n_ctx": 4}}
    async with site(server("same") | {CHAT: BUSY}) as one, site(server("same") | {"/props": reply(200, props)}) as two:
        monkeypatch.setenv("PYLON_BACKENDS", f"{one},{two}")
        await backends.start(BackendsConfig(use=[]))
        with pytest.raises(BackendBusy):
            await said(backends)


async def test_no_retry_in_the_middle_of_an_answer(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has begun is never begun anew: the asker would read two halves."""
    async with site(server("same") | {CHAT: stream(text("Fo"))}) as one, site(server("same")) as two:
        monkeypatch.setenv("PYLON_BACKENDS", f"{one},{two}")
        await backends.start(BackendsConfig(use=[]))
        chunks = backends.answer(Prompt("2+2?", max_tokens=8))
        assert (await soon(anext(chunks))).text == "Fo"
        with pytest.raises(BackendBroken):
            await soon(anext(chunks))


async def test_one_that_asks_to_be_left_alone_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Retry-After` is honoured: until then nothing is asked of it."""
    clock = Clock()
    backends = Backends(clock=clock)
    async with site(server("same") | {CHAT: BUSY}) as url:
        monkeypatch.setenv("PYLON_BACKENDS", url)
        await backends.start(BackendsConfig(use=[]))
        with pytest.raises(BackendBusy, match="no slot"):
            await said(backends)
        clock.now += 6.5
        with pytest.raises(BackendBusy, match="tried again in"):
            await said(backends)
        clock.now += 1
        with pytest.raises(BackendBusy, match="no slot"):
            await said(backends)
    await backends.aclose()


async def test_latest_is_understood(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ollama's name of a model without a tag ends in `:latest`; people leave it out."""
    async with site(server("tiny:latest")) as url:
        monkeypatch.setenv("PYLON_BACKENDS", url)
        await backends.start(BackendsConfig(use=[]))
        assert {(await backends.choose(name))[1].name for name in ("tiny", "tiny:latest")} == {"tiny:latest"}
        with pytest.raises(NoModel):
            await backends.choose("tiny:1b")


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
