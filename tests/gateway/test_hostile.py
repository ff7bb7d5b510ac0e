"""Requests that are wrong, huge, slow or broken off: each gets OpenAI's error shape, and the next client is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from pylon.config import BackendsConfig
from pylon.gateway import ask, body, server
from pylon.gateway.body import BODY_LIMIT, DRAIN_LIMIT
from tests.gateway.conftest import PATIENCE, Stage, gateway
from tests.gateway.raw import CHAT, all_of, error_of, heard, post, question, request, wire

COMPLETIONS = "/v1/completions"
TURN = b'"messages":[{"role":"user","content":"2+2"}]'


async def works(stage: Stage) -> None:
    """A well-behaved client is served."""
    answer = await post(stage.url, question("2+2"))
    assert answer.status_code == 200
    assert b"It is 4." in answer.content


@pytest.mark.parametrize(
    "garbage",
    [
        b"", b"{", b"null", b"[]", b"5", b'"x"', b"\xff\xfe", b"\x00", b"{}{}", b"NaN", b"[" * 200_000, b'{"x":' * 100_000,
        b'{"messages":' + b"[" * 200_000, b'{"messages":[{"role":"user","content":"\xff"}]}',
        b'{"messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"messages":[{"role":"user","content":"a\nb"}]}', b"a=b&c=d",
    ],
    ids=lambda garbage: repr(garbage[:12]),
)  # fmt: skip
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_garbage(stage: Stage, path: str, garbage: bytes) -> None:
    """What is no JSON, no object, no UTF-8, or nested without end, is a 400."""
    answer = await post(stage.url, garbage, path)
    assert answer.status_code == 400
    assert error_of(answer.content).type == "invalid_request_error"
    await works(stage)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        (b'"messages":5', "messages"), (b'"messages":[]', "messages"), (b'"messages":[5]', "messages[0]"), (b'"messages":{}', "messages"),
        (b'"messages":[{"content":"x"}]', "messages[0]"), (b'"messages":[{"role":5,"content":"x"}]', "messages[0].role"),
        (b'"messages":[{"role":"tool","content":"x"}]', "messages[0].role"), (b'"messages":[{"role":"user"}]', "messages[0].content"),
        (b'"messages":[{"role":"user","content":5}]', "messages[0].content"),
        (b'"messages":[{"role":"user","content":[5]}]', "messages[0].content[0]"),
        (b'"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://x"}}]}]', "messages[0].content"),
        (b'"messages":[' + b",".join([b'{"role":"user","content":""}'] * 3000) + b"]", "messages"),
        (TURN + b',"model":5', "model"), (TURN + b',"max_tokens":"5"', "max_tokens"), (TURN + b',"max_tokens":-1', "max_tokens"),
        (TURN + b',"max_tokens":1e999', "max_tokens"), (TURN + b',"max_tokens":2.5', "max_tokens"),
        (TURN + b',"temperature":"hot"', "temperature"),
        (TURN + b',"temperature":1e400', "temperature"), (TURN + b',"top_p":2', "top_p"), (TURN + b',"seed":0.5', "seed"),
        (TURN + b',"seed":[]', "seed"),
        (TURN + b',"stop":[5]', "stop[0]"), (TURN + b',"stop":{}', "stop"), (TURN + b',"stream":"yes"', "stream"), (TURN + b',"n":0', "n"),
        (TURN + b',"stream_options":[]', "stream_options"), (TURN + b',"stream_options":{"include_usage":true}', "stream_options"),
    ],
    ids=lambda value: repr(value[:60]),
)  # fmt: skip
async def test_wrong_types(stage: Stage, members: bytes, param: str) -> None:
    """A member of the wrong type or out of range is a 400 that names it."""
    answer = await post(stage.url, b"{" + members + b"}")
    assert answer.status_code == 400
    assert error_of(answer.content).param == param


async def test_odd_values_that_are_right(stage: Stage) -> None:
    """Huge numbers that mean something, null for absent, members twice, NUL in a name."""
    for members in (
        b',"seed":99999999999999999999999999999', b',"seed":-7', b',"temperature":null,"stop":null,"n":null,"stream":null,"tools":null',
        b',"stop":""', b',"stop":[]', b',"tools":[]', b',"a\\u0000b":{"c":[[[]]]}', b',"model":""', b',"model":null',
        b',"model":"actor","model":"actor"',
    ):  # fmt: skip
        assert (await post(stage.url, b"{" + TURN + members + b"}")).status_code == 200, members
    answer = await post(stage.url, b"{" + TURN + b',"model":"\\u0000\\u202e"}')
    assert answer.status_code == 404
    assert error_of(answer.content).code == "model_not_found"


async def test_paths_and_methods(stage: Stage) -> None:
    """404 and 405 have the same shape; 405 says what is allowed."""
    async with httpx.AsyncClient(base_url=stage.url, trust_env=False) as client:
        for path in ("/", "/v1", "/v1/embeddings", "/v1/models/none", "/v1/models/a%00b", "/%ff", "/v1/chat/completions/x"):
            answer = await client.get(path)
            assert answer.status_code == 404, path
            error_of(answer.content)
        wrong = (("GET", CHAT, "POST"), ("DELETE", CHAT, "POST"), ("POST", "/v1/models", "GET"), ("PUT", "/health", "GET"))
        for method, path, allowed in wrong:
            answer = await client.request(method, path)
            assert answer.status_code == 405
            assert error_of(answer.content).code == "method_not_allowed"
            assert allowed in answer.headers["allow"]


async def test_a_huge_body(stage: Stage) -> None:
    """413, with a length or in chunks, and its sender gets to read it; a body at the limit is read."""
    text = b"x" * BODY_LIMIT

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield text

    async with httpx.AsyncClient(base_url=stage.url, trust_env=False, timeout=PATIENCE) as client:
        bodies: list[bytes | AsyncIterator[bytes]] = [text + b"x", text * 8, chunks()]
        for content in bodies:
            answer = await client.post(CHAT, content=content)
            assert answer.status_code == 413
            assert error_of(answer.content).code == "request_too_large"
    empty = question("2+2 ")
    fitting = question("2+2 " + "x" * (BODY_LIMIT - len(empty)))
    assert len(fitting) == BODY_LIMIT
    assert (await post(stage.url, fitting)).status_code == 200
    await works(stage)


async def test_a_body_without_end(stage: Stage) -> None:
    """A body that goes on after what is thrown away is cut off."""
    async with wire(stage.url) as (_, writer):
        writer.write(request(b"", length=1000 * DRAIN_LIMIT))

        async def send() -> None:
            while True:
                writer.write(b" " * BODY_LIMIT)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(send(), PATIENCE)
    await works(stage)


async def test_a_slow_body(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not come in time is a 408, and its place is free again."""
    monkeypatch.setattr(body, "BODY_S", 0.2)
    async with wire(stage.url) as (reader, writer):
        writer.write(request(b"{", length=100))
        assert (await heard(reader, b"\r\n")).startswith(b"HTTP/1.1 408 ")
        assert b"request_timeout" in await all_of(reader)
    await stage.until_running(0)


async def test_a_slow_head(scripted: BackendsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that never finishes its first line is closed."""
    monkeypatch.setattr(server, "HEAD_S", 0.2)
    async with gateway(scripted, tmp_path) as stage, wire(stage.url) as (reader, writer):
        writer.write(b"POST /v1/chat")
        assert await all_of(reader) == b""


async def test_a_body_that_breaks_off(stage: Stage) -> None:
    """A client that leaves in the middle of its question takes nothing with it."""
    async with wire(stage.url) as (_, writer):
        writer.write(request(b"{", length=100))
        await stage.until_running(1)
    await stage.until_running(0)
    await works(stage)


@pytest.mark.parametrize(
    "noise", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / GOPHER\r\n\r\n", b"A" * 100_000, b"\r\n\r\n\x00\r\n"]
)
async def test_what_is_no_http(stage: Stage, noise: bytes) -> None:
    """TLS, a head without end and other noise close the connection, and only that."""
    async with wire(stage.url) as (reader, writer):
        writer.write(noise)
        said = await all_of(reader)
        assert not said or said.startswith(b"HTTP/1.1 400 ")
    await works(stage)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", ["hang", "silence"])
async def test_a_client_that_leaves_frees_the_slot(stage: Stage, text: str, stream: bool) -> None:
    """Before the first token or after it, streamed or not: the engine's stream is closed when the client is gone."""
    for _ in range(3):  # more often than there are slots
        async with wire(stage.url) as (reader, writer):
            writer.write(request(question(text, stream=stream)))
            if stream and text == "hang":
                assert b'"one"' in await heard(reader, b'"one"')
            else:
                await stage.until_running(1)
        await stage.until_running(0)
    assert await stage.until_runs(3) == ["closed"] * 3
    await works(stage)


async def test_a_client_that_does_not_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes nothing of a long answer is let go of, and the engine with it."""
    monkeypatch.setattr(ask, "SEND_S", 0.2)
    words = "word " * 300_000
    script = stage.folder / "script.toml"
    long = script.read_text("utf-8").replace("context = 400", "context = 400000")
    script.write_text(f'{long}\n[[reply]]\nwhen = "epic"\ntext = "{words}"\n', "utf-8")
    await stage.backends.refresh()
    async with wire(stage.url) as (_, writer):
        writer.write(request(question("epic", stream=True)))
        assert await stage.until_runs(1) == ["closed"]
        await stage.until_running(0)


async def test_more_requests_than_places(scripted: BackendsConfig, tmp_path: Path) -> None:
    """429 with Retry-After for what is too much; who waits for a slot is served, and what is free is served again."""
    async with gateway(scripted, tmp_path, most=3) as stage:
        async with wire(stage.url) as (_, one), wire(stage.url) as (_, two), wire(stage.url) as (_, three):
            for writer in (one, two, three):
                writer.write(request(question("hang")))
            await stage.until_running(3)
            answer = await post(stage.url, question("2+2"))
            assert answer.status_code == 429
            assert answer.headers["retry-after"] == "1"
            assert error_of(answer.content).type == "rate_limit_error"
            async with httpx.AsyncClient(base_url=stage.url, trust_env=False) as client:
                assert (await client.get("/health")).status_code == 200
        await stage.until_running(0)
        await works(stage)


async def test_many_at_once(stage: Stage) -> None:
    """Twenty questions for two slots: all are answered, each with its own."""
    answers = await asyncio.gather(*(post(stage.url, question("count" if number % 2 else "2+2")) for number in range(20)))
    for number, answer in enumerate(answers):
        assert (b"one two" if number % 2 else b"It is 4.") in answer.content
    assert stage.runs() == ["done"] * 20


async def test_too_many_connections(scripted: BackendsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection over the limit is told so in the same shape, and closed."""
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 2)
    async with gateway(scripted, tmp_path) as stage, wire(stage.url), wire(stage.url), wire(stage.url) as (reader, _):
        head, _, content = (await all_of(reader)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert error_of(content).code == "too_many_connections"


async def test_the_end_breaks_off_what_hangs(scripted: BackendsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing the gateway waits for no stranger; the engine's stream is closed."""
    monkeypatch.setattr(server, "GRACE_S", 0)
    async with gateway(scripted, tmp_path) as stage, wire(stage.url) as (_, writer):
        writer.write(request(question("hang")))
        await stage.until_running(1)
        async with asyncio.timeout(PATIENCE):
            await stage.server.aclose()
        assert stage.runs() == ["closed"]
