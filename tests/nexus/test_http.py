"""NIP-11 and the rest of HTTP on the relay's port."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping

import httpx
import pytest

from pylon import __version__
from pylon.nexus import policy, session
from pylon.nexus.http import parse, respond
from pylon.nexus.server import Server
from tests.nexus.client import ALICE, Client, note

ACCEPT = {"Accept": "application/nostr+json"}


def url(relay: Server, path: str = "/") -> str:
    """The same port, for HTTP."""
    return relay.url.replace("ws://", "http://") + path


def has_cors(headers: Mapping[str, str]) -> bool:
    """NIP-11: "Access-Control-Allow-Origin, Access-Control-Allow-Headers, and Access-Control-Allow-Methods headers"."""
    named = {"access-control-allow-headers", "access-control-allow-methods"}
    return headers["access-control-allow-origin"] == "*" and named <= set(headers)


async def test_the_information_document(relay: Server) -> None:
    """What is announced is what is enforced (test_session, test_policy and test_relay_limits hold it to the same constants)."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(url(relay), headers=ACCEPT)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/nostr+json"
    assert has_cors(answer.headers)
    document = answer.json()
    assert document["name"] == "Nexus"
    assert document["version"] == __version__
    assert set(document["supported_nips"]) == {1, 9, 11, 40, 42, 59, 62, 70}
    assert document["limitation"] == {
        "max_message_length": 1_048_576, "max_subscriptions": session.MAX_SUBSCRIPTIONS, "max_limit": session.MAX_LIMIT,
        "default_limit": session.MAX_LIMIT, "max_subid_length": 64, "max_event_tags": policy.MAX_TAGS, "min_pow_difficulty": 0,
        "auth_required": True, "payment_required": False, "restricted_writes": False, "created_at_upper_limit": policy.MAX_FUTURE,
        "max_filters": session.MAX_FILTERS, "max_filter_values": session.MAX_VALUES,
    }  # fmt: skip
    assert session.MAX_LIMIT >= 500
    assert session.MAX_SUBSCRIPTIONS >= 20


async def test_the_case_of_the_media_type(relay: Server) -> None:
    """RFC 9110 8.3.1: the names of media types are case-insensitive."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(url(relay), headers={"Accept": "text/html, Application/Nostr+JSON"})
    assert answer.headers["content-type"] == "application/nostr+json"


async def test_the_preflight(relay: Server) -> None:
    """A browser asks with OPTIONS before it asks with its own Accept header."""
    async with httpx.AsyncClient() as client:
        asked = {"Origin": "http://example.org", "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "accept"}
        answer = await client.options(url(relay), headers=asked)
    assert answer.status_code == 204
    assert has_cors(answer.headers)


async def test_other_requests(relay: Server) -> None:
    """Health, a word for people, and what there is not; CORS on all of them."""
    async with httpx.AsyncClient() as client:
        health = await client.get(url(relay, "/health"))
        assert (health.status_code, health.text) == (200, "ok\n")
        assert (await client.get(url(relay))).status_code == 200
        missing = await client.get(url(relay, "/other"), headers=ACCEPT)
        assert missing.status_code == 404
        refused = await client.post(url(relay), content=b"x" * 100_000)
        assert refused.status_code == 405
        for answer in (health, missing, refused):
            assert has_cors(answer.headers)


async def exchange(relay: Server, *pieces: bytes) -> bytes:
    """Send raw bytes, piece by piece, and read until the relay has nothing more to say for now."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    answer = await asyncio.wait_for(reader.read(65536), 10)
    writer.close()
    return answer


def handshake(path: str = "/", connection: str = "Upgrade", upgrade: str = "websocket") -> bytes:
    """An opening handshake of RFC 6455."""
    key = base64.b64encode(b"0123456789abcdef").decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: {upgrade}\r\nConnection: {connection}\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (handshake(), 101), (handshake(connection="keep-alive, Upgrade"), 101), (handshake(upgrade="WebSocket"), 101),
        (handshake("/?x=1"), 101), (handshake("/other"), 404), (handshake().replace(b"13", b"99"), 400),
        (handshake().replace(b"Sec-WebSocket-Key", b"X"), 400),
        (handshake(connection="close"), 400), (b"nonsense\r\n\r\n", 400), (b"GET /\r\n\r\n", 400), (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, 400), (b"HEAD / HTTP/1.1\r\n\r\n", 405),
    ],
)  # fmt: skip
async def test_handshakes(relay: Server, request_bytes: bytes, status: int) -> None:
    """A websocket is opened at one endpoint only ("/"), by what RFC 6455 asks for; anything else gets an HTTP answer, or is cut off."""
    answer = await exchange(relay, request_bytes)
    assert answer.split(b" ")[1] == str(status).encode()


async def test_a_handshake_byte_by_byte(relay: Server) -> None:
    """The head may come in any pieces."""
    answer = await exchange(relay, *(bytes((byte,)) for byte in handshake()))
    assert answer.startswith(b"HTTP/1.1 101 ")


async def test_a_frame_in_the_packet_of_the_handshake(relay: Server) -> None:
    """What stands behind the head is not lost."""
    text = b'["NOPE"]'
    masked = bytes((0x81, 0x80 | len(text))) + b"\x00" * 4 + text
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(handshake() + masked)
    await asyncio.wait_for(reader.readuntil(b'"NOTICE"'), 10)
    writer.close()


async def test_a_silent_connection_is_cut(relay: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects and says nothing is not kept."""
    monkeypatch.setattr("pylon.nexus.server.HANDSHAKE_TIMEOUT", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"GET / HT")
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    client = await Client.open(relay.url, ALICE)
    await client.accept(note())
    await client.aclose()


async def test_too_many_connections(relay: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handshake for which there is no room gets 503, and one after somebody has left is welcome."""
    monkeypatch.setattr("pylon.nexus.server.MAX_CONNECTIONS", 1)
    client = await Client.open(relay.url, ALICE)
    assert (await exchange(relay, handshake())).startswith(b"HTTP/1.1 503 ")
    (peer,) = relay._relay.peers
    await client.aclose()
    await asyncio.wait_for(peer.gone, 10)
    assert (await exchange(relay, handshake())).startswith(b"HTTP/1.1 101 ")


def test_heads_that_are_none() -> None:
    """Whatever bytes come, there is an answer and no exception."""
    for head in (b"", b" ", b"\xff\xfe", b"GET / HTTP/1.1\r\n:\r\nno colon\r\n: x", b"GET  / HTTP/1.1", b"GET / HTTP/2"):
        assert respond(parse(head), b"{}").startswith(b"HTTP/1.1 ")
