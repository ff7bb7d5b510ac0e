"""The file of the wallet's book: its tables, how it is made and opened, transactions, and what to tell a person when it fails."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from pylon import _native
from pylon.errors import PylonError

VERSION = 1
NONCE = 24

SCHEMA = f"""
-- `amount` is what was asked, `received` what came. `hold`: the preimage was not ours when the invoice was made. `height` is the block in
-- which a held payment goes back, `deadline` our estimate of its time. `loose`: the node still has to be told that it is refused.
-- `kept`: the node has a record of it.
CREATE TABLE invoices (
    payment_hash BLOB PRIMARY KEY CHECK (length(payment_hash) = 32),
    bolt11 TEXT NOT NULL,
    preimage BLOB,
    hold INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    received INTEGER,
    status TEXT NOT NULL CHECK (status IN ('open', 'held', 'claiming', 'settled', 'failed', 'expired')),
    made_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    height INTEGER,
    deadline INTEGER,
    loose INTEGER NOT NULL DEFAULT 0,
    kept INTEGER NOT NULL DEFAULT 1,
    CHECK (status NOT IN ('claiming', 'settled') OR preimage IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX invoices_open ON invoices (expires_at) WHERE status = 'open';
CREATE INDEX invoices_due ON invoices (status) WHERE status IN ('held', 'claiming') OR loose;
CREATE INDEX invoices_stale ON invoices (changed_at) WHERE kept AND status IN ('failed', 'expired');
CREATE INDEX invoices_changed ON invoices (changed_at);
-- `closes` counts the channels that were closed when the payment began. `again`: it failed for a passing reason and may be begun again.
CREATE TABLE payments (
    payment_hash BLOB PRIMARY KEY CHECK (length(payment_hash) = 32),
    key BLOB NOT NULL UNIQUE CHECK (length(key) = 32),
    bolt11 TEXT NOT NULL,
    amount INTEGER NOT NULL,
    max_fee INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('intent', 'sent', 'settled', 'failed', 'doubtful')),
    preimage BLOB,
    fee INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    closes INTEGER NOT NULL,
    begun_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    again INTEGER NOT NULL DEFAULT 0,
    CHECK (status != 'settled' OR preimage IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX payments_due ON payments (status) WHERE status IN ('intent', 'sent', 'doubtful');
CREATE INDEX payments_changed ON payments (changed_at);
CREATE TABLE events (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT,
    payment_hash BLOB NOT NULL,
    status TEXT NOT NULL,
    amount INTEGER NOT NULL,
    at INTEGER NOT NULL,
    deadline INTEGER
) STRICT;
-- `leaving`: we close it ourselves, so none takes its place. `number`: it was the number-th of our channels to close. `resolved_at`:
-- nothing of it is on its way any more.
CREATE TABLE channels (
    id TEXT PRIMARY KEY,
    peer TEXT NOT NULL,
    funding TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    leaving INTEGER NOT NULL DEFAULT 0,
    closed_at INTEGER,
    number INTEGER UNIQUE,
    reason TEXT NOT NULL DEFAULT '',
    resolved_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""


class BookFile:
    """One connection to the file, used by one thread at a time. Preimages are sealed under a key of this identity."""

    def __init__(self, path: Path, db: sqlite3.Connection, key: bytes) -> None:
        self.path = path
        self.db = db
        self._key = key

    @classmethod
    def open(cls, path: Path, key: bytes, *, durable: bool) -> Self:
        """Open the book, made when missing. `durable`: a commit survives a power cut too. Raises PylonError where it cannot be used."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise explain(path, error) from error
        try:
            _prepare(path, db, durable)
        except sqlite3.Error as error:
            db.close()
            raise explain(path, error) from error
        except PylonError:
            db.close()
            raise
        return cls(path, db, key)

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield self.db
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise

    def seal(self, preimage: bytes, payment_hash: bytes) -> bytes:
        """A preimage as it stands in the file, bound to its hash."""
        nonce = secrets.token_bytes(NONCE)
        return nonce + _native.seal(self._key, nonce, preimage, payment_hash)

    def unseal(self, sealed: bytes, payment_hash: bytes) -> bytes:
        """The preimage. Raises PylonError where the file belongs to another identity, or was changed."""
        try:
            return _native.unseal(self._key, sealed[:NONCE], sealed[NONCE:], payment_hash)
        except ValueError as error:
            raise PylonError(f"{self.path} is the wallet of another identity, or was changed", hint="bring its own home back") from error


def raise_cursor(path: Path) -> None:
    """In a book that was brought back: cursors go on above all that the one in its place may have told. Raises PylonError."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'events'", (time.time_ns() // 1000,))
    except sqlite3.Error as error:
        raise explain(path, error) from error
    finally:
        db.close()


def _prepare(path: Path, db: sqlite3.Connection, durable: bool) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise PylonError(f"{path} was written by a newer Pylon (form {version}, this one knows {VERSION})", hint="update Pylon")
    if version == 0:
        if db.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise PylonError(f"{path} is a database, but not the book of a wallet", hint="move the file away")
        db.execute("PRAGMA journal_mode = WAL")
        # Cursors begin at the time in microseconds, so that they rise even from a book that was deleted to the one made after it.
        first = time.time_ns() // 1000
        db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} INSERT INTO sqlite_sequence (name, seq) VALUES ('events', {first}); COMMIT;")
    db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")


def explain(path: Path, error: sqlite3.Error | OSError) -> PylonError:
    """The sentence for a book that cannot be used."""
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return PylonError(f"the wallet's book {path} is damaged ({error})", hint="bring it back with `pylon wallet restore`")
    return PylonError(f"the wallet's book {path} cannot be used ({error})", hint="check the folder's permissions and the free space")
