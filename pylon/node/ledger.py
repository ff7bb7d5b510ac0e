"""The ledger: jobs, the effects that are still to be done, the journal of payments. One SQLite file a home.

A step of a job is stored with its effects in one transaction, *then* the effects are performed; so starting up is reading what is
unfinished. Transactions before a spend and those that record a settlement are `synchronous=FULL`, the rest NORMAL: after a power cut the
last unpaid steps may be missing (the relays tell them again), money never.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from pylon.errors import PylonError
from pylon.market.effects import AnyEffect, Pay
from pylon.market.job import BuyerJob, Job, ProviderJob, Role
from pylon.market.payment import Status
from pylon.node import differences, journal, migration
from pylon.node.database import Database
from pylon.node.differences import Difference
from pylon.node.figures import Purse
from pylon.node.journal import Journal, Payment
from pylon.node.records import Records
from pylon.node.vault import Vault
from pylon.nostr.event import VerifiedEvent
from pylon.wallets.base import Direction

SCHEMA_VERSION = 2
SCHEMA = (
    """CREATE TABLE jobs (
    role TEXT NOT NULL, id TEXT NOT NULL, kind INTEGER NOT NULL, state TEXT NOT NULL, ended INTEGER NOT NULL,
    created_at REAL NOT NULL, payment_hash BLOB, body BLOB NOT NULL, PRIMARY KEY (role, id)
) STRICT""",
    "CREATE INDEX jobs_by_time ON jobs (created_at)",
    "CREATE INDEX jobs_open ON jobs (ended) WHERE ended = 0",
    "CREATE INDEX jobs_by_hash ON jobs (payment_hash) WHERE payment_hash IS NOT NULL",
    """CREATE TABLE effects (
    n INTEGER PRIMARY KEY AUTOINCREMENT, role TEXT NOT NULL, job TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL, event BLOB, event_kind INTEGER
) STRICT""",
    "CREATE INDEX effects_todo ON effects (done) WHERE done = 0",
    "CREATE INDEX effects_of_job ON effects (role, job)",
    *journal.SCHEMA,
    *differences.SCHEMA,
    "CREATE TABLE deleted (id TEXT NOT NULL, author TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (id, author)) STRICT",
    "CREATE INDEX deleted_by_time ON deleted (at)",
    "CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
)
WALLET = "wallet"
"""The fact: which wallet, on which network, this ledger is of."""
KEEP_DELETED = 86_400
"""Seconds that a deletion without its request is remembered; an older request is not taken up anyway."""
MOST_DELETED = 50_000
"""Deletions that are remembered at once, whatever strangers send."""


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


class Ledger(Journal):
    """The open ledger. Only the process that holds the home's lock writes; others open it with `readonly`."""

    def __init__(self, path: Path, *, readonly: bool = False, secret: bytes | None = None) -> None:
        """`secret` is the identity's wallet secret: without it no preimage can be read, and none that is written here ever will be."""
        vault = Vault(secret)
        self._records = Records(vault)
        database = Database(
            path, SCHEMA, SCHEMA_VERSION, readonly=readonly, migrations={1: lambda database: migration.from_1(database, vault)}
        )
        super().__init__(database, vault)
        try:
            fact = self.fact(WALLET)
        except PylonError:
            database.close()
            raise
        if fact is not None:
            self.purse = Purse(*fact.rsplit(" ", 1))

    def transaction(self, *, full: bool = False) -> AbstractContextManager[None]:
        """All or nothing. `full` waits for the disk."""
        return self._db.transaction(full=full)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # Steps.

    def put(self, job: Job, effects: Sequence[AnyEffect] = (), *, done: int | None = None, now: float = 0) -> list[StoredEffect]:
        """Store a step inside a transaction: the job, its effects, the effect that this step finishes, the intent of a payment.

        An intent needs a transaction that waits for the disk."""
        if not self._db.in_transaction:
            raise AssertionError("a step is stored in one transaction")
        role = role_of(job)
        hashed = job.payment_hash if isinstance(job, ProviderJob) else job.quote.payment_hash if job.quote else b""
        self._db.run(
            "INSERT INTO jobs (role, id, kind, state, ended, created_at, payment_hash, body) VALUES (?,?,?,?,?,?,?,?) "
            "ON CONFLICT (role, id) DO UPDATE SET state=excluded.state, ended=excluded.ended, payment_hash=excluded.payment_hash, "
            "body=excluded.body",
            role, job.id, job.request.kind, job.state, job.ended, job.created_at, hashed or None, self._records.job(job),
        )
        stored = []
        for effect in effects:
            n = self._db.insert("INSERT INTO effects (role, job, body) VALUES (?,?,?)", role, job.id, self._records.effect(effect))
            stored.append(StoredEffect(n, role, job.id, effect))
            if isinstance(effect, Pay):
                if not self._db.full:
                    raise AssertionError("the intent of a payment must be on the disk before the wallet is asked")
                self.intend(Payment(
                    direction=Direction.OUT, payment_hash=effect.payment_hash, bolt11=effect.bolt11, amount=effect.amount,
                    max_fee=effect.max_fee, status=Status.INTENT, at=now, memo=f"pylon:{job.id}", job=job.id,
                    peer=job.quote.provider if isinstance(job, BuyerJob) and job.quote else "",
                ))
        if done is not None:
            self.finish(done)
        return stored

    def finish(self, n: int) -> None:
        """Mark an effect as done."""
        if self._db.run("UPDATE effects SET done=1 WHERE n=?", n) != 1:
            raise AssertionError(f"there is no effect {n}")

    def sign(self, n: int, event: VerifiedEvent) -> None:
        """Keep the event that an effect has signed, before it is sent."""
        if self._db.run("UPDATE effects SET event=?, event_kind=? WHERE n=?", self._records.event(event), event.kind, n) != 1:
            raise AssertionError(f"there is no effect {n}")

    def unfinished(self) -> list[StoredEffect]:
        """What a start has to do, in the order in which it was decided."""
        rows = self._db.rows("SELECT n, role, job, body, event FROM effects WHERE done=0 ORDER BY n")
        return [
            StoredEffect(n, Role(role), job, self._records.read_effect(body), self._records.read_event(event) if event else None)
            for n, role, job, body, event in rows
        ]

    def published(self, role: Role, job: str, kind: int) -> VerifiedEvent | None:
        """The last event of `kind` that this job signed."""
        row = self._db.row("SELECT event FROM effects WHERE role=? AND job=? AND event_kind=? ORDER BY n DESC LIMIT 1", role, job, kind)
        return self._records.read_event(row[0]) if row else None

    # Jobs.

    def provider_job(self, job_id: str) -> ProviderJob | None:
        """Our record of a request that we serve."""
        row = self._db.row("SELECT body FROM jobs WHERE role=? AND id=?", Role.PROVIDER, job_id)
        return self._records.read_provider(row[0]) if row else None

    def buyer_job(self, job_id: str) -> BuyerJob | None:
        """Our record of a request of ours."""
        row = self._db.row("SELECT body FROM jobs WHERE role=? AND id=?", Role.BUYER, job_id)
        return self._records.read_buyer(row[0]) if row else None

    def provider_job_by_hash(self, payment_hash: bytes) -> ProviderJob | None:
        """The job that an invoice of ours belongs to."""
        row = self._db.row("SELECT body FROM jobs WHERE payment_hash=? AND role=?", payment_hash, Role.PROVIDER)
        return self._records.read_provider(row[0]) if row else None

    def open_jobs(self) -> list[Job]:
        """All jobs that have not ended."""
        rows = self._db.rows("SELECT role, body FROM jobs WHERE ended=0 ORDER BY created_at")
        return [self._records.read(role, body) for role, body in rows]

    def jobs(self, limit: int) -> list[Job]:
        """The newest jobs, newest first."""
        rows = self._db.rows("SELECT role, body FROM jobs ORDER BY created_at DESC, role LIMIT ?", limit)
        return [self._records.read(role, body) for role, body in rows]

    def find(self, prefix: str) -> list[tuple[Role, str]]:
        """Jobs whose id begins with `prefix`: for people who type; everything else uses whole ids."""
        escaped = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        rows = self._db.rows("SELECT role, id FROM jobs WHERE id LIKE ? ESCAPE '\\' ORDER BY created_at DESC, role LIMIT 20", escaped + "%")
        return [(Role(role), job) for role, job in rows]

    def counts(self) -> dict[str, int]:
        """How many jobs stand in each state, keyed `role.state`."""
        return {f"{role}.{state}": n for role, state, n in self._db.rows("SELECT role, state, count(*) FROM jobs GROUP BY role, state")}

    # Deletions seen before their request, and cursors.

    def delete(self, job: str, author: str, now: float) -> None:
        """Remember that `author` deleted the request `job`."""
        self._db.run("INSERT OR IGNORE INTO deleted VALUES (?,?,?)", job, author, now)
        self._db.run("DELETE FROM deleted WHERE at < ?", now - KEEP_DELETED)
        self._db.run("DELETE FROM deleted WHERE rowid <= (SELECT max(rowid) FROM deleted) - ?", MOST_DELETED)

    def is_deleted(self, job: str, author: str) -> bool:
        """Whether the author deleted it."""
        return self._db.row("SELECT 1 FROM deleted WHERE id=? AND author=?", job, author) is not None

    def mark(self, name: str) -> int | None:
        """A stored cursor."""
        row = self._db.row("SELECT value FROM marks WHERE name=?", name)
        return None if row is None else int(row[0])

    def set_mark(self, name: str, value: int) -> None:
        """Store a cursor."""
        self._db.run("INSERT INTO marks VALUES (?,?) ON CONFLICT (name) DO UPDATE SET value=excluded.value", name, value)

    def belong(self, purse: Purse) -> None:
        """From now on the lines of the journal are of this wallet and network."""
        self.set_fact(WALLET, f"{purse.wallet} {purse.network}")
        self.purse = purse

    # Where the journal and the wallet differ.

    def note(self, found: Sequence[Difference], *, now: float) -> list[Difference]:
        """Keep what a comparison with the wallet found; those that are new."""
        with self.transaction():
            return differences.keep(self._db, self.purse, found, now=now)

    def differences(self) -> list[Difference]:
        """All that were ever seen, oldest first; `gone_at` says that one is no more."""
        return differences.of(self._db)

    def fact(self, name: str) -> str | None:
        """Something this ledger knows about itself."""
        row = self._db.row("SELECT value FROM facts WHERE name=?", name)
        return None if row is None else str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        """Keep it."""
        self._db.run("INSERT INTO facts VALUES (?,?) ON CONFLICT (name) DO UPDATE SET value=excluded.value", name, value)
