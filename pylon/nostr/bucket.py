"""A leaky bucket: so much at once, so much a second. Told the time, it keeps none."""

from __future__ import annotations


class Bucket:
    """`size` may be taken at once; `rate` flow back each second."""

    def __init__(self, size: int, rate: float) -> None:
        self._size = size
        self._rate = rate
        self._left = float(size)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Take one at `now` (seconds); False when there is none. A clock that steps back gives nothing and takes nothing."""
        if self._at is not None and now > self._at:
            self._left = min(self._size, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
