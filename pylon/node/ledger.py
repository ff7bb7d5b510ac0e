"""The ledger: jobs, the effects that are still to be done, the journal of payments. One SQLite file a home.

A step of a job is stored with its effects in one transaction, *then* the effects are performed; so starting up is reading what is unfinished.
Transactions before a spend and those that record a settlement are `synchronous=FULL`, the rest NORMAL: after a power cut the last unpaid
steps may be missing (the relays tell them again), money never.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import msgspec

from pylon.errors import NotSetUp, PylonError
from pylon.market.effects import AnyEffect, Pay
from pylon.market.job import BuyerJob, Job, ProviderJob, Role
from pylon.nostr.event import VerifiedEvent
from pylon.units import Msat
from pylon.wallets.base import Direction

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE jobs (
    role TEXT NOT NULL, id TEXT NOT NULL, kind INTEGER NOT NULL, state TEXT NOT NULL, ended INTEGER NOT NULL,
    created_at REAL NOT NULL, payment_hash BLOB, body BLOB NOT NULL, PRIMARY KEY (role, id)
) STRICT;
CREATE INDEX jobs_by_time ON jobs (created_at);
CREATE INDEX jobs_open ON jobs (ended) WHERE ended = 0;
CREATE INDEX jobs_by_hash ON jobs (payment_hash) WHERE payment_hash IS NOT NULL;
CREATE TABLE effects (
    n INTEGER PRIMARY KEY AUTOINCREMENT, role TEXT NOT NULL, job TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL, event BLOB, event_kind INTEGER
) STRICT;
CREATE INDEX effects_todo ON effects (done) WHERE done = 0;
CREATE INDEX effects_of_job ON effects (role, job);
CREATE TABLE payments (
    n INTEGER PRIMARY KEY AUTOINCREMENT, direction TEXT NOT NULL, payment_hash BLOB NOT NULL, amount INTEGER NOT NULL,
    fee INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL, preimage BLOB, at REAL NOT NULL, settled_at REAL, memo TEXT NOT NULL DEFAULT '',
    job TEXT, own INTEGER NOT NULL DEFAULT 0, bolt11 TEXT NOT NULL, UNIQUE (direction, payment_hash)
) STRICT;
CREATE TABLE deleted (id TEXT NOT NULL, author TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (id, author)) STRICT;
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
"""

J = TypeVar("J", ProviderJob, BuyerJob)
_encode = msgspec.msgpack.Encoder().encode
_decode_effect = msgspec.msgpack.Decoder(AnyEffect).decode
_decode_event = msgspec.msgpack.Decoder(VerifiedEvent).decode
_decoders = {Role.PROVIDER: msgspec.msgpack.Decoder(ProviderJob).decode, Role.BUYER: msgspec.msgpack.Decoder(BuyerJob).decode}


class Status(StrEnum):
    """Of a payment in the journal. `pending`: the intent is written, the outcome not known."""

    PENDING = "pending"
    SETTLED = "settled"
    FAILED = "failed"


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the journal. `own`: from ourselves to ourselves."""

    direction: Direction
    payment_hash: bytes
    bolt11: str
    amount: Msat
    status: Status
    at: float
    fee: Msat = Msat(0)
    preimage: bytes = b""
    settled_at: float | None = None
    memo: str = ""
    job: str = ""
    own: bool = False


class StoredEffect(msgspec.Struct, frozen=True):
    """An effect that is not done yet. `event` is what it has signed already."""

    n: int
    role: Role
    job: str
    effect: AnyEffect
    event: VerifiedEvent | None = None


def role_of(job: Job) -> Role:
    """The side that a record belongs to."""
    return Role.PROVIDER if isinstance(job, ProviderJob) else Role.BUYER


class Ledger:
    """The open ledger. Only the process that holds the home's lock writes; others open it with `readonly`."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        if readonly and not path.exists():
            raise NotSetUp("nothing has happened in this home yet", hint="`pylon start` or `pylon job submit` begins it")
        try:
            self._db = sqlite3.connect(f"file:{path}?mode={'ro' if readonly else 'rwc'}", uri=True, isolation_level=None, timeout=10)
            if not readonly:
                path.chmod(0o600)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._migrate()
        except sqlite3.DatabaseError as error:
            raise PylonError(f"the ledger {path} cannot be opened: {error}", hint="restore it from a backup, or move it away") from error

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            with self.transaction():
                for statement in SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise PylonError(f"the ledger has version {version}, this Pylon reads {SCHEMA_VERSION}", hint="upgrade Pylon")

    @contextmanager
    def transaction(self, *, full: bool = False) -> Iterator[None]:
        """All or nothing. `full` waits for the disk."""
        self._db.execute(f"PRAGMA synchronous={'FULL' if full else 'NORMAL'}")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # Steps.

    def put(self, job: Job, effects: Sequence[AnyEffect] = (), *, done: int | None = None, now: float = 0) -> list[StoredEffect]:
        """Store a step inside a transaction: the job, its effects, the effect that this step finishes, the intent of a payment."""
        role = role_of(job)
        hashed = job.payment_hash if isinstance(job, ProviderJob) else job.quote.payment_hash if job.quote else b""
        self._db.execute(
            "INSERT INTO jobs (role, id, kind, state, ended, created_at, payment_hash, body) VALUES (?,?,?,?,?,?,?,?) "
            "ON CONFLICT (role, id) DO UPDATE SET state=excluded.state, ended=excluded.ended, payment_hash=excluded.payment_hash, body=excluded.body",
            (role, job.id, job.request.kind, job.state, job.ended, job.created_at, hashed or None, _encode(job)),
        )
        stored = []
        for effect in effects:
            cursor = self._db.execute("INSERT INTO effects (role, job, body) VALUES (?,?,?)", (role, job.id, _encode(effect)))
            stored.append(StoredEffect(int(cursor.lastrowid or 0), role, job.id, effect))
            if isinstance(effect, Pay):
                self.intend(Payment(
                    direction=Direction.OUT, payment_hash=effect.payment_hash, bolt11=effect.bolt11, amount=effect.amount,
                    status=Status.PENDING, at=now, memo=f"pylon:{job.id}", job=job.id,
                ))
        if done is not None:
            self.finish(done)
        return stored

    def finish(self, n: int) -> None:
        """Mark an effect as done."""
        self._db.execute("UPDATE effects SET done=1 WHERE n=?", (n,))

    def sign(self, n: int, event: VerifiedEvent) -> None:
        """Keep the event that an effect has signed, before it is sent."""
        self._db.execute("UPDATE effects SET event=?, event_kind=? WHERE n=?", (_encode(event), event.kind, n))

    def unfinished(self) -> list[StoredEffect]:
        """What a start has to do."""
        rows = self._db.execute("SELECT n, role, job, body, event FROM effects WHERE done=0 ORDER BY n")
        return [StoredEffect(n, Role(role), job, _decode_effect(body), _decode_event(event) if event else None) for n, role, job, body, event in rows]

    def published(self, role: Role, job: str, kind: int) -> VerifiedEvent | None:
        """The last event of `kind` that this job signed."""
        row = self._db.execute(
            "SELECT event FROM effects WHERE role=? AND job=? AND event_kind=? ORDER BY n DESC LIMIT 1", (role, job, kind)
        ).fetchone()
        return _decode_event(row[0]) if row else None

    # Jobs.

    def provider_job(self, job_id: str) -> ProviderJob | None:
        """Our record of a request that we serve."""
        row = self._db.execute("SELECT body FROM jobs WHERE role=? AND id=?", (Role.PROVIDER, job_id)).fetchone()
        return msgspec.msgpack.decode(row[0], type=ProviderJob) if row else None

    def buyer_job(self, job_id: str) -> BuyerJob | None:
        """Our record of a request of ours."""
        row = self._db.execute("SELECT body FROM jobs WHERE role=? AND id=?", (Role.BUYER, job_id)).fetchone()
        return msgspec.msgpack.decode(row[0], type=BuyerJob) if row else None

    def provider_job_by_hash(self, payment_hash: bytes) -> ProviderJob | None:
        """The job that an invoice of ours belongs to."""
        row = self._db.execute("SELECT body FROM jobs WHERE payment_hash=? AND role=?", (payment_hash, Role.PROVIDER)).fetchone()
        return msgspec.msgpack.decode(row[0], type=ProviderJob) if row else None

    def open_jobs(self) -> list[Job]:
        """All jobs that have not ended."""
        return [_decoders[Role(role)](body) for role, body in self._db.execute("SELECT role, body FROM jobs WHERE ended=0 ORDER BY created_at")]

    def jobs(self, limit: int) -> list[Job]:
        """The newest jobs, newest first."""
        rows = self._db.execute("SELECT role, body FROM jobs ORDER BY created_at DESC, role LIMIT ?", (limit,))
        return [_decoders[Role(role)](body) for role, body in rows]

    def find(self, prefix: str) -> list[tuple[Role, str]]:
        """Jobs whose id begins with `prefix`: for people who type; everything else uses whole ids."""
        escaped = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        rows = self._db.execute("SELECT role, id FROM jobs WHERE id LIKE ? ESCAPE '\\' ORDER BY created_at DESC LIMIT 20", (escaped + "%",))
        return [(Role(role), job) for role, job in rows]

    def counts(self) -> dict[str, int]:
        """How many jobs stand in each state, keyed `role.state`."""
        return {f"{role}.{state}": n for role, state, n in self._db.execute("SELECT role, state, count(*) FROM jobs GROUP BY role, state")}

    # Payments.

    def spent(self, payment_hash: bytes) -> bool:
        """Whether a payment to this hash was begun and has not failed."""
        row = self._db.execute(
            "SELECT 1 FROM payments WHERE direction=? AND payment_hash=? AND status<>?", (Direction.OUT, payment_hash, Status.FAILED)
        ).fetchone()
        return row is not None

    def intend(self, payment: Payment) -> None:
        """Write an intent. A failed payment to the same hash may be tried again; any other raises (never pay twice)."""
        cursor = self._db.execute(
            "INSERT INTO payments (direction, payment_hash, bolt11, amount, status, at, memo, job, own, settled_at, preimage, fee) "
            "VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (direction, payment_hash) DO UPDATE SET "
            "bolt11=excluded.bolt11, amount=excluded.amount, status=excluded.status, at=excluded.at, memo=excluded.memo, job=excluded.job "
            "WHERE payments.status='failed'",
            (payment.direction, payment.payment_hash, payment.bolt11, payment.amount, payment.status, payment.at, payment.memo,
             payment.job or None, payment.own, payment.settled_at, payment.preimage or None, payment.fee),
        )
        if cursor.rowcount != 1:
            raise AssertionError("the journal knows a payment to this hash: never pay twice")

    def settle(self, direction: Direction, payment_hash: bytes, *, now: float, fee: Msat = Msat(0), preimage: bytes = b"", own: bool = False) -> None:
        """The payment is settled."""
        self._db.execute(
            "UPDATE payments SET status=?, settled_at=?, fee=?, preimage=?, own=? WHERE direction=? AND payment_hash=? AND status<>?",
            (Status.SETTLED, now, fee, preimage or None, own, direction, payment_hash, Status.SETTLED),
        )

    def fail(self, payment_hash: bytes) -> None:
        """Our payment has failed for good."""
        self._db.execute(
            "UPDATE payments SET status=? WHERE direction=? AND payment_hash=? AND status=?",
            (Status.FAILED, Direction.OUT, payment_hash, Status.PENDING),
        )

    def payment(self, direction: Direction, payment_hash: bytes) -> Payment | None:
        """One line of the journal."""
        return next(iter(self._payments("direction=? AND payment_hash=?", (direction, payment_hash), 1)), None)

    def pending(self) -> list[Payment]:
        """Outgoing payments whose outcome is not known."""
        return self._payments("direction=? AND status=?", (Direction.OUT, Status.PENDING), -1)

    def payments(self, limit: int) -> list[Payment]:
        """The newest lines, newest first."""
        return self._payments("1", (), limit)

    def earned(self, limit: int) -> list[Payment]:
        """Settled payments for jobs that we served, newest first."""
        return self._payments("direction=? AND status=? AND job IS NOT NULL", (Direction.IN, Status.SETTLED), limit)

    def earnings(self) -> tuple[Msat, int]:
        """All that was earned (msat), and by how many jobs."""
        total, jobs = self._db.execute(
            "SELECT coalesce(sum(amount), 0), count(*) FROM payments WHERE direction=? AND status=? AND job IS NOT NULL",
            (Direction.IN, Status.SETTLED),
        ).fetchone()
        return Msat(total), jobs

    def _payments(self, where: str, values: Sequence[object], limit: int) -> list[Payment]:
        rows = self._db.execute(
            "SELECT direction, payment_hash, bolt11, amount, status, at, fee, preimage, settled_at, memo, job, own FROM payments "
            f"WHERE {where} ORDER BY n DESC LIMIT ?", (*values, limit),
        )
        return [
            Payment(
                direction=Direction(d), payment_hash=h, bolt11=b, amount=Msat(a), status=Status(s), at=at, fee=Msat(f), preimage=p or b"",
                settled_at=settled, memo=memo, job=job or "", own=bool(own),
            )
            for d, h, b, a, s, at, f, p, settled, memo, job, own in rows
        ]

    # Deletions seen before their request, and cursors.

    def delete(self, job: str, author: str, now: float) -> None:
        """Remember that `author` deleted the request `job`."""
        self._db.execute("INSERT OR IGNORE INTO deleted VALUES (?,?,?)", (job, author, now))
        self._db.execute("DELETE FROM deleted WHERE at < ?", (now - 86400,))

    def is_deleted(self, job: str, author: str) -> bool:
        """Whether the author deleted it."""
        return self._db.execute("SELECT 1 FROM deleted WHERE id=? AND author=?", (job, author)).fetchone() is not None

    def mark(self, name: str) -> int | None:
        """A stored cursor."""
        row = self._db.execute("SELECT value FROM marks WHERE name=?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def set_mark(self, name: str, value: int) -> None:
        """Store a cursor."""
        self._db.execute("INSERT INTO marks VALUES (?,?) ON CONFLICT (name) DO UPDATE SET value=excluded.value", (name, value))
