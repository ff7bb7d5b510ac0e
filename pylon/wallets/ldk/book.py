"""The book of the wallet: what was asked for, paid and promised, in our own SQLite file, so that every step may be repeated after a crash.

The node's store knows channels and payments; the book knows what we meant by them. Order at every event: write here, then act on the node,
then acknowledge. `Book` is the file with its pages, for one thread; `Desk` is that thread, for the event loop.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from pylon.errors import PylonError
from pylon.wallets.ldk.bills import Bills
from pylon.wallets.ldk.bookfile import BookFile, explain
from pylon.wallets.ldk.payouts import Payouts

T = TypeVar("T")


class Book:
    """One wallet's book."""

    def __init__(self, file: BookFile) -> None:
        self._file = file
        self.bills = Bills(file)
        self.payouts = Payouts(file)

    @classmethod
    def open(cls, path: Path, key: bytes, *, durable: bool) -> Self:
        """Open the file, made when missing; see `BookFile.open`."""
        return cls(BookFile.open(path, key, durable=durable))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def saw_channel(self, channel: str, peer: str, funding: str, now: int) -> None:
        """A channel of ours is there. One that was missed and is back counts as open again only if it never closed."""
        with self._file.change() as db:
            db.execute("INSERT OR IGNORE INTO channels (id, peer, funding, seen_at) VALUES (?, ?, ?, ?)", (channel, peer, funding, now))

    def leave_channel(self, channel: str, peer: str, now: int) -> None:
        """We close it ourselves: none takes its place."""
        with self._file.change() as db:
            db.execute("INSERT OR IGNORE INTO channels (id, peer, funding, seen_at) VALUES (?, ?, '', ?)", (channel, peer, now))
            db.execute("UPDATE channels SET leaving = 1 WHERE id = ?", (channel,))

    def lost_channel(self, channel: str, peer: str, reason: str, now: int) -> bool:
        """It is closed. True where another should take its place: it was open, and we did not want to leave it."""
        with self._file.change() as db:
            row = db.execute("SELECT leaving, closed_at FROM channels WHERE id = ?", (channel,)).fetchone()
            if row is None:
                db.execute(
                    "INSERT INTO channels (id, peer, funding, seen_at) VALUES (?, ?, '', ?)", (channel, peer, now)
                )
            if row is None or row[1] is None:
                number = "(SELECT coalesce(max(number), 0) + 1 FROM channels)"
                db.execute(f"UPDATE channels SET closed_at = ?, reason = ?, number = {number} WHERE id = ?", (now, reason, channel))
            return row is not None and row[1] is None and not row[0]

    def open_channels(self) -> set[str]:
        """Those seen and not known to be closed."""
        return {row[0] for row in self._file.db.execute("SELECT id FROM channels WHERE closed_at IS NULL")}

    def lacks_channels(self, wanted: int, there: int) -> bool:
        """Whether a wallet that ever had a channel has fewer than it should. Those that it left of its own will are not missed."""
        had, left = self._file.db.execute("SELECT count(*), coalesce(sum(leaving), 0) FROM channels").fetchone()
        return bool(had > left and there + left < wanted)

    def closed_since(self, closes: int, now: int, told: float) -> bool:
        """Whether a channel closed after that many had closed, and is not resolved, or only within the last `told` seconds (by a clock
        that may have jumped)."""
        found = self._file.db.execute(
            "SELECT 1 FROM channels WHERE number > ? AND (resolved_at IS NULL OR abs(? - resolved_at) < ?) LIMIT 1", (closes, now, told)
        ).fetchone()
        return found is not None

    def unresolved(self) -> list[str]:
        """The closed channels of which something may still be on its way."""
        return [row[0] for row in self._file.db.execute("SELECT id FROM channels WHERE closed_at IS NOT NULL AND resolved_at IS NULL")]

    def agreed(self) -> set[str]:
        """The unresolved ones that both sides closed: their transaction pays to an address of ours. The words are LDK's (ClosureReason)."""
        found = self._file.db.execute("SELECT id FROM channels WHERE resolved_at IS NULL AND reason LIKE '%cooperatively closed%'")
        return {row[0] for row in found}

    def resolved(self, channels: list[str], now: int) -> None:
        """Nothing of these is on its way any more."""
        with self._file.change() as db:
            db.executemany("UPDATE channels SET resolved_at = ? WHERE id = ?", [(now, channel) for channel in channels])

    def mark(self, name: str) -> str | None:
        """A value noted before."""
        row = self._file.db.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def note(self, name: str, value: str) -> None:
        """Note a value."""
        with self._file.change() as db:
            db.execute("INSERT OR REPLACE INTO marks (name, value) VALUES (?, ?)", (name, value))

    def copy(self, target: Path) -> None:
        """A consistent copy of the file, while it is in use."""
        with sqlite3.connect(target) as other:
            self._file.db.backup(other)
        other.close()


class Desk:
    """The one thread in which the book is used. `path` names it in errors, `first` is the cursor of the last event before it was opened."""

    def __init__(self, path: Path, book: Book, thread: ThreadPoolExecutor, clock: Callable[[], float]) -> None:
        self.path = path
        self.first = book.bills.cursor()
        self._book = book
        self._thread = thread
        self._clock = clock
        self._closed = False

    @classmethod
    async def open(cls, path: Path, key: bytes, *, durable: bool, clock: Callable[[], float] = time.time) -> Self:
        """Open the book in a thread of its own. Raises PylonError where it cannot be used."""
        thread = ThreadPoolExecutor(1, "wallet-book")
        try:
            book = await asyncio.wrap_future(thread.submit(Book.open, path, key, durable=durable))
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(path, book, thread, clock)

    async def do(self, work: Callable[[Book, int], T]) -> T:
        """Run in the book's thread with the time. A caller that is cancelled meanwhile does not undo it."""
        return await asyncio.wrap_future(self.submit(work))

    def submit(self, work: Callable[[Book, int], T]) -> Future[T]:
        """Run it after what was asked for before."""
        if self._closed:
            raise PylonError("the wallet is closed")
        return self._thread.submit(self._run, work)

    async def close(self) -> None:
        """Close the book after what was begun. Idempotent."""
        if not self._closed:
            self._closed = True
            await asyncio.wrap_future(self._thread.submit(self._book.close))
            self._thread.shutdown(wait=False)

    def _run(self, work: Callable[[Book, int], T]) -> T:
        try:
            return work(self._book, int(self._clock()))
        except sqlite3.Error as error:
            raise explain(self.path, error) from error
