"""HTTP as it is spoken with engines: bounded answers, bounded lines, bounded waiting. What comes is hostile until it is parsed.

Server-sent events follow https://html.spec.whatwg.org/multipage/server-sent-events.html as far as engines use them: `data:` lines,
comments, blank lines.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx
import msgspec

from pylon.backends.base import BackendBroken, BackendBusy
from pylon.errors import ContextOverflow, NoBackend, PylonError

T = TypeVar("T")

CONNECT_S = 1.0
ANSWER_LIMIT = 4 << 20
"""Bytes of one JSON answer (a chat template may be long)."""

LINE_LIMIT = 1 << 20
"""Bytes of one event of a stream."""

RETRY_MAX_S = 60.0


class ErrorBody(msgspec.Struct, frozen=True):
    """The inside of an engine's error answer, as far as it is well formed."""

    message: str = ""
    type: str = ""
    n_prompt_tokens: int = 0
    n_ctx: int = 0


class ErrorAnswer(msgspec.Struct, frozen=True):
    """`{"error": {…}}`"""

    error: ErrorBody


class Nonsense(BackendBroken):
    """Something that is not JSON, or not of the form that was asked for."""


def decode(data: bytes, kind: type[T]) -> T:
    """`data` as `kind`. Raises Nonsense, also for JSON that is broken UTF-8 or nested without end."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Nonsense("the engine answered with something that it should not say") from error


def client(url: str, key: str = "", *, connect_s: float = CONNECT_S) -> httpx.AsyncClient:
    """A client for one engine. A proxy of the environment is not used: engines are neighbours.

    Connections are not kept: a kept one that the server closes at the wrong moment looks like a broken engine.
    """
    return httpx.AsyncClient(
        base_url=url,
        headers={"Accept-Encoding": "identity", **({"Authorization": f"Bearer {key}"} if key else {})},
        timeout=httpx.Timeout(None, connect=connect_s),
        limits=httpx.Limits(max_keepalive_connections=0),
        trust_env=False,
    )


@asynccontextmanager
async def exchange(
    http: httpx.AsyncClient, name: str, method: str, path: str, body: object = None, *, within_s: float
) -> AsyncIterator[httpx.Response]:
    """Send a request; the answer's head is there within `within_s`, its body is still to be read. Raises BackendBroken."""
    content = None if body is None else msgspec.json.encode(body)
    request = http.build_request(method, path, content=content, headers={"Content-Type": "application/json"} if content else None)
    try:
        async with asyncio.timeout(within_s):
            response = await http.send(request, stream=True)
    except (httpx.HTTPError, TimeoutError) as error:
        raise BackendBroken(f"{name} {_why(error)}") from error
    try:
        yield response
    except (httpx.HTTPError, TimeoutError) as error:
        raise BackendBroken(f"{name} {_why(error)}") from error
    finally:
        # Closing is what frees the engine's slot; it must not be skipped when the task is being cancelled.
        await response.aclose()


async def read_all(response: httpx.Response, *, within_s: float, limit: int = ANSWER_LIMIT) -> bytes:
    """The whole body. Raises BackendBroken where it is longer than `limit`; httpx.HTTPError and TimeoutError for `exchange`."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise BackendBroken("the engine sent a compressed answer that nobody asked for")
    body = bytearray()
    async with asyncio.timeout(within_s):
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > limit:
                raise BackendBroken(f"the engine sent more than {limit} bytes in one answer")
    return bytes(body)


def events(response: httpx.Response, *, first_s: float, gap_s: float) -> AsyncGenerator[bytes, None]:
    """The data of each server-sent event; see `lines` (comments do not count)."""
    return lines(response, b"data:", first_s=first_s, gap_s=gap_s)


async def lines(response: httpx.Response, prefix: bytes = b"", *, first_s: float, gap_s: float) -> AsyncGenerator[bytes, None]:
    """What stands behind `prefix` in each line that begins with it; at most `gap_s` apart, the first within `first_s`.

    Raises BackendBroken for a line over the limit; TimeoutError and httpx.HTTPError for `exchange`.
    """
    buffer = bytearray()
    pieces = response.aiter_raw()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + first_s
    while True:
        async with asyncio.timeout_at(deadline):
            piece = await anext(pieces, b"")
        if not piece:
            return
        start = len(buffer)
        buffer += piece
        while (end := buffer.find(b"\n", start)) >= 0:
            line = bytes(buffer[:end]).rstrip(b"\r")
            del buffer[: end + 1]
            start = 0
            if line.startswith(prefix):
                yield line[len(prefix) :].strip()
                deadline = loop.time() + gap_s
        if len(buffer) > LINE_LIMIT:
            raise BackendBroken(f"the engine sent a line of more than {LINE_LIMIT} bytes")


def failure(name: str, response: httpx.Response, body: bytes) -> PylonError:
    """The error that an answer other than 200 stands for, with the time of its `Retry-After` where it says busy."""
    error = error_of(name, response.status_code, body)
    if isinstance(error, BackendBusy):
        error.after_s = retry_after(response)
    return error


def retry_after(response: httpx.Response) -> float:
    """Seconds that `Retry-After` asks for (RFC 9110, 10.2.3: a date, which engines do not send, is not read), at most a minute."""
    said = response.headers.get("Retry-After", "")
    return min(float(said), RETRY_MAX_S) if re.fullmatch(r"[0-9]{1,9}", said, re.ASCII) else 0.0


def error_of(name: str, status: int, body: bytes) -> PylonError:
    """The error that a status and a body stand for.

    503 and 429 mean busy (503 also while a model loads), 400 `exceed_context_size_error` an overflow, other 4xx that this one request
    is refused (the engine is well, so it is no BackendBroken); the rest is broken.
    """
    try:
        error = decode(body, ErrorAnswer).error
    except Nonsense:
        error = ErrorBody()
    said = error.message[:300] or f"HTTP {status}"
    if error.type == "exceed_context_size_error":
        return overflow(error.n_prompt_tokens, 0, error.n_ctx)
    if status in (429, 503):
        return BackendBusy(f"{name} is busy: {said}")
    if 400 <= status < 500:
        return NoBackend(f"{name} refused the request: {said}")
    return BackendBroken(f"{name} failed: {said}")


def overflow(prompt_tokens: int, max_tokens: int, context: int) -> ContextOverflow:
    """The sentence for a prompt that does not fit."""
    answer = f" and {max_tokens:,} for the answer" if max_tokens else ""
    return ContextOverflow(
        f"the prompt has {prompt_tokens:,} tokens{answer}, which is more than the {context:,} that the model can hold",
        hint="shorten the prompt, or ask for a shorter answer",
    )


def _why(error: Exception) -> str:
    """What happened, in words that end a sentence."""
    if isinstance(error, httpx.ConnectError):
        return "cannot be reached"
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "does not answer in time"
    return f"broke off: {str(error) or type(error).__name__}"
