"""A server of OpenAI's chat protocol: `/v1/chat/completions`, always streamed. What is common to all who speak it.

Protocol: https://platform.openai.com/docs/api-reference/chat. A stream is always asked for because closing it frees the server's slot at
once, which a plain request does not. Who the server is (its models, their context, how a prompt is counted) says a subclass.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

import msgspec

from pylon.backends import http
from pylon.backends.base import BackendBroken, Chunk, Model, Prompt, Usage
from pylon.errors import NoModel

ANSWER_S = 10.0
"""For what the server answers without the model (lists, properties)."""

COUNT_S = 30.0
FIRST_TOKEN_S = 300.0
"""The server queues without a word, and a long prompt on a busy machine is slow; the job's own deadline closes the stream earlier."""

GAP_S = 30.0

TEMPLATE_TOKENS = 256
"""More than what a chat template adds to a prompt of one turn."""

TURN_TOKENS = 16
"""More than what it adds for each further turn."""

EVENTS_BESIDE = 100
"""Events of a stream that may carry no token: the role, the end, the usage."""

T = TypeVar("T")


class Delta(msgspec.Struct, frozen=True):
    """New text of a chunk; a thinking model's thoughts are tokens too, and no part of the answer."""

    content: str | None = None
    reasoning_content: str | None = None


class Choice(msgspec.Struct, frozen=True):
    """One of the `choices` of a chunk: there is one, or none in the chunk that carries the usage."""

    delta: Delta
    finish_reason: str | None = None


class Piece(msgspec.Struct, frozen=True):
    """A chunk of the stream."""

    choices: list[Choice]
    usage: Usage | None = None


class ChatServer(ABC):
    """One server. `key` is its API key, where it has one."""

    engine = "OpenAI-compatible"
    """What `name` calls it."""

    says_usage = True
    """Whether an answer without the server's own count of tokens is a broken one; else the tokens of the stream are counted here."""

    def __init__(
        self,
        url: str,
        *,
        key: str = "",
        name: str = "",
        connect_s: float = http.CONNECT_S,
        first_token_s: float = FIRST_TOKEN_S,
        gap_s: float = GAP_S,
    ) -> None:
        self.url = url
        self.name = name or f"{self.engine} {url}"
        self._http = http.client(url, key, connect_s=connect_s)
        self._first_token_s = first_token_s
        self._gap_s = gap_s
        self._models: Sequence[Model] = ()

    @abstractmethod
    async def models(self) -> Sequence[Model]:
        """What it serves now; kept in `_models`."""

    @abstractmethod
    async def count(self, prompt: Prompt) -> int:
        """Tokens of the prompt, exactly or an upper bound."""

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Stream the answer; see `Backend.generate`."""
        model = await self._model(prompt)
        limit = max(1, prompt.max_tokens)
        prompt_tokens = await self.count(prompt)
        if prompt_tokens + limit > model.context:
            raise http.overflow(prompt_tokens, limit, model.context)
        finish, usage, tokens, length, seen = "", None, 0, 0, 0
        async with http.exchange(
            self._http, self.name, "POST", "/v1/chat/completions", _body(prompt, model.name, limit), within_s=self._first_token_s
        ) as response:
            if response.status_code != 200:
                raise http.failure(self.name, response, await http.read_all(response, within_s=ANSWER_S))
            stream = http.events(response, first_s=self._first_token_s, gap_s=self._gap_s)
            async with aclosing(stream):
                async for data in stream:
                    if data == b"[DONE]":
                        break
                    piece = self._piece(data)
                    seen += 1
                    if seen > 2 * limit + EVENTS_BESIDE:
                        raise BackendBroken(f"{self.name} sends a stream without end")
                    usage = piece.usage or usage
                    for choice in piece.choices[:1]:
                        finish = choice.finish_reason or finish
                        text = choice.delta.content or ""
                        if not (text or choice.delta.reasoning_content):
                            continue
                        tokens += 1
                        length += len(text)
                        if tokens > limit or length > limit * 1024:  # the server does not keep to `max_tokens`: we do
                            yield Chunk("", model.name, Usage(prompt_tokens, limit), "length")
                            return
                        if text:
                            yield Chunk(text, model.name)
        if usage is None and finish and not self.says_usage:
            usage = Usage(prompt_tokens, tokens)
        if usage is None or not finish:
            raise BackendBroken(f"{self.name} broke off in the middle of an answer")
        if not (0 <= usage.prompt_tokens <= model.context and 0 <= usage.completion_tokens <= limit):
            raise BackendBroken(f"{self.name} counts tokens that cannot be")
        yield Chunk("", model.name, usage, "length" if finish == "length" else "stop")

    async def aclose(self) -> None:
        """Close what is open."""
        await self._http.aclose()

    async def get(self, path: str) -> tuple[int, str, bytes]:
        """Status, `Server` header and body of a GET: for detection. Raises BackendBroken."""
        async with http.exchange(self._http, self.name, "GET", path, within_s=ANSWER_S) as response:
            return response.status_code, response.headers.get("Server", ""), await http.read_all(response, within_s=ANSWER_S)

    async def _model(self, prompt: Prompt) -> Model:
        """The model asked for. Raises NoModel naming those that are there."""
        models = self._models or await self.models()
        for model in models:
            if not prompt.model or model.name == prompt.model:
                return model
        raise NoModel(f"{self.name} has no model {prompt.model!r}; it has {', '.join(m.name for m in models)}")

    async def _ask(self, method: str, path: str, kind: type[T], body: object = None, within_s: float = ANSWER_S) -> T:
        """One question, one typed answer. Raises Missing where the route is not there; else what `failure` says."""
        async with http.exchange(self._http, self.name, method, path, body, within_s=within_s) as response:
            answer = await http.read_all(response, within_s=within_s)
        if response.status_code in (404, 405, 501):
            raise Missing(f"{self.name} has no {path}")
        if response.status_code != 200:
            raise http.failure(self.name, response, answer)
        try:
            return http.decode(answer, kind)
        except http.Nonsense as error:
            raise BackendBroken(f"{self.name} answers {path} with what it should not say") from error

    def _piece(self, data: bytes) -> Piece:
        """Read one chunk; an error in mid-stream comes as a chunk too. Raises BackendBroken and what `failure` says."""
        try:
            return http.decode(data, Piece)
        except http.Nonsense as error:
            try:
                http.decode(data, http.ErrorAnswer)
            except http.Nonsense:
                raise BackendBroken(f"{self.name} sent something that is no chunk of an answer") from error
            raise http.error_of(self.name, 500, data) from error


def upper_bound(prompt: Prompt) -> int:
    """Tokens that the prompt has at most, template included."""
    return size(prompt) + TEMPLATE_TOKENS + TURN_TOKENS * (len(prompt.turns) - 1)


class Missing(BackendBroken):
    """The server does not have this route."""


def clean(text: str) -> str:
    """`text` without lone surrogates, which no encoding can carry."""
    return text.encode("utf-8", "replace").decode()


def messages(prompt: Prompt) -> list[dict[str, str]]:
    """The prompt as the conversation that a server is sent."""
    return [{"role": turn.role, "content": clean(turn.text)} for turn in prompt.turns]


def size(prompt: Prompt) -> int:
    """Bytes of its text. No token of it has less than one: vocabularies spell in bytes what they have no word for."""
    return sum(len(turn.text.encode("utf-8", "replace")) for turn in prompt.turns)


def sampling(prompt: Prompt) -> dict[str, object]:
    """The sampling values that the asker gave; what he left open is left to the server. Values that no server takes are moved into their
    range, so that a stranger's odd number cannot look like a broken engine.
    """
    values: dict[str, object] = {}
    if prompt.temperature is not None and math.isfinite(prompt.temperature):
        values["temperature"] = min(max(prompt.temperature, 0.0), 5.0)
    if prompt.top_p is not None and math.isfinite(prompt.top_p):
        values["top_p"] = min(max(prompt.top_p, 0.0), 1.0)
    if prompt.top_k is not None:
        values["top_k"] = min(max(prompt.top_k, 0), 1_000_000)
    if prompt.seed is not None:
        values["seed"] = prompt.seed % 2**32
    return values


def _body(prompt: Prompt, model: str, limit: int) -> dict[str, object]:
    """The request."""
    return {
        "model": model,
        "messages": messages(prompt),
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": limit,
        **sampling(prompt),
    }
