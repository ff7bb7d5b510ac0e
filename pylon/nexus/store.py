"""Stored events: the append log on disk (the truth) and the index in memory (rebuilt from it at start).

One relay has a data folder for itself: it holds `lock` while it runs. `put` and `query` work on the index at once; what was put is
durable when `done` says so.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path
from typing import Final

from pylon.errors import PylonError
from pylon.nexus import log as logs
from pylon.nexus.index import Index, Verdict
from pylon.nexus.log import Log
from pylon.nexus.record import Record
from pylon.nostr.event import load
from pylon.nostr.filter import Filter
from pylon.nostr.kinds import DELETION

COMPACT_BYTES: Final = 1_048_576
"""A log with less that could be dropped than this is left as it is."""

Done = Callable[[Verdict, OSError | None], None]
"""What became of an event, and why it could not be written where it could not."""

log = logging.getLogger(__name__)


class Locked(PylonError):
    """Another relay uses this data folder."""

    code = "nexus_locked"


class Store:
    """The events of one relay. `open` makes one; `aclose` must be awaited."""

    def __init__(self, folder: Path, lock: int, index: Index, journal: Log) -> None:
        self.folder = folder
        self._lock = lock
        self._index = index
        self._log = journal

    @classmethod
    def open(cls, folder: Path, now: int) -> Store:
        """Open the store in `folder`, made when missing. Raises Locked, or LogError where the log is not ours or the folder not usable."""
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = _lock(folder)
            try:
                path = folder / "events.log"
                index = _load(path, now) if path.exists() else Index()
                return cls(folder, lock, index, Log(path))
            except BaseException:
                os.close(lock)
                raise
        except OSError as error:
            why = error.strerror or str(error)
            raise logs.LogError(f"events cannot be kept in {folder}: {why}", hint="choose another folder with --data") from error

    def __len__(self) -> int:
        return len(self._index)

    def get(self, event_id: str) -> Record | None:
        """The stored event of that id."""
        return self._index.get(event_id)

    def put(self, record: Record, done: Done) -> Verdict:
        """Take `record`, by the rules of Index. `done` is called once: of what is stored when it is on disk, of what is refused at once."""
        verdict = self._index.put(record)
        if verdict is Verdict.STORED:
            self._log.append(record.raw, lambda error: self._committed(record, error, done))
        elif verdict is Verdict.DUPLICATE:
            self.known(self._index.get(record.id) or record, done)
        else:
            done(verdict, None)
        return verdict

    def known(self, record: Record, done: Done) -> None:
        """Answer for a duplicate of the stored `record`: when the first one is on disk."""
        if record.durable:
            done(Verdict.DUPLICATE, None)
        else:
            # The bytes of the first stand before this in the log's queue.
            self._log.append(b"", lambda error: done(Verdict.DUPLICATE, None if record.durable else error or OSError("not written")))

    def query(self, filters: Sequence[Filter], *, now: int, limit: int, keys: Set[str] | None = None) -> Iterator[Record | None]:
        """See Index.query."""
        return self._index.query(filters, now=now, limit=limit, keys=keys)

    def expire(self, now: int) -> int:
        """Forget what has expired (NIP-40)."""
        return self._index.expire(now)

    async def aclose(self) -> None:
        """Write what waits, close the log and give the folder back."""
        await self._log.aclose()
        os.close(self._lock)

    def _committed(self, record: Record, error: OSError | None, done: Done) -> None:
        if error is None:
            record.durable = True
        elif self._index.get(record.id) is record:
            # It is refused after all, so it must not be served either.
            self._index.remove(record)
        done(Verdict.STORED, error)


def _lock(folder: Path) -> int:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise Locked(f"another Nexus uses {folder}", hint="stop it, or choose another folder with --data") from error
    return lock


def _load(path: Path, now: int) -> Index:
    """Replay the log, then drop from it what is no longer needed, if that is worth it."""
    index = Index()
    records: list[Record] = []
    for raw in logs.read(path):
        record = Record(load(raw))
        record.durable = True
        index.put(record)
        records.append(record)
    # Only now: an expired version has still replaced its predecessors, and an expired deletion has still deleted.
    index.expire(now)
    # Deletions are kept for ever, since they also block what is published again.
    kept = [one.raw for one in records if index.get(one.id) is not None or (one.kind == DELETION and not index.has_vanished(one))]
    size = path.stat().st_size
    dead = size - sum(map(len, kept))
    # NIP-62 wants it gone: "fully delete", on the disk too.
    if (dead > COMPACT_BYTES and dead * 2 > size) or any(map(index.has_vanished, records)):
        log.info("%s: %d of %d bytes are of events that were replaced, deleted or have expired", path, dead, size)
        logs.write_new(path, kept)
    return index
