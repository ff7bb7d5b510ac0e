"""A small real HTTP server whose answers are given byte for byte: what llama-server might say, and what a hostile one would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

JSON = "Content-Type: application/json; charset=utf-8\r\n"
LLAMA = "Server: llama.cpp\r\n"


def reply(status: int, body: object, headers: str = LLAMA) -> bytes:
    """A whole answer; `body` is bytes, or made JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status} X\r\n{headers}{JSON}Content-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode() + content


def stream(*lines: bytes) -> bytes:
    """An event stream that ends with the connection."""
    return f"HTTP/1.1 200 OK\r\n{LLAMA}Content-Type: text/event-stream\r\nConnection: close\r\n\r\n".encode() + b"".join(lines)


def event(document: object) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def text(content: str) -> bytes:
    """A chunk with new text."""
    return event({"choices": [{"index": 0, "finish_reason": None, "delta": {"content": content}}]})


STOP = event({"choices": [{"index": 0, "finish_reason": "stop", "delta": {}}]})
USAGE = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
DONE = b"data: [DONE]\n\n"

MODELS = {"object": "list", "data": [{"id": "tiny", "owned_by": "llamacpp"}]}
PROPS = {"total_slots": 2, "default_generation_settings": {"n_ctx": 512}, "cors_proxy_enabled": False}
OFF = reply(403, {"error": {"message": "this feature is disabled", "type": "feature_disabled"}})
WELL = {
    "/v1/models": reply(200, MODELS),
    "/props": reply(200, PROPS),
    "/tools": OFF,
    "/v1/chat/completions/input_tokens": reply(200, {"input_tokens": 3}),
    "/v1/chat/completions": stream(text("Four"), text("."), STOP, USAGE, DONE),
}
"""A llama-server as it should be."""

HANG = b""
"""An answer that never comes."""

Answer = bytes | Callable[[bytes], bytes]
"""Given, or made of the body of the request."""


@asynccontextmanager
async def site(answers: Mapping[str, Answer], host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve `answers` by path (404 elsewhere, HANG keeps the connection open and silent); yields the address."""
    hanging = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next((int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0)
            body = await reader.readexactly(length)
            found = answers.get(head.split(" ")[1], reply(404, {"error": {"message": "File Not Found"}}, ""))
            answer = found if isinstance(found, bytes) else found(body)
            writer.write(answer)
            await writer.drain()
            if answer == HANG or answer.endswith(HANGS):
                await hanging.wait()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, host, port)
    try:
        number = server.sockets[0].getsockname()[1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{number}"
    finally:
        hanging.set()
        server.close()
        await server.wait_closed()


HANGS = b": and then silence\n"
"""At the end of a stream: the connection stays open."""
