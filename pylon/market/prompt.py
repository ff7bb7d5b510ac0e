"""What a model is asked, what it answers, and how a kind of job becomes a question.

A job kind is a small record and two functions: `read` turns a request into a `Prompt`, `write` turns the model's text into the content of
the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from pylon.nostr.nip90 import BAD_REQUEST, INVALID_PARAMETER, RESULT_OFFSET, TEXT_GENERATION, JobError, Request

DEFAULT_MAX_TOKENS = 512
MOST_TOKENS = 1_000_000


Role = Literal["system", "user", "assistant"]


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation."""

    role: Role
    text: str


class Prompt(msgspec.Struct, frozen=True):
    """What is asked. `max_tokens` bounds the answer; sampling values are None where the asker left them open.

    A question is `text`, or a conversation of `messages`, whose `text` is empty. Engines read `turns`.
    """

    text: str
    model: str = ""
    """Empty: the backend's default."""
    max_tokens: int = DEFAULT_MAX_TOKENS
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    messages: tuple[Message, ...] = ()

    @property
    def turns(self) -> tuple[Message, ...]:
        """What the chat template gets: `messages`, or `text` as the user's one turn."""
        return self.messages or (Message("user", self.text),)


class Model(msgspec.Struct, frozen=True):
    """A model that can be asked now. `context` is the real limit of one sequence, in tokens (prompt and answer)."""

    name: str
    context: int
    loaded: bool
    slots: int = 1


class Usage(msgspec.Struct, frozen=True):
    """Tokens, counted by the engine."""

    prompt_tokens: int
    completion_tokens: int


class Chunk(msgspec.Struct, frozen=True):
    """A piece of the answer; the last one carries `usage` and `finish_reason` (`stop` or `length`) and may be empty."""

    text: str
    model: str
    usage: Usage | None = None
    finish_reason: str = ""


class JobKind(msgspec.Struct, frozen=True):
    """One kind of job. `read` raises nip90.JobError for a request that cannot be served."""

    request: int
    name: str
    read: Callable[[Request], Prompt]
    write: Callable[[str], str] = str

    @property
    def result(self) -> int:
        """NIP-90: "Result kind is always 1000 higher than the request kind"."""
        return self.request + RESULT_OFFSET


def prompt_text(request: Request) -> str:
    """The text of all text inputs, in order, joined by a blank line. Raises JobError for inputs that would need a fetch, or none."""
    if not request.inputs:
        raise JobError(BAD_REQUEST, "there is no input: an i tag with the prompt is needed")
    for item in request.inputs:
        if item.type != "text":
            raise JobError(BAD_REQUEST, f"inputs of type {item.type[:20]!r} are not served here, only text")
    text = "\n\n".join(item.data for item in request.inputs)
    if not text.strip():
        raise JobError(BAD_REQUEST, "the prompt is empty")
    return text


def number(request: Request, names: Sequence[str], low: float, high: float) -> float | None:
    """A numeric parameter, or None where it is absent. Raises JobError(INVALID_PARAMETER) outside low..high."""
    text = request.param(*names)
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", text, re.ASCII) or not low <= float(text) <= high:
        raise JobError(INVALID_PARAMETER, f"{names[0]} must be a number from {low:g} to {high:g}")
    return float(text)


def read_sampling(request: Request, text: str) -> Prompt:
    """The parameters of kind 5050 around `text`; a wish for more tokens than a model can have is read as the most."""
    tokens = number(request, ("max_tokens",), 1, 1e12)
    top_k = number(request, ("top_k",), 0, 100_000)
    seed = number(request, ("seed",), 0, 2**32 - 1)
    return Prompt(
        text=text,
        model=request.param("model") or "",
        max_tokens=DEFAULT_MAX_TOKENS if tokens is None else min(int(tokens), MOST_TOKENS),
        temperature=number(request, ("temperature",), 0, 2),
        top_p=number(request, ("top_p",), 0, 1),
        top_k=None if top_k is None else int(top_k),
        seed=None if seed is None else int(seed),
    )


def _text_generation(request: Request) -> Prompt:
    return read_sampling(request, prompt_text(request))


KINDS: dict[int, JobKind] = {TEXT_GENERATION: JobKind(TEXT_GENERATION, "text generation", _text_generation)}
"""The kinds that this version serves, by request kind."""
