"""What it costs to receive: a listener on a loopback websocket, beside the same thing in Python on picows.

The far end is a thread that writes frames which were made before, so that the CPU time of the loop's own thread is that of receiving:
system calls, picows, listener, and what is done with a message.
"""

from __future__ import annotations

import base64
import hashlib
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import uvloop
from picows import WSListener, WSTransport, ws_connect
from pytest_benchmark.fixture import BenchmarkFixture

from benches.abba import Side, ratio
from benches.conftest import Judge
from benches.inputs import frames
from benches.references import CheckingListener, DroppingListener
from pylon._native import Delivered, check_codes
from pylon._native.frames import FrameListener, server_frame

MOST = 2 * 1024 * 1024
COUNT = 1000
"""Frames of one slice."""
QUARTETS = 100
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455 1.3."""


class Line:
    """A connection to a thread that writes `COUNT` frames for each slice; the listener counts what it has done with them."""

    def __init__(self, loop: uvloop.Loop, texts: list[bytes], listener: Callable[[Line], WSListener]) -> None:
        self.loop = loop
        self.missing = 0
        self._block = b"".join(server_frame(texts[number % len(texts)]) for number in range(COUNT))
        self._orders: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        self.transport: WSTransport
        self.transport, _ = loop.run_until_complete(
            ws_connect(lambda: listener(self), f"ws://127.0.0.1:{self._socket.getsockname()[1]}", enable_auto_ping=False)
        )

    def done(self, count: int) -> None:
        """So many frames have got what they get."""
        self.missing -= count
        if self.missing == 0:
            self.loop.stop()

    def spend(self) -> int:
        """Nanoseconds of the loop's thread for `COUNT` frames."""
        self.missing = COUNT
        self._orders.put(True)
        start = time.thread_time_ns()
        self.loop.run_forever()
        return time.thread_time_ns() - start

    def close(self) -> None:
        """End both ends."""
        self._orders.put(False)
        self._thread.join()
        self._socket.close()
        self.loop.run_until_complete(self.transport.wait_disconnected())

    def _write(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):
                asked += connection.recv(4096)
            (key,) = (line.partition(b":")[2].strip() for line in asked.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            connection.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            while self._orders.get():
                connection.sendall(self._block)


class Checking:
    """A sink that checks what it is handed (pylon._native.frames.Sink)."""

    def __init__(self, line: Line) -> None:
        self.line = line

    def connected(self, transport: WSTransport, /) -> None:
        """The line is there."""

    def messages(self, texts: list[bytes], /) -> None:
        """All messages of a read, in one call."""
        codes = check_codes(texts, False)
        if any(codes):
            raise ValueError("an event does not hold")
        self.line.done(len(texts))

    def repeated(self, ids: bytes, /) -> None:
        """What was dropped."""
        self.line.done(len(ids) // 32)

    def closed(self, code: int | None, reason: str, /) -> None:
        """The end."""

    def paused(self, /) -> None:
        """Nothing is written."""

    def resumed(self, /) -> None:
        """Nothing is written."""


def refused(texts: list[bytes]) -> None:
    """Nothing is handed on where everything was delivered."""
    raise ValueError("a duplicate was not seen")


@pytest.fixture
def loop() -> Iterator[uvloop.Loop]:
    """A loop of its own."""
    made = uvloop.new_event_loop()
    yield made
    made.close()


def compare(benchmark: BenchmarkFixture, judge: Judge, path: str, name: str, ours: Line, theirs: Line, *, gate: float, goal: float) -> None:
    """Measure one line beside the other, per frame."""
    try:
        theirs.spend()
        benchmark(ours.spend)
        candidate, reference = Side(ours.spend, COUNT), Side(theirs.spend, COUNT)
        judge(path, name, lambda times: ratio(candidate, reference, times * QUARTETS), gate=gate, goal=goal)
    finally:
        ours.close()
        theirs.close()


@pytest.mark.parametrize("size", [392, 2048], ids=["392 B", "2 KB"])
def test_receive_and_check_ids(loop: uvloop.Loop, benchmark: BenchmarkFixture, judge: Judge, size: int) -> None:
    """One EVENT frame: received, its id checked."""
    texts = frames(50, size)
    ours = Line(loop, texts, lambda line: FrameListener(Checking(line), MOST))
    theirs = Line(loop, texts, lambda line: CheckingListener(line.done))
    compare(
        benchmark, judge, f"receive and check the id, {size} B", "picows, msgspec, orjson and hashlib", ours, theirs, gate=0.45, goal=0.35
    )


@pytest.mark.parametrize("size", [392, 2048], ids=["392 B", "2 KB"])
def test_drop_a_duplicate(loop: uvloop.Loop, benchmark: BenchmarkFixture, judge: Judge, size: int) -> None:
    """One EVENT frame of a delivered event: received, dropped, counted."""
    texts = frames(50, size)
    ids = [text.partition(b'"id":"')[2][:64] for text in texts]
    delivered = Delivered(100_000)
    scope = delivered.open("sub1")
    for event_id in ids:
        delivered.add(scope, event_id.decode())
    ours = Line(loop, texts, lambda line: FrameListener(Checking(line), MOST, delivered))
    theirs = Line(loop, texts, lambda line: DroppingListener(lambda dropped: line.done(len(dropped)), refused, {b"sub1": set(ids)}, MOST))
    compare(benchmark, judge, f"drop a duplicate, {size} B", "the same listener in Python", ours, theirs, gate=0.68, goal=0.55)
