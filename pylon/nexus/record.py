"""What the relay keeps of an event, and how a filter is tested against it (NIP-01, https://github.com/nostr-protocol/nips/blob/master/01.md).

A `Record` holds the event's JSON as it came, to be served as it is, and the few values by which it is found. The index tests records of
stored events with compiled filters; which live subscriptions want a new one the native index says (`hub`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from pylon.nostr.event import VerifiedEvent
from pylon.nostr.filter import Filter
from pylon.nostr.kinds import DELETION, GIFT_WRAP, address_of
from pylon.nostr.nip09 import read_deletion
from pylon.nostr.nip40 import expires_at

Test = Callable[["Record"], bool]

VANISH: Final = 62
"""A request to vanish (NIP-62)."""
PRIVATE_KINDS: Final = frozenset((4, GIFT_WRAP, 21059))
"""Served to those alone whom they concern: encrypted messages (NIP-04), gift wraps (NIP-59) and ephemeral gift wraps."""

_COMPLEMENT = bytes(255 - byte for byte in range(256))


class Record:
    """One verified event. `tags` holds `letter + value` of every single-letter tag, `order` sorts by age and then by id.

    `sequence` counts acceptances: what a scan may see. `durable` turns True when the event is on disk.
    """

    __slots__ = ("address", "created_at", "deletion", "durable", "expires", "id", "kind", "order", "pubkey", "raw", "sequence", "tags")

    def __init__(self, event: VerifiedEvent) -> None:
        self.id = event.id
        self.pubkey = sys.intern(event.pubkey)
        self.kind = event.kind
        self.created_at = event.created_at
        self.tags = frozenset(sys.intern(tag[0] + tag[1]) for tag in event.tags if len(tag) > 1 and is_letter(tag[0]))
        self.address = address_of(event)
        self.deletion = read_deletion(event) if event.kind == DELETION else None
        self.expires = expires_at(event)
        self.raw = event.raw
        # "In case of ties, the event with the lowest id (first in lexical order) should be first": ascending keys are read backwards.
        self.order = event.created_at.to_bytes(8, "big") + bytes.fromhex(event.id).translate(_COMPLEMENT)
        self.sequence = 0
        self.durable = False

    def values(self, letter: str) -> list[str]:
        """The values of the tags called `letter`, in no order."""
        return [key[1:] for key in self.tags if key[0] == letter]

    def readers(self) -> frozenset[str] | None:
        """The keys of which one must be authenticated to be served this event; None where anybody is."""
        return frozenset((self.pubkey, *self.values("p"))) if self.kind in PRIVATE_KINDS else None

    def newer(self, other: Record) -> bool:
        """Whether this version replaces `other`: "the event with the lowest id (first in lexical order) should be retained" in a tie."""
        return self.order > other.order


def is_letter(name: str) -> bool:
    """Whether a tag of that name is indexed: "only the first value in any single-letter (English alphabet) tag"."""
    return len(name) == 1 and name.isascii() and name.isalpha()


def compile_filter(wanted: Filter, without: str | None = None) -> Test | None:
    """`wanted` compiled, None where nothing is left to test. `without` names the one field that an index has already seen to."""
    parts: list[Test] = []
    if wanted.ids is not None and without != "ids":
        parts.append(_in_ids(frozenset(wanted.ids)))
    if wanted.kinds is not None and without != "kinds":
        parts.append(_in_kinds(frozenset(wanted.kinds)))
    if wanted.authors is not None and without != "authors":
        parts.append(_in_authors(frozenset(wanted.authors)))
    for letter, values in wanted.tags.items():
        if without != "#" + letter:
            parts.append(_has_tag(frozenset(letter + value for value in values)))
    if wanted.since is not None:
        parts.append(_since(wanted.since))
    if wanted.until is not None:
        parts.append(_until(wanted.until))
    if len(parts) < 2:
        return parts[0] if parts else None
    return lambda record: all(part(record) for part in parts)


def _in_ids(ids: frozenset[str]) -> Test:
    return lambda record: record.id in ids


def _in_kinds(kinds: frozenset[int]) -> Test:
    return lambda record: record.kind in kinds


def _in_authors(authors: frozenset[str]) -> Test:
    return lambda record: record.pubkey in authors


def _has_tag(keys: frozenset[str]) -> Test:
    return lambda record: not keys.isdisjoint(record.tags)


def _since(since: int) -> Test:
    return lambda record: since <= record.created_at


def _until(until: int) -> Test:
    return lambda record: record.created_at <= until
