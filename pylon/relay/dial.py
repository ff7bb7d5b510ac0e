"""From an address to an open websocket, or one sentence that says why not (RFC 6455, section 4)."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

from picows import WSError, WSInvalidStatusError, WSListener, WSParsedURL, WSTransport, ws_connect

from pylon.errors import UsageError
from pylon.nostr.relay_url import normalize_url
from pylon.nostr.said import readable

# What picows would log about a bad peer is the reason in the link's state; a stranger's bytes have no place on a user's terminal.
_wire = logging.getLogger("pylon.relay.wire")
_wire.setLevel(logging.CRITICAL)


class Unreachable(Exception):
    """No websocket to this relay; the text says why, for a person."""


async def dial(
    url: str, listener: Callable[[], WSListener], *, seconds: float, max_message: int, tls: ssl.SSLContext | None
) -> WSTransport:
    """Open a websocket to `url` within `seconds` for the listener that `listener` makes. Raises Unreachable, and nothing else."""
    held: list[socket.socket] = []

    async def connect(address: WSParsedURL) -> socket.socket:
        held[:] = [await _connect(address.host, address.port, seconds)]
        return held[0]

    try:
        async with asyncio.timeout(seconds):
            transport, _ = await ws_connect(
                lambda request, response: listener(),
                url,
                ssl_context=tls,
                websocket_handshake_timeout=seconds,
                logger_name=_wire,
                max_frame_size=max_message,
                max_redirects=0,
                socket_factory=connect,
            )
    except (OSError, WSError, ValueError) as error:
        _give_up(held)
        raise Unreachable(_sentence(error, seconds)) from error
    except asyncio.CancelledError:
        _give_up(held)
        raise
    if transport.response is None:
        raise Unreachable("the connection was closed during the handshake")
    return transport


def _give_up(held: list[socket.socket]) -> None:
    """End a connection whose handshake nobody waits for any more; its transport sees the end of file and cleans up."""
    for sock in held:
        if sock.fileno() >= 0:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the peer was faster


async def _connect(host: str, port: int, seconds: float) -> socket.socket:
    """A connected TCP socket to the first address of `host` that answers; each has its share of the time."""
    loop = asyncio.get_running_loop()
    places = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in places:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(seconds / len(places)):
                await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _sentence(error: Exception, seconds: float) -> str:
    match error:
        case socket.gaierror():
            text = "its name is not known here"
        case ConnectionRefusedError():
            text = "connection refused"
        case ssl.SSLCertVerificationError():
            text = f"TLS: {error.verify_message}"
        case ssl.SSLError():
            text = f"TLS: {error.reason or error}"
        case TimeoutError():
            text = f"no answer within {seconds:g} s"
        case WSInvalidStatusError() if error.response is not None:
            text = f"HTTP {int(error.response.status)} {error.response.status.phrase}"
        case WSError():
            text = f"no websocket: {error}"
        case OSError():
            text = error.strerror or type(error).__name__
        case _:
            text = f"not an address: {error}"
    return readable(text)


def canonical(url: str) -> str:
    """The one spelling of a relay's address. Raises UsageError where it is none."""
    found = normalize_url(url)
    if found is None:
        raise UsageError(f"{url!r} is not the address of a relay", hint="an address looks like wss://relay.example.com")
    return found
