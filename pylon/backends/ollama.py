"""Ollama, by its native API: /api/chat, always streamed. Protocol: https://github.com/ollama/ollama/blob/main/docs/api.md

The OpenAI endpoints of Ollama cannot set the context; with the native ones every request says `num_ctx`, always the same for a model
(another value, or another `shift`, loads it anew), `truncate: false` and `shift: false`. Without these Ollama cuts a prompt that is too
long to about half, and answers it as if nothing had happened; that none was cut is checked at the end, by `prompt_eval_count`.

Counting. Ollama has no route for it, but a request that it refuses as too long says how many tokens it had, at once and without computing
anything. So a prompt is counted by a request that is bound to be refused: before it stand a turn as long as the whole context and a reply.
What these two add is found once for a model, by a real request of one token. (Checked against prompt_eval_count of Ollama 0.32.15: equal.)
Where Ollama does not say the number (it is older, or has not loaded the model, or computes an answer and lets the question wait), `count`
gives an upper bound instead: a token for every byte.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

import msgspec

from pylon.backends import http
from pylon.backends.base import BackendBroken, BackendBusy, Chunk, Message, Model, Prompt, Usage
from pylon.backends.chat import (
    ANSWER_S,
    COUNT_S,
    EVENTS_BESIDE,
    FIRST_TOKEN_S,
    GAP_S,
    messages,
    sampling,
    size,
    upper_bound,
)
from pylon.backends.ollama_api import Line, Shown, Tag, Tags, error_of, failure, said, sane
from pylon.errors import ContextOverflow, NoModel

DEFAULT_CONTEXT = 4096
"""Tokens, where neither the model, nor its being loaded, nor OLLAMA_CONTEXT_LENGTH says: what Ollama itself takes on a small machine."""

PATIENCE_S = 2.0
"""For counting a prompt that is known to fit: longer than that, Ollama is computing an answer."""

BYTES_PER_TOKEN = 64
"""A text with more bytes than this for every token of the context does not fit, whatever it is."""

SLACK = 8
"""Tokens by which templates may differ where a turn is the first one, or not."""

MOST_MODELS = 1000
MOST_SLOTS = 1024
LATEST = ":latest"
"""What Ollama adds to a name without a tag."""

T = TypeVar("T")


class Ollama:
    """One Ollama. Its models carry the names of /api/tags."""

    def __init__(
        self, url: str, *, connect_s: float = http.CONNECT_S, first_token_s: float = FIRST_TOKEN_S, gap_s: float = GAP_S
    ) -> None:
        self.url = url
        self.name = f"Ollama {url}"
        self.remark = ""
        """A sentence about models that are there and not offered."""
        self._http = http.client(url, connect_s=connect_s)
        self._first_token_s = first_token_s
        self._gap_s = gap_s
        self._models: dict[str, Model] = {}
        self._known: dict[Tag, int] = {}
        """The context of each model that was looked at, and stays; 0 for one that does not answer with text."""
        self._beside: dict[str, int | None] = {}
        """Tokens of a count that are not the prompt's; None where this Ollama does not count."""

    async def models(self) -> Sequence[Model]:
        """The local models that answer with text. Raises BackendBroken."""
        tags = (await self._ask("GET", "/api/tags", Tags)).models[:MOST_MODELS]
        running = {tag.name: tag for tag in (await self._ask("GET", "/api/ps", Tags)).models}
        found: dict[str, Model] = {}
        for tag in tags:
            if tag.local and (context := await self._context(tag, running.get(tag.name))):
                found[tag.name] = Model(tag.name, context, loaded=tag.name in running, slots=_slots())
        away = [tag.name for tag in tags if not tag.local]
        self.remark = "" if found else f"{self.name} has no model of its own: `ollama pull` fetches one"
        if away:
            self.remark = f"{self.name}: {', '.join(away[:5])} would be computed on other machines, and are not offered"
        self._models = found
        return tuple(found.values())

    async def count(self, prompt: Prompt) -> int:
        """Tokens of the prompt with the chat template, exactly or as an upper bound: see above. A model is not loaded for it, unless the
        bound is too long and only the exact number can tell. Raises ContextOverflow, NoModel, BackendBusy, BackendBroken.
        """
        model = await self._model(prompt)
        _fits_at_all(prompt, model)
        bound = upper_bound(prompt)
        fits = bound < model.context
        if fits and not model.loaded:
            return bound
        try:
            async with asyncio.timeout(PATIENCE_S if fits else COUNT_S):
                exact = await self._exact(model, prompt)
        except TimeoutError as error:
            if not fits:
                raise BackendBusy(f"{self.name} is computing and does not count the prompt") from error
            exact = None
        return bound if exact is None else exact

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Stream the answer; see `Backend.generate`."""
        model = await self._model(prompt)
        _fits_at_all(prompt, model)
        limit = max(1, prompt.max_tokens)
        exact = await self._exact(model, prompt)
        prompt_tokens = upper_bound(prompt) if exact is None else exact
        if prompt_tokens + limit > model.context:
            raise http.overflow(prompt_tokens, limit, model.context)
        least = math.ceil(size(prompt) / BYTES_PER_TOKEN) if exact is None else exact - SLACK
        body = _body(model, prompt, limit)
        tokens = length = 0
        async with http.exchange(self._http, self.name, "POST", "/api/chat", body, within_s=self._first_token_s) as response:
            if response.status_code != 200:
                raise failure(self.name, response, await http.read_all(response, within_s=ANSWER_S))
            stream = http.lines(response, first_s=self._first_token_s, gap_s=self._gap_s)
            async with aclosing(stream):
                seen = 0
                async for data in stream:
                    line = self._line(data)
                    seen += 1
                    if seen > 2 * limit + EVENTS_BESIDE:
                        raise BackendBroken(f"{self.name} sends a stream without end")
                    text = line.message.content
                    tokens += bool(text or line.message.thinking)
                    length += len(text)
                    if tokens > limit or length > limit * 1024:  # it does not keep to `num_predict`: we do
                        yield Chunk("", model.name, Usage(prompt_tokens, limit), "length")
                        return
                    if text:
                        yield Chunk(text, model.name)
                    if line.done:
                        yield Chunk("", model.name, self._usage(line, model, prompt_tokens, least, limit), _finish(line))
                        return
        raise BackendBroken(f"{self.name} broke off in the middle of an answer")

    async def aclose(self) -> None:
        """Close what is open."""
        await self._http.aclose()

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a GET: for detection. Raises BackendBroken."""
        async with http.exchange(self._http, self.name, "GET", path, within_s=ANSWER_S) as response:
            return response.status_code, await http.read_all(response, within_s=ANSWER_S)

    async def _model(self, prompt: Prompt) -> Model:
        """The model asked for, `:latest` understood. Raises NoModel naming those that are there: another one is never even sent."""
        if not self._models:
            await self.models()
        if not prompt.model and self._models:
            return min(self._models.values(), key=lambda model: not model.loaded)
        for name in (prompt.model, prompt.model + LATEST):
            if name in self._models:
                return self._models[name]
        raise NoModel(f"{self.name} has no model {prompt.model!r}; it has {', '.join(self._models) or 'none'}")

    async def _context(self, tag: Tag, running: Tag | None) -> int:
        """The context that this model always gets here; 0 where it does not answer with text."""
        if tag not in self._known:
            try:
                shown = await self._ask("POST", "/api/show", Shown, {"model": tag.name})
            except NoModel:  # deleted since it was listed
                return 0
            wished = shown.set_context or sane(running.context_length if running else 0) or _environment("OLLAMA_CONTEXT_LENGTH", 0)
            context = wished or DEFAULT_CONTEXT
            self._known[tag] = min(context, shown.trained_context or context) if shown.talks else 0
        return self._known[tag]

    async def _exact(self, model: Model, prompt: Prompt) -> int | None:
        """Tokens of the prompt; None where this Ollama does not say. Loads the model where it is not."""
        if model.name not in self._beside:
            short = Prompt("x", model=model.name)
            told = await self._refused(model, short)
            self._beside[model.name] = None if told is None else await self._difference(model, short, told)
        beside = self._beside[model.name]
        told = None if beside is None else await self._refused(model, prompt)
        return None if beside is None or told is None else max(0, told - beside)

    async def _difference(self, model: Model, short: Prompt, told: int) -> int | None:
        """What a counting request has more than the prompt alone."""
        counted = (await self._ask("POST", "/api/chat", Line, _body(model, short, 1) | {"stream": False}, COUNT_S)).prompt_eval_count
        return None if not counted or counted > told else told - counted

    async def _refused(self, model: Model, prompt: Prompt) -> int | None:
        """Tokens of a request that is longer than the context, as its refusal says them; None where it is not refused like that."""
        system = tuple(turn for turn in prompt.turns[:1] if turn.role == "system")
        filled = (*system, Message("user", "a " * model.context), Message("assistant", "a"), *prompt.turns[len(system) :])
        body = _body(model, msgspec.structs.replace(prompt, messages=filled), 1) | {"stream": False}
        async with http.exchange(self._http, self.name, "POST", "/api/chat", body, within_s=self._first_token_s) as response:
            answer = await http.read_all(response, within_s=ANSWER_S)
        if response.status_code == 200:
            return None
        error = said(answer)
        if error.type == "exceed_context_size_error" and error.n_prompt_tokens > model.context:
            return error.n_prompt_tokens
        refusal = failure(self.name, response, answer)
        if isinstance(refusal, ContextOverflow):
            return None
        raise refusal

    async def _ask(self, method: str, path: str, kind: type[T], body: object = None, within_s: float = ANSWER_S) -> T:
        """One question, one typed answer."""
        async with http.exchange(self._http, self.name, method, path, body, within_s=within_s) as response:
            answer = await http.read_all(response, within_s=within_s)
        if response.status_code != 200:
            raise failure(self.name, response, answer)
        try:
            return http.decode(answer, kind)
        except http.Nonsense as error:
            raise BackendBroken(f"{self.name} answers {path} with what Ollama would not say") from error

    def _line(self, data: bytes) -> Line:
        """Read one line. Raises BackendBroken, and what an error in mid-stream stands for."""
        try:
            line = http.decode(data, Line)
        except http.Nonsense as error:
            raise BackendBroken(f"{self.name} sent something that is no line of an answer") from error
        if bytes(line.error):
            raise error_of(self.name, 500, data)
        return line

    def _usage(self, line: Line, model: Model, counted: int, least: int, limit: int) -> Usage:
        """The tokens that the last line counts. Raises BackendBroken where the prompt was cut, or a number cannot be."""
        if line.done_reason not in ("stop", "length", ""):
            raise BackendBroken(f"{self.name} ended an answer by {line.done_reason[:20]!r}")
        prompt_tokens = counted if line.prompt_eval_count is None else line.prompt_eval_count
        completion = 0 if line.eval_count is None else line.eval_count
        if not (0 <= prompt_tokens <= model.context and 0 <= completion <= limit):
            raise BackendBroken(f"{self.name} counts tokens that cannot be")
        if prompt_tokens < least:
            raise BackendBroken(f"{self.name} read {prompt_tokens:,} tokens of a prompt of {counted:,}: it has cut the prompt")
        return Usage(prompt_tokens, completion)


def _finish(line: Line) -> str:
    return "length" if line.done_reason == "length" else "stop"


def _fits_at_all(prompt: Prompt, model: Model) -> None:
    """Raises ContextOverflow for a text so long that it need not be counted."""
    if (length := size(prompt)) > model.context * BYTES_PER_TOKEN:
        raise http.overflow(math.ceil(length / BYTES_PER_TOKEN), 0, model.context)


def _body(model: Model, prompt: Prompt, limit: int) -> dict[str, object]:
    """A request of /api/chat. What decides how the model is loaded is the same in every one."""
    return {
        "model": model.name,
        "messages": messages(prompt),
        "stream": True,
        "truncate": False,
        "shift": False,
        "options": {**sampling(prompt), "num_ctx": model.context, "num_predict": limit},
    }


def _slots() -> int:
    """How many answers Ollama computes at a time: it says so nowhere, but its own setting may stand in our environment too."""
    return min(_environment("OLLAMA_NUM_PARALLEL", 1), MOST_SLOTS)


def _environment(name: str, default: int) -> int:
    """A positive number of the environment."""
    text = os.environ.get(name, "")
    return sane(int(text)) or default if text.isascii() and text.isdigit() and len(text) < 10 else default
