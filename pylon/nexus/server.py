"""Nexus as a server: one port for websockets and HTTP, a store in a folder of its own, a clean end.

`serve` starts it; `Server.aclose` answers what was received, writes it to disk, and says goodbye (1001) to every connection.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

import aiofastnet
from picows import WSAutoPingStrategy, WSCloseCode, WSTransport, WSUpgradeRequest
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # picows' stub leaves it out; its own api.py uses it in the same way

from pylon._native.frames import FrameListener
from pylon.config import NexusConfig
from pylon.errors import PylonError
from pylon.nexus import http
from pylon.nexus.peer import CLOSE_TIMEOUT, Peer
from pylon.nexus.policy import POLICIES, Policy
from pylon.nexus.relay import Relay
from pylon.nexus.session import Session
from pylon.nexus.store import Store

HANDSHAKE_TIMEOUT: Final = 5.0
"""Seconds in which a client must have said what it wants."""
PING_IDLE: Final = 45.0
"""Seconds of silence after which a client is pinged."""
PING_REPLY: Final = 20.0
"""Seconds in which it must answer: a connection whose other end has gone without a word is not kept."""
MAX_CONNECTIONS: Final = 10_000
EXPIRY_PERIOD: Final = 1.0
"""Seconds between two looks for expired events. They are not served meanwhile: this frees their memory."""
BACKLOG: Final = 1024

# What strangers do wrong in a handshake or a frame is no news; picows would log each as an error.
_quiet = logging.getLogger("pylon.nexus.frames")
_quiet.setLevel(logging.CRITICAL)


class CannotListen(PylonError):
    """The address cannot be listened on."""

    code = "nexus_address"


class Server:
    """A running relay."""

    def __init__(self, config: NexusConfig, store: Store, relay: Relay, listener: asyncio.Server) -> None:
        self._config = config
        self._store = store
        self._relay = relay
        self._listener = listener
        self._expiry = asyncio.get_running_loop().call_later(EXPIRY_PERIOD, self._expire)
        self._ended: asyncio.Future[None] | None = None

    @property
    def port(self) -> int:
        """The TCP port, the actual one where 0 was asked for."""
        return _port(self._listener)

    @property
    def url(self) -> str:
        """Where a client on this machine reaches the relay."""
        return _url(_reachable(self._config.host), self.port)

    async def aclose(self) -> None:
        """End: every event that was received is answered and on disk when this returns. Safe to call twice."""
        if self._ended is not None:
            await asyncio.shield(self._ended)
            return
        self._ended = asyncio.get_running_loop().create_future()
        self._expiry.cancel()
        self._listener.close()
        await self._relay.aclose()
        await self._store.aclose()
        gone = [peer.gone for peer in self._relay.peers]
        for peer in list(self._relay.peers):
            peer.close(WSCloseCode.GOING_AWAY, "the relay is shutting down")
        if gone:
            # A peer that does not take its CLOSE is cut by then.
            await asyncio.wait(gone, timeout=2 * CLOSE_TIMEOUT)
        self._ended.set_result(None)

    def _expire(self) -> None:
        self._relay.expire()
        self._expiry = asyncio.get_running_loop().call_later(EXPIRY_PERIOD, self._expire)


async def serve(
    config: NexusConfig, data: Path, *, clock: Callable[[], float] = time.time, policies: tuple[Policy, ...] = POLICIES
) -> Server:
    """Start a relay that keeps its events in the folder `data`.

    Raises CannotListen (the port is taken), store.Locked (another relay uses the folder), log.LogError. `clock` gives Unix seconds.
    """
    store = Store.open(data, int(clock()))
    relay = Relay(store, policies, clock)
    door = Door(config, relay)
    loop = asyncio.get_running_loop()
    try:
        listener = await aiofastnet.create_server(loop, lambda: Front(door), config.host, config.port, backlog=BACKLOG)
    except OSError as error:
        await relay.aclose()
        await store.aclose()
        raise _cannot_listen(config, error) from error
    door.port = _port(listener)
    return Server(config, store, relay, listener)


class Door:
    """What every new connection needs to know."""

    def __init__(self, config: NexusConfig, relay: Relay) -> None:
        self.config = config
        self.relay = relay
        self.port = config.port
        self.document = http.information(config)

    def new_session(self, transport: WSTransport) -> Session:
        """A session with a challenge of its own. Its names are the configured ones and our own addresses, never the Host header."""
        names = {*self.config.urls, _url(self.config.host, self.port)}
        address = transport.underlying_transport.get_extra_info("sockname")
        names.add(_url(address[0], address[1]))
        if _is_loopback(self.config.host) or _is_wildcard(self.config.host):
            names.update(_url(host, self.port) for host in ("127.0.0.1", "localhost", "::1"))
        return Session(secrets.token_hex(32), frozenset(names))

    def new_listener(self, request: WSUpgradeRequest) -> FrameListener:
        """picows' factory: the handshake is about to be checked."""
        # RFC 6455 4.2.1: "a Connection header field that includes the token Upgrade"; picows wants nothing beside it.
        if "upgrade" in [token.strip().lower() for token in request.headers.get("connection", "").split(",")]:
            request.headers["connection"] = "Upgrade"
        return FrameListener(Peer(self.relay, self.new_session), self.config.max_message_bytes)


class Front(asyncio.Protocol):
    """A connection of which nothing is known yet: reads the head of its request, then answers it or hands it to picows."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection was accepted."""
        self._transport = cast(asyncio.Transport, transport)  # aiofastnet's is one in all but name
        self._timer = asyncio.get_running_loop().call_later(HANDSHAKE_TIMEOUT, self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: it ended before it became a websocket."""
        self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """asyncio: a piece of the head."""
        if self._transport.is_closing():
            return
        self._head += data
        head, end, _ = self._head.partition(b"\r\n\r\n")
        if not end and len(head) <= http.MAX_HEAD:
            return
        self._timer.cancel()
        request = http.parse(head) if len(head) <= http.MAX_HEAD else None
        room = len(self._door.relay.peers) < MAX_CONNECTIONS
        if request is not None and request.wants_websocket and request.path in ("", "/") and room:
            self._upgrade()
        else:
            self._transport.write(http.respond(request, self._door.document))
            self._transport.close()

    def _upgrade(self) -> None:
        protocol = WSProtocol(
            None, None, False, self._door.new_listener, _quiet,
            True,  # disconnect when the listener raises
            HANDSHAKE_TIMEOUT,
            True, PING_IDLE, PING_REPLY, WSAutoPingStrategy.PING_WHEN_IDLE,
            True,  # answer pings
            self._door.config.max_message_bytes,
            None,
            16 * 1024,
        )  # fmt: skip
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        rest = memoryview(self._head)
        while rest:
            buffer = protocol.get_buffer(-1)
            size = min(len(buffer), len(rest))
            buffer[:size] = rest[:size]
            rest = rest[size:]
            protocol.buffer_updated(size)


def _port(listener: asyncio.Server) -> int:
    port: int = listener.sockets[0].getsockname()[1]
    return port


def _url(host: str, port: int) -> str:
    return f"ws://[{host}]:{port}" if ":" in host else f"ws://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""


def _reachable(host: str) -> str:
    return "127.0.0.1" if _is_wildcard(host) else host


def _cannot_listen(config: NexusConfig, error: OSError) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        return CannotListen(f"port {config.port} of {config.host} is in use", hint="stop what listens there, or choose another --port")
    why = error.strerror or str(error)
    return CannotListen(f"cannot listen on {config.host}, port {config.port}: {why}", hint="choose another --host or --port")
