"""One endpoint that asks an engine: its body, its choice, its answer, whole or as server-sent events.

Everything happens while the client is there: when it leaves, the engine's stream is closed, which frees the slot. The head of the answer
is sent with the first piece of it, so that what fails before has the right status.

Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html; `data: [DONE]` ends them, an error in the middle is an
event with OpenAI's error object.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Final

import msgspec
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from pylon.errors import BackendBroken, NoBackend, PylonError
from pylon.gateway.body import Gone, gone, read_body
from pylon.gateway.engines import Engines
from pylon.gateway.errors import LIMITED, RETRY_S, ApiError, no_answer, no_engine
from pylon.gateway.shapes import Answer, Shape, usage_document
from pylon.gateway.stop import Cutter
from pylon.gateway.wishes import Wish
from pylon.market.prompt import Prompt, Usage

log = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 64
"""Requests that are read, wait for a slot or are answered at a time; more are told to come back (429)."""

SEND_S: Final = 60.0
"""A client that takes nothing for so long keeps a slot from others: it is let go of."""

SSE: Final = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]


class Places:
    """How many requests are under way, of all endpoints."""

    def __init__(self, most: int = MOST_AT_ONCE) -> None:
        self._most = most
        self.taken = 0

    def __enter__(self) -> None:
        if self.taken >= self._most:
            raise ApiError(
                429, f"{self._most} requests are under way already: ask again later", code="too_many_requests", type=LIMITED,
                headers={"Retry-After": str(RETRY_S)},
            )  # fmt: skip
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self.taken -= 1


class Ask:
    """The endpoint as an ASGI application: `read` makes a wish of the body, `shape` an object of the answer. Raises ApiError."""

    def __init__(self, engines: Engines, default_model: str, places: Places, read: Callable[[bytes], Wish], shape: Shape) -> None:
        self._engines = engines
        self._default_model = default_model
        self._places = places
        self._read = read
        self._shape = shape

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        with self._places:
            try:
                wish = self._read(await read_body(receive))
                await _while_there(receive, self._serve(wish, scope, receive, send))
            except Gone:
                log.debug("a client left before it had its answer")

    async def _serve(self, wish: Wish, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose an engine, ask it, and say what it says."""
        telling = await self._choose(wish)
        answer = Answer(self._shape.new_id(), int(time.time()), telling.prompt.model)
        async with aclosing(telling.texts()) as texts:
            try:
                if not wish.stream:
                    text = "".join([text async for text in texts])
                    document = self._shape.whole(answer, text, telling.finish, telling.usage)
                    await _response(answer, document)(scope, receive, _patient(send))
                    return
                first = await anext(texts, "")
            except PylonError as error:
                raise no_answer(error) from error
            headers = [*SSE, (b"x-request-id", answer.id.encode())]
            await _patient(send)({"type": "http.response.start", "status": 200, "headers": headers})
            async with aclosing(self._documents(wish, telling, answer, first, texts)) as documents:
                async for data in documents:
                    await _patient(send)({"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": True})
            await _patient(send)({"type": "http.response.body", "body": b""})

    async def _documents(
        self, wish: Wish, telling: Telling, answer: Answer, first: str, texts: AsyncGenerator[str, None]
    ) -> AsyncGenerator[bytes, None]:
        """The data of each event of a stream."""
        # OpenAI: with include_usage, "all other chunks will also include a usage field, but with a null value".
        more: dict[str, object] = {"usage": None} if wish.include_usage else {}
        if opening := self._shape.opening(answer):
            yield msgspec.json.encode({**opening, **more})
        try:
            if first:
                yield msgspec.json.encode({**self._shape.piece(answer, first), **more})
            async for text in texts:
                yield msgspec.json.encode({**self._shape.piece(answer, text), **more})
        except PylonError as error:
            yield msgspec.json.encode(no_answer(error).document)
            return
        yield msgspec.json.encode({**self._shape.piece(answer, None, telling.finish), **more})
        if wish.include_usage:
            yield msgspec.json.encode({**self._shape.piece(answer, None), "choices": [], "usage": usage_document(telling.usage)})
        yield b"[DONE]"

    async def _choose(self, wish: Wish) -> Telling:
        """The question with a model that is here and a length that fits. Raises ApiError."""
        broken: BackendBroken | None = None
        while True:
            try:
                engine, model = await self._engines.choose(wish.prompt.model, self._default_model)
            except NoBackend as error:
                raise (no_answer(broken) if broken else no_engine(error)) from error
            prompt, prompt_tokens = msgspec.structs.replace(wish.prompt, model=model.name), 0
            try:
                if wish.stops or not prompt.max_tokens:
                    prompt_tokens = await engine.count(prompt)
                break
            except BackendBroken as error:
                if broken:
                    raise no_answer(error) from error
                broken = error  # it is not chosen again for a while; another may have the model
            except PylonError as error:
                raise no_answer(error) from error
        if not prompt.max_tokens:  # left open: as long as the model can hold
            prompt = msgspec.structs.replace(prompt, max_tokens=max(1, model.context - prompt_tokens))
        return Telling(self._engines, prompt, prompt_tokens, wish.stops)


class Telling:
    """An answer being told: its texts, and after them `finish` and `usage`."""

    def __init__(self, engines: Engines, prompt: Prompt, prompt_tokens: int, stops: tuple[str, ...]) -> None:
        self._engines = engines
        self._prompt_tokens = prompt_tokens
        self._stops = stops
        self.prompt = prompt
        self.finish = "stop"
        self.usage = Usage(0, 0)

    async def texts(self) -> AsyncGenerator[str, None]:
        """The pieces of the answer, none empty, up to the first stop sequence. Raises what `Engines.answer` does."""
        cutter, pieces = Cutter(self._stops), 0
        async with aclosing(self._engines.answer(self.prompt)) as chunks:
            async for chunk in chunks:
                pieces += bool(chunk.text)
                # A half of a surrogate pair, which UTF-8 cannot carry, is replaced.
                if text := cutter.feed(chunk.text.encode("utf-8", "replace").decode()):
                    yield text
                if cutter.cut:
                    # The engine, stopped here, does not count any more; its pieces are its tokens.
                    self.usage = Usage(self._prompt_tokens, pieces)
                    return
                if chunk.usage is not None:
                    self.usage, self.finish = chunk.usage, chunk.finish_reason
        if text := cutter.rest():
            yield text


async def _while_there(receive: Receive, answering: Coroutine[None, None, None]) -> None:
    """Do `answering` while the client is there. Raises Gone where it leaves first; what was begun has been undone then."""
    tasks = (asyncio.create_task(answering), asyncio.create_task(gone(receive)))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise Gone
        tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _patient(send: Send) -> Send:
    """`send`, but not for ever. Raises Gone."""

    async def sending(message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await send(message)
        except TimeoutError as error:
            raise Gone from error

    return sending


def _response(answer: Answer, document: dict[str, object]) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json", headers={"X-Request-Id": answer.id})
