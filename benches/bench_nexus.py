"""Nexus beside a bare picows echo server: what it costs to take an event, to refuse a duplicate, to fan out and to answer a REQ.

Relay, client and reference live in one process and one loop, so a slice of CPU time of the whole process holds everything: framing,
checking (also in the ingest's thread), storing (also in the log's), and the client, which is the same on both sides and only counts.
Quartets (relay, echo, echo, relay) of the same number of messages; the ratio is the median. `fdatasync` runs, on the disk of the
temporary folder.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_connect, ws_create_server
from pytest_benchmark.fixture import BenchmarkFixture

from benches.abba import Side, ratio
from benches.conftest import Judge
from pylon._native import Signer
from pylon.config import NexusConfig
from pylon.nexus.server import Server, serve
from pylon.nostr.event import Draft, Tags, sign
from pylon.nostr.message import publish
from pylon.nostr.nip42 import auth_draft

T = TypeVar("T")

ALICE = Signer(b"\x01" * 32)
CONTENT = "the node answers a job request with a result event and asks the relay for more work when its queue is short " * 3
QUARTETS = 25
BATCH = 100
SUBSCRIBERS = 100


class Counter(WSListener):
    """A client that counts text frames and does not look into them."""

    def __init__(self) -> None:
        self.missing = 0
        self.reached: asyncio.Future[None] | None = None
        self.first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if not self.first.done():
            self.first.set_result(frame.get_payload_as_bytes())
        self.missing -= 1
        if self.missing == 0 and self.reached is not None:
            self.reached.set_result(None)


class Echo(WSListener):
    """The reference."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        transport.send(WSMsgType.TEXT, frame.get_payload_as_bytes())


class Line(NamedTuple):
    """One connection of a client."""

    transport: WSTransport
    counter: Counter

    async def ask(self, texts: list[bytes], answers: int) -> None:
        """Say all, wait for so many frames."""
        self.counter.missing = answers
        self.counter.reached = asyncio.get_running_loop().create_future()
        for text in texts:
            self.transport.send(WSMsgType.TEXT, text)
        await self.counter.reached
        self.counter.reached = None


class Place:
    """A relay, an echo server, and a line to each."""

    def __init__(self, folder: Path) -> None:
        self.loop = uvloop.new_event_loop()
        self.number = 0
        self.lines: list[Line] = []
        self.server, self.relay, self.echo = self.run(self._start(folder))

    def run(self, main: Coroutine[None, None, T]) -> T:
        """Run to the end."""
        return self.loop.run_until_complete(main)

    async def _start(self, folder: Path) -> tuple[Server, Line, Line]:
        def echo(request: WSUpgradeRequest) -> WSListener:
            return Echo()

        server = await serve(NexusConfig(port=0), folder)
        self._echo_server = await ws_create_server(echo, "127.0.0.1", 0)
        port = self._echo_server.sockets[0].getsockname()[1]
        return server, await self.line(server.url, auth=True), await self.line(f"ws://127.0.0.1:{port}", auth=False)

    async def line(self, url: str, *, auth: bool) -> Line:
        """Connect, and authenticate where it is the relay."""
        transport, listener = await ws_connect(Counter, url)
        assert isinstance(listener, Counter)
        line = Line(transport, listener)
        self.lines.append(line)
        if auth:
            challenge = (await listener.first).decode().split('"')[3]
            await line.ask([b'["AUTH",' + sign(auth_draft(url, challenge, int(time.time())), ALICE).raw + b"]"], 1)
        return line

    def events(self, count: int, *, kind: int = 5050, tags: Tags = ()) -> list[bytes]:
        """So many new EVENT messages of about 750 bytes."""
        now = int(time.time())
        self.number += count
        return [publish(sign(Draft(kind, now, f"{self.number - i} {CONTENT}", tags), ALICE).raw) for i in range(count)]

    def close(self) -> None:
        """End everything."""
        for line in self.lines:
            line.transport.disconnect()
        self.run(self.server.aclose())
        self._echo_server.close()
        self.run(asyncio.sleep(0.01))
        self.loop.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Both servers, running."""
    here = Place(tmp_path)
    yield here
    here.close()


class Work(NamedTuple):
    """What one slice says to one server, and how many frames come back."""

    line: Line
    texts: list[bytes]
    answers: int


def measure(
    benchmark: BenchmarkFixture, judge: Judge, place: Place, path: str, per_slice: int, ours: list[Work], echo: list[Work]
) -> None:
    """Compare the slices of `ours` with those of `echo`, per unit of work."""

    def side(slices: list[Work]) -> Side:
        """CPU time of the whole process; each slice once."""
        left = iter(slices)

        def spend() -> int:
            work = next(left)
            start = time.process_time_ns()
            place.run(work.line.ask(work.texts, work.answers))
            return time.process_time_ns() - start

        return Side(spend, per_slice)

    candidate, reference = side(ours), side(echo)
    reference.spend()
    benchmark.pedantic(candidate.spend, rounds=1)  # type: ignore[no-untyped-call]  # the package leaves it untyped
    judge(f"nexus: {path}", "bare picows echo of as many frames", lambda times: ratio(candidate, reference, quartets=QUARTETS))


def slices(benchmark: BenchmarkFixture) -> int:
    """How many slices a side needs."""
    return 1 if benchmark.disabled else 2 * QUARTETS + 2


def test_ingest(place: Place, benchmark: BenchmarkFixture, judge: Judge) -> None:
    """One new event: verified, stored, on disk, OK."""
    texts = [place.events(BATCH) for _ in range(slices(benchmark))]
    ours = [Work(place.relay, batch, BATCH) for batch in texts]
    measure(benchmark, judge, place, "take a new event", BATCH, ours, [Work(place.echo, batch, BATCH) for batch in texts])


def test_duplicates(place: Place, benchmark: BenchmarkFixture, judge: Judge) -> None:
    """One event that is stored already, byte for byte."""
    texts = place.events(BATCH)
    place.run(place.relay.ask(texts, BATCH))
    ours = [Work(place.relay, texts, BATCH)] * slices(benchmark)
    measure(benchmark, judge, place, "answer a duplicate", BATCH, ours, [Work(place.echo, texts, BATCH)] * slices(benchmark))


def test_fan_out(place: Place, benchmark: BenchmarkFixture, judge: Judge) -> None:
    """One delivery of an event that a hundred subscriptions of one connection want."""
    place.run(place.relay.ask([b'["REQ","s%d",{"kinds":[5050],"limit":0}]' % number for number in range(SUBSCRIBERS)], SUBSCRIBERS))
    texts = [place.events(10) for _ in range(slices(benchmark))]
    ours = [Work(place.relay, batch, 10 * SUBSCRIBERS + 10) for batch in texts]
    echo = [Work(place.echo, batch * SUBSCRIBERS, 10 * SUBSCRIBERS) for batch in texts]
    measure(benchmark, judge, place, "deliver to one of 100 subscriptions", 10 * SUBSCRIBERS, ours, echo)


def test_selective(place: Place, benchmark: BenchmarkFixture, judge: Judge) -> None:
    """One new event while ten thousand other filters wait for other keys: beside `take a new event`, this must not grow."""

    async def subscribe() -> None:
        for connection in range(50):
            line = await place.line(place.server.url, auth=True)
            names = [b'["REQ","s%d",{"#p":["%064x"],"limit":0}]' % (number, connection * 200 + number + 1) for number in range(200)]
            await line.ask(names, len(names))

    place.run(subscribe())
    texts = [place.events(BATCH, tags=(("p", "ab" * 32),)) for _ in range(slices(benchmark))]
    ours = [Work(place.relay, batch, BATCH) for batch in texts]
    echo = [Work(place.echo, batch, BATCH) for batch in texts]
    measure(benchmark, judge, place, "take a new event, 10,000 other filters", BATCH, ours, echo)


def test_queries(place: Place, benchmark: BenchmarkFixture, judge: Judge) -> None:
    """One stored event of a REQ for the newest 100 of one `#p`, among 3,000."""
    stored = 20 if benchmark.disabled else 1000
    wanted = place.events(stored, tags=(("p", "ab" * 32),))
    for texts in (wanted, place.events(2 * stored, tags=(("p", "cd" * 32),))):
        place.run(place.relay.ask(texts, len(texts)))
    count = min(stored, 100)
    query = [b'["REQ","q",{"kinds":[5050],"#p":["%s"],"limit":100}]' % (b"ab" * 32)] * 10
    ours = [Work(place.relay, query, 10 * (count + 1))] * slices(benchmark)
    echo = [Work(place.echo, wanted[:count] * 10, 10 * count)] * slices(benchmark)
    measure(benchmark, judge, place, "serve one of 100 stored events", 10 * count, ours, echo)


def test_query_by_id(place: Place, benchmark: BenchmarkFixture, judge: Judge) -> None:
    """One REQ for one id: two frames back."""
    texts = place.events(BATCH)
    place.run(place.relay.ask(texts, BATCH))
    ids = [text.split(b'"id":"')[1][:64] for text in texts]
    queries = [b'["REQ","q",{"ids":["%s"]}]' % event_id for event_id in ids]
    ours = [Work(place.relay, queries, 2 * BATCH)] * slices(benchmark)
    measure(benchmark, judge, place, "find one event by id", BATCH, ours, [Work(place.echo, texts, BATCH)] * slices(benchmark))
