"""The file of the simulated bank: its tables, how it is made and opened, and what to tell a person when it fails."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from pathlib import Path

from pylon.errors import PylonError

VERSION = 1

BUSY_SECONDS = 15.0
"""How long a change waits for the changes of other processes."""

SCHEMA = f"""
CREATE TABLE accounts (
    id BLOB PRIMARY KEY,
    balance INTEGER NOT NULL CHECK (balance >= 0),
    funded INTEGER NOT NULL CHECK (funded >= 0)
) STRICT, WITHOUT ROWID;
-- `due` is when an open invoice expires, or a held payment goes back. Who pays stands in the row: an invoice is paid once at most.
CREATE TABLE invoices (
    bolt11 TEXT PRIMARY KEY,
    payee BLOB NOT NULL,
    payment_hash BLOB NOT NULL CHECK (length(payment_hash) = 32),
    amount INTEGER NOT NULL CHECK (amount > 0),
    preimage BLOB CHECK (length(preimage) = 32),
    status TEXT NOT NULL CHECK (status IN ('open', 'held', 'settled', 'failed', 'expired')),
    due INTEGER NOT NULL,
    payer BLOB,
    key BLOB CHECK (length(key) = 32),
    UNIQUE (payee, payment_hash),
    UNIQUE (payer, key),
    CHECK ((payer IS NULL) = (key IS NULL)),
    CHECK (status NOT IN ('held', 'settled') OR payer IS NOT NULL),
    CHECK (status != 'settled' OR preimage IS NOT NULL)
) STRICT;
CREATE INDEX invoices_due ON invoices (due) WHERE status IN ('open', 'held');
CREATE INDEX invoices_paid ON invoices (payer, payment_hash) WHERE payer IS NOT NULL;
CREATE TABLE events (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT,
    account BLOB NOT NULL,
    payment_hash BLOB NOT NULL,
    status TEXT NOT NULL,
    amount INTEGER NOT NULL,
    at INTEGER NOT NULL,
    preimage BLOB,
    deadline INTEGER
) STRICT;
CREATE INDEX events_of ON events (account, cursor);
CREATE TABLE listeners (path TEXT PRIMARY KEY, account BLOB NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the bank's file, made when missing. Raises PylonError where it is damaged or not of this version."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise explain(path, error) from error
    try:
        if _version(db) == 0:
            _create(path, db)
        if (found := _version(db)) != VERSION:
            raise PylonError(f"{path} is not a simulated bank of this version of Pylon ({found}, not {VERSION})", hint="move the file away")
        # FULL: a payment that was acknowledged survives a power cut too, not only the end of the process.
        db.execute("PRAGMA synchronous = FULL")
    except (OSError, sqlite3.Error) as error:
        db.close()
        raise explain(path, error) from error
    except PylonError:
        db.close()
        raise
    return db


def _version(db: sqlite3.Connection) -> int:
    row: tuple[int] = db.execute("PRAGMA user_version").fetchone()
    return row[0]


def _create(path: Path, db: sqlite3.Connection) -> None:
    """Make the tables. Two processes at once: the change to WAL does not wait for the other, so a file lock orders them."""
    with path.with_suffix(".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _version(db) != 0:
            return
        if db.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise PylonError(f"{path} is a database, but not a simulated bank", hint="move the file away")
        db.execute("PRAGMA journal_mode = WAL")
        # Cursors begin at the time in microseconds, so that they rise even from a bank that was deleted to the one made after it.
        first = time.time_ns() // 1000
        db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} INSERT INTO sqlite_sequence (name, seq) VALUES ('events', {first}); COMMIT;")


def explain(path: Path, error: sqlite3.Error | OSError) -> PylonError:
    """The sentence for a bank that cannot be used."""
    if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return PylonError(f"the simulated bank {path} is busy: another process has been writing for {BUSY_SECONDS:g} s", hint="try again")
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return PylonError(
            f"the simulated bank {path} is damaged ({error})",
            hint=f"its money is play money: move {path.parent} away and a new bank is made",
        )
    return PylonError(f"the simulated bank {path} cannot be used ({error})", hint="check the folder's permissions and the free space")
