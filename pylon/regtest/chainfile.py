"""The chain's own file: blocks, the transactions that wait, and the index over both, in one SQLite database.

It is the truth; what the engine keeps is a cache of it. Every change is one transaction that is on disk (`synchronous = FULL`) before the
engine or anybody else hears of it. A transaction waits where it has no height; `arrival` is its place in the queue, parents first.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pylon.errors import PylonError
from pylon.regtest.blocks import GENESIS, HEADER_BYTES, Transaction, compact, double_sha256, read_block, read_transaction

VERSION: Final = 1
SCHEMA: Final = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE blocks (
    height INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    header BLOB NOT NULL CHECK (length(header) = {HEADER_BYTES})
) STRICT;
CREATE TABLE txs (
    id INTEGER PRIMARY KEY,
    txid BLOB NOT NULL UNIQUE CHECK (length(txid) = 32),
    height INTEGER REFERENCES blocks,
    pos INTEGER,
    arrival INTEGER,
    fee INTEGER NOT NULL CHECK (fee >= 0),
    sigops INTEGER NOT NULL,
    raw BLOB NOT NULL,
    CHECK ((height IS NULL) = (pos IS NULL)),
    CHECK ((height IS NULL) != (arrival IS NULL))
) STRICT;
CREATE UNIQUE INDEX txs_place ON txs (height, pos) WHERE height IS NOT NULL;
CREATE UNIQUE INDEX txs_waiting ON txs (arrival) WHERE height IS NULL;
-- `place` is the hash of the script by which the Electrum protocol asks, `spender` the transaction that spends it, in a block or waiting.
CREATE TABLE outs (
    tx INTEGER NOT NULL REFERENCES txs,
    n INTEGER NOT NULL,
    value INTEGER NOT NULL CHECK (value >= 0),
    script BLOB NOT NULL,
    place BLOB NOT NULL CHECK (length(place) = 32),
    spender INTEGER REFERENCES txs,
    PRIMARY KEY (tx, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX outs_place ON outs (place);
CREATE INDEX outs_unspent ON outs (place, value) WHERE spender IS NULL;
CREATE INDEX outs_spender ON outs (spender) WHERE spender IS NOT NULL;
PRAGMA user_version = {VERSION};
"""


@dataclass(frozen=True, slots=True)
class Coin:
    """An output as the chain knows it."""

    value: int
    script: bytes
    height: int | None
    """None where its transaction waits."""
    coinbase: bool
    spent: bool
    spent_in_block: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """A transaction that is in no block yet."""

    id: int
    transaction: Transaction
    fee: int
    sigops: int


@dataclass(frozen=True, slots=True)
class Removed:
    """A transaction that is no longer here, and the places whose history it was in."""

    txid: bytes
    places: frozenset[bytes]


def place_of(script: bytes) -> bytes:
    """What the index of outputs is keyed by: SHA-256 of the script (the Electrum protocol shows it in reverse)."""
    return hashlib.sha256(script).digest()


class ChainFile:
    """The open file. Raises PylonError where it is damaged, from a newer Pylon, or the disk refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting_bytes: int | None = None
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise self._explain(error) from error
        try:
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            self._db.close()
            raise self._explain(error) from error
        except PylonError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise PylonError(
                f"{self.path} has version {found} and this Pylon reads {VERSION}", hint="install the Pylon that made it, or a newer one"
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        if found == 0:
            if self._db.execute("SELECT 1 FROM sqlite_schema").fetchone():
                raise PylonError(f"{self.path} is a database, but not a private network's chain", hint="move the file away")
            header, transactions = read_block(GENESIS)
            self._db.executescript(f"BEGIN IMMEDIATE; {SCHEMA}")
            self._db.execute("INSERT INTO meta VALUES ('reward_key', ?)", (os.urandom(32),))
            self._db.execute("INSERT INTO blocks VALUES (0, ?, ?)", (double_sha256(header), header))
            # Its output can never be spent, so it is in no index.
            self._db.execute(
                "INSERT INTO txs (txid, height, pos, fee, sigops, raw) VALUES (?, 0, 0, 0, 0, ?)",
                (transactions[0].txid, transactions[0].raw),
            )
            self._db.execute("COMMIT")

    def _explain(self, error: Exception) -> PylonError:
        damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        hint = "it is a network without value: move its folder away" if damaged else "look at its permissions and at the free space there"
        return PylonError(f"the private network's {self.path} cannot be used ({error})", hint=hint)

    def close(self) -> None:
        """Close the file. What was committed stays."""
        self._db.close()

    @contextmanager
    def change(self) -> Iterator[None]:
        """One transaction: all of it is on disk at the end, or nothing. Raises PylonError where the disk refuses."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            self._waiting_bytes = None
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
                raise self._explain(error) from error
            raise

    def rows(self, sql: str, *values: int | bytes | str | None) -> list[Any]:
        """The answer to a query. Raises PylonError where the file cannot be read."""
        try:
            return self._db.execute(sql, values).fetchall()
        except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
            raise self._explain(error) from error

    def _run(self, sql: str, *values: int | bytes | str | None) -> int:
        return self._db.execute(sql, values).lastrowid or 0

    def reward_key(self) -> bytes:
        """The secret of the faucet, to which all rewards go. Made with the file."""
        return bytes(self.rows("SELECT value FROM meta WHERE name = 'reward_key'")[0][0])

    def height(self) -> int:
        """How many blocks follow the first one."""
        return int(self.rows("SELECT max(height) FROM blocks")[0][0])

    def header(self, height: int) -> bytes | None:
        """The header of the block at a height."""
        found = self.rows("SELECT header FROM blocks WHERE height = ?", height)
        return found[0][0] if found else None

    def headers(self, first: int, last: int) -> list[bytes]:
        """Headers from one height to another, both included."""
        return [row[0] for row in self.rows("SELECT header FROM blocks WHERE height BETWEEN ? AND ? ORDER BY height", first, last)]

    def standing(self, first: int, last: int) -> list[bytes]:
        """Headers that must be there. Raises PylonError where one is not: the file is damaged."""
        found = self.headers(first, last)
        if len(found) != last - first + 1 or any(len(header) != 80 for header in found):
            raise self._explain(sqlite3.DatabaseError(f"blocks from {first} to {last} are missing"))
        return found

    def block(self, height: int) -> bytes:
        """A whole block, as the engine takes it."""
        raws = [row[0] for row in self.rows("SELECT raw FROM txs WHERE height = ? ORDER BY pos", height)]
        return b"".join([self.standing(height, height)[0], compact(len(raws)), *raws])

    def coin(self, txid: bytes, index: int) -> Coin | None:
        """An output, spent or not."""
        found = self.rows(
            "SELECT o.value, o.script, t.height, t.pos = 0, o.spender IS NOT NULL, s.height IS NOT NULL"
            " FROM txs t JOIN outs o ON o.tx = t.id LEFT JOIN txs s ON s.id = o.spender WHERE t.txid = ? AND o.n = ?",
            txid,
            index,
        )
        if not found:
            return None
        value, script, height, first, spent, spent_in_block = found[0]
        return Coin(value, script, height, bool(first), bool(spent), bool(spent_in_block))

    def waiting(self) -> list[Waiting]:
        """What is in no block yet, parents first."""
        rows = self.rows("SELECT id, raw, fee, sigops FROM txs WHERE height IS NULL ORDER BY arrival")
        try:
            return [Waiting(number, read_transaction(raw), fee, sigops) for number, raw, fee, sigops in rows]
        except ValueError as error:
            raise self._explain(sqlite3.DatabaseError(f"a transaction is damaged: {error}")) from error

    def waiting_bytes(self) -> int:
        """How much waits. Counted once, then kept up by `add`, until a block or a loss changes it in another way."""
        if self._waiting_bytes is None:
            self._waiting_bytes = int(self.rows("SELECT total(length(raw)) FROM txs WHERE height IS NULL")[0][0])
        return self._waiting_bytes

    def add(self, transaction: Transaction, *, fee: int = 0, sigops: int = 0, height: int | None = None) -> None:
        """Take in a transaction: one that waits, or (with a height) the coinbase of that block. Inside `change`."""
        arrival = None if height is not None else self._next_arrival()
        number = self._run(
            "INSERT INTO txs (txid, height, pos, arrival, fee, sigops, raw) VALUES (?, ?, ?, ?, ?, ?, ?)",
            transaction.txid, height, None if height is None else 0, arrival, fee, sigops, transaction.raw,
        )
        for n, output in enumerate(transaction.outputs):
            place = place_of(output.script)
            self._run("INSERT INTO outs VALUES (?, ?, ?, ?, ?, NULL)", number, n, output.value, output.script, place)
        if height is None:
            if self._waiting_bytes is not None:
                self._waiting_bytes += len(transaction.raw)
            for spent in transaction.inputs:
                self._run(
                    "UPDATE outs SET spender = ? WHERE n = ? AND tx = (SELECT id FROM txs WHERE txid = ?)", number, spent.index, spent.txid
                )

    def _next_arrival(self) -> int:
        return int(self.rows("SELECT coalesce(max(arrival), 0) + 1 FROM txs WHERE height IS NULL")[0][0])

    def add_block(self, header: bytes, coinbase: Transaction, taken: Sequence[Waiting]) -> None:
        """Put a block on top: its coinbase, and transactions that waited. Inside `change`."""
        height = self.height() + 1
        self._run("INSERT INTO blocks VALUES (?, ?, ?)", height, double_sha256(header), header)
        self.add(coinbase, height=height)
        self._waiting_bytes = None
        for pos, one in enumerate(taken, 1):
            self._run("UPDATE txs SET height = ?, pos = ?, arrival = NULL WHERE id = ?", height, pos, one.id)

    def rewind(self, height: int) -> list[Removed]:
        """Take away all blocks above a height. Their transactions wait again, before all others; new coins go, and what spends them.

        Answers those that went without being coinbases. Inside `change`."""
        back = [row[0] for row in self.rows("SELECT id FROM txs WHERE height > ? AND pos > 0 ORDER BY height, pos", height)]
        queue = [row[0] for row in self.rows("SELECT id FROM txs WHERE height IS NULL ORDER BY arrival")]
        coinbases = [row[0] for row in self.rows("SELECT txid FROM txs WHERE height > ? AND pos = 0", height)]
        self._waiting_bytes = None
        self._run("UPDATE txs SET arrival = -arrival WHERE height IS NULL")
        for arrival, number in enumerate(back + queue, 1):
            self._run("UPDATE txs SET height = NULL, pos = NULL, arrival = ? WHERE id = ?", arrival, number)
        gone = [one for txid in coinbases for one in self.remove(txid)]
        self._run("DELETE FROM blocks WHERE height > ?", height)
        return [one for one in gone if one.txid not in coinbases]

    def remove(self, txid: bytes) -> list[Removed]:
        """Forget a transaction, and all that spend it. Inside `change`."""
        numbers = [row[0] for row in self.rows("SELECT id FROM txs WHERE txid = ?", txid)]
        for number in numbers:
            # The list grows while it is walked: children stand behind their parents.
            numbers += [
                row[0]
                for row in self.rows("SELECT DISTINCT spender FROM outs WHERE tx = ? AND spender IS NOT NULL", number)
                if row[0] not in numbers
            ]
        gone = []
        self._waiting_bytes = None
        for number in reversed(numbers):
            places = frozenset(row[0] for row in self.rows("SELECT place FROM outs WHERE tx = ?1 OR spender = ?1", number))
            gone.append(Removed(self.rows("SELECT txid FROM txs WHERE id = ?", number)[0][0], places))
            self._run("UPDATE outs SET spender = NULL WHERE spender = ?", number)
            self._run("DELETE FROM outs WHERE tx = ?", number)
            self._run("DELETE FROM txs WHERE id = ?", number)
        return gone
