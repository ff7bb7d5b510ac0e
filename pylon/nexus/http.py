"""What the relay says to plain HTTP on its one port: NIP-11 (https://github.com/nostr-protocol/nips/blob/master/11.md) and `/health`.

picows speaks the websocket handshake and knows no other method than GET, so the head of every connection is read here first; one that
asks for a websocket is handed on, bytes unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from pylon import __version__
from pylon.config import NexusConfig
from pylon.nexus import policy, session
from pylon.nostr.message import MAX_SUB_LENGTH
from pylon.nostr.nip11 import CORS_HEADERS, MEDIA_TYPE, Limitation, RelayInfo, encode

MAX_HEAD: Final = 16 * 1024
"""Bytes of a request's head."""
SUPPORTED_NIPS: Final = (1, 9, 11, 40, 42, 59, 62, 70)


class Limits(Limitation, frozen=True, omit_defaults=True):
    """NIP-11's limits, and two of ours in the same place ("clients MUST ignore any additional fields they do not understand")."""

    max_filters: int | None = None
    max_filter_values: int | None = None


class Request(msgspec.Struct, frozen=True):
    """The head of a request; the names of its headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def wants_websocket(self) -> bool:
        """Whether it is an opening handshake (RFC 6455 4.1)."""
        return self.method == "GET" and self.headers.get("upgrade", "").lower() == "websocket"


def information(config: NexusConfig) -> bytes:
    """The relay information document: what is enforced, as it is enforced."""
    return encode(
        RelayInfo(
            name=config.name,
            description="A relay for machines that buy and sell compute (NIP-90). Every connection authenticates (NIP-42).",
            supported_nips=SUPPORTED_NIPS,
            software="pylon nexus",
            version=__version__,
            limitation=Limits(
                max_message_length=config.max_message_bytes,
                max_subscriptions=session.MAX_SUBSCRIPTIONS,
                max_limit=session.MAX_LIMIT,
                default_limit=session.MAX_LIMIT,
                max_subid_length=MAX_SUB_LENGTH,
                max_event_tags=policy.MAX_TAGS,
                min_pow_difficulty=0,
                auth_required=True,
                payment_required=False,
                restricted_writes=False,
                created_at_upper_limit=policy.MAX_FUTURE,
                max_filters=session.MAX_FILTERS,
                max_filter_values=session.MAX_VALUES,
            ),
        )
    )


def parse(head: bytes) -> Request | None:
    """The request in `head` (without the empty line at its end), or None where it is none."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    pairs = (line.partition(":") for line in lines[1:])
    return Request(words[0], words[1].partition("?")[0], {name.strip().lower(): value.strip() for name, _, value in pairs})


def respond(request: Request | None, document: bytes) -> bytes:
    """The whole response to a request that is not handed on: no handshake, not at the one endpoint, or one for which there is no room."""
    if request is None:
        return _response(HTTPStatus.BAD_REQUEST, b"this is not HTTP/1.1\n")
    if request.method == "OPTIONS":
        # NIP-11: "Relays MUST accept CORS requests"; this is the preflight.
        return _response(HTTPStatus.NO_CONTENT, b"")
    if request.method != "GET":
        return _response(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and OPTIONS are answered here\n", allow="GET, OPTIONS")
    if request.path == "/health":
        return _response(HTTPStatus.OK, b"ok\n")
    if request.path not in ("", "/"):
        return _response(HTTPStatus.NOT_FOUND, b"there is nothing here; the relay is at /\n")
    if request.wants_websocket:
        return _response(HTTPStatus.SERVICE_UNAVAILABLE, b"too many connections; try again later\n")
    if MEDIA_TYPE in request.headers.get("accept", "").lower():  # RFC 9110 8.3.1: a type's name is "case-insensitive"
        return _response(HTTPStatus.OK, document, content_type=MEDIA_TYPE)
    return _response(HTTPStatus.OK, b"This is a Nostr relay: connect with a websocket.\n")


def _response(status: HTTPStatus, body: bytes, *, content_type: str = "text/plain; charset=utf-8", allow: str = "") -> bytes:
    headers = [*CORS_HEADERS, ("Content-Length", str(len(body))), ("Connection", "close")]
    if body:
        headers.append(("Content-Type", content_type))
    if allow:
        headers.append(("Allow", allow))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode() + body
