"""Who waits for something to change in this wallet, woken without polling."""

from __future__ import annotations

import asyncio


class Bell:
    """Waiters of one event loop."""

    def __init__(self) -> None:
        self._ring = asyncio.Event()

    @property
    def ring(self) -> asyncio.Event:
        """The next ring. Take it before looking: then a change between the look and the waiting is not missed."""
        return self._ring

    def rouse(self) -> None:
        """Something changed: wake every waiter."""
        ring, self._ring = self._ring, asyncio.Event()
        ring.set()

    async def wait(self, ring: asyncio.Event, seconds: float | None = None) -> bool:
        """Until that ring; False where it did not come in time."""
        try:
            async with asyncio.timeout(seconds):
                await ring.wait()
        except TimeoutError:
            return False
        return True
