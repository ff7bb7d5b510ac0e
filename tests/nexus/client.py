"""A small client of the relay for its tests: says what it is told to say, and keeps everything that comes back."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

import msgspec
import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from pylon._native import Signer
from pylon.nostr.event import Draft, Tags, VerifiedEvent, sign
from pylon.nostr.nip42 import auth_draft
from tests.forge import encode

TIMEOUT = 20.0
NOW = 1_750_000_000
"""The time of the tests' clock."""

Message = list[object]

_numbers = itertools.count()


def key(number: int) -> Signer:
    """A signer with a fixed secret key."""
    return Signer(number.to_bytes(32, "big"))


ALICE, BOB, CAROL = key(1), key(2), key(3)


def hex_key(signer: Signer) -> str:
    """The public key as it stands in events."""
    return signer.pubkey.hex()


def note(
    signer: Signer = ALICE, content: str | None = None, *, kind: int = 1, tags: Iterable[Sequence[str]] = (), created_at: int = NOW
) -> VerifiedEvent:
    """A signed event. Without `content` no two are equal."""
    frozen: Tags = tuple(tuple(tag) for tag in tags)
    return sign(Draft(kind, created_at, f"note {next(_numbers)}" if content is None else content, frozen), signer)


class _Listener(WSListener):
    def __init__(self) -> None:
        self.inbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self.close_code: int | None = None
        self.close_reason = ""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.inbox.put_nowait(orjson.loads(frame.get_payload_as_bytes()))
        elif frame.msg_type == WSMsgType.CLOSE:
            self.close_code = int(frame.get_close_code())  # type: ignore[call-overload]  # an int enum, which the stub does not say
            self.close_reason = frame.get_close_reason()
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.inbox.put_nowait(None)


class Closed(Exception):
    """The relay has closed the connection."""


class Client:
    """One connection. `challenge` is the relay's first word."""

    def __init__(self, url: str, transport: WSTransport, listener: _Listener) -> None:
        self.url = url
        self.transport = transport
        self.challenge = ""
        self._listener = listener

    @classmethod
    async def open(cls, url: str, *signers: Signer, now: int = NOW, headers: Mapping[str, str] | None = None) -> Client:
        """Connect, read the challenge and authenticate as every one of `signers`."""
        transport, listener = await ws_connect(_Listener, url, extra_headers=headers)
        assert isinstance(listener, _Listener)
        client = cls(url, transport, listener)
        hello = await client.receive()
        assert hello[0] == "AUTH"
        client.challenge = str(hello[1])
        for signer in signers:
            answer = await client.auth(signer, created_at=now)
            assert answer[2] is True, answer
        return client

    @property
    def close_code(self) -> int | None:
        """The code of the relay's CLOSE."""
        return self._listener.close_code

    @property
    def close_reason(self) -> str:
        """The reason of the relay's CLOSE."""
        return self._listener.close_reason

    async def aclose(self) -> None:
        """Hang up."""
        self.transport.disconnect()
        with contextlib.suppress(ConnectionError):
            await self.transport.wait_disconnected()

    def say(self, *message: object) -> None:
        """Send one message; events may be given as they are."""
        parts = [encode(part) if isinstance(part, VerifiedEvent) else msgspec.json.encode(part) for part in message]
        self.raw(b"[" + b",".join(parts) + b"]")

    def raw(self, text: bytes) -> None:
        """Send this text."""
        self.transport.send(WSMsgType.TEXT, text)

    async def receive(self) -> Message:
        """The next message of the relay. Raises Closed when there are no more."""
        message = await asyncio.wait_for(self._listener.inbox.get(), TIMEOUT)
        if message is None:
            raise Closed(self.close_code, self.close_reason)
        return message

    def pending(self) -> list[Message]:
        """What has come and was not received yet."""
        found = []
        while not self._listener.inbox.empty():
            message = self._listener.inbox.get_nowait()
            if message is not None:
                found.append(message)
        return found

    async def auth(self, signer: Signer, *, url: str | None = None, challenge: str | None = None, created_at: int = NOW) -> Message:
        """Authenticate, and the relay's answer."""
        event = sign(auth_draft(url or self.url, challenge or self.challenge, created_at), signer)
        self.say("AUTH", event)
        answer = await self.receive()
        assert answer[:2] == ["OK", event.id]
        return answer

    async def publish(self, event: VerifiedEvent) -> Message:
        """Publish, and the relay's OK; other messages before it are an error of the test."""
        self.say("EVENT", event)
        answer = await self.receive()
        assert answer[:2] == ["OK", event.id], answer
        return answer

    async def accept(self, *events: VerifiedEvent) -> None:
        """Publish; each must be accepted."""
        for event in events:
            answer = await self.publish(event)
            assert answer[2] is True, answer

    async def stored(self, *filters: dict[str, object], name: str = "q") -> list[dict[str, object]]:
        """What the relay has stored for these filters, in its order; the subscription is closed again."""
        self.say("REQ", name, *filters)
        events = []
        while (message := await self.receive())[0] == "EVENT":
            assert message[1] == name
            event = message[2]
            assert isinstance(event, dict)
            events.append(event)
        assert message == ["EOSE", name], message
        self.say("CLOSE", name)
        return events

    async def ids(self, *filters: dict[str, object]) -> list[object]:
        """The ids of what is stored."""
        return [event["id"] for event in await self.stored(*filters)]

    async def settled(self) -> list[Message]:
        """Everything the relay has said to what was said so far: a query for nothing is asked, and all before its EOSE returned."""
        self.say("REQ", "settle", {"ids": [], "limit": 0})
        found = []
        while (message := await self.receive()) != ["EOSE", "settle"]:
            found.append(message)
        self.say("CLOSE", "settle")
        return found


@contextlib.asynccontextmanager
async def connected(url: str, *signers: Signer, now: int = NOW) -> AsyncIterator[Client]:
    """A client for the length of a block."""
    client = await Client.open(url, *signers, now=now)
    try:
        yield client
    finally:
        await client.aclose()
