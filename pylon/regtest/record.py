"""What became of the hub's channels: a small SQLite file. It is written before the node's event is acknowledged."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from pylon.errors import PylonError

VERSION = 1
SCHEMA = f"""
BEGIN;
CREATE TABLE channels (
    channel TEXT PRIMARY KEY,
    peer TEXT NOT NULL,
    funding TEXT NOT NULL DEFAULT '',
    opened REAL NOT NULL,
    closed REAL,
    reason TEXT NOT NULL DEFAULT '',
    resolved INTEGER
) STRICT, WITHOUT ROWID;
PRAGMA user_version = {VERSION};
COMMIT;
"""


class Closed(msgspec.Struct, frozen=True):
    """A channel that was closed and whose coins have not all come home yet. `funding`: txid:vout."""

    channel: str
    peer: str
    funding: str
    closed: float
    reason: str


class Record:
    """The open file. Raises PylonError where it is from a newer Pylon or cannot be used."""

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
            if found == 0:
                self._db.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise PylonError(f"{path} cannot be used ({error})", hint="look at its permissions and at the free space there") from error
        if found > VERSION:
            self._db.close()
            raise PylonError(f"{path} has version {found} and this Pylon reads {VERSION}", hint="use the Pylon that made it")

    def opened(self, channel: str, peer: str, funding: str, now: float) -> None:
        """A channel has its funding transaction."""
        self._db.execute(
            "INSERT INTO channels (channel, peer, funding, opened) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET funding = excluded.funding",
            (channel, peer, funding, now),
        )

    def closed(self, channel: str, peer: str, reason: str, now: float) -> None:
        """A channel is closed. What was told already stays."""
        self._db.execute(
            "INSERT INTO channels (channel, peer, opened, closed, reason) VALUES (?1, ?2, ?3, ?3, ?4)"
            " ON CONFLICT DO UPDATE SET closed = coalesce(closed, ?3), reason = CASE WHEN closed IS NULL THEN ?4 ELSE reason END",
            (channel, peer, now, reason),
        )

    def resolved(self, channel: str, height: int) -> None:
        """Nothing of this channel is waited for any more."""
        self._db.execute("UPDATE channels SET resolved = ? WHERE channel = ? AND resolved IS NULL", (height, channel))

    def unresolved(self) -> list[Closed]:
        """Channels that are closed and still waited for, the oldest first."""
        rows = self._db.execute(
            "SELECT channel, peer, funding, closed, reason FROM channels"
            " WHERE closed IS NOT NULL AND resolved IS NULL ORDER BY closed, channel"
        )
        return [Closed(*row) for row in rows]

    def close(self) -> None:
        """Close the file."""
        self._db.close()
