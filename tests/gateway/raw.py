"""HTTP spoken by hand: what a client may do wrong, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec

from pylon.gateway.errors import ErrorBody, ErrorDocument
from tests.gateway.conftest import PATIENCE

CHAT = "/v1/chat/completions"


def error_of(body: bytes) -> ErrorBody:
    """The error of an answer; it has OpenAI's shape, and all members."""
    found = msgspec.json.decode(body)
    assert set(found) == {"error"}
    assert set(found["error"]) == {"message", "type", "param", "code"}
    return msgspec.convert(found, ErrorDocument).error


def question(text: str, **more: object) -> bytes:
    """The body of a chat."""
    return msgspec.json.encode({"messages": [{"role": "user", "content": text}], **more})


async def post(url: str, body: bytes, path: str = CHAT, **headers: str) -> httpx.Response:
    """Send a body as it is."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        return await client.post(url + path, content=body, headers=headers)


Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    """A connection, closed at the end without a word."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def request(body: bytes, path: str = CHAT, length: int | None = None) -> bytes:
    """A POST; `length` is what its head says of the body."""
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


async def heard(reader: asyncio.StreamReader, until: bytes) -> bytes:
    """What is said up to and including `until`."""
    async with asyncio.timeout(PATIENCE):
        return await reader.readuntil(until)


async def all_of(reader: asyncio.StreamReader) -> bytes:
    """What is said until the other side closes."""
    async with asyncio.timeout(PATIENCE):
        return await reader.read()
