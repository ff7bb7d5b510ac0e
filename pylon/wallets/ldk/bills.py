"""The book's pages of what we are paid: our invoices, and what happens to them. All methods block: they run in the book's thread."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from pylon.errors import PaymentError, PaymentFailed
from pylon.units import Msat
from pylon.wallets.base import Direction, PaymentRecord, PaymentState, PaymentStatus, WalletEvent
from pylon.wallets.ldk.bookfile import BookFile

COLUMNS = "payment_hash, bolt11, preimage, hold, amount, received, status, expires_at, height, deadline, loose"


class BillStatus(StrEnum):
    """`claiming`: we have decided to take the payment, and the node has not said yet that it has it."""

    OPEN = "open"
    HELD = "held"
    CLAIMING = "claiming"
    SETTLED = "settled"
    FAILED = "failed"
    EXPIRED = "expired"


SEEN = {BillStatus.CLAIMING: PaymentStatus.HELD}
"""How the port calls them where the word is another one."""


class Bill(msgspec.Struct, frozen=True):
    """One invoice of ours."""

    payment_hash: bytes
    bolt11: str
    preimage: bytes | None
    hold: bool
    amount: Msat
    received: Msat | None
    status: BillStatus
    expires_at: int
    height: int | None
    deadline: int | None
    loose: bool

    def state(self) -> PaymentState:
        """As the port tells it."""
        shown = self.preimage if self.status in (BillStatus.CLAIMING, BillStatus.SETTLED) else None
        amount = self.amount if self.received is None else self.received
        return PaymentState(SEEN.get(self.status) or PaymentStatus(self.status), shown, Msat(0), amount)


class Bills:
    """The invoices of one wallet."""

    def __init__(self, file: BookFile) -> None:
        self._file = file

    def find(self, payment_hash: bytes) -> Bill | None:
        """The invoice of this hash."""
        return next(iter(self._select("payment_hash = ?", payment_hash)), None)

    def refuse_known(self, payment_hash: bytes) -> None:
        """Raise PaymentError where an invoice or a payment of ours has this hash: the node keeps one record for each."""
        for table in ("invoices", "payments"):
            if self._file.db.execute(f"SELECT 1 FROM {table} WHERE payment_hash = ?", (payment_hash,)).fetchone():
                raise PaymentError("this payment hash has been used already")

    def issue(self, payment_hash: bytes, bolt11: str, preimage: bytes | None, amount: Msat, expires_at: int, now: int) -> None:
        """Write down a new invoice, before anybody sees it. Without a preimage it is a hold invoice."""
        sealed = None if preimage is None else self._file.seal(preimage, payment_hash)
        with self._file.change() as db:
            self.refuse_known(payment_hash)
            db.execute(
                "INSERT INTO invoices (payment_hash, bolt11, preimage, hold, amount, status, made_at, expires_at, changed_at)"
                " VALUES (?, ?, ?, ?, ?, 'open', ?, ?, ?)",
                (payment_hash, bolt11, sealed, preimage is None, amount, now, expires_at, now),
            )

    def arrive(self, payment_hash: bytes, received: Msat, height: int | None, deadline: int, enough: bool, now: int) -> Bill | None:
        """A payment has come for this hash. What is to be done with it, by the status afterwards: `claiming` take it, `held` keep it,
        any other (or no invoice at all) refuse it. It may come again after a crash, and gets the same answer."""
        self.lapse(now)
        with self._file.change():
            bill = self.find(payment_hash)
            if bill is None:
                return None
            if bill.status is BillStatus.OPEN and not enough:
                self._move(bill, BillStatus.FAILED, now, loose=True)
            elif bill.status is BillStatus.OPEN:
                status = BillStatus.HELD if bill.hold else BillStatus.CLAIMING
                self._move(bill, status, now, received=received, height=height, deadline=deadline)
            elif bill.status in (BillStatus.HELD, BillStatus.CLAIMING):
                self._file.db.execute(
                    "UPDATE invoices SET received = ?, height = ?, deadline = ? WHERE payment_hash = ?",
                    (received, height, deadline, payment_hash),
                )
            return self.find(payment_hash)

    def take(self, payment_hash: bytes, preimage: bytes, now: int) -> Bill:
        """Decide to take a held payment. Raises PaymentFailed where nothing is held for it."""
        with self._file.change():
            bill = self.find(payment_hash)
            if bill is None or bill.status not in (BillStatus.HELD, BillStatus.CLAIMING, BillStatus.SETTLED):
                raise PaymentFailed("no payment is held for this preimage" + (f": its invoice is {bill.status}" if bill else ""))
            if bill.status is BillStatus.HELD:
                self._move(msgspec.structs.replace(bill, preimage=preimage), BillStatus.CLAIMING, now)
        return self._sure(payment_hash)

    def settle(self, payment_hash: bytes, received: Msat, now: int) -> bool:
        """The node has the money. False where that was written already, or where no invoice of ours has this hash."""
        with self._file.change():
            bill = self.find(payment_hash)
            if bill is None or bill.status is BillStatus.SETTLED or bill.preimage is None:
                return False
            self._move(bill, BillStatus.SETTLED, now, received=received, loose=False)
        return True

    def refuse(self, payment_hash: bytes, now: int) -> Bill:
        """Cancel an invoice that is open or held. Raises PaymentFailed where it is settled, or not ours."""
        with self._file.change():
            bill = self.find(payment_hash)
            if bill is None:
                raise PaymentFailed("there is no invoice of this wallet for this payment hash")
            if bill.status in (BillStatus.SETTLED, BillStatus.CLAIMING):
                raise PaymentFailed("this invoice is settled and cannot be cancelled")
            if bill.status in (BillStatus.OPEN, BillStatus.HELD):
                self._move(bill, BillStatus.FAILED, now, loose=bill.status is BillStatus.HELD)
        return self._sure(payment_hash)

    def gone(self, payment_hash: bytes, now: int) -> bool:
        """A payment that was held, or that we wanted to take, has gone back by itself. False where that was written already."""
        with self._file.change():
            bill = self.find(payment_hash)
            if bill is None or bill.status not in (BillStatus.HELD, BillStatus.CLAIMING):
                return False
            self._move(bill, BillStatus.FAILED, now)
        return True

    def tied(self, payment_hash: bytes) -> None:
        """The node knows that this payment is refused."""
        with self._file.change() as db:
            db.execute("UPDATE invoices SET loose = 0 WHERE payment_hash = ?", (payment_hash,))

    def lapse(self, now: int) -> int:
        """Write down which open invoices are over; how many."""
        overdue = self._select("status = 'open' AND expires_at <= ?", now)
        if overdue:
            with self._file.change():
                for bill in overdue:
                    self._move(bill, BillStatus.EXPIRED, now)
        return len(overdue)

    def next_lapse(self) -> int | None:
        """When the next open invoice is over."""
        row: tuple[int | None] = self._file.db.execute("SELECT min(expires_at) FROM invoices WHERE status = 'open'").fetchone()
        return row[0]

    def unfinished(self) -> list[Bill]:
        """What the node must hear again after a start: payments held, to be taken, to be refused."""
        return self._select("status IN ('held', 'claiming') OR loose")

    def stale(self, before: int, limit: int) -> list[bytes]:
        """Invoices that ended unpaid before then, and that the node still has a record of."""
        rows = self._file.db.execute(
            "SELECT payment_hash FROM invoices WHERE kept AND status IN ('failed', 'expired') AND changed_at < ? AND NOT loose LIMIT ?",
            (before, limit),
        ).fetchall()
        return [row[0] for row in rows]

    def dropped(self, payment_hashes: list[bytes]) -> None:
        """The node has no record of these any more."""
        with self._file.change() as db:
            db.executemany("UPDATE invoices SET kept = 0 WHERE payment_hash = ?", [(one,) for one in payment_hashes])

    def cursor(self) -> int:
        """The cursor of the last event of all."""
        row: tuple[int] = self._file.db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        return row[0]

    def events(self, since: int, limit: int) -> list[WalletEvent]:
        """What happened to our invoices after `since`, oldest first."""
        rows = self._file.db.execute(
            "SELECT cursor, events.payment_hash, events.status, events.amount, at, events.deadline, preimage FROM events"
            " LEFT JOIN invoices USING (payment_hash) WHERE cursor > ? ORDER BY cursor LIMIT ?",
            (since, limit),
        ).fetchall()
        return [self._event(*row) for row in rows]

    def records(self, since: int) -> list[PaymentRecord]:
        """All invoices that changed since then or are open."""
        rows = self._file.db.execute(
            "SELECT payment_hash, status, coalesce(received, amount), changed_at FROM invoices"
            " WHERE changed_at >= ? OR status IN ('open', 'held', 'claiming') ORDER BY changed_at",
            (since,),
        ).fetchall()
        return [
            PaymentRecord(Direction.IN, row[0], SEEN.get(BillStatus(row[1])) or PaymentStatus(row[1]), Msat(row[2]), Msat(0), row[3])
            for row in rows
        ]

    def _event(
        self, cursor: int, payment_hash: bytes, status: str, amount: int, at: int, deadline: int | None, sealed: bytes | None
    ) -> WalletEvent:
        settled = status == PaymentStatus.SETTLED and sealed is not None
        preimage = self._file.unseal(sealed, payment_hash) if settled and sealed is not None else None
        return WalletEvent(cursor, payment_hash, PaymentStatus(status), Msat(amount), at, preimage, deadline)

    def _move(
        self, bill: Bill, status: BillStatus, now: int, *, received: Msat | None = None, height: int | None = None,
        deadline: int | None = None, loose: bool = False,
    ) -> None:
        """Write the invoice with its new status, and the event that tells of it (claiming is told when it has become settled)."""
        received, height, deadline = received or bill.received, height or bill.height, deadline or bill.deadline
        sealed = None if bill.preimage is None else self._file.seal(bill.preimage, bill.payment_hash)
        self._file.db.execute(
            "UPDATE invoices SET status = ?, preimage = ?, received = ?, height = ?, deadline = ?, loose = ?, changed_at = ?"
            " WHERE payment_hash = ?",
            (status, sealed, received, height, deadline, loose, now, bill.payment_hash),
        )
        if status is not BillStatus.CLAIMING:
            until = deadline if status is BillStatus.HELD else None
            self._file.db.execute(
                "INSERT INTO events (payment_hash, status, amount, at, deadline) VALUES (?, ?, ?, ?, ?)",
                (bill.payment_hash, status, bill.amount if received is None else received, now, until),
            )

    def _sure(self, payment_hash: bytes) -> Bill:
        (bill,) = self._select("payment_hash = ?", payment_hash)
        return bill

    def _select(self, where: str, *values: bytes | int) -> list[Bill]:
        rows = self._file.db.execute(f"SELECT {COLUMNS} FROM invoices WHERE {where}", values).fetchall()
        return [self._bill(*row) for row in rows]

    def _bill(
        self, payment_hash: bytes, bolt11: str, sealed: bytes | None, hold: int, amount: int, received: int | None, status: str,
        expires_at: int, height: int | None, deadline: int | None, loose: int,
    ) -> Bill:
        preimage = None if sealed is None else self._file.unseal(sealed, payment_hash)
        got = None if received is None else Msat(received)
        return Bill(
            payment_hash, bolt11, preimage, bool(hold), Msat(amount), got, BillStatus(status), expires_at, height, deadline, bool(loose)
        )
