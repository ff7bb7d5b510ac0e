"""From frames to verified events, off the loop: what the relay pool and Nexus both do with every EVENT they receive.

Raw events go in, in order; they come out in the same order, verified or as the code that says what is wrong (`_native.check_events`), in
batches. A large batch is checked in a thread, outside the GIL, and several at once where there are cores for them; a tiny one is checked
at once, because a thread costs more than it saves. Batches grow by themselves: what arrives while one is checked is the next one.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Generic, TypeVar

from pylon import _native
from pylon._native import FilterIndex, Seen
from pylon.nostr.event import VerifiedEvent

Context = TypeVar("Context")
Checked = VerifiedEvent | int
"""A verified event, or the code of `_native.check_events` for what was none."""

INLINE: Final = 4
"""Up to so many events are checked on the loop: about 40 us each, less than handing them to a thread and back under load."""
MAX_BATCH: Final = 256
"""A batch is bounded so that the first event of a flood does not wait for the last."""
INLINE_BYTES: Final = 65_536
"""Larger events are hashed in a thread, however few they are."""
WORKERS: Final = min(4, os.cpu_count() or 1)
"""Batches that are checked at the same time."""


_Item = tuple[bytes, Context, int | None, FilterIndex | None]
"""Text, context, scope and filters of one event."""


class _Batch(Generic[Context]):
    """Events that are being checked; `checked` is their result."""

    def __init__(self, items: list[_Item[Context]]) -> None:
        self.texts = [item[0] for item in items]
        self.contexts = [item[1] for item in items]
        self.scopes = [item[2] for item in items]
        self.wanted = [item[3] for item in items]
        self.checked: list[Checked] | None = None

    def results(self) -> list[tuple[Context, bytes, Checked]]:
        """Each event with its context, its text and what it is, once it is checked."""
        return list(zip(self.contexts, self.texts, self.checked or (), strict=True))


class Ingest(Generic[Context]):
    """Verifies what is `put`, in order, and hands it on in batches by calling `deliver` on the loop's thread.

    `high` (events) and `high_bytes` bound what waits: `put` still takes what was already read, and returns False to say "stop reading";
    `on_room` is called once when the queue is down to a quarter. `seen` remembers what was verified, so that it is not verified again.
    Must be made where an event loop runs.
    """

    def __init__(
        self,
        deliver: Callable[[list[tuple[Context, bytes, Checked]]], None],
        *,
        seen: Seen,
        high: int = 4096,
        high_bytes: int = 16 * 1024 * 1024,
        on_room: Callable[[], None] | None = None,
    ) -> None:
        self._deliver = deliver
        self._seen = seen
        self._high = high
        self._high_bytes = high_bytes
        self._on_room = on_room
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Item[Context] | Callable[[], None]] = deque()
        self._flying: deque[_Batch[Context] | Callable[[], None]] = deque()
        self._bytes = 0
        self._awake = False
        self._full = False
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._threads: ThreadPoolExecutor | None = None

    @property
    def full(self) -> bool:
        """True from the moment the bound was reached until there is room again."""
        return self._full

    def put(self, texts: Sequence[bytes], context: Context, *, scope: int | None = None, wanted: FilterIndex | None = None) -> bool:
        """Queue events, JSON as it came, with or without their frames. False: the queue is full, stop reading until `on_room`.

        With a `scope` an event comes out once and its copies as DUPLICATE; what `wanted` does not match comes out as UNWANTED. Neither
        costs a look at the signature.
        """
        self._append([(text, context, scope, wanted) for text in texts], sum(map(len, texts)))
        if len(self._waiting) >= self._high or self._bytes >= self._high_bytes:
            self._full = True
        return not self._full

    def after(self, then: Callable[[], None]) -> None:
        """Call `then` on the loop once everything that was put before has been delivered (EOSE must not overtake its events)."""
        self._append([then], 0)

    async def aclose(self) -> None:
        """Deliver what waits, then end the threads. Nothing can be put afterwards."""
        self._closed = True
        await self._idle.wait()
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    def _append(self, entries: Sequence[_Item[Context] | Callable[[], None]], size: int) -> None:
        if self._closed:
            raise RuntimeError("put into an Ingest that is closed")
        self._waiting.extend(entries)
        self._bytes += size
        self._idle.clear()
        self._wake()

    def _wake(self) -> None:
        """Do the next step in the next turn of the loop, so that all frames of one read go together."""
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Take one batch, hand one on: what the one on its way out causes is written before the next one comes."""
        self._awake = False
        if self._waiting and len(self._flying) < WORKERS:
            self._take()
        if self._ready():
            self._hand_on()
        if self._full and len(self._waiting) <= self._high // 4 and self._bytes <= self._high_bytes // 4:
            self._full = False
            if self._on_room is not None:
                self._on_room()
        if self._ready() or (self._waiting and len(self._flying) < WORKERS):
            self._wake()
        elif not self._waiting and not self._flying:
            self._idle.set()

    def _ready(self) -> bool:
        """Whether there is something to hand on, in its turn."""
        first = self._flying[0] if self._flying else None
        return first is not None and (not isinstance(first, _Batch) or first.checked is not None)

    def _take(self) -> None:
        items: list[_Item[Context]] = []
        while self._waiting and len(items) < MAX_BATCH:
            entry = self._waiting[0]
            if not isinstance(entry, tuple):
                break
            self._waiting.popleft()
            items.append(entry)
        if not items:
            then = self._waiting.popleft()
            assert callable(then)
            self._flying.append(then)
            return
        batch = _Batch(items)
        self._flying.append(batch)
        size = sum(map(len, batch.texts))
        self._bytes -= size
        if len(items) <= INLINE and size <= INLINE_BYTES:
            batch.checked = self._check(batch)
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="pylon-ingest")
        try:
            checking = self._loop.run_in_executor(self._threads, self._check, batch)
        except RuntimeError:  # the system gives no thread now: this batch holds up the loop, but not for ever all that stands behind it
            batch.checked = self._check(batch)
        else:
            checking.add_done_callback(partial(self._done, batch))

    def _check(self, batch: _Batch[Context]) -> list[Checked]:
        return _native.check_events(batch.texts, self._seen, batch.scopes, batch.wanted)

    def _done(self, batch: _Batch[Context], done: asyncio.Future[list[Checked]]) -> None:
        if (error := done.exception()) is not None:  # ours: whatever the events are, checking them raises nothing
            self._loop.call_exception_handler({"message": "events could not be checked", "exception": error})
            batch.texts.clear()
            batch.contexts.clear()
        batch.checked = [] if error is not None else done.result()
        if not self._awake:
            self._turn()

    def _hand_on(self) -> None:
        """Whatever the receiver raises goes to the loop's handler; the queue goes on."""
        first = self._flying.popleft()
        try:
            if isinstance(first, _Batch):
                self._deliver(first.results())
            else:
                first()
        except Exception as error:
            self._loop.call_exception_handler({"message": "the receiver of checked events failed", "exception": error})
