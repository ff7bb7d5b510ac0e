"""From frames to verified events, off the loop: what the relay pool and Nexus both do with every EVENT they receive.

Raw events go in, in order; they come out in the same order, verified or as the error that they are, in batches. A large batch is
checked in a thread of its own (`event.check_many` leaves the GIL alone), a tiny one at once, because a thread costs more than it saves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

from pylon.errors import InvalidEvent
from pylon.nostr.event import VerifiedEvent, check_many

Context = TypeVar("Context")
Checked = VerifiedEvent | InvalidEvent

INLINE: Final = 4
"""Up to so many events are checked on the loop: about 60 us each, less than handing them to a thread and back under load."""
MAX_BATCH: Final = 256
"""A batch is bounded so that the first event of a flood does not wait for the last."""
INLINE_BYTES: Final = 65_536
"""Larger events are hashed in the thread, however few they are."""


class Ingest(Generic[Context]):
    """Verifies what is `put`, in order, and hands it on in batches by calling `deliver` on the loop's thread.

    `high` (events) and `high_bytes` bound what waits: `put` still takes what was already read, and returns False to say "stop reading";
    `on_room` is called once when the queue is down to a quarter. Must be made where an event loop runs.
    """

    def __init__(
        self,
        deliver: Callable[[list[tuple[Context, Checked]]], None],
        *,
        high: int = 4096,
        high_bytes: int = 16 * 1024 * 1024,
        on_room: Callable[[], None] | None = None,
    ) -> None:
        self._deliver = deliver
        self._high = high
        self._high_bytes = high_bytes
        self._on_room = on_room
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[bytes, Context] | Callable[[], None]] = deque()
        self._bytes = 0
        self._busy = False
        self._full = False
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._thread: ThreadPoolExecutor | None = None

    @property
    def full(self) -> bool:
        """True from the moment the bound was reached until there is room again."""
        return self._full

    def put(self, raw: bytes, context: Context) -> bool:
        """Queue one event, JSON as it came. False: the queue is full, stop reading until `on_room`."""
        self._append((raw, context), len(raw))
        if len(self._waiting) >= self._high or self._bytes >= self._high_bytes:
            self._full = True
        return not self._full

    def after(self, then: Callable[[], None]) -> None:
        """Call `then` on the loop once everything that was put before has been delivered (EOSE must not overtake its events)."""
        self._append(then, 0)

    async def aclose(self) -> None:
        """Deliver what waits, then end the thread. Nothing can be put afterwards."""
        self._closed = True
        await self._idle.wait()
        if self._thread is not None:
            self._thread.shutdown(wait=False)

    def _append(self, entry: tuple[bytes, Context] | Callable[[], None], size: int) -> None:
        if self._closed:
            raise RuntimeError("put into an Ingest that is closed")
        self._waiting.append(entry)
        self._bytes += size
        self._idle.clear()
        self._start()

    def _start(self) -> None:
        """Have the next batch taken in the next turn of the loop, so that all frames of one read go together."""
        if self._busy:
            return
        if self._waiting:
            self._busy = True
            self._loop.call_soon(self._take)
        else:
            self._idle.set()

    def _take(self) -> None:
        raws: list[bytes] = []
        contexts: list[Context] = []
        size = 0
        while self._waiting and len(raws) < MAX_BATCH:
            entry = self._waiting[0]
            if not isinstance(entry, tuple):
                break
            self._waiting.popleft()
            raws.append(entry[0])
            contexts.append(entry[1])
            size += len(entry[0])
        self._bytes -= size
        if not raws:
            then = self._waiting.popleft()
            assert callable(then)
            self._finish(then)
        elif len(raws) <= INLINE and size <= INLINE_BYTES:
            checked = check_many(raws)
            self._finish(lambda: self._deliver(list(zip(contexts, checked, strict=True))))
        else:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="pylon-ingest")
            future = self._loop.run_in_executor(self._thread, check_many, raws)
            future.add_done_callback(lambda done: self._finish(lambda: self._deliver(list(zip(contexts, done.result(), strict=True)))))

    def _finish(self, hand_on: Callable[[], None]) -> None:
        """Hand on one batch. Whatever the receiver raises goes to the loop's handler; the queue goes on."""
        self._busy = False
        try:
            hand_on()
        finally:
            self._start()
            if self._full and len(self._waiting) <= self._high // 4 and self._bytes <= self._high_bytes // 4:
                self._full = False
                if self._on_room is not None:
                    self._on_room()
