"""The listener with a table of delivered events: what it drops, what it tells of it, and that all else passes; and ready frames."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from itertools import pairwise

import pytest
from picows import WSMsgType, ws_connect, ws_create_server

from pylon._native import Delivered, frames, plain_frames
from pylon._native.frames import FrameListener
from pylon.nostr.message import deliver, deliver_head

from .peers import CONTINUATION, PING, TEXT, Recorder, frame

MAX = 1_000_000


def identity(number: int) -> bytes:
    """Some id."""
    return bytes(28) + number.to_bytes(4, "big")


def event(number: int, sub: str = "s") -> bytes:
    """An EVENT, as far as the listener looks at it."""
    return b'["EVENT","%s",{"id":"%s","content":"%s"}]' % (sub.encode(), identity(number).hex().encode(), b"x" * (number % 50))


class Line:
    """A client with our listener and a table, and the server's end, which sends any bytes."""

    def __init__(self, *failing: str) -> None:
        self.sink = Recorder(set(failing))
        self.delivered = Delivered(10_000)
        self.scope = self.delivered.open("s")
        self.listener = FrameListener(self.sink, MAX, self.delivered)
        self.far = Recorder()

    def has(self, *numbers: int) -> None:
        """So many were delivered."""
        for number in numbers:
            self.delivered.add(self.scope, identity(number).hex())

    async def receive(self, *sent: bytes) -> None:
        """Have them read, then the end of the connection."""
        server = await ws_create_server(lambda _: FrameListener(self.far, MAX), "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        await ws_connect(lambda: self.listener, f"ws://{host}:{port}/")
        await self.far.opened.wait()
        assert self.far.transport is not None
        self.far.transport.underlying_transport.write(b"".join(sent))
        self.far.transport.send_close()
        async with asyncio.timeout(10):
            await self.sink.ended.wait()
        server.close()
        await server.wait_closed()


def text(payload: bytes) -> bytes:
    """One frame of a server."""
    return frame(TEXT, payload, masked=False)


async def test_repetitions_are_dropped_and_told() -> None:
    """What was delivered is not handed over, its id is told once for each copy, and everything else passes in order."""
    line = Line()
    line.has(1, 3)
    eose = b'["EOSE","s"]'
    await line.receive(*(text(event(number)) for number in (1, 2, 3, 1, 4)), text(eose), text(event(3)))
    assert line.sink.texts == [event(2), event(4), eose]
    assert b"".join(line.sink.repeats) == identity(1) + identity(3) + identity(1) + identity(3)
    assert line.listener.repeated == 4


async def test_fragments() -> None:
    """A message in pieces is looked at when it is whole."""
    line = Line()
    line.has(1)
    pieces = [
        piece
        for payload in (event(1), event(2))
        for piece in (
            frame(TEXT, payload[:20], fin=False, masked=False), frame(PING, masked=False), frame(CONTINUATION, payload[20:], masked=False)
        )
    ]
    await line.receive(*pieces)
    assert line.sink.texts == [event(2)]
    assert line.sink.repeats == [identity(1)]


async def test_whatever_the_pieces() -> None:
    """In any order, in fragments of any size: what is handed over, and what is told, is what the twin of the table says."""
    dice = random.Random(1)
    line, twin = Line(), plain_frames.Delivered(10_000)
    scope = twin.open("s")
    for number in range(0, 40, 3):
        line.has(number)
        twin.add(scope, identity(number).hex())
    payloads = [
        dice.choice((event(number), event(number, "t"), event(number)[: dice.randrange(90)], b'["EOSE","s"]'))
        for number in (dice.randrange(40) for _ in range(1000))
    ]
    pieces: list[bytes] = []
    for payload in payloads:
        cuts = sorted(dice.randrange(len(payload) + 1) for _ in range(dice.randrange(4)))
        parts = [payload[first:last] for first, last in pairwise([0, *cuts, len(payload)])]
        for at, part in enumerate(parts):
            pieces.append(frame(CONTINUATION if at else TEXT, part, fin=at == len(parts) - 1, masked=False))
    await line.receive(*pieces)
    assert line.sink.texts == [payload for payload in payloads if not twin.repeats(payload)]
    told = [bytes.fromhex(payload.partition(b'"id":"')[2][:64].decode()) for payload in payloads if twin.repeats(payload)]
    assert b"".join(line.sink.repeats) == b"".join(told)
    assert len(told) > 50


async def test_a_read_of_repetitions_only() -> None:
    """They are told although there is no message, however many they are."""
    line = Line()
    line.has(*range(200))
    await line.receive(*(text(event(number)) for number in range(200)))
    assert line.sink.batches == []
    assert b"".join(line.sink.repeats) == b"".join(map(identity, range(200)))
    assert line.listener.repeated == 200


async def test_without_a_table_all_passes() -> None:
    """The listener of a relay has no table."""
    line = Line()
    line.listener = FrameListener(line.sink, MAX)
    line.has(1)
    await line.receive(text(event(1)), text(event(1)))
    assert line.sink.texts == [event(1), event(1)]
    assert line.sink.repeats == []
    assert line.listener.repeated == 0


async def test_the_table_is_asked_at_every_frame() -> None:
    """What is delivered or closed between two reads counts at the next one."""
    line = Line()
    delivered = line.delivered

    class Eager(Recorder):
        def messages(self, texts: list[bytes], /) -> None:
            super().messages(texts)
            line.has(1)
            if texts == [b"close"]:
                delivered.close("s")

    line.sink = Eager()
    line.listener = FrameListener(line.sink, MAX, delivered)
    server = await ws_create_server(lambda _: FrameListener(line.far, MAX), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    await ws_connect(lambda: line.listener, f"ws://{host}:{port}/")
    await line.far.opened.wait()
    assert line.far.transport is not None
    for said in (event(1), event(1), b"close", event(1)):
        line.sink.got.clear()
        line.far.transport.send(WSMsgType.TEXT, said)
        await asyncio.wait_for(line.sink.got.wait(), 10)
    assert line.sink.texts == [event(1), b"close", event(1)]
    assert line.sink.repeats == [identity(1)]
    line.far.transport.send_close()
    await asyncio.wait_for(line.sink.ended.wait(), 10)
    server.close()
    await server.wait_closed()


async def test_a_sink_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """An exception on being told of repetitions is logged and ends the connection like any other."""
    line = Line("repeated")
    line.has(1)
    with caplog.at_level(logging.ERROR, "pylon.frames"):
        await line.receive(text(event(1)))
    assert [record.name for record in caplog.records] == ["pylon.frames"]
    assert len(line.sink.ends) == 1


SIZES = [0, 1, 124, 125, 126, 127, 1000, 65534, 65535, 65536, 65537, 300_000]


@pytest.mark.parametrize("size", SIZES)
def test_a_ready_frame(size: int) -> None:
    """Native code and twin make the same frame; each length has its shortest form (RFC 6455 5.2)."""
    payload = os.urandom(size)
    ready = frames.server_frame(payload)
    assert ready == plain_frames.server_frame(payload) == frame(TEXT, payload, masked=False)


@pytest.mark.parametrize("size", SIZES)
def test_a_ready_event(size: int) -> None:
    """The frame of an EVENT is that of its text, at every length of the length."""
    head = deliver_head('s"')
    for length in range(max(0, size - len(head) - 2), size + 1):
        if length < 200 or length > size - len(head) - 2:
            raw = b"e" * length
            ready = frames.event_frame(head, raw)
            assert ready == plain_frames.event_frame(head, raw) == frames.server_frame(deliver(head, raw))
