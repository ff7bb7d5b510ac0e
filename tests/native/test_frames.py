"""The picows listener over real loopback connections (RFC 6455): what a hostile peer may send, and what it is told."""

from __future__ import annotations

import asyncio
import logging
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from picows import WSCloseCode, WSMsgType, ws_connect, ws_create_server

from pylon._native.frames import FrameListener

from .peers import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Peer, Recorder, frame

MAX = 1000

Open = Callable[..., Awaitable[tuple[Recorder, Peer]]]


@pytest.fixture
async def connect() -> AsyncIterator[Open]:
    """Opens a connection to a server whose listener is ours."""
    servers: list[asyncio.Server] = []
    peers: list[Peer] = []

    async def opened(*failing: str, auto_pong: bool = True) -> tuple[Recorder, Peer]:
        sink = Recorder(set(failing))
        server = await ws_create_server(lambda _: FrameListener(sink, MAX), "127.0.0.1", 0, enable_auto_pong=auto_pong)
        servers.append(server)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        peers.append(Peer(reader, writer))
        return sink, peers[-1]

    yield opened
    for peer in peers:
        peer.writer.close()
    for server in servers:
        server.close()
        await server.wait_closed()


async def code_of(peer: Peer) -> int:
    """The code of the CLOSE that comes next."""
    opcode, payload = await asyncio.wait_for(peer.receive(), 10)
    assert opcode == CLOSE
    return int.from_bytes(payload[:2])


async def test_one_batch_a_read(connect: Open) -> None:
    """Messages that arrive together are handed over together, in order, as bytes."""
    sink, peer = await connect()
    peer.send(frame(TEXT, b"one"), frame(TEXT, b""), frame(TEXT, "drei ☕".encode()))
    await asyncio.wait_for(sink.got.wait(), 10)
    assert sink.batches == [[b"one", b"", "drei ☕".encode()]]


async def test_fragments_are_joined(connect: Open) -> None:
    """A message in pieces is one message, with control frames between the pieces, over several reads."""
    sink, peer = await connect()
    peer.send(frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"", fin=False), frame(PING, b"now"))
    assert await peer.receive() == (PONG, b"now")
    peer.send(frame(CONTINUATION, b"b", fin=False), frame(CONTINUATION, b"c"), frame(TEXT, b"d"))
    await asyncio.wait_for(sink.got.wait(), 10)
    assert sink.texts == [b"abc", b"d"]


@pytest.mark.parametrize("auto_pong", [True, False])
async def test_ping_is_answered_and_keeps_no_message_back(connect: Open, auto_pong: bool) -> None:
    """A PING is answered with its payload, and a message before it in the same read is handed over without another read."""
    sink, peer = await connect(auto_pong=auto_pong)
    peer.send(frame(TEXT, b"before"), frame(PING, b"payload"))
    assert await peer.receive() == (PONG, b"payload")
    await asyncio.wait_for(sink.got.wait(), 10)
    assert sink.texts == [b"before"]


@pytest.mark.parametrize(
    "frames",
    [
        [frame(TEXT, bytes(MAX + 1))],
        [frame(TEXT, bytes(MAX), fin=False), frame(CONTINUATION, b"x")],
        [frame(TEXT, b"x", fin=False), *[frame(CONTINUATION, bytes(100), fin=False)] * 10],
    ],
    ids=["whole", "in two", "in many"],
)
async def test_too_big(connect: Open, frames: list[bytes]) -> None:
    """A message over the limit, whole or in pieces, is not kept and closes with 1009."""
    sink, peer = await connect()
    peer.send(*frames)
    assert await code_of(peer) == WSCloseCode.MESSAGE_TOO_BIG.value
    assert sink.texts == []


async def test_the_limit_itself(connect: Open) -> None:
    """A message of exactly the limit is taken."""
    sink, peer = await connect()
    peer.send(frame(TEXT, bytes(MAX)), frame(TEXT, bytes(MAX - 1), fin=False), frame(CONTINUATION, b"x"))
    await asyncio.wait_for(sink.got.wait(), 10)
    assert [len(text) for text in sink.texts] == [MAX, MAX]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(BINARY, b"x")], 1003),
        ([frame(CONTINUATION, b"x")], 1002),
        ([frame(TEXT, b"x", fin=False), frame(TEXT, b"y")], 1002),
        ([frame(TEXT, b"x", rsv=4)], 1002),
        ([frame(TEXT, b"x", rsv=1)], 1002),
        ([frame(0x3, b"x")], 1002),
        ([frame(PING, b"x", fin=False)], 1002),
        ([frame(TEXT, b"x", masked=False)], 1002),
        ([frame(CLOSE, b"x")], 1002),
        ([frame(CLOSE, struct.pack(">H", 1005))], 1002),
    ],
    ids=["binary", "continuation", "interleaved", "rsv1", "rsv3", "opcode", "cut ping", "no mask", "one byte close", "close 1005"],
)
async def test_protocol_errors(connect: Open, frames: list[bytes], code: int) -> None:
    """Each breach is told by its close code, what was complete before it is handed over, and nothing after it."""
    sink, peer = await connect()
    peer.send(frame(TEXT, b"good"), *frames, frame(TEXT, b"late"))
    assert await code_of(peer) == code
    peer.send(frame(TEXT, b"later"), frame(CLOSE, struct.pack(">H", code)))
    await asyncio.wait_for(sink.ended.wait(), 10)
    assert sink.texts == [b"good"]
    assert len(sink.ends) == 1


async def test_close_is_answered(connect: Open) -> None:
    """A CLOSE is answered with its code, then the connection ends; the sink hears the code and the reason, once."""
    sink, peer = await connect()
    peer.send(frame(TEXT, b"last words"), frame(CLOSE, struct.pack(">H", 4000) + "auf Wiedersehen ☕".encode()))
    assert await code_of(peer) == 4000
    assert await peer.receive() == (0, b"")
    await asyncio.wait_for(sink.ended.wait(), 10)
    assert sink.texts == [b"last words"]
    assert sink.ends == [(4000, "auf Wiedersehen ☕")]


async def test_close_without_a_code(connect: Open) -> None:
    """An empty CLOSE is answered with 1000 (1005 may not be sent) and has no code for the sink."""
    sink, peer = await connect()
    peer.send(frame(CLOSE))
    assert await code_of(peer) == 1000
    await asyncio.wait_for(sink.ended.wait(), 10)
    assert sink.ends == [(None, "")]


async def test_connection_lost(connect: Open) -> None:
    """A connection that breaks off in the middle of a message ends once, without a code."""
    sink, peer = await connect()
    peer.send(frame(TEXT, b"whole"), frame(TEXT, b"half", fin=False))
    await asyncio.wait_for(sink.got.wait(), 10)
    peer.writer.transport.abort()
    await asyncio.wait_for(sink.ended.wait(), 10)
    assert sink.texts == [b"whole"]
    assert sink.ends == [(None, "")]


async def test_our_reason_is_told(connect: Open) -> None:
    """When we refuse and the peer just goes, the sink hears why we refused."""
    sink, peer = await connect()
    peer.send(frame(BINARY, b"x"))
    assert await code_of(peer) == 1003
    peer.writer.close()
    await asyncio.wait_for(sink.ended.wait(), 10)
    assert sink.ends == [(None, "only text messages are spoken here")]


@pytest.mark.parametrize("where", ["messages", "connected"])
async def test_a_failing_sink(connect: Open, caplog: pytest.LogCaptureFixture, where: str) -> None:
    """An exception of the sink is logged with its traceback and closes with 1011; the sink still hears of the end, once."""
    with caplog.at_level(logging.ERROR, "pylon.frames"):
        sink, peer = await connect(where)
        peer.send(frame(TEXT, b"x"))
        assert await code_of(peer) == 1011
        peer.send(frame(CLOSE, struct.pack(">H", 1011)))
        await asyncio.wait_for(sink.ended.wait(), 10)
    (record,) = [record for record in caplog.records if record.name == "pylon.frames"]
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == f"the sink fails at {where}"
    assert len(sink.ends) == 1


async def test_a_sink_that_fails_at_the_end(connect: Open, caplog: pytest.LogCaptureFixture) -> None:
    """An exception on the last call is logged too, and the call is not repeated."""
    with caplog.at_level(logging.ERROR, "pylon.frames"):
        sink, peer = await connect("closed")
        peer.send(frame(CLOSE))
        assert await code_of(peer) == 1000
        await asyncio.wait_for(sink.ended.wait(), 10)
    assert [record.name for record in caplog.records] == ["pylon.frames"]
    assert len(sink.ends) == 1


async def test_a_slow_reader_presses_back(connect: Open) -> None:
    """The sink hears when the write buffer is full, and when it is empty again."""
    sink, peer = await connect()
    assert sink.transport is not None
    while not sink.presses:
        sink.transport.send(WSMsgType.TEXT, bytes(1 << 20))
        await asyncio.sleep(0)
    assert sink.presses == ["paused"]
    while len(sink.presses) == 1:
        assert await asyncio.wait_for(peer.reader.read(1 << 20), 10)
    assert sink.presses == ["paused", "resumed"]


async def test_both_ends_are_ours() -> None:
    """A client and a server with our listener: messages both ways, then a closing handshake that both ends hear."""
    near, far = Recorder(), Recorder()
    server = await ws_create_server(lambda _: FrameListener(far, MAX), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    transport, _ = await ws_connect(lambda: FrameListener(near, MAX), f"ws://{host}:{port}/")
    transport.send(WSMsgType.TEXT, b"hello")
    await asyncio.wait_for(far.got.wait(), 10)
    assert far.transport is not None
    far.transport.send(WSMsgType.TEXT, b"world")
    await asyncio.wait_for(near.got.wait(), 10)
    transport.send_close(WSCloseCode.GOING_AWAY, b"done")
    await asyncio.wait_for(asyncio.gather(near.ended.wait(), far.ended.wait()), 10)
    assert (far.texts, near.texts) == ([b"hello"], [b"world"])
    assert (far.ends, near.ends) == ([(1001, "done")], [(1001, "")])
    server.close()
    await server.wait_closed()


async def test_random_cuts(connect: Open) -> None:
    """Whatever pieces TCP makes of it, the same messages come out in the same order."""
    sink, peer = await connect()
    texts = [os.urandom(7).hex().encode() * (n % 40) for n in range(200)]
    stream = b"".join(frame(TEXT, text[:5], fin=False) + frame(PING) + frame(CONTINUATION, text[5:]) for text in texts)
    for at in range(0, len(stream), 331):
        peer.send(stream[at : at + 331])
        await peer.writer.drain()
    peer.send(frame(CLOSE, struct.pack(">H", 1000)))
    await asyncio.wait_for(sink.ended.wait(), 10)
    assert sink.texts == texts


def test_arguments() -> None:
    """A limit of less than one byte is a mistake of the caller."""
    with pytest.raises(ValueError, match="max_message"):
        FrameListener(Recorder(), 0)
