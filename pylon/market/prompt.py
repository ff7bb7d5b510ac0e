"""What a model is asked, and what it answers: the values between the market, the engines and whoever asks them."""

from __future__ import annotations

from typing import Literal

import msgspec

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
