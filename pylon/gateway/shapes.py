"""What the gateway says: the objects of OpenAI's protocol, whole (`whole`) and in pieces (`pieces`).

Protocol: https://platform.openai.com/docs/api-reference/chat/object, …/chat/streaming, …/completions/object, …/models/object.
"""

from __future__ import annotations

import secrets
from typing import Protocol

import msgspec

from pylon.market.prompt import Usage


class UsageDocument(msgspec.Struct, frozen=True):
    """`usage`."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ModelDocument(msgspec.Struct, frozen=True):
    """A model. `context_length` (tokens of prompt and answer) is ours; `owned_by` is the backend that has it."""

    id: str
    created: int
    owned_by: str
    context_length: int
    object: str = "model"


class ModelsDocument(msgspec.Struct, frozen=True):
    """GET /v1/models."""

    data: list[ModelDocument]
    object: str = "list"


class Answer(msgspec.Struct, frozen=True):
    """What stands in every object of one answer. `created` is in Unix seconds."""

    id: str
    created: int
    model: str


class Shape(Protocol):
    """One of the two endpoints: how its answers look."""

    def new_id(self) -> str:
        """An id for an answer."""
        ...

    def whole(self, answer: Answer, text: str, finish: str, usage: Usage) -> dict[str, object]:
        """The answer as one object."""
        ...

    def piece(self, answer: Answer, text: str | None, finish: str | None = None) -> dict[str, object]:
        """A piece of a stream; `text` None in the last one, which carries `finish`."""
        ...

    def opening(self, answer: Answer) -> dict[str, object] | None:
        """What comes before the first text, if anything."""
        ...


def usage_document(usage: Usage) -> UsageDocument:
    """The usage with its sum."""
    return UsageDocument(usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens + usage.completion_tokens)


def _object(answer: Answer, kind: str, choices: list[dict[str, object]]) -> dict[str, object]:
    return {"id": answer.id, "object": kind, "created": answer.created, "model": answer.model, "choices": choices}


class Chat:
    """/v1/chat/completions."""

    def new_id(self) -> str:
        """As OpenAI's begin."""
        return f"chatcmpl-{secrets.token_hex(12)}"

    def whole(self, answer: Answer, text: str, finish: str, usage: Usage) -> dict[str, object]:
        """A `chat.completion`."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice: dict[str, object] = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return {**_object(answer, "chat.completion", [choice]), "usage": usage_document(usage)}

    def piece(self, answer: Answer, text: str | None, finish: str | None = None) -> dict[str, object]:
        """A `chat.completion.chunk`."""
        return self._chunk(answer, {} if text is None else {"content": text}, finish)

    def opening(self, answer: Answer) -> dict[str, object]:
        """The role comes first."""
        return self._chunk(answer, {"role": "assistant", "content": ""}, None)

    def _chunk(self, answer: Answer, delta: dict[str, str], finish: str | None) -> dict[str, object]:
        return _object(answer, "chat.completion.chunk", [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}])


class Completion:
    """/v1/completions."""

    def new_id(self) -> str:
        """As OpenAI's begin."""
        return f"cmpl-{secrets.token_hex(12)}"

    def whole(self, answer: Answer, text: str, finish: str, usage: Usage) -> dict[str, object]:
        """A `text_completion`."""
        return {**self.piece(answer, text, finish), "usage": usage_document(usage)}

    def piece(self, answer: Answer, text: str | None, finish: str | None = None) -> dict[str, object]:
        """A `text_completion` too: pieces look like the whole."""
        return _object(answer, "text_completion", [{"index": 0, "text": text or "", "logprobs": None, "finish_reason": finish}])

    def opening(self, answer: Answer) -> None:
        """Nothing."""
        return
