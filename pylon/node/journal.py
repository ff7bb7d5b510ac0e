"""The journal: every payment, out and in, from the intent to its end. The part of the ledger that keeps money from being spent twice.

An outgoing payment is written as `pending` before the wallet is asked. While its hash stands here as pending or settled, no second
payment to it can be written.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from pylon.node.database import Database, Value
from pylon.units import Msat
from pylon.wallets.base import Direction

SCHEMA = (
    """CREATE TABLE payments (
    n INTEGER PRIMARY KEY AUTOINCREMENT, direction TEXT NOT NULL, payment_hash BLOB NOT NULL, amount INTEGER NOT NULL,
    fee INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL, preimage BLOB, at REAL NOT NULL, settled_at REAL, memo TEXT NOT NULL DEFAULT '',
    job TEXT, own INTEGER NOT NULL DEFAULT 0, bolt11 TEXT NOT NULL, UNIQUE (direction, payment_hash)
) STRICT""",
    "CREATE INDEX payments_by_status ON payments (direction, status)",
)


NO_FEE = Msat(0)


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
    fee: Msat = NO_FEE
    preimage: bytes = b""
    settled_at: float | None = None
    memo: str = ""
    job: str = ""
    own: bool = False


class Journal:
    """The journal in an open database."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def spent(self, payment_hash: bytes) -> bool:
        """Whether a payment to this hash was begun and has not failed."""
        return self._db.row(
            "SELECT 1 FROM payments WHERE direction=? AND payment_hash=? AND status<>?", Direction.OUT, payment_hash, Status.FAILED
        ) is not None

    def intend(self, payment: Payment) -> None:
        """Write an intent. A failed payment to the same hash may be tried again; any other raises (never pay twice)."""
        touched = self._db.run(
            "INSERT INTO payments (direction, payment_hash, bolt11, amount, status, at, memo, job, own, settled_at, preimage, fee) "
            "VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (direction, payment_hash) DO UPDATE SET "
            "bolt11=excluded.bolt11, amount=excluded.amount, status=excluded.status, at=excluded.at, memo=excluded.memo, job=excluded.job "
            "WHERE payments.status='failed'",
            payment.direction, payment.payment_hash, payment.bolt11, payment.amount, payment.status, payment.at, payment.memo,
            payment.job or None, payment.own, payment.settled_at, payment.preimage or None, payment.fee,
        )
        if touched != 1:
            raise AssertionError("the journal knows a payment to this hash: never pay twice")

    def settle(
        self, direction: Direction, payment_hash: bytes, *, now: float, fee: Msat = NO_FEE, preimage: bytes = b"", own: bool = False
    ) -> None:
        """The payment is settled; said again, nothing changes. A payment without an intent is a bug and raises."""
        touched = self._db.run(
            "UPDATE payments SET status=?, settled_at=?, fee=?, preimage=?, own=? WHERE direction=? AND payment_hash=? AND status<>?",
            Status.SETTLED, now, fee, preimage or None, own, direction, payment_hash, Status.SETTLED,
        )
        if touched == 0 and self.payment(direction, payment_hash) is None:
            raise AssertionError("a payment is settled that the journal never heard of")

    def fail(self, payment_hash: bytes) -> None:
        """Our payment has failed for good."""
        self._db.run(
            "UPDATE payments SET status=? WHERE direction=? AND payment_hash=? AND status=?",
            Status.FAILED, Direction.OUT, payment_hash, Status.PENDING,
        )

    def payment(self, direction: Direction, payment_hash: bytes) -> Payment | None:
        """One line of the journal."""
        return next(iter(self._payments("direction=? AND payment_hash=?", direction, payment_hash, limit=1)), None)

    def pending(self) -> list[Payment]:
        """Outgoing payments whose outcome is not known."""
        return self._payments("direction=? AND status=?", Direction.OUT, Status.PENDING, limit=-1)

    def payments(self, limit: int) -> list[Payment]:
        """The newest lines, newest first."""
        return self._payments("1", limit=limit)

    def history(self, limit: int) -> list[Payment]:
        """What was paid, out and in, newest first: an open invoice of ours is no payment yet."""
        return self._payments(
            "direction=? OR status=?", Direction.OUT, Status.SETTLED, limit=limit, order="coalesce(settled_at, at) DESC, n DESC"
        )

    def earned(self, limit: int) -> list[Payment]:
        """Settled payments for jobs that we served, newest first."""
        return self._payments(
            "direction=? AND status=? AND job IS NOT NULL", Direction.IN, Status.SETTLED, limit=limit, order="settled_at DESC, n DESC"
        )

    def earnings(self) -> tuple[Msat, int]:
        """All that was earned (msat), and by how many jobs."""
        ((total, jobs),) = self._db.rows(
            "SELECT coalesce(sum(amount), 0), count(*) FROM payments WHERE direction=? AND status=? AND job IS NOT NULL",
            Direction.IN, Status.SETTLED,
        )
        return Msat(total), jobs

    def _payments(self, where: str, *values: Value, limit: int, order: str = "n DESC") -> list[Payment]:
        rows = self._db.rows(
            "SELECT direction, payment_hash, bolt11, amount, status, at, fee, preimage, settled_at, memo, job, own FROM payments "
            f"WHERE {where} ORDER BY {order} LIMIT ?", *values, limit,
        )
        return [
            Payment(
                direction=Direction(d), payment_hash=h, bolt11=b, amount=Msat(a), status=Status(s), at=at, fee=Msat(f), preimage=p or b"",
                settled_at=settled, memo=memo, job=job or "", own=bool(own),
            )
            for d, h, b, a, s, at, f, p, settled, memo, job, own in rows
        ]
