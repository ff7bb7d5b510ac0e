"""How many payments are in flight at once: a channel carries 50 at most, and works best half full. The rest wait their turn, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

EACH = 25
"""Payments in flight over one channel."""


class Slots:
    """A semaphore whose size may change."""

    def __init__(self) -> None:
        self.used = 0
        self._size = EACH
        self._waiting: deque[asyncio.Future[None]] = deque()

    def resize(self, channels: int) -> None:
        """There are so many channels now."""
        self._size = EACH * max(1, channels)
        self._admit()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Have a slot for the time of the block."""
        if self.used >= self._size or self._waiting:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._leave()
                raise
        else:
            self.used += 1
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        self.used -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.used < self._size:
            turn = self._waiting.popleft()
            if not turn.done():
                self.used += 1
                turn.set_result(None)
