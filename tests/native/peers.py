"""Both ends of a websocket for the tests of the listener: a sink that remembers, and a peer that sends any bytes."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field

from picows import WSTransport

TEXT, CONTINUATION, BINARY, CLOSE, PING, PONG = 0x1, 0x0, 0x2, 0x8, 0x9, 0xA


@dataclass
class Recorder:
    """A sink that remembers, and fails where it is told to."""

    failing: set[str] = field(default_factory=set)
    batches: list[list[bytes]] = field(default_factory=list)
    transport: WSTransport | None = None
    ends: list[tuple[int | None, str]] = field(default_factory=list)
    presses: list[str] = field(default_factory=list)
    repeats: list[bytes] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    got: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def fail(self, where: str) -> None:
        if where in self.failing:
            raise RuntimeError(f"the sink fails at {where}")

    def connected(self, transport: WSTransport, /) -> None:
        self.transport = transport
        self.opened.set()
        self.fail("connected")

    def messages(self, texts: list[bytes], /) -> None:
        self.batches.append(texts)
        self.got.set()
        self.fail("messages")

    def repeated(self, ids: bytes, /) -> None:
        self.repeats.append(ids)
        self.got.set()
        self.fail("repeated")

    def closed(self, code: int | None, reason: str, /) -> None:
        self.ends.append((code, reason))
        self.ended.set()
        self.fail("closed")

    def paused(self, /) -> None:
        self.presses.append("paused")

    def resumed(self, /) -> None:
        self.presses.append("resumed")

    @property
    def texts(self) -> list[bytes]:
        return [text for batch in self.batches for text in batch]


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """One frame as bytes."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    length, bit = len(payload), masked << 7
    if length < 126:
        head += bytes([bit | length])
    elif length < 65536:
        head += struct.pack(">BH", bit | 126, length)
    else:
        head += struct.pack(">BQ", bit | 127, length)
    return head + (bytes(4) + payload if masked else payload)  # a mask of zeros changes nothing


@dataclass
class Peer:
    """The other end of a connection, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def receive(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload. (0, b"") at the end."""
        try:
            first, second = await self.reader.readexactly(2)
            length = second & 127
            if length == 126:
                (length,) = struct.unpack(">H", await self.reader.readexactly(2))
            return first & 15, await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return 0, b""
