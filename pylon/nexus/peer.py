"""One client connection of the relay: what waits to be written to it, joined once per turn of the loop, and bounded.

A reader that is slower than its subscriptions is not skipped silently: when too much waits, the connection is closed with a reason.
While the peer does not read, nothing more is read from it either, so what it asks for cannot pile up here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from picows import WSCloseCode, WSTransport

from pylon._native.frames import server_frame
from pylon.nexus.session import Session

MAX_WAITING: Final = 16 * 1024 * 1024
"""Bytes that may wait for one reader, in our queue and the transport's, live events held until EOSE included."""
CLOSE_TIMEOUT: Final = 5.0
"""Seconds that a peer has to take our CLOSE before the connection is cut."""


class Desk(Protocol):
    """Who answers what a connection says."""

    def came(self, peer: Peer) -> None:
        """The connection is open."""

    def said(self, peer: Peer, texts: list[bytes]) -> None:
        """The client has said something."""

    def went(self, peer: Peer) -> None:
        """The connection is over; called once."""


class Peer:
    """The sink of one connection's FrameListener (see pylon/_native/frames.pyi), and the way to write to it."""

    def __init__(self, desk: Desk, new_session: Callable[[WSTransport], Session]) -> None:
        self.open = False
        self.held = 0
        self._desk = desk
        self._new_session = new_session
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        """Done when the connection has ended on the network too."""
        self._frames: list[bytes] = []
        self._queued = 0
        self._unsent = 0
        self._flushing = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._crowded = False

    def connected(self, transport: WSTransport, /) -> None:
        """The websocket handshake is done."""
        self._transport = transport
        self.session = self._new_session(transport)
        self.open = True
        self._desk.came(self)
        self.say(self.session.hello())

    def messages(self, texts: list[bytes], /) -> None:
        """What the client says."""
        if self.open:
            self._desk.said(self, texts)

    def paused(self, /) -> None:
        """The client does not read: what waits stays here, and we stop reading too."""
        self._writable.clear()
        self._read_or_not()

    def resumed(self, /) -> None:
        """The client reads again."""
        self._unsent = self._transport.underlying_transport.get_write_buffer_size()
        self._writable.set()
        self._read_or_not()
        self._schedule()

    def closed(self, code: int | None, reason: str, /) -> None:
        """The connection has ended."""
        self._leave()
        self.gone.set_result(None)

    def crowded(self, yes: bool) -> None:
        """Stop reading while the relay has more events to check than it wants to hold, or go on."""
        self._crowded = yes
        self._read_or_not()

    @property
    def waiting(self) -> int:
        """Bytes that wait to be read by the client."""
        return self._queued + self._unsent + self.held

    def say(self, text: bytes) -> None:
        """Send one text."""
        self.send(server_frame(text))

    def send(self, ready: bytes) -> None:
        """Send one ready frame (see pylon/_native/frames.pyi)."""
        if not self.open:
            return
        self._frames.append(ready)
        self._queued += len(ready)
        if self._queued + self._unsent + self.held > MAX_WAITING:
            self.too_slow()
        elif not self._flushing:
            self._schedule()

    def hold(self, size: int) -> None:
        """Count `size` bytes that are held for this reader elsewhere (negative: no longer)."""
        self.held += size
        if self.waiting > MAX_WAITING:
            self.too_slow()

    async def room(self) -> None:
        """Wait until what was sent is on its way, and the client reads."""
        await asyncio.sleep(0)
        await self._writable.wait()

    def too_slow(self) -> None:
        """Give up on a reader for whom too much waits."""
        self._frames.clear()
        self.close(WSCloseCode.POLICY_VIOLATION, f"slow reader: more than {MAX_WAITING} bytes wait to be read")

    def close(self, code: WSCloseCode, reason: str) -> None:
        """Send what waits and a CLOSE with a reason; cut the connection if the peer does not take it in time."""
        if not self.open:
            return
        self._writable.set()
        self._flush()
        self._transport.send_close(code, reason.encode())
        self._leave()
        self._loop.call_later(CLOSE_TIMEOUT, self._transport.disconnect, False)

    def _leave(self) -> None:
        if self.open:
            self.open = False
            self._frames.clear()
            self._queued = 0
            self._writable.set()
            self._read_or_not()
            self._desk.went(self)

    def _schedule(self) -> None:
        if self._frames and self._writable.is_set():
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """One write for all that was said in this turn of the loop: a system call costs more than what it carries."""
        self._flushing = False
        transport = self._transport.underlying_transport
        if not self._writable.is_set() or not self._frames or transport.is_closing():
            return
        ready = b"".join(self._frames)
        self._frames.clear()
        self._queued = 0
        transport.write(ready)
        self._unsent = transport.get_write_buffer_size()

    def _read_or_not(self) -> None:
        transport = self._transport.underlying_transport
        if transport.is_closing():
            return
        wanted = not self.open or (self._writable.is_set() and not self._crowded)
        if wanted and not transport.is_reading():
            transport.resume_reading()
        elif not wanted and transport.is_reading():
            transport.pause_reading()
