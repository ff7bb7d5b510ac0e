"""The adapter of any OpenAI-compatible server: what vLLM, LM Studio and plain ones list, and how their prompts are counted."""

from __future__ import annotations

import json

import pytest

from pylon.backends.base import BackendBroken, BackendBusy, Model, Prompt, Usage
from pylon.backends.chat import upper_bound
from pylon.backends.openai import DEFAULT_CONTEXT, OpenAIServer
from pylon.errors import ContextOverflow, NoBackend, NoModel, PylonError
from tests.backends.site import DONE, STOP, USAGE, Answer, event, reply, site, stream, text
from tests.conformance.backend import answer, soon, text_of

CHAT = "/v1/chat/completions"
NO_NAME = "Server: uvicorn\r\n"


def listing(*models: dict[str, object]) -> bytes:
    """/v1/models."""
    return reply(200, {"object": "list", "data": models}, NO_NAME)


PLAIN: dict[str, Answer] = {"/v1/models": listing({"id": "tiny"}), CHAT: stream(text("Four"), text("."), STOP, USAGE, DONE)}


async def models(*listed: dict[str, object], **more: bytes) -> list[Model]:
    """What is offered of a list."""
    async with site({"/v1/models": listing(*listed), **{f"/{path.replace('_', '/')}": body for path, body in more.items()}}) as url:
        backend = OpenAIServer(url)
        try:
            return list(await soon(backend.models()))
        finally:
            await backend.aclose()


async def ask(answers: dict[str, Answer], prompt: Prompt = Prompt("2+2?", max_tokens=8)) -> tuple[str, Usage | None, str]:  # noqa: B008  # frozen
    """Text, usage and reason of an answer."""
    async with site(PLAIN | answers) as url:
        backend = OpenAIServer(url, gap_s=0.2, first_token_s=5)
        try:
            chunks = await answer(backend, prompt)
            return text_of(chunks), chunks[-1].usage, chunks[-1].finish_reason
        finally:
            await backend.aclose()


@pytest.mark.parametrize(
    ("listed", "context"),
    [
        ({"id": "m", "owned_by": "vllm", "max_model_len": 9000, "root": "m", "permission": []}, 9000),
        ({"id": "m", "owned_by": "me", "meta": {"n_ctx": 2048, "n_ctx_train": 8192}}, 2048),
        ({"id": "m", "context_length": 32768}, 32768), ({"id": "m", "context_window": 131072, "active": True}, 131072),
        ({"id": "m"}, DEFAULT_CONTEXT), ({"id": "m", "meta": None, "max_model_len": None, "owned_by": None}, DEFAULT_CONTEXT),
        ({"id": "m", "max_model_len": 0}, DEFAULT_CONTEXT), ({"id": "m", "max_model_len": -5}, DEFAULT_CONTEXT),
        ({"id": "m", "max_model_len": 10**12}, DEFAULT_CONTEXT),
    ],
)  # fmt: skip
async def test_the_context_is_what_the_server_says(listed: dict[str, object], context: int) -> None:
    """In one of the fields that servers use; little where it is not said or cannot be; one answer at a time."""
    assert await models(listed) == [Model("m", context, loaded=True, slots=1)]


async def test_lm_studio() -> None:
    """Its own list says what is loaded, with which context, and what only makes embeddings."""
    details = [
        {"id": "a", "type": "llm", "state": "loaded", "max_context_length": 32768, "loaded_context_length": 8192},
        {"id": "b", "type": "vlm", "state": "not-loaded", "max_context_length": 4000},
        {"id": "c", "type": "embeddings", "state": "loaded", "max_context_length": 512},
    ]
    found = await models({"id": "a"}, {"id": "b"}, {"id": "c"}, api_v0_models=reply(200, {"data": details}, NO_NAME))
    assert found == [Model("a", 8192, loaded=True), Model("b", 4000, loaded=False)]


@pytest.mark.parametrize("body", [b"<!doctype html>", b"[]", b'{"data":[{"id":7}]}'])
async def test_another_page_in_the_place_of_lm_studios(body: bytes) -> None:
    """Servers that answer every path with a page are not LM Studio."""
    assert await models({"id": "m"}, api_v0_models=reply(200, body, NO_NAME)) == [Model("m", DEFAULT_CONTEXT, loaded=True)]


async def test_a_good_answer() -> None:
    """Text, usage and reason arrive as they were sent."""
    assert await ask({}) == ("Four.", Usage(3, 2), "stop")


async def test_an_answer_without_usage_is_counted_here() -> None:
    """Servers that do not know `include_usage`: the tokens of the stream, and the bound of the prompt."""
    prompt = Prompt("2+2?", max_tokens=8)
    assert await ask({CHAT: stream(text("Four"), text("."), STOP, DONE)}, prompt) == ("Four.", Usage(upper_bound(prompt), 2), "stop")


async def test_an_address_may_end_in_v1() -> None:
    """As people copy it."""
    async with site(PLAIN) as url:
        backend = OpenAIServer(f"{url}/v1")
        assert text_of(await answer(backend, Prompt("2+2?", max_tokens=8))) == "Four."
        await backend.aclose()


async def test_vllm_counts() -> None:
    """/tokenize, with the chat template; its number decides what fits, not the bound."""
    asked: list[dict[str, object]] = []

    def tokenize(body: bytes) -> bytes:
        asked.append(json.loads(body))
        return reply(200, {"count": 3, "max_model_len": 500, "tokens": [1, 2, 3]}, NO_NAME)

    listed = listing({"id": "tiny", "owned_by": "vllm", "max_model_len": 500})
    vllm: dict[str, Answer] = {"/v1/models": listed, "/tokenize": tokenize}
    assert (await ask(vllm, Prompt("word " * 90, max_tokens=400)))[0] == "Four."
    assert asked[0]["messages"] == [{"role": "user", "content": "word " * 90}]
    with pytest.raises(ContextOverflow):
        await ask(vllm, Prompt("word", max_tokens=498))
    assert len(asked) == 2
    with pytest.raises(ContextOverflow):
        await ask(vllm, Prompt("a b " * 2_500_000))
    assert len(asked) == 2


@pytest.mark.parametrize("tokenize", [reply(404, {}), reply(400, {"error": {"message": "no"}}), reply(422, b"{}")])
async def test_a_vllm_that_does_not_count(tokenize: bytes) -> None:
    """An older or locked one: the bound holds."""
    answers: dict[str, Answer] = {"/v1/models": listing({"id": "tiny", "owned_by": "vllm", "max_model_len": 500}), "/tokenize": tokenize}
    assert (await ask(answers))[0] == "Four."
    with pytest.raises(ContextOverflow):
        await ask(answers, Prompt("word " * 90))


IMPOSSIBLE = event({"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": 1}})
BAD: dict[str, tuple[dict[str, Answer], type[PylonError]]] = {
    "busy": ({CHAT: reply(429, {"error": {"message": "slow down"}})}, BackendBusy),
    "an unknown model of the server's": ({CHAT: reply(404, {"error": {"message": "no such model"}})}, NoBackend),
    "a key is wanted": ({CHAT: reply(401, {"error": {"message": "no key"}})}, NoBackend),
    "an error of another form": ({CHAT: reply(500, {"detail": "boom"})}, BackendBroken),
    "an error in the stream": ({CHAT: stream(text("Fo"), event({"error": {"message": "gone"}}))}, BackendBroken),
    "the end in the middle": ({CHAT: stream(text("Fo"))}, BackendBroken),
    "a usage that cannot be": ({CHAT: stream(text("4"), STOP, IMPOSSIBLE)}, BackendBroken),
    "no models": ({"/v1/models": listing()}, BackendBroken),
    "models of the wrong type": ({"/v1/models": reply(200, {"data": [{"id": 7}]})}, BackendBroken),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
async def test_bad_answers_have_their_class(case: str) -> None:
    """Whatever a server sends becomes one of the errors of the port."""
    answers, expected = BAD[case]
    with pytest.raises(expected) as caught:
        await ask(answers)
    assert type(caught.value) is expected or expected is BackendBroken


async def test_a_missing_model() -> None:
    """It is refused here, with the names of those that are there."""
    with pytest.raises(NoModel, match="tiny"):
        await ask({}, Prompt("x", model="huge"))
