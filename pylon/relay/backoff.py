"""How long to wait before the next attempt: exponential, with full jitter.

"sleep = random_between(0, min(cap, base * 2 ** attempt))": Marc Brooker, Exponential Backoff and Jitter (AWS Architecture Blog, 2015).
"""

from __future__ import annotations

from random import Random


class Backoff:
    """Seconds to wait; `base` bounds the first wait, `cap` every wait. All chance comes from `rng`."""

    def __init__(self, base: float, cap: float, rng: Random) -> None:
        self._base = base
        self._cap = cap
        self._rng = rng
        self._attempt = 0

    def next(self) -> float:
        """The next wait; the one after it may be twice as long."""
        longest = min(self._cap, self._base * 2.0**self._attempt)
        self._attempt = min(self._attempt + 1, 32)
        return self._rng.uniform(0, longest)

    def penalize(self) -> None:
        """The peer misbehaved: skip three steps."""
        self._attempt = min(self._attempt + 3, 32)

    def reset(self) -> None:
        """It went well: start again with `base`."""
        self._attempt = 0
