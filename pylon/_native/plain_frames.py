"""The slow twin of what `delivered` and `frames` do without a socket: an oracle of the differential tests, never used at run time."""

from __future__ import annotations

import re
from itertools import count
from typing import Final

_claims = re.compile(rb'\["EVENT","([^"]{0,256})",(\{.*)', re.DOTALL).fullmatch
_is_id = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch
_is_event = re.compile(rb'[ \t\r\n]*\[[ \t\r\n]*"EVENT"[ \t\r\n]*,').match
_claimed = re.compile(rb'"id"[ \t\r\n]*:[ \t\r\n]*"([0-9a-f]{64})"').search
_FIN_TEXT: Final = 0x81


class Delivered:
    """Pairs of subscription and event id, in two generations of sets."""

    def __init__(self, capacity: int, /) -> None:
        if not 0 < capacity <= 1 << 30:
            raise ValueError("a table remembers between 1 and 2**30 pairs")
        self._capacity = capacity
        self._numbers = count(1)
        self._scopes: dict[bytes, int] = {}
        self._young: set[tuple[int, str]] = set()
        self._old: set[tuple[int, str]] = set()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def open(self, sub: str, /) -> int:
        """The number of a subscription."""
        name = sub.encode()
        if name not in self._scopes:
            self._scopes[name] = next(self._numbers)
        return self._scopes[name]

    def close(self, sub: str, /) -> None:
        """End a subscription."""
        self._scopes.pop(sub.encode(), None)

    def add(self, scope: int, event_id: str, /) -> bool:
        """Note what was delivered."""
        pair = (scope, _checked(event_id))
        if pair in self._young:
            return False
        known = pair in self._old
        if len(self._young) == self._capacity:
            self._old, self._young = self._young, set()
        self._young.add(pair)
        return not known

    def holds(self, scope: int, event_id: str, /) -> bool:
        """Whether it was noted, and not forgotten."""
        pair = (scope, _checked(event_id))
        return pair in self._young or pair in self._old

    def repeats(self, text: bytes, /) -> bool:
        """Whether a frame in the usual spelling claims the id of a delivered event."""
        found = _claims(text)
        if found is None or found[1] not in self._scopes or b"\\" in found[1]:
            return False
        claimed = _claimed(found[2])
        return claimed is not None and self.holds(self._scopes[found[1]], claimed[1].decode())


def peek_id(text: bytes, /) -> str | None:
    """The first id in the text of an EVENT."""
    found = _claimed(text) if _is_event(text) else None
    return found[1].decode() if found else None


def _checked(event_id: str) -> str:
    if not _is_id(event_id):
        raise ValueError("an event id is 64 lower-case hexadecimal digits")
    return event_id


def server_frame(text: bytes, /) -> bytes:
    """A FIN frame of text without a mask (RFC 6455 5.2)."""
    size = len(text)
    if size < 126:
        return bytes((_FIN_TEXT, size)) + text
    if size < 65536:
        return bytes((_FIN_TEXT, 126)) + size.to_bytes(2, "big") + text
    return bytes((_FIN_TEXT, 127)) + size.to_bytes(8, "big") + text


def event_frame(head: bytes, event: bytes, /) -> bytes:
    """The head, the event and a bracket as one frame."""
    return server_frame(head + event + b"]")
