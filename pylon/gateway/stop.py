"""Stop sequences, found across the pieces of a stream: the answer ends before the first of them."""

from __future__ import annotations

from collections.abc import Sequence


class Cutter:
    """Cuts a stream of text at the first of `stops`; what might be the beginning of one is held back until it is known."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.cut = False
        """Whether a stop sequence was found; nothing comes after it."""

    def feed(self, text: str) -> str:
        """What may be said now, `text` being new."""
        if self.cut or not self._stops:
            return "" if self.cut else text
        self._held += text
        places = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if places:
            self.cut = True
            said, self._held = self._held[: min(places)], ""
            return said
        keep = max(self._beginning(stop) for stop in self._stops)
        said, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return said

    def rest(self) -> str:
        """What was held back, at the end of the stream."""
        said, self._held = self._held, ""
        return said

    def _beginning(self, stop: str) -> int:
        """The length of the longest beginning of `stop` with which the held text ends."""
        longest = min(len(stop) - 1, len(self._held))
        return next((length for length in range(longest, 0, -1) if self._held.endswith(stop[:length])), 0)
