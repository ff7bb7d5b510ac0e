"""One line to one relay: every way to fail is a state with a reason, every end is clean."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

import pytest
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest

from pylon.errors import NoRelay
from pylon.nostr.event import VerifiedEvent
from pylon.nostr.filter import Filter
from pylon.nostr.message import deliver, deliver_head
from pylon.relay.pool import Options, State
from tests.forge import encode
from tests.relay.desk import NOTES, QUICK, Desk, desk, until
from tests.relay.relays import AuthRelay, BlackHole, DeafRelay, HttpErrorRelay, Peer, Relay, note, running

CERTIFICATE = Path(__file__).with_name("localhost.pem")
ONCE = Options(connect_timeout=5.0, backoff_base=1000.0, backoff_cap=1000.0, close_timeout=0.2)
"""One attempt only: the next one is minutes away."""


async def reason(here: Desk) -> str:
    """Why the only relay is not open."""
    await until(lambda: here.state() is State.WAITING)
    return here.pool.states()[0].reason


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed during the handshake"),
        (b"garbage\r\n\r\n", "no websocket"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "HTTP 200 OK"),
        (b"HTTP/1.1 301 Moved Permanently\r\nLocation: ws://127.0.0.1:1/\r\n\r\n", "HTTP 301 Moved Permanently"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "no websocket"),
        (b"HTTP/1.1 999 \x1b[31m\r\n\r\n", "no websocket"),
        (b"x" * 100_000, "no websocket"),
    ],
)
async def test_a_server_that_is_no_relay(answer: bytes, words: str) -> None:
    """Whatever stands at the address: a reason, in printable words."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, desk([f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"], ONCE) as here:
        why = await reason(here)
        assert words in why
        assert why.isprintable()
        assert len(why) <= 500


async def test_http_error() -> None:
    """A web server that knows no websocket is named by its status."""
    async with running(HttpErrorRelay()) as urls, desk(urls, ONCE) as here:
        assert await reason(here) == "HTTP 503 Service Unavailable"


async def test_nobody_there() -> None:
    """A port where nobody listens, and a name that nobody has."""
    gone = Relay()
    async with running(gone):
        pass
    async with desk([gone.url], ONCE) as here:
        assert await reason(here) == "connection refused"
    async with desk(["ws://nobody.invalid"], ONCE) as here:
        assert await reason(here) == "its name is not known here"


async def test_black_hole() -> None:
    """A server that accepts and says nothing is given up when the time is up, and left at once when we end."""
    hole = BlackHole()
    async with running(hole) as urls:
        async with desk(urls, Options(connect_timeout=0.05, backoff_base=1000.0, backoff_cap=1000.0)) as here:
            assert await reason(here) == "no answer within 0.05 s"
        async with desk(urls, Options(connect_timeout=3600.0)) as here:
            await until(lambda: hole.accepted == 2)
            assert here.state() is State.CONNECTING
        assert here.state() is State.CLOSED


def server_tls() -> ssl.SSLContext:
    """A TLS server with the tests' own certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def test_tls() -> None:
    """wss:// works with a certificate that is trusted, and not with one that is not."""
    relay = Relay()
    relay.tls = server_tls()
    relay.stored.append(note("secret"))
    async with running(relay) as urls:
        async with desk(urls, tls=ssl.create_default_context(cafile=CERTIFICATE)) as here:
            here.pool.subscribe("s", [NOTES])
            assert await here.pool.wait_eose("s", 10)
            assert here.contents() == ["secret"]
        async with desk(urls, ONCE) as here:
            assert (await reason(here)).startswith("TLS: self-signed certificate")


async def test_tls_with_one_who_does_not_speak_it() -> None:
    """wss:// at a plain port is a TLS error, ws:// at a TLS port no websocket."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server, desk([f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}"], ONCE) as here:
        assert (await reason(here)).startswith("TLS: ")
    secret = Relay()
    secret.tls = server_tls()
    async with running(secret), desk([secret.url.replace("wss:", "ws:")], ONCE) as here:
        assert await reason(here) == "the connection was closed during the handshake"


class OddRelay(Relay):
    """Sends one frame of some kind as soon as it is connected."""

    def __init__(self, kind: WSMsgType, payload: bytes) -> None:
        super().__init__()
        self.frame = (kind, payload)

    def on_connect(self, peer: Peer) -> None:
        assert peer.transport is not None
        peer.transport.send(*self.frame)


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        (WSMsgType.BINARY, b"abc", "only text messages"),
        (WSMsgType.CONTINUATION, b"abc", "continuation of nothing"),
        (WSMsgType.TEXT, b"x" * 3_000_000, "exceeding max allowed size"),
        (WSMsgType.CLOSE, b"\x03\xe9bye\xe2\x80\xae", "the relay closed the connection (1001 bye\N{REPLACEMENT CHARACTER})"),
        (WSMsgType.CLOSE, b"\x00\x01", "invalid close code"),
        (WSMsgType.CLOSE, b"", "connection was lost"),
    ],
)
async def test_frames_that_end_a_connection(kind: WSMsgType, payload: bytes, words: str) -> None:
    """What breaks RFC 6455, or our bounds, ends the connection with a reason."""
    async with running(OddRelay(kind, payload)) as urls, desk(urls, ONCE) as here:
        assert words in await reason(here)


class ChattyRelay(Relay):
    """Answers no ping, and says the same every 100 ms."""

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self.auto_pong = False
        self.text = text

    def listener(self, request: WSUpgradeRequest) -> WSListener:
        return Chatter(self.text)


class Chatter(WSListener):
    """Stands in for a relay whose pongs are lost."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    def on_ws_connected(self, transport: WSTransport) -> None:
        if not transport.is_disconnected:
            transport.send(WSMsgType.TEXT, self.text)
            asyncio.get_running_loop().call_later(0.1, self.on_ws_connected, transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


async def test_no_pong(caplog: pytest.LogCaptureFixture) -> None:
    """A relay that is silent to our ping is gone; one that says other things, if only what we know already, is only slow."""
    impatient = Options(ping_interval=0.02, pong_timeout=0.1, close_timeout=0.05, backoff_base=1000.0, backoff_cap=1000.0)
    async with running(DeafRelay()) as urls, desk(urls, impatient) as here:
        assert await reason(here) == "no pong within 0.1 s"
    slow = Options(pong_timeout=0.3, backoff_base=1000.0, backoff_cap=1000.0)
    caplog.set_level(logging.INFO, "pylon.relay")
    async with running(ChattyRelay(b'["NOTICE","busy"]')) as urls, desk(urls, slow) as here:
        await until(lambda: caplog.text.count("says 'busy'") == 8)
        assert here.state() is State.OPEN
    async with running(ChattyRelay(deliver(deliver_head("s"), encode(note("again"))))) as urls:
        here = Desk(urls, slow)
        here.pool.subscribe("s", [NOTES])
        await here.pool.start()
        await until(lambda: len(here.repeats) == 8)
        assert here.repeats[0] == (note("again").id, urls[0])
        assert here.contents() == ["again"]
        assert here.state() is State.OPEN
        await here.pool.aclose()


async def test_round_trip() -> None:
    """The round trip of every open line is measured, and unknown when it is not open."""
    relay = Relay()
    async with running(relay) as urls, desk(urls, ONCE) as here:
        await until(lambda: here.pool.states()[0].rtt_ms is not None)
        relay.peers[0].hang_up()
        await until(lambda: here.state() is State.WAITING)
        assert here.pool.states()[0].rtt_ms is None


async def test_a_slow_reader_is_not_written_to_without_end() -> None:
    """What a relay does not read waits with us, not in the socket's buffer, and our end does not wait for it."""
    relay = DeafRelay()
    async with running(relay) as urls, desk(urls, Options(close_timeout=0.1)) as here:
        await here.pool.wait_connected(5)
        publications = [here.pool.publish(note(f"{number} " + "x" * 100_000, by=9)) for number in range(100)]
        with pytest.raises(NoRelay, match="no answer"):
            await publications[0].accepted(0.05)
        (link,) = here.pool._links.values()
        transport = link._transport
        assert transport is not None
        assert transport.underlying_transport.get_write_buffer_size() < 1_000_000
    assert here.state() is State.CLOSED


class BusyRelay(Relay):
    """Closes every subscription once, for a passing reason."""

    def on_req(self, peer: Peer, sub: str, filters: list[Filter]) -> None:
        if len(self.said("REQ")) <= 2:
            peer.say("CLOSED", sub, "rate-limited: slow down")
        else:
            super().on_req(peer, sub, filters)


async def test_a_closed_subscription_is_asked_again() -> None:
    """A CLOSED for a passing reason is followed by another REQ after a while, on the same connection."""
    relay = BusyRelay()
    async with running(relay) as urls, desk(urls) as here:
        here.pool.subscribe("s", [NOTES])
        assert await here.pool.wait_eose("s", 10)
        assert len(relay.said("REQ")) == 3
        assert relay.connections == 1


class SilentAuthRelay(AuthRelay):
    """Asks for AUTH and never answers it."""

    def on_auth(self, peer: Peer, event: VerifiedEvent) -> None:
        peer.authenticated.add(event.pubkey)


async def test_auth_without_answer() -> None:
    """A relay that takes AUTH silently is used after a while."""
    async with running(SilentAuthRelay()) as urls, desk(urls, Options(auth_timeout=0.05, close_timeout=0.2)) as here:
        here.pool.subscribe("s", [NOTES])
        assert await here.pool.wait_eose("s", 10)
        assert here.state() is State.OPEN


async def test_wake() -> None:
    """A relay that waits for its next attempt is tried at once when somebody asks for it."""
    relay = Relay()
    async with running(relay):
        pass
    async with desk([relay.url], ONCE) as here:
        assert await reason(here) == "connection refused"
        async with running(relay):
            await here.pool.ensure([relay.url])
            assert await here.pool.wait_connected(10)


@pytest.mark.parametrize("options", [QUICK, ONCE], ids=["quick", "slow"])
async def test_ends_from_every_state(options: Options) -> None:
    """`aclose` ends a line that was never started, connects, is open, or waits."""
    relay, gone = Relay(), Relay()
    async with running(gone):
        pass
    never = Desk([relay.url], options)
    await never.pool.aclose()
    async with running(relay):
        async with desk([relay.url, gone.url], options):
            pass
        async with desk([relay.url, gone.url], options) as here:
            await until(lambda: here.state(0) is State.OPEN and here.pool.states()[1].reason)
        assert [state.state for state in here.pool.states()] == [State.CLOSED, State.CLOSED]
