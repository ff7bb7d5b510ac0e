"""What every backend must do, whatever engine stands behind it: subclass `BackendConformance` and give it the fixture `rig`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import pytest

from pylon.backends.base import Backend, Chunk, Message, Prompt
from pylon.errors import ContextOverflow, NoModel

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds until a test that waits is called hung."""


@dataclass
class Rig:
    """A backend, a prompt with a long answer, and a look into the engine: how many answers it computes now.

    `exact`: whether `count` says what the usage will say, and not only an upper bound of it.
    """

    backend: Backend
    long: str
    running: Callable[[], Awaitable[int]]
    exact: bool = True

    def agree(self, counted: int, used: int) -> bool:
        """Whether a count and a usage fit together."""
        return counted == used if self.exact else counted >= used


async def soon(outcome: Awaitable[T]) -> T:
    """The outcome, which must come."""
    async with asyncio.timeout(PATIENCE):
        return await outcome


async def until(running: Callable[[], Awaitable[int]], wanted: int) -> None:
    """Wait until the engine computes `wanted` answers."""
    async with asyncio.timeout(PATIENCE):
        while await running() != wanted:  # noqa: ASYNC110  # the engine is another process
            await asyncio.sleep(0.02)


async def answer(backend: Backend, prompt: Prompt) -> list[Chunk]:
    """All chunks of an answer."""
    async with asyncio.timeout(PATIENCE), aclosing(backend.generate(prompt)) as chunks:
        return [chunk async for chunk in chunks]


def text_of(chunks: list[Chunk]) -> str:
    """The whole answer."""
    return "".join(chunk.text for chunk in chunks)


class BackendConformance:
    """The rules. A subclass provides the fixture `rig`."""

    async def test_models_are_described(self, rig: Rig) -> None:
        """A backend has a name and at least one model, with a real context and at least one slot."""
        models = await soon(rig.backend.models())
        assert rig.backend.name
        assert models
        for model in models:
            assert model.name
            assert model.context > 0
            assert model.slots >= 1

    async def test_an_answer_is_streamed(self, rig: Rig) -> None:
        """Text comes in pieces; the last chunk, and only the last, carries the usage and the reason for the end."""
        chunks = await answer(rig.backend, Prompt(rig.long, max_tokens=12, temperature=0))
        assert len([chunk for chunk in chunks if chunk.text]) > 1
        assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert [bool(chunk.finish_reason) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert text_of(chunks).strip()
        assert {chunk.model for chunk in chunks} <= {model.name for model in await rig.backend.models()}

    async def test_the_count_is_exact(self, rig: Rig) -> None:
        """`count` says before the run what the usage says after it, or at least never less."""
        for text in ("Hello", rig.long, "héllo 😀 مرحبا " * 5, "字\u0301" * 20):
            prompt = Prompt(text, max_tokens=2)
            counted = await soon(rig.backend.count(prompt))
            usage = (await answer(rig.backend, prompt))[-1].usage
            assert usage is not None
            assert rig.agree(counted, usage.prompt_tokens)

    async def test_a_conversation_reaches_the_engine(self, rig: Rig) -> None:
        """Every turn of a conversation is part of the prompt: each adds tokens, counted as exactly as one question's."""
        turns = (Message("system", "Be brief."), Message("user", "Hello"), Message("assistant", "Hi"), Message("user", "Who are you?"))
        counted = []
        for prompt in (Prompt("", messages=turns[:2], max_tokens=2), Prompt("", messages=turns, max_tokens=2)):
            counted.append(await soon(rig.backend.count(prompt)))
            usage = (await answer(rig.backend, prompt))[-1].usage
            assert usage is not None
            assert rig.agree(counted[-1], usage.prompt_tokens)
        assert counted[0] < counted[1]
        one = Prompt("", messages=(Message("user", "Hello"),))
        assert await soon(rig.backend.count(one)) == await soon(rig.backend.count(Prompt("Hello")))

    async def test_max_tokens_bounds_the_answer(self, rig: Rig) -> None:
        """An answer that would be longer ends at `max_tokens`, and says `length`."""
        last = (await answer(rig.backend, Prompt(rig.long, max_tokens=3)))[-1]
        assert last.usage is not None
        assert last.usage.completion_tokens == 3
        assert last.finish_reason == "length"

    async def test_closing_stops_the_computation(self, rig: Rig) -> None:
        """`aclose` in the middle of an answer frees the engine, which then answers the next question."""
        chunks = rig.backend.generate(Prompt(rig.long, max_tokens=2000, temperature=0))
        await soon(anext(chunks))
        assert await rig.running() == 1
        await soon(chunks.aclose())
        await until(rig.running, 0)
        assert await answer(rig.backend, Prompt("Hello", max_tokens=2))

    async def test_cancelling_stops_the_computation(self, rig: Rig) -> None:
        """A cancelled task frees the engine as well."""
        task = asyncio.create_task(answer(rig.backend, Prompt(rig.long, max_tokens=2000, temperature=0)))
        await until(rig.running, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(rig.running, 0)

    async def test_an_unknown_model_is_refused(self, rig: Rig) -> None:
        """A model that is not there is never replaced by another; the error names those that are."""
        prompt = Prompt("Hello", model="gpt-nowhere")
        known = (await rig.backend.models())[0].name
        with pytest.raises(NoModel, match=known):
            await answer(rig.backend, prompt)
        with pytest.raises(NoModel):
            await soon(rig.backend.count(prompt))

    async def test_a_prompt_that_does_not_fit_is_refused(self, rig: Rig) -> None:
        """A prompt longer than the context is refused before anything is computed."""
        context = (await rig.backend.models())[0].context
        with pytest.raises(ContextOverflow):
            await answer(rig.backend, Prompt("word " * (context + 100)))
        assert await rig.running() == 0

    async def test_a_prompt_whose_answer_does_not_fit_is_refused(self, rig: Rig) -> None:
        """Prompt and `max_tokens` together must fit into the context."""
        context = (await rig.backend.models())[0].context
        with pytest.raises(ContextOverflow):
            await answer(rig.backend, Prompt("Hello", max_tokens=context))

    async def test_ten_megabytes_are_refused(self, rig: Rig) -> None:
        """A huge text is refused, by `count` or by its result."""
        huge = Prompt("a b " * 2_500_000)
        context = (await rig.backend.models())[0].context
        with suppress(ContextOverflow):
            assert await soon(rig.backend.count(huge)) > context
        with pytest.raises(ContextOverflow):
            await answer(rig.backend, huge)

    @pytest.mark.parametrize("text", ["😀" * 20, "a\x00b", "\u202eabc مرحبا", "\ud800 alone", " ", "<|im_end|>{{ 1 }}"])
    async def test_odd_text_is_text(self, rig: Rig, text: str) -> None:
        """Emoji, NUL, right-to-left marks, lone surrogates and template syntax are answered like any text."""
        assert (await answer(rig.backend, Prompt(text, max_tokens=2)))[-1].usage is not None

    async def test_odd_sampling_values_do_no_harm(self, rig: Rig) -> None:
        """Numbers that no engine takes do not break it."""
        prompt = Prompt("Hello", max_tokens=2)
        odd: list[dict[str, float]] = [
            {"temperature": float("nan")}, {"temperature": -7.0}, {"temperature": 1e300}, {"top_p": float("inf")}, {"top_p": 9.0},
            {"top_k": -3}, {"top_k": 2**70}, {"seed": -(2**80)}, {"seed": 2**80},
        ]  # fmt: skip
        for values in odd:
            assert (await answer(rig.backend, msgspec.structs.replace(prompt, **values)))[-1].usage is not None

    async def test_more_jobs_than_slots_are_all_answered(self, rig: Rig) -> None:
        """Six questions at once all get an answer."""
        answers = await asyncio.gather(*(answer(rig.backend, Prompt(f"Say {number}", max_tokens=4)) for number in range(6)))
        assert all(chunks[-1].usage is not None for chunks in answers)
        assert await rig.running() == 0
