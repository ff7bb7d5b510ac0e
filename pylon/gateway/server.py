"""The gateway's listener: uvicorn on a socket of our own, with bounded connections, and an end that waits for no stranger."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from pylon.errors import PylonError

MOST_CONNECTIONS: Final = 256
HEAD_S = 15.0
"""Seconds in which a connection must bring the head of a request."""

KEEP_ALIVE_S: Final = 30
"""Seconds that an idle connection is kept for the next request."""

GRACE_S: Final = 5
"""Seconds that answers under way get at the end; after that they are broken off."""

FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n\r\n"
    b'{"error":{"message":"too many connections: try again later","type":"server_error","param":null,"code":"too_many_connections"}}'
)

# What strangers do wrong in their HTTP is no news; faults of ours are logged where they happen.
logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


class CannotListen(PylonError):
    """The address cannot be listened on."""

    code = "api_address"


class Connection(H11Protocol):
    """A connection that is refused where there are too many, and closed where the head of its request does not come."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """Begin."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.write(FULL)
            transport.close()
        else:
            self._wait(HEAD_S)

    def on_response_complete(self) -> None:
        """One request is answered; the next may come."""
        super().on_response_complete()
        self._wait(KEEP_ALIVE_S + HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _wait(self, seconds: float) -> None:
        """Close the connection unless a new request has begun by then."""
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.loop.call_later(seconds, self._check, self.cycle)

    def _check(self, cycle: object) -> None:
        if self.cycle is cycle:
            self.transport.close()


class _Uvicorn(uvicorn.Server):
    """uvicorn, whose end is decided by us: it takes no signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield


class Server:
    """A running gateway; `url` is where a client on this machine reaches it."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
        self.url = _url(listener)
        self._uvicorn = _Uvicorn(config)
        self._running = asyncio.create_task(self._uvicorn.serve([listener]), name="gateway")

    async def aclose(self) -> None:
        """Take no more connections; let answers under way end, or break them off after the grace time."""
        self._uvicorn.should_exit = True
        await self._running
        # uvicorn has cancelled what is left; it is over when the engines' streams are closed.
        await asyncio.gather(*self._uvicorn.server_state.tasks, return_exceptions=True)


def serve(app: ASGIApp, host: str, port: int) -> Server:
    """Listen on `host` and `port` (0: any free one). Raises CannotListen."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        raise _cannot_listen(host, port, error) from error
    return Server(app, listener)


def _cannot_listen(host: str, port: int, error: OSError | UnicodeError) -> CannotListen:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return CannotListen(f"port {port} of {host} is in use", hint="stop what listens there, or choose another with --bind")
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return CannotListen(f"cannot listen on {host}, port {port}: {why}", hint="choose another address with --bind")


def _url(listener: socket.socket) -> str:
    """The address as a URL; for one that means all of them, the loopback."""
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
