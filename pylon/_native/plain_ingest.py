"""The twin of `check_events`: one text after the other, nothing bounded, each question in its order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pylon._native.plain import BAD_SIGNATURE, OK, check_codes
from pylon._native.plain_filter import FilterIndex

DUPLICATE, UNWANTED = 5, 6


@dataclass(frozen=True)
class Fields:
    """The fields of an event whose form was checked."""

    id: str
    pubkey: str
    created_at: int
    kind: int
    tags: tuple[tuple[str, ...], ...]
    content: str
    sig: str

    def values(self, name: str) -> tuple[str, ...]:
        """The second element of every tag called `name` that has one."""
        return tuple(tag[1] for tag in self.tags if len(tag) > 1 and tag[0] == name)


class Seen:
    """What was verified (id and signature) and what was delivered (scope and id). It forgets nothing."""

    def __init__(self) -> None:
        self.verified: set[tuple[str, str]] = set()
        self.delivered: set[tuple[int, str]] = set()


def read(text: bytes) -> Fields:
    """The event in a text whose form was checked."""
    event = json.loads(text)
    fields = event[-1] if isinstance(event, list) else event
    return Fields(**{**fields, "tags": tuple(map(tuple, fields["tags"]))})


def check_events(
    events: Sequence[bytes], seen: Seen, scopes: Sequence[int | None], wanted: Sequence[FilterIndex | None]
) -> list[Fields | int]:
    """For each text the fields of its event, or the code of what is wrong."""
    found: list[Fields | int] = []
    before = frozenset(seen.delivered)
    for text, scope, index in zip(events, scopes, wanted, strict=True):
        (code,) = check_codes([text])
        if code not in (OK, BAD_SIGNATURE):
            found.append(code)
            continue
        event = read(text)
        if scope is not None and (scope, event.id) in before:
            found.append(DUPLICATE)
        elif index is not None and not index.match(event):
            found.append(UNWANTED)
        elif code == BAD_SIGNATURE:
            found.append(code)
        else:
            seen.verified.add((event.id, event.sig))
            if scope is not None and (scope, event.id) in seen.delivered:
                found.append(DUPLICATE)
                continue
            if scope is not None:
                seen.delivered.add((scope, event.id))
            found.append(event)
    return found
