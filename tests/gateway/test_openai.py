"""The PyPI `openai` client, sync and async, against a real gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionUserMessageParam

from pylon.backends.models import pull
from pylon.config import BackendsConfig
from pylon.market.prompt import Message, Prompt, Role
from tests.gateway.conftest import PATIENCE, Stage, gateway

SUM: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is 2+2?"}]
COUNT: list[ChatCompletionMessageParam] = [{"role": "user", "content": "count"}]


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's client as an app makes it, without its own retries."""
    async with AsyncOpenAI(base_url=stage.v1, api_key="none", max_retries=0, timeout=PATIENCE) as client:
        yield client


def user(text: str) -> list[ChatCompletionMessageParam]:
    """A conversation of one turn."""
    return [ChatCompletionUserMessageParam(role="user", content=text)]


async def test_a_chat(client: AsyncOpenAI) -> None:
    """The whole answer, with its model, its usage and the reason for its end."""
    answer = await client.chat.completions.create(model="actor", messages=SUM)
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "actor"
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "It is 4.", "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (3, 3, 6)


async def test_a_streamed_chat(client: AsyncOpenAI) -> None:
    """The role, the text in pieces, the reason for the end; the usage only where it is asked for."""
    stream = await client.chat.completions.create(model="actor", messages=SUM, stream=True)
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].delta.content for chunk in chunks[1:-1]] == ["It", " is", " 4."]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 4 + ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


async def test_the_usage_of_a_stream(client: AsyncOpenAI) -> None:
    """`include_usage`: one more chunk, without choices, that carries it."""
    options = openai.types.chat.ChatCompletionStreamOptionsParam(include_usage=True)
    stream = await client.chat.completions.create(model="actor", messages=SUM, stream=True, stream_options=options)
    *others, last = [chunk async for chunk in stream]
    assert all(chunk.choices and chunk.usage is None for chunk in others)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 6


async def test_the_stream_helper_of_the_client(client: AsyncOpenAI) -> None:
    """`client.chat.completions.stream` gathers our chunks into the same answer."""
    async with client.chat.completions.stream(model="actor", messages=SUM) as stream:
        answer = await stream.get_final_completion()
    assert answer.choices[0].message.content == "It is 4."


async def test_completions(client: AsyncOpenAI) -> None:
    """The older endpoint, whole and streamed; a prompt may stand in a list."""
    for prompt in ("What is 2+2?", ["What is 2+2?"]):
        answer = await client.completions.create(model="actor", prompt=prompt)
        assert (answer.object, answer.choices[0].text, answer.choices[0].finish_reason) == ("text_completion", "It is 4.", "stop")
        assert answer.usage is not None
        assert answer.usage.total_tokens == 6
    stream = await client.completions.create(model="actor", prompt="What is 2+2?", stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].text for chunk in chunks) == "It is 4."
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_the_models(client: AsyncOpenAI) -> None:
    """The list and each of it: the backend's name, and the context as a member of our own."""
    (model,) = (await client.models.list()).data
    assert (model.id, model.object, model.owned_by) == ("actor", "model", "scripted")
    assert model.model_extra == {"context_length": 400}
    assert await client.models.retrieve("actor") == model
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("meta/llama")


async def test_no_model_in_particular(client: AsyncOpenAI) -> None:
    """An empty name is ours to choose; the answer says which it was."""
    assert (await client.chat.completions.create(model="", messages=SUM)).model == "actor"


async def test_all_turns_reach_the_engine(client: AsyncOpenAI) -> None:
    """System (`developer` too), user and assistant; content as text or as a list of text parts."""
    for role in ("system", "developer"):
        answer = await client.chat.completions.create(
            model="actor",
            messages=[
                {"role": role, "content": [{"type": "text", "text": "Speak "}, {"type": "text", "text": "like a pirate"}]},  # type: ignore[misc, list-item]  # the role is a variable
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Arr"},
                {"role": "user", "content": "What is 2+2?"},
            ],
        )
        assert answer.choices[0].message.content == "Arr, it be 4."
        assert answer.usage is not None
        assert answer.usage.prompt_tokens == 9


async def test_the_length(client: AsyncOpenAI) -> None:
    """max_tokens and max_completion_tokens bound the answer, which then ends with `length`."""
    for answer in (
        await client.chat.completions.create(model="actor", messages=COUNT, max_tokens=2),
        await client.chat.completions.create(model="actor", messages=COUNT, max_completion_tokens=2),
    ):
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("one two", "length")


async def test_stop_sequences(stage: Stage, client: AsyncOpenAI) -> None:
    """The answer ends before the first stop sequence, also one that comes in pieces, and the engine is stopped."""
    cases: list[tuple[str | list[str], str]] = [
        ("three", "one two "), (["x", "o thr"], "one tw"), ("never", "one two three four five"), (["five"], "one two three four "),
    ]  # fmt: skip
    for stop, said in cases:
        answer = await client.chat.completions.create(model="actor", messages=COUNT, stop=stop)
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (said, "stop")
        stream = await client.chat.completions.create(model="actor", messages=COUNT, stop=stop, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == said
    assert (await stage.until_runs(8)).count("closed") == 6
    cut = await client.chat.completions.create(model="actor", messages=COUNT, stop="three")
    assert cut.usage is not None
    assert (cut.usage.prompt_tokens, cut.usage.completion_tokens) == (1, 3)


async def test_sampling_values_are_taken(client: AsyncOpenAI) -> None:
    """temperature, top_p, seed and members that we do not know."""
    answer = await client.chat.completions.create(
        model="actor", messages=SUM, temperature=0, top_p=0.5, seed=7, presence_penalty=1, user="me", n=1, extra_body={"new": [1]}
    )
    assert answer.choices[0].message.content == "It is 4."


async def test_odd_text(client: AsyncOpenAI) -> None:
    """NUL, right-to-left and emoji come through, asked and answered."""
    for text in ("odd \x00", "odd \u202e", "odd 😀"):
        answer = await client.chat.completions.create(model="actor", messages=user(text))
        assert answer.choices[0].message.content == "\x00 \u202e 😀 é"


async def test_an_unknown_model(client: AsyncOpenAI) -> None:
    """404 `model_not_found`, and the models that are here."""
    for stream in (False, True):
        with pytest.raises(openai.NotFoundError, match="actor") as caught:
            await client.chat.completions.create(model="gpt-nowhere", messages=SUM, stream=stream)
        assert (caught.value.code, caught.value.param, caught.value.type) == ("model_not_found", "model", "invalid_request_error")


async def test_a_prompt_that_does_not_fit(client: AsyncOpenAI) -> None:
    """400 `context_length_exceeded`: the prompt alone, or with the tokens that are asked for."""
    for stream in (False, True):
        for text, tokens in (("word " * 500, None), ("hello", 1_000_000_000), ("hello", 400)):
            with pytest.raises(openai.BadRequestError) as caught:
                await client.chat.completions.create(model="actor", messages=user(text), max_tokens=tokens, stream=stream)
            assert caught.value.code == "context_length_exceeded"


async def test_an_open_length_is_what_fits(client: AsyncOpenAI) -> None:
    """Without max_tokens a prompt that nearly fills the context is answered with what is left."""
    answer = await client.chat.completions.create(model="actor", messages=user("count " * 398))
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("one two", "length")


async def test_a_busy_engine(client: AsyncOpenAI) -> None:
    """429, with the time after which to ask again."""
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="actor", messages=user("busy"), stream=stream)
        assert (caught.value.code, caught.value.type) == ("backend_busy", "rate_limit_error")
        assert int(caught.value.response.headers["retry-after"]) >= 1


async def test_a_lost_engine(client: AsyncOpenAI) -> None:
    """503, at the question that loses it and at the next, while nothing else can answer."""
    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model="actor", messages=user("break at once"), stream=True)
    assert (caught.value.status_code, caught.value.code) == (503, "backend_broken")
    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model="actor", messages=SUM)
    assert caught.value.status_code == 503
    assert caught.value.response.headers["retry-after"]


async def test_an_engine_that_breaks_in_the_middle(stage: Stage, client: AsyncOpenAI) -> None:
    """Streamed, the client gets what was said, then the error; whole, the error alone."""
    stream = await client.chat.completions.create(model="actor", messages=user("break later"), stream=True)
    said = [(await anext(stream)).choices[0].delta.content for _ in range(3)]
    assert said == ["", "one", " two"]
    with pytest.raises(openai.APIError, match="broke off") as caught:
        await anext(stream)
    assert caught.value.code == "backend_broken"
    assert stage.runs() == ["broken"]


async def test_a_whole_answer_that_breaks(client: AsyncOpenAI) -> None:
    """No half of an answer is passed off as a whole one."""
    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model="actor", messages=user("break later"))
    assert caught.value.status_code == 503


@pytest.mark.parametrize(
    "more",
    [
        {"n": 2}, {"tools": [{"type": "function", "function": {"name": "f"}}]}, {"response_format": {"type": "json_object"}},
        {"logprobs": True}, {"temperature": 9}, {"top_p": -1}, {"max_tokens": 0}, {"stop": ["a"] * 5}, {"stop": "a" * 1000},
    ],
)  # fmt: skip
async def test_what_is_not_served(client: AsyncOpenAI, more: dict[str, object]) -> None:
    """What would change the meaning of the answer is refused, not ignored; the member is named."""
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="actor", messages=SUM, extra_body=more)
    assert caught.value.param == next(iter(more))


def sync_client(url: str) -> Iterator[str | None]:
    """The synchronous client, as a script uses it."""
    with OpenAI(base_url=url, api_key="none", max_retries=0, timeout=PATIENCE) as client:
        yield client.models.list().data[0].id
        yield client.chat.completions.create(model="actor", messages=SUM).choices[0].message.content
        with client.chat.completions.create(model="actor", messages=SUM, stream=True) as stream:
            yield "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        yield client.completions.create(model="actor", prompt="What is 2+2?").choices[0].text
        try:
            client.chat.completions.create(model="nobody", messages=SUM)
        except openai.NotFoundError as error:
            yield error.code


async def test_the_synchronous_client(stage: Stage) -> None:
    """Models, chat, stream, completion and an error."""
    said = await asyncio.to_thread(lambda: list(sync_client(stage.v1)))
    assert said == ["actor", "It is 4.", "It is 4.", "It is 4.", "model_not_found"]


async def test_the_key(scripted: BackendsConfig, tmp_path: Path) -> None:
    """With a key, only those that know it are answered."""
    async with gateway(scripted, tmp_path, key="s3cret") as stage:
        async with AsyncOpenAI(base_url=stage.v1, api_key="s3cret", max_retries=0) as client:
            assert (await client.models.list()).data
        async with AsyncOpenAI(base_url=stage.v1, api_key="s3cre", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                await client.chat.completions.create(model="actor", messages=SUM)
            assert caught.value.code == "invalid_api_key"


async def test_the_real_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded engine: its chat template gets the whole conversation, turn by turn; the answer is streamed and bounded."""
    await asyncio.to_thread(pull)
    monkeypatch.setenv("PYLON_BACKENDS", "")
    monkeypatch.setenv("PYLON_ENGINE_GRACE", "0.5")
    turns: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": "You are a poet."},
        {"role": "user", "content": "My name is Zebedee."},
        {"role": "assistant", "content": "Hello Zebedee."},
        {"role": "user", "content": "What is my name?"},
    ]
    async with (
        gateway(BackendsConfig(use=["embedded"]), tmp_path) as stage,
        AsyncOpenAI(base_url=stage.v1, api_key="none", max_retries=0) as client,
    ):
        tokens = []
        for count in (2, 4):
            answer = await client.chat.completions.create(model="", messages=turns[:count], max_tokens=1)
            assert answer.usage is not None
            tokens.append(answer.usage.prompt_tokens)
        engine, _ = await stage.backends.choose()
        roles: tuple[Role, ...] = ("system", "user", "assistant", "user")
        said = [Message(role, str(turn["content"])) for role, turn in zip(roles, turns, strict=True)]
        assert await engine.count(Prompt("", messages=tuple(said))) == tokens[1]
        # Each turn is one of the template's own: the same texts in a single turn are fewer tokens.
        merged = (said[0], Message("user", "\n".join(turn.text for turn in said[1:])))
        assert tokens[0] < await engine.count(Prompt("", messages=merged)) < tokens[1]
        options = openai.types.chat.ChatCompletionStreamOptionsParam(include_usage=True)
        stream = await client.chat.completions.create(
            model="smollm2-135m", messages=turns, temperature=0, max_tokens=8, stream=True, stream_options=options
        )
        chunks = [chunk async for chunk in stream]
        assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) > 2
        assert chunks[-1].usage is not None
        assert 0 < chunks[-1].usage.completion_tokens <= 8
        text = await client.completions.create(model="", prompt="Count to ten.", max_tokens=4)
        assert text.choices[0].finish_reason == "length"
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model="", messages=user("word " * 5000))
        assert caught.value.code == "context_length_exceeded"
