"""The events that one relay has not answered yet, in the order in which they were published."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from pylon.nostr.said import Outgoing, Phase

MAX_OUTBOX: Final = 4096
"""Events that may wait for one relay's answer."""
TOO_BIG: Final = 1009
"""RFC 6455, 7.4.1: the close code of a peer that "has received a message that is too big for it to process"."""


class Outbox:
    """Rows by event id. Those that are WAITING stand in a queue too, so that nothing else is looked at when there is something to send."""

    def __init__(self) -> None:
        self._rows: dict[str, Outgoing] = {}
        self._queue: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._rows

    def get(self, event_id: str) -> Outgoing | None:
        """The row of an event that was not answered."""
        return self._rows.get(event_id)

    def put(self, event_id: str, outgoing: Outgoing) -> None:
        """A new event, or one that is to be sent again."""
        self._rows[event_id] = outgoing
        if outgoing.phase is Phase.WAITING:
            self._queue[event_id] = None

    def forget(self, event_id: str) -> None:
        """It was answered, or nobody waits for the answer."""
        self._rows.pop(event_id, None)
        self._queue.pop(event_id, None)

    def take(self, budget: int, tried: str | None, live: Callable[[str], bool]) -> list[bytes]:
        """The next texts to send, about `budget` bytes; an event goes after the EOSE of the subscription that it names."""
        texts = []
        for event_id in list(self._queue):
            if budget <= 0:
                break
            outgoing = self._rows[event_id]
            if outgoing.after is None or live(outgoing.after):
                del self._queue[event_id]
                outgoing.phase, outgoing.tried = Phase.SENT, tried
                texts.append(outgoing.text)
                budget -= len(outgoing.text)
        return texts

    def held(self) -> list[tuple[str, Outgoing]]:
        """What was refused until we are authenticated."""
        return [(event_id, outgoing) for event_id, outgoing in self._rows.items() if outgoing.phase is Phase.HELD]

    def parked(self, sub: str) -> Iterator[str]:
        """The events that wait for the EOSE of `sub`."""
        return (event_id for event_id in list(self._queue) if self._rows[event_id].after == sub)

    def longest_sent(self) -> str | None:
        """The longest event that was sent on this connection and not answered."""
        sent = [event_id for event_id, outgoing in self._rows.items() if outgoing.phase is Phase.SENT]
        return max(sent, key=lambda event_id: len(self._rows[event_id].text), default=None)

    def release_from(self, sub: str) -> None:
        """`sub` is no more: what was sent after its EOSE once may be sent again without."""
        for outgoing in self._rows.values():
            if outgoing.after == sub:
                outgoing.after = None

    def reset(self) -> None:
        """The connection is gone: everything is to be sent again."""
        for outgoing in self._rows.values():
            outgoing.phase, outgoing.tried = Phase.WAITING, None
        self._queue = dict.fromkeys(self._rows)
