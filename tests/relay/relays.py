"""Scripted relays on the loopback: a small honest one, and one class for each way in which relays misbehave."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from picows import WSListener, WSMsgType, WSTransport, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from pylon._native import Signer
from pylon._native.frames import FrameListener
from pylon.nostr.event import Draft, VerifiedEvent, check, sign
from pylon.nostr.filter import Filter, decode_filter
from pylon.nostr.nip42 import AuthRefused, check_auth
from tests.forge import encode

NOW = 1_800_000_000
"""What the tests' clock shows."""


def signer(number: int) -> Signer:
    """The key of one of the people in these tests."""
    return Signer(number.to_bytes(32, "big"))


def note(text: str, *, by: int = 1, kind: int = 1, at: int = NOW, tags: tuple[tuple[str, ...], ...] = ()) -> VerifiedEvent:
    """A signed event."""
    return sign(Draft(kind, at, text, tags), signer(by))


class Peer:
    """One connection as the relay sees it (pylon._native.frames.Sink)."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.transport: WSTransport | None = None
        self.subs: dict[str, list[Filter]] = {}
        self.authenticated: set[str] = set()
        self.challenge = ""

    def say(self, *parts: object) -> None:
        """Send one message."""
        self.send(json.dumps(parts).encode())

    def send(self, text: bytes) -> None:
        """Send one text as it is."""
        if self.transport is not None:
            self.transport.send(WSMsgType.TEXT, text)

    def deliver(self, sub: str, event: VerifiedEvent) -> None:
        """Send one event."""
        self.send(b'["EVENT",' + json.dumps(sub).encode() + b"," + encode(event) + b"]")

    def hang_up(self) -> None:
        """Cut the connection without a word."""
        if self.transport is not None:
            self.transport.disconnect(False)

    def connected(self, transport: WSTransport, /) -> None:
        self.transport = transport
        self.relay.peers.append(self)
        self.relay.connections += 1
        self.relay.on_connect(self)

    def messages(self, texts: list[bytes], /) -> None:
        for text in texts:
            name, *rest = json.loads(text)
            self.relay.heard.append([name, *rest])
            match name:
                case "REQ":
                    self.subs[rest[0]] = [decode_filter(json.dumps(part).encode()) for part in rest[1:]]
                    self.relay.on_req(self, rest[0], self.subs[rest[0]])
                case "CLOSE":
                    self.subs.pop(rest[0], None)
                case "EVENT":
                    self.relay.on_event(self, check(json.dumps(rest[0]).encode()))
                case "AUTH":
                    self.relay.on_auth(self, check(json.dumps(rest[0]).encode()))

    def closed(self, code: int | None, reason: str, /) -> None:
        self.transport = None
        self.relay.close_codes.append(code)
        self.relay.peers.remove(self)

    def paused(self, /) -> None:
        """Tests write little."""

    def resumed(self, /) -> None:
        """Tests write little."""


class Relay:
    """An honest relay: it keeps events in a list, answers REQ, sends what is new, says OK."""

    def __init__(self) -> None:
        self.stored: list[VerifiedEvent] = []
        self.peers: list[Peer] = []
        self.heard: list[list[object]] = []
        self.close_codes: list[int | None] = []
        self.connections = 0
        self.port = 0
        self.auto_pong = True
        self.tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, on the same port as before where there was one."""
        self._server = await ws_create_server(
            self.listener, "127.0.0.1", self.port, ssl=self.tls, max_frame_size=8 * 1024 * 1024, enable_auto_pong=self.auto_pong
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        assert self._server is not None
        self._server.close()
        gone = [peer.transport for peer in self.peers if peer.transport is not None]
        for peer in list(self.peers):
            peer.hang_up()
        for transport in gone:
            await transport.wait_disconnected()
        await self._server.wait_closed()

    def listener(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None:
        """Who listens to a new connection."""
        return FrameListener(Peer(self), 8 * 1024 * 1024)

    def said(self, name: str) -> list[list[object]]:
        """All messages of one name that were heard."""
        return [message for message in self.heard if message[0] == name]

    def on_connect(self, peer: Peer) -> None:
        """A connection is there."""

    def on_req(self, peer: Peer, sub: str, filters: list[Filter]) -> None:
        for event in self.stored:
            if any(wanted.matches(event) for wanted in filters):
                peer.deliver(sub, event)
        peer.say("EOSE", sub)

    def on_event(self, peer: Peer, event: VerifiedEvent) -> None:
        self.stored.append(event)
        peer.say("OK", event.id, True, "")
        self.broadcast(event)

    def broadcast(self, event: VerifiedEvent) -> None:
        """Send `event` to whoever asked for it."""
        for peer in self.peers:
            for sub, filters in peer.subs.items():
                if any(wanted.matches(event) for wanted in filters):
                    peer.deliver(sub, event)

    def on_auth(self, peer: Peer, event: VerifiedEvent) -> None:
        try:
            check_auth(event, peer.challenge, [self.url], NOW)
        except AuthRefused as error:
            peer.say("OK", event.id, False, str(error))
        else:
            peer.authenticated.add(event.pubkey)
            peer.say("OK", event.id, True, "")


class AuthRelay(Relay):
    """Asks for AUTH at once and refuses everything before it."""

    def on_connect(self, peer: Peer) -> None:
        self.challenge(peer)

    def challenge(self, peer: Peer) -> None:
        """Ask for AUTH."""
        peer.challenge = f"challenge-{self.connections}"
        peer.say("AUTH", peer.challenge)

    def on_req(self, peer: Peer, sub: str, filters: list[Filter]) -> None:
        if peer.authenticated:
            super().on_req(peer, sub, filters)
        else:
            del peer.subs[sub]
            peer.say("CLOSED", sub, "auth-required: who are you?")
            self.refused(peer)

    def on_event(self, peer: Peer, event: VerifiedEvent) -> None:
        if peer.authenticated:
            super().on_event(peer, event)
        else:
            peer.say("OK", event.id, False, "auth-required: who are you?")
            self.refused(peer)

    def refused(self, peer: Peer) -> None:
        """Something was refused."""


class LateAuthRelay(AuthRelay):
    """Asks for AUTH only when it refuses something, each time with the same challenge, as strfry and khatru do."""

    def on_connect(self, peer: Peer) -> None:
        """Nothing yet."""

    def refused(self, peer: Peer) -> None:
        self.challenge(peer)


class DenyingRelay(AuthRelay):
    """Takes nobody's AUTH."""

    def on_auth(self, peer: Peer, event: VerifiedEvent) -> None:
        peer.say("OK", event.id, False, "restricted: you are not on the list")


class MuteRelay(Relay):
    """Opens websockets and never says a word."""

    def on_req(self, peer: Peer, sub: str, filters: list[Filter]) -> None:
        """Silence."""

    def on_event(self, peer: Peer, event: VerifiedEvent) -> None:
        """Silence."""


class RefusingRelay(Relay):
    """Takes no event."""

    def on_event(self, peer: Peer, event: VerifiedEvent) -> None:
        peer.say("OK", event.id, False, "blocked: not here")


class ClosingRelay(Relay):
    """Hangs up in the middle of the stored events, the first `times` times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def on_req(self, peer: Peer, sub: str, filters: list[Filter]) -> None:
        if self.times:
            self.times -= 1
            peer.deliver(sub, self.stored[0])
            assert peer.transport is not None
            peer.transport.disconnect()
        else:
            super().on_req(peer, sub, filters)


class SpeakingRelay(Relay):
    """Answers a REQ with exactly the texts that `script` makes for the subscription."""

    def __init__(self, script: Callable[[str], list[bytes]]) -> None:
        super().__init__()
        self.script = script

    def on_req(self, peer: Peer, sub: str, filters: list[Filter]) -> None:
        for text in self.script(sub):
            peer.send(text)


class DeafRelay(Relay):
    """Takes the websocket and reads nothing any more."""

    def on_connect(self, peer: Peer) -> None:
        assert peer.transport is not None
        peer.transport.underlying_transport.pause_reading()


class SmallRelay(Relay):
    """Closes with 1009 what is longer than 4,000 bytes."""

    def listener(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None:
        return FrameListener(Peer(self), 4000)


class HttpErrorRelay(Relay):
    """A web server that knows no websockets."""

    def listener(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None:
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(503), None)


class BlackHole:
    """Accepts TCP and never answers the handshake."""

    def __init__(self) -> None:
        self.port = 0
        self.accepted = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"ws://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.append(writer)

    async def stop(self) -> None:
        """Stop listening."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
            await asyncio.wait((asyncio.ensure_future(writer.wait_closed()),))
        await self._server.wait_closed()


@asynccontextmanager
async def running(*relays: Relay | BlackHole) -> AsyncIterator[list[str]]:
    """The addresses of `relays`, running."""
    for relay in relays:
        await relay.start()
    try:
        yield [relay.url for relay in relays]
    finally:
        for relay in relays:
            await relay.stop()


