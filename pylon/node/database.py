"""One SQLite file: opened, brought to its schema, changed in transactions. Knows nothing of what is in it.

WAL, so that other processes read while the node writes. What SQLite says against the file becomes one sentence for a person.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pylon.errors import NotSetUp, PylonError

Value = str | int | float | bytes | None
Migration = Callable[["Database"], None]

MEMORY = Path(":memory:")
"""SQLite's own name for a database without a file."""


NO_MIGRATIONS: Mapping[int, Migration] = {}


class Database:
    """The open file. `version` is of `schema`, a list of statements, and stands in the file's header. `migrations[n]` leads version n to
    the next one; all that are needed are one transaction. A reader of an older file sees a copy in memory that was led so; the file stays.

    Raises NotSetUp where a reader finds nothing, PylonError where the file is damaged, in use, or from a newer Pylon."""

    def __init__(
        self, path: Path, schema: Sequence[str], version: int, *, readonly: bool = False,
        migrations: Mapping[int, Migration] = NO_MIGRATIONS,
    ) -> None:
        self.path = path
        self._migrations = migrations
        self.full = False
        """Whether the open transaction waits for the disk."""
        if readonly and not path.exists():
            raise _nothing_yet()
        # as_uri: a path may hold ?, # and %.
        uri = f"file:{MEMORY}" if path == MEMORY else f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rwc'}"
        try:
            self._db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10)
        except sqlite3.DatabaseError as error:
            raise self._explain("opened", error) from error
        try:
            if not readonly and path != MEMORY:
                path.chmod(0o600)
                self.rows("PRAGMA journal_mode=WAL")
            self._db.row_factory = sqlite3.Row
            self._check(schema, version, readonly)
        except BaseException:
            self._db.close()
            raise

    def _check(self, schema: Sequence[str], version: int, readonly: bool) -> None:
        found = self._version()
        if found == 0 and not readonly:
            with self.transaction():
                for statement in schema:
                    self.run(statement)
                self.run(f"PRAGMA user_version={version}")
        elif found == 0:
            raise _nothing_yet()
        elif found in self._migrations and found < version:
            self._migrate(found, version, readonly)
        elif found != version:
            raise PylonError(
                f"{self.path} has version {found} and this Pylon reads {version}", hint="install the Pylon that made it, or a newer one"
            )
        self.rows("SELECT name FROM sqlite_schema")

    def _migrate(self, found: int, version: int, readonly: bool) -> None:
        """All or nothing, on the disk before anything else happens."""
        if readonly:
            file, self._db = self._db, sqlite3.connect(str(MEMORY), isolation_level=None)
            try:
                file.backup(self._db)
            except sqlite3.DatabaseError as error:
                raise self._explain("read", error) from error
            finally:
                file.close()
            self._db.row_factory = sqlite3.Row
        self.rows("PRAGMA secure_delete=ON")  # what stood in clear and is sealed now is not left in free pages
        with self.transaction(full=True):
            found = self._version()  # another process may have been quicker
            for number in range(found, version):
                self._migrations[number](self)
            self.run(f"PRAGMA user_version={version}")

    def _version(self) -> int:
        return int(self.rows("PRAGMA user_version")[0][0])

    def _explain(self, what: str, error: sqlite3.DatabaseError) -> Exception:
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            return error  # a bug of ours, no fault of the file
        # Nobody should move a sound ledger away because the disk is full.
        damaged = not isinstance(error, sqlite3.OperationalError)
        hint = "restore it from a backup, or move it away" if damaged else "look at its permissions and at the free space there"
        return PylonError(f"{self.path} cannot be {what}: {error}", hint=hint)

    def _execute(self, sql: str, values: Sequence[Value]) -> sqlite3.Cursor:
        try:
            return self._db.execute(sql, values)
        except sqlite3.DatabaseError as error:
            raise self._explain("written", error) from error

    @contextmanager
    def transaction(self, *, full: bool = False) -> Iterator[None]:
        """All or nothing. `full` waits for the disk."""
        self.rows(f"PRAGMA synchronous={'FULL' if full else 'NORMAL'}")
        self.run("BEGIN IMMEDIATE")
        self.full = full
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite ends it by itself where the disk is full
                self._db.execute("ROLLBACK")
            raise
        finally:
            self.full = False

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._db.in_transaction

    def rows(self, sql: str, *values: Value) -> list[sqlite3.Row]:
        """All rows of a query."""
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._explain("read", error) from error

    def row(self, sql: str, *values: Value) -> sqlite3.Row | None:
        """The first row of a query."""
        return next(iter(self.rows(sql, *values)), None)

    def run(self, sql: str, *values: Value) -> int:
        """Change something: how many rows it touched."""
        return self._execute(sql, values).rowcount

    def insert(self, sql: str, *values: Value) -> int:
        """Insert one row: its number."""
        number = self._execute(sql, values).lastrowid
        if number is None:
            raise AssertionError("an INSERT gives a row number")
        return number

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _nothing_yet() -> NotSetUp:
    return NotSetUp("nothing has happened in this home yet", hint="`pylon start` or `pylon job submit` begins it")
