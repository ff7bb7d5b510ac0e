"""The adapter of Ollama: against the recorded answers of a real one, and against what a hostile or an older one might say."""

from __future__ import annotations

import json

import pytest

from pylon.backends import ollama as ollama_module
from pylon.backends.base import BackendBroken, BackendBusy, Message, Model, Prompt, Usage
from pylon.backends.chat import upper_bound
from pylon.backends.detect import Ollamas
from pylon.backends.http import LINE_LIMIT
from pylon.backends.ollama import DEFAULT_CONTEXT, Ollama
from pylon.config import BackendsConfig
from pylon.errors import ContextOverflow, NoBackend, NoModel, PylonError
from tests.backends.recorded import Instead, lines, ollama, recording
from tests.backends.site import HANG, HANGS, reply, site
from tests.conformance.backend import answer, soon, text_of

SAID = recording()
QUESTION = Prompt("Say hello in three words.", max_tokens=12)


async def ask(prompt: Prompt = QUESTION, **instead: Instead) -> tuple[str, Usage | None, str]:
    """Text, usage and reason of an answer of the recorded Ollama, with other answers `instead`."""
    async with site(ollama(**instead)) as url:
        backend = Ollama(url, gap_s=0.2, first_token_s=5)
        try:
            chunks = await answer(backend, prompt)
            return text_of(chunks), chunks[-1].usage, chunks[-1].finish_reason
        finally:
            await backend.aclose()


async def models(**instead: Instead) -> list[Model]:
    """What it offers."""
    async with site(ollama(**instead)) as url:
        backend = Ollama(url)
        try:
            return list(await soon(backend.models()))
        finally:
            await backend.aclose()


async def count(prompt: Prompt, heard: list[dict[str, object]] | None = None, **instead: Instead) -> int:
    """The tokens that it counts."""
    async with site(ollama(heard, **instead)) as url:
        backend = Ollama(url, first_token_s=5)
        try:
            return await soon(backend.count(prompt))
        finally:
            await backend.aclose()


async def test_a_recorded_answer() -> None:
    """Text, usage and reason arrive as a real Ollama sent them (the middle of the stream was not recorded)."""
    assert await ask() == ("Awesome help!", Usage(15, 11), "stop")


async def test_the_recorded_model() -> None:
    """The context is the model's own `num_ctx` (not what it was trained for); loaded, as /api/ps says."""
    assert await models() == [Model("smollm2:latest", 2048, loaded=True, slots=1)]
    assert await models(ps=reply(200, {"models": []}, "")) == [Model("smollm2:latest", 2048, loaded=False, slots=1)]


async def test_every_request_loads_the_model_in_the_same_way() -> None:
    """`num_ctx`, `truncate` and `shift` are the same in every request, or the model would be loaded anew, or a prompt cut."""
    heard: list[dict[str, object]] = []
    async with site(ollama(heard)) as url:
        backend = Ollama(url)
        await soon(backend.count(QUESTION))
        await answer(backend, Prompt("Hello", max_tokens=3, temperature=0.5, seed=7, top_k=4))
        await backend.aclose()
    assert len(heard) == 5
    assert {(asked["truncate"], asked["shift"], options(asked)["num_ctx"]) for asked in heard} == {(False, False, 2048)}
    assert options(heard[-1]) == {"num_ctx": 2048, "num_predict": 3, "temperature": 0.5, "seed": 7, "top_k": 4}
    assert 0 not in {options(asked)["num_predict"] for asked in heard}  # which means no end


def options(asked: dict[str, object]) -> dict[str, object]:
    """The options of a request."""
    found = asked["options"]
    assert isinstance(found, dict)
    return found


async def test_a_conversation_is_sent_as_one() -> None:
    """Roles and turns reach Ollama; its own template makes the prompt of them."""
    heard: list[dict[str, object]] = []
    turns = (Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Ho"), Message("user", "\ud800?"))
    async with site(ollama(heard)) as url:
        backend = Ollama(url)
        await answer(backend, Prompt("", messages=turns, max_tokens=12))
        await backend.aclose()
    assert heard[-1]["messages"] == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"},
        {"role": "user", "content": "??"},
    ]  # fmt: skip


async def test_a_prompt_is_counted_by_a_refusal() -> None:
    """The number is the one that the answer will say; what is asked for it is longer than the context, so nothing is computed."""
    heard: list[dict[str, object]] = []
    assert await count(QUESTION, heard) == 15
    for asked in heard:
        turns = asked["messages"]
        assert isinstance(turns, list)
        assert len(turns) == 1 or len(turns[0]["content"].split()) == 2048
    assert [options(asked)["num_predict"] for asked in heard] == [1, 1, 1]


async def test_a_model_that_is_not_loaded_is_not_loaded_for_a_count() -> None:
    """A stranger's question alone moves no model; the bound is enough where it fits."""
    heard: list[dict[str, object]] = []
    assert await count(QUESTION, heard, ps=reply(200, {"models": []}, "")) == upper_bound(QUESTION)
    assert heard == []


async def test_a_count_that_has_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """While Ollama computes, a prompt that fits is bounded; one that only the exact number could decide is told to come again."""
    monkeypatch.setattr(ollama_module, "PATIENCE_S", 0.05)
    monkeypatch.setattr(ollama_module, "COUNT_S", 0.05)
    assert await count(QUESTION, refuse=HANG) == upper_bound(QUESTION)
    with pytest.raises(BackendBusy):
        await count(Prompt("word " * 1000), refuse=HANG)


async def test_an_ollama_that_does_not_count() -> None:
    """One that does not refuse, or refuses without a number, gets the bound; what does not fit by the bound is not computed."""
    cut = SAID["overflow_default_truncates"].whole()
    plain = reply(400, {"error": "the input length exceeds the context length"}, "")
    for refuse in (cut, plain):
        assert await count(QUESTION, refuse=refuse) == upper_bound(QUESTION)
        assert (await ask(refuse=refuse))[0] == "Awesome help!"
        with pytest.raises(ContextOverflow):
            await ask(Prompt("word " * 1000), refuse=refuse)


async def test_a_huge_text_is_not_sent() -> None:
    """Ten megabytes fit nowhere."""
    heard: list[dict[str, object]] = []
    with pytest.raises(ContextOverflow):
        await count(Prompt("a b " * 2_500_000), heard)
    assert heard == []


async def test_prompt_and_answer_must_fit_together() -> None:
    """Ollama itself would end the answer early and say nothing."""
    with pytest.raises(ContextOverflow):
        await ask(Prompt("Hello", max_tokens=2048 - 14))
    assert (await ask(Prompt("Hello", max_tokens=2048 - 15)))[1] == Usage(15, 11)


def tag(name: str, **more: object) -> dict[str, object]:
    """An entry of /api/tags."""
    return {"name": name, "model": name, "size": 98362760, "digest": name, **more}


async def test_what_runs_elsewhere_is_never_offered() -> None:
    """Models of ollama.com, under the operator's account, and names without a model."""
    away = [
        tag("smollm2-r", remote_host="https://ollama.com:443"), tag("smollm2-m", remote_model="big"), tag("smollm2:120b-cloud"),
        tag("smollm2:cloud"), tag("smollm2-tiny", size=384), tag("smollm2-none", size=0),
    ]  # fmt: skip
    tags = reply(200, {"models": [*away, tag("smollm2:latest")]}, "")
    assert [model.name for model in await models(tags=tags)] == ["smollm2:latest"]
    async with site(ollama(tags=tags)) as url:
        backend = Ollama(url)
        await backend.models()
        assert "smollm2-r" in backend.remark
        with pytest.raises(NoModel):
            await soon(backend.count(Prompt("x", model="smollm2:120b-cloud")))
        await backend.aclose()


@pytest.mark.parametrize(
    ("shown", "context"),
    [
        ({"capabilities": ["completion", "tools"]}, 2048),
        ({"capabilities": ["embedding"]}, None),
        ({"capabilities": []}, None),
        ({"capabilities": ["completion"], "remote_host": "https://ollama.com"}, None),
        ({"details": {"family": "nomic-bert"}}, None),
        ({"details": {"family": "llama"}}, 2048),
        ({"parameters": "stop \"x\"\nnum_ctx    512\n"}, 512),
        ({"parameters": "num_ctx 60000", "model_info": {"llama.context_length": 8192}}, 8192),
        ({"parameters": "num_ctx 999999999", "model_info": {"llama.context_length": 8192}}, 2048),
        ({"parameters": "num_ctx many", "model_info": {"llama.context_length": 1024}}, 1024),
        ({"parameters": "num_ctx 0", "model_info": {"llama.context_length": "long"}}, 2048),
        ({"model_info": {"llama.context_length": -1}}, 2048),
    ],
)
async def test_what_a_model_shows(shown: dict[str, object], context: int | None) -> None:
    """Only models that answer with text; their `num_ctx`, else what they are loaded with (2048), never more than they were trained for."""
    found = await models(show=reply(200, shown, ""))
    assert [model.context for model in found] == ([] if context is None else [context])


async def test_the_context_of_a_model_that_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing says it: the setting of Ollama in our environment, else what Ollama takes on a small machine."""
    empty = {"show": reply(200, {}, ""), "ps": reply(200, {"models": []}, "")}
    monkeypatch.delenv("OLLAMA_CONTEXT_LENGTH", raising=False)
    assert [model.context for model in await models(**empty)] == [DEFAULT_CONTEXT]
    monkeypatch.setenv("OLLAMA_CONTEXT_LENGTH", "6000")
    monkeypatch.setenv("OLLAMA_NUM_PARALLEL", "3")
    assert [(model.context, model.slots) for model in await models(**empty)] == [(6000, 3)]


async def test_a_context_stays() -> None:
    """A model that another program has loaded otherwise is still asked as it was announced."""
    context = 512

    def ps(_: dict[str, object]) -> bytes:
        return reply(200, {"models": [tag("smollm2:latest", context_length=context)]}, "")

    async with site(ollama(show=reply(200, {}, ""), ps=ps)) as url:
        backend = Ollama(url)
        first = await soon(backend.models())
        context = 1024
        assert list(await soon(backend.models())) == list(first) == [Model("smollm2:latest", 512, loaded=True)]
        await backend.aclose()


@pytest.mark.parametrize("name", ["smollm2", "smollm2:latest", ""])
async def test_names_are_understood_as_ollama_does(name: str) -> None:
    """`:latest` may be left out; without a name, a model that is loaded answers."""
    assert (await ask(Prompt("Hello", model=name, max_tokens=12)))[0] == "Awesome help!"


async def test_a_missing_model() -> None:
    """The error names those that are there; a model that is deleted in the meantime is a missing one too."""
    with pytest.raises(NoModel, match="smollm2:latest"):
        await ask(Prompt("Hello", model="nope"))
    gone = SAID["chat_missing_model"].whole()
    with pytest.raises(NoModel, match="not found"):
        await ask(stream=gone)
    assert await models(show=SAID["show_missing"].whole()) == []


async def test_thoughts_are_counted_and_not_shown() -> None:
    """A thinking model's thoughts are tokens, and no part of the answer."""
    thought = {"message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False}
    assert await ask(stream=lines(thought, word("Four."), END)) == ("Four.", Usage(15, 2), "stop")
    last = (await ask(Prompt("x", max_tokens=2), stream=lines(*[thought] * 500, HANGS.strip())))[1:]
    assert last == (Usage(15, 2), "length")


def word(text: str) -> dict[str, object]:
    """A line with new text."""
    return {"model": "smollm2", "message": {"role": "assistant", "content": text}, "done": False}


def end(**more: object) -> dict[str, object]:
    """The last line."""
    return {"message": {"content": ""}, "done": True, "done_reason": "stop", "prompt_eval_count": 15, "eval_count": 2, **more}


END = end()
NESTED = json.dumps({"error": {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 2048}})

BAD: dict[str, tuple[bytes, type[PylonError], str]] = {
    "recorded: an overflow": (SAID["overflow_truncate_false"].whole(), ContextOverflow, "3,010"),
    "busy": (reply(503, {"error": "server busy, please try again.  maximum pending requests exceeded"}, ""), BackendBusy, "busy"),
    "a server error": (reply(500, {"error": "llama runner process has terminated"}, ""), BackendBroken, "terminated"),
    "a model too large for the machine": (reply(500, {"error": "model requires more system memory (9 GiB)"}, ""), NoBackend, "refused"),
    "an error of another form": (reply(500, {"error": [1]}, ""), BackendBroken, "HTTP 500"),
    "a page": (reply(502, b"<html>", ""), BackendBroken, "HTTP 502"),
    "an error in mid-stream": (lines(word("Fo"), {"error": "an unknown error was encountered"}), BackendBroken, "unknown error"),
    "an overflow in mid-stream": (lines(word("Fo"), {"error": NESTED}), ContextOverflow, "9,000"),
    "the end in the middle": (lines(word("Fo")), BackendBroken, "broke off"),
    "nothing": (lines(), BackendBroken, "broke off"),
    "half a line": (lines(word("Fo"))[:-1], BackendBroken, "broke off"),
    "a cut prompt": (lines(word("Four"), end(prompt_eval_count=6)), BackendBroken, "has cut the prompt"),
    "a prompt of a length that cannot be": (lines(word("4"), end(prompt_eval_count=10**30)), BackendBroken, "cannot be"),
    "a prompt longer than the context": (lines(word("4"), end(prompt_eval_count=5000)), BackendBroken, "cannot be"),
    "more tokens than were asked for": (lines(word("4"), end(eval_count=13)), BackendBroken, "cannot be"),
    "a negative count": (lines(word("4"), end(eval_count=-1)), BackendBroken, "cannot be"),
    "unloaded in the middle": (lines(word("4"), end(done_reason="unload")), BackendBroken, "unload"),
    "no JSON": (lines(b"{nonsense"), BackendBroken, "no line"),
    "no UTF-8": (lines(b'{"message":{"content":"\xff\xfe"}}'), BackendBroken, "no line"),
    "a lone surrogate": (lines(b'{"message":{"content":"\\ud800"}}'), BackendBroken, "no line"),
    "wrong types": (lines({"message": {"content": 7}}), BackendBroken, "no line"),
    "a list": (lines([]), BackendBroken, "no line"),
    "deep nesting": (lines(b'{"message":' + b"[" * 100_000), BackendBroken, "no line"),
    "an endless line": (lines(b"x" * (LINE_LIMIT + 10))[:-1] + HANGS.strip(), BackendBroken, "a line of more than"),
    "lines without text and end": (lines(*[word("")] * 1000, HANGS.strip()), BackendBroken, "a stream without end"),
    "silence after a token": (lines(word("Fo")) + HANGS, BackendBroken, "no line"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", BackendBroken, "broke off"),
    "a compressed answer": (reply(500, b"\x1f\x8b", "Content-Encoding: gzip\r\n"), BackendBroken, "compressed"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
async def test_bad_answers_have_their_class(case: str) -> None:
    """Whatever Ollama sends becomes one of the errors of the port, for the reason that it should."""
    stream, expected, words = BAD[case]
    with pytest.raises(expected, match=words) as caught:
        await ask(stream=stream)
    assert type(caught.value) is expected or expected is BackendBroken


@pytest.mark.parametrize("path", ["tags", "ps", "show"])
@pytest.mark.parametrize("body", [b"[]", b"{", b'{"models":7,"capabilities":7}', b"\xff"])
async def test_lists_that_are_none(path: str, body: bytes) -> None:
    """Nonsense in place of a list is a broken backend."""
    with pytest.raises(BackendBroken):
        await models(**{path: reply(200, body, "")})


async def test_max_tokens_is_kept_to_by_us() -> None:
    """An Ollama that sends more than was asked for is cut off, and the answer says `length`."""
    assert await ask(Prompt("x", max_tokens=5), stream=lines(*[word("la ")] * 500)) == ("la la la la la ", Usage(15, 5), "length")


async def test_retry_after_is_read() -> None:
    """A busy Ollama behind a proxy may say when to come again."""
    with pytest.raises(BackendBusy) as caught:
        await ask(stream=reply(429, {"error": "slow down"}, "Retry-After: 12\r\n"))
    assert caught.value.after_s == 12


async def test_an_empty_ollama_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """One without a model of its own is found, offers nothing, and `doctor` hears why."""
    monkeypatch.delenv("PYLON_BACKENDS")
    async with site(ollama(tags=reply(200, {"models": []}, ""))) as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        source = Ollamas(BackendsConfig())
        (backend,) = await soon(source.find())
        assert list(await soon(backend.models())) == []
        assert "ollama pull" in source.remarks()[0]
        await source.aclose()
