"""The stored events in memory: what is kept, what replaces or deletes what, and what a filter finds (no I/O, no clock).

Rules: NIP-01 (replaceable and addressable events), NIP-09 (deletion, https://github.com/nostr-protocol/nips/blob/master/09.md), NIP-40
(expiration, https://github.com/nostr-protocol/nips/blob/master/40.md) and NIP-62 (requests to vanish,
https://github.com/nostr-protocol/nips/blob/master/62.md). Replaying the log through `put` gives the same index.
"""

from __future__ import annotations

import enum
import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Set
from typing import Final, TypeVar

from pylon.nexus.record import VANISH, Record, compile_filter
from pylon.nostr.filter import Filter
from pylon.nostr.kinds import DELETION, GIFT_WRAP, Address
from pylon.nostr.nip09 import Deletion

K = TypeVar("K")

TICK: Final = 256
"""A scan says `None` after so many records looked at in vain, so that its caller can let others run."""

CHUNK: Final = 128
"""Records that a scan reads from a posting list before it looks again where it stands."""


class Verdict(enum.Enum):
    """What became of an event that was offered."""

    STORED = enum.auto()
    DUPLICATE = enum.auto()
    OUTDATED = enum.auto()
    """A newer version of the same replaceable or addressable event is stored."""
    DELETED = enum.auto()
    """Its author has asked for its deletion."""


class Index:
    """All stored events. Posting lists hold `Record.order`, ascending."""

    def __init__(self) -> None:
        self.sequence = 0
        self._by_id: dict[str, Record] = {}
        self._by_order: dict[bytes, Record] = {}
        self._by_address: dict[Address, Record] = {}
        self._all: list[bytes] = []
        self._kinds: dict[int, list[bytes]] = {}
        self._authors: dict[str, list[bytes]] = {}
        self._author_kinds: dict[tuple[str, int], list[bytes]] = {}
        self._tags: dict[str, list[bytes]] = {}
        self._expiring: list[tuple[int, str]] = []
        self._deleted_ids: set[tuple[str, str]] = set()
        self._deleted_wraps: set[tuple[str, str]] = set()
        self._deleted_addresses: dict[Address, int] = {}
        self._vanished: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, event_id: str) -> Record | None:
        """The stored event of that id."""
        return self._by_id.get(event_id)

    def put(self, record: Record) -> Verdict:
        """Store `record`, remove what it replaces or deletes, and give it the next sequence number."""
        if record.id in self._by_id:
            return Verdict.DUPLICATE
        if self._is_deleted(record):
            return Verdict.DELETED
        if record.address is not None:
            if current := self._by_address.get(record.address):
                if not record.newer(current):
                    return Verdict.OUTDATED
                self.remove(current)
            self._by_address[record.address] = record
        self.sequence += 1
        record.sequence = self.sequence
        self._by_id[record.id] = record
        self._by_order[record.order] = record
        for postings in self._postings(record):
            insort(postings, record.order)
        if record.expires is not None:
            heapq.heappush(self._expiring, (record.expires, record.id))
        if record.deletion is not None:
            self._delete(record.deletion)
        if record.kind == VANISH:
            self._vanish(record)
        return Verdict.STORED

    def remove(self, record: Record) -> None:
        """Forget a stored event."""
        del self._by_id[record.id]
        del self._by_order[record.order]
        if record.address is not None and self._by_address.get(record.address) is record:
            del self._by_address[record.address]
        for postings in self._postings(record):
            del postings[bisect_left(postings, record.order)]
        _drop_empty(self._kinds, record.kind)
        _drop_empty(self._authors, record.pubkey)
        _drop_empty(self._author_kinds, (record.pubkey, record.kind))
        for tag in record.tags:
            _drop_empty(self._tags, tag)

    def has_vanished(self, record: Record) -> bool:
        """NIP-62: everything of the author up to the request, "including NIP-09 Deletion Events", and gift wraps to him; no request."""
        if record.kind == VANISH or not self._vanished:
            return False
        concerned = (record.pubkey, *record.values("p")) if record.kind == GIFT_WRAP else (record.pubkey,)
        return any(record.created_at <= self._vanished.get(key, -1) for key in concerned)

    def expire(self, now: int) -> int:
        """Forget what has expired (NIP-40); returns how many events that were."""
        count = 0
        while self._expiring and self._expiring[0][0] <= now:
            _, event_id = heapq.heappop(self._expiring)
            if record := self._by_id.get(event_id):
                self.remove(record)
                count += 1
        return count

    def query(self, filters: Iterable[Filter], *, now: int, limit: int, keys: Set[str] | None = None) -> Iterator[Record | None]:
        """The stored events that any filter wants, newest first and in ties by lowest id, each once; `None` now and then (see TICK).

        `limit` bounds every filter's own. `keys` are the reader's authenticated keys (None: reads everything). Events accepted after
        this call are left to live delivery. The index may change while the iterator rests.
        """
        last = self.sequence
        scans = [self._scan(wanted, now, limit, keys, last) for wanted in filters]
        return scans[0] if len(scans) == 1 else _merge(scans)

    def _scan(self, wanted: Filter, now: int, limit: int, keys: Set[str] | None, last: int) -> Iterator[Record | None]:
        """One filter's events, newest first: "the events returned in the initial query will be the last n events"."""
        room = limit if wanted.limit is None else min(limit, wanted.limit)
        field, orders = self._candidates(wanted)
        test = compile_filter(wanted, field)
        vain, previous = 0, b""
        for order in orders if room else ():
            record = self._by_order.get(order)
            # Of an event that stands in two of the merged lists the second is the one right behind the first.
            if (
                record is not None
                and order != previous
                and record.sequence <= last
                and (test is None or test(record))
                and (record.expires is None or record.expires > now)
                and (keys is None or (readers := record.readers()) is None or not readers.isdisjoint(keys))
            ):
                previous = order
                yield record
                room -= 1
                if room == 0:
                    return
            else:
                vain += 1
                if vain % TICK == 0:
                    yield None

    def _candidates(self, wanted: Filter) -> tuple[str | None, Iterable[bytes]]:
        """The shortest way to everything that `wanted` could match: the field used, and orders, newest first."""
        low = (wanted.since or 0).to_bytes(8, "big")
        high = b"\xff" * 8 if wanted.until is None else (wanted.until + 1).to_bytes(8, "big")
        if wanted.ids is not None:
            found = (self._by_id.get(event_id) for event_id in wanted.ids)
            return "ids", sorted((record.order for record in found if record is not None), reverse=True)
        ways: list[tuple[str | None, list[list[bytes]]]] = [
            ("#" + letter, _lists(self._tags, (letter + value for value in values))) for letter, values in wanted.tags.items()
        ]
        if wanted.authors is not None:
            if wanted.kinds is not None and len(wanted.authors) * len(wanted.kinds) <= TICK:
                pairs = [(author, kind) for author in wanted.authors for kind in wanted.kinds]
                # Both fields are seen to here; testing one of them again is harmless.
                ways.append(("authors", _lists(self._author_kinds, pairs)))
            else:
                ways.append(("authors", _lists(self._authors, wanted.authors)))
        if wanted.kinds is not None:
            ways.append(("kinds", _lists(self._kinds, wanted.kinds)))
        if not ways:
            ways.append((None, [self._all]))
        field, lists = min(ways, key=lambda way: sum(bisect_left(one, high) - bisect_left(one, low) for one in way[1]))
        walks = [_walk(one, low, high) for one in lists]
        return field, walks[0] if len(walks) == 1 else heapq.merge(*walks, reverse=True)

    def _postings(self, record: Record) -> Iterator[list[bytes]]:
        yield self._all
        yield self._kinds.setdefault(record.kind, [])
        yield self._authors.setdefault(record.pubkey, [])
        yield self._author_kinds.setdefault((record.pubkey, record.kind), [])
        for tag in record.tags:
            yield self._tags.setdefault(tag, [])

    def _is_deleted(self, record: Record) -> bool:
        """Whether a deletion that came before `record` covers it: see nip09.Deletion.covers, whose rules these are."""
        if self.has_vanished(record):
            return True
        if record.kind in (DELETION, VANISH):  # NIP-62: "a deletion request event … against a request to vanish has no effect"
            return False
        if (record.pubkey, record.id) in self._deleted_ids:
            return True
        if record.kind == GIFT_WRAP and any((receiver, record.id) in self._deleted_wraps for receiver in record.values("p")):
            return True
        return record.address is not None and record.created_at <= self._deleted_addresses.get(record.address, -1)

    def _delete(self, request: Deletion) -> None:
        """Note what `request` deletes, so that it also blocks what comes after it, and remove what is there."""
        targets: list[Record | None] = []
        for event_id in request.ids:
            self._deleted_ids.add((request.author, event_id))
            if GIFT_WRAP in request.kinds:
                self._deleted_wraps.add((request.author, event_id))
            targets.append(self._by_id.get(event_id))
        for address in request.addresses:
            self._deleted_addresses[address] = max(request.created_at, self._deleted_addresses.get(address, -1))
            targets.append(self._by_address.get(address))
        for target in targets:
            if target is not None and self._by_id.get(target.id) is target and self._is_deleted(target):
                self.remove(target)

    def _vanish(self, request: Record) -> None:
        """NIP-62: "MUST fully delete any events from the .pubkey", and "ensure the deleted events cannot be re-broadcasted"."""
        self._vanished[request.pubkey] = max(request.created_at, self._vanished.get(request.pubkey, -1))
        for order in (*self._authors.get(request.pubkey, ()), *self._tags.get("p" + request.pubkey, ())):
            target = self._by_order.get(order)
            if target is not None and self.has_vanished(target):
                self.remove(target)


def _merge(scans: list[Iterator[Record | None]]) -> Iterator[Record | None]:
    """Several scans as one in the same order; a record that stands in several comes once."""
    heads: list[tuple[bytes, Record, Iterator[Record | None]]] = []

    def advance(scan: Iterator[Record | None]) -> Iterator[None]:
        for found in scan:
            if found is not None:
                heads.append((found.order, found, scan))
                return
            yield None

    for scan in scans:
        yield from advance(scan)
    while heads:
        newest = max(head[0] for head in heads)
        taken = [head for head in heads if head[0] == newest]
        heads[:] = [head for head in heads if head[0] != newest]
        yield taken[0][1]
        for _, _, scan in taken:
            yield from advance(scan)


def _lists(postings: dict[K, list[bytes]], keys: Iterable[K]) -> list[list[bytes]]:
    return [postings[key] for key in keys if key in postings]


def _drop_empty(postings: dict[K, list[bytes]], key: K) -> None:
    if not postings.get(key, True):
        del postings[key]


def _walk(postings: list[bytes], low: bytes, high: bytes) -> Iterator[bytes]:
    """The orders in [low, high), newest first. Finds its place again after every chunk, since the list may have changed."""
    while True:
        end = bisect_left(postings, high)
        start = max(bisect_left(postings, low, 0, end), end - CHUNK)
        chunk = postings[start:end]
        if not chunk:
            return
        yield from reversed(chunk)
        high = chunk[0]
