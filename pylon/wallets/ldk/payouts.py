"""The book's pages of what we pay: each payment from its intent to its end. All methods block: they belong in the book's thread."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from pylon.errors import PaymentFailed
from pylon.lightning.values import NodePayment
from pylon.units import Msat
from pylon.wallets.base import Direction, PaymentRecord, PaymentState, PaymentStatus
from pylon.wallets.ldk.bookfile import BookFile

COLUMNS = "payment_hash, key, bolt11, amount, max_fee, status, preimage, fee, closes, reason, again"


class PayoutStatus(StrEnum):
    """`intent`: written before the node was asked. `sent`: the node said that it has begun. `doubtful`: it failed, or the node does not
    know it, and a channel closed meanwhile: not known before that close is resolved."""

    INTENT = "intent"
    SENT = "sent"
    SETTLED = "settled"
    FAILED = "failed"
    DOUBTFUL = "doubtful"


OVER = (PayoutStatus.SETTLED, PayoutStatus.FAILED)
SEEN = {
    PayoutStatus.INTENT: PaymentStatus.PENDING,
    PayoutStatus.SENT: PaymentStatus.PENDING,
    PayoutStatus.DOUBTFUL: PaymentStatus.PENDING,
    PayoutStatus.SETTLED: PaymentStatus.SETTLED,
    PayoutStatus.FAILED: PaymentStatus.FAILED,
}

SENTENCES = {
    "recipient_rejected": "the payee did not take the payment; it came back",
    "payment_expired": "the invoice expired before the payment arrived",
    "route_not_found": "there is no way to the payee now",
    "payment_sending_failed": "there is no way to the payee now",
    "retries_exhausted": "every way to the payee failed",
    "unknown": "the payment failed",
    "channel_closed": "a channel closed while the payment was on its way; it came back",
    "not_sent": "the payment did not leave the wallet before the process ended",
}


class Payout(msgspec.Struct, frozen=True):
    """One payment of ours. `closes`: how many of our channels had closed when it began."""

    payment_hash: bytes
    key: bytes
    bolt11: str
    amount: Msat
    max_fee: Msat
    status: PayoutStatus
    preimage: bytes | None
    fee: Msat
    closes: int
    reason: str
    again: bool

    def state(self) -> PaymentState:
        """As the port tells it."""
        return PaymentState(SEEN[self.status], self.preimage, self.fee, self.amount)

    def sentence(self) -> str:
        """Why it failed."""
        return SENTENCES.get(self.reason, f"the payment failed ({self.reason}); nothing left the wallet")


class Payouts:
    """The payments of one wallet."""

    def __init__(self, file: BookFile) -> None:
        self._file = file

    def find(self, payment_hash: bytes) -> Payout | None:
        """The payment of this hash."""
        return next(iter(self._select("payment_hash = ?", payment_hash)), None)

    def known(self, payment_hash: bytes, key: bytes) -> Payout | None:
        """The payment that `key` began for this hash, unless it may be begun again; None where it may begin. Raises PaymentFailed
        where the key, or the hash, is that of another payment or of an invoice of ours."""
        for other in self._select("key = ?", key):
            if other.payment_hash != payment_hash:
                raise PaymentFailed("this key belongs to the payment of another invoice")
        found = self.find(payment_hash)
        if found is not None and found.again:
            return None
        if found is not None and found.key != key:
            raise PaymentFailed("already paid" if found.status is PayoutStatus.SETTLED else "this invoice has a payment of another key")
        # The node keeps one record for a hash, and would take our own invoice for a payment on its way.
        if self._file.db.execute("SELECT 1 FROM invoices WHERE payment_hash = ?", (payment_hash,)).fetchone():
            raise PaymentFailed("this invoice is our own, or uses the payment hash of one")
        return found

    def begin(self, payment_hash: bytes, key: bytes, bolt11: str, amount: Msat, max_fee: Msat, now: int) -> Payout | None:
        """Write the intent, before the node is asked. The payment that is known already (`known`) instead, where there is one."""
        with self._file.change() as db:
            if found := self.known(payment_hash, key):
                return found
            db.execute("DELETE FROM payments WHERE payment_hash = ? AND again", (payment_hash,))
            db.execute(
                "INSERT INTO payments (payment_hash, key, bolt11, amount, max_fee, status, closes, begun_at, changed_at)"
                " VALUES (?, ?, ?, ?, ?, 'intent', (SELECT coalesce(max(number), 0) FROM channels), ?, ?)",
                (payment_hash, key, bolt11, amount, max_fee, now, now),
            )
        return None

    def sent(self, payment_hash: bytes, now: int) -> None:
        """The node has begun (once more)."""
        with self._file.change() as db:
            db.execute(
                "UPDATE payments SET status = 'sent', tries = tries + 1, changed_at = ?"
                " WHERE payment_hash = ? AND status IN ('intent', 'sent')",
                (now, payment_hash),
            )

    def settle(self, payment_hash: bytes, preimage: bytes, fee: Msat, now: int) -> bool:
        """The payee has the money, whatever we thought before. False where that was written already."""
        sealed = self._file.seal(preimage, payment_hash)
        with self._file.change() as db:
            changed = db.execute(
                "UPDATE payments SET status = 'settled', preimage = ?, fee = ?, changed_at = ?, reason = '', again = 0"
                " WHERE payment_hash = ? AND status != 'settled'",
                (sealed, fee, now, payment_hash),
            )
        return changed.rowcount > 0

    def fail(self, payment_hash: bytes, reason: str, now: int, *, again: bool) -> bool:
        """Nothing left the wallet, and nothing will. False where it was over already."""
        return self._end(payment_hash, PayoutStatus.FAILED, reason, now, again)

    def doubt(self, payment_hash: bytes, reason: str, now: int) -> bool:
        """It may have failed; a close decides. False where it was over already."""
        return self._end(payment_hash, PayoutStatus.DOUBTFUL, reason, now, False)

    def adopt(self, known: NodePayment) -> bool:
        """A settled payment that the node knows and this book does not (a book that was brought back). Its hash becomes its key."""
        payment_hash = bytes.fromhex(known.payment_hash or "")
        sealed = self._file.seal(bytes.fromhex(known.preimage or ""), payment_hash)
        with self._file.change() as db:
            made = db.execute(
                "INSERT OR IGNORE INTO payments"
                " (payment_hash, key, bolt11, amount, max_fee, status, preimage, fee, closes, begun_at, changed_at)"
                " VALUES (?1, ?1, '', ?2, ?3, 'settled', ?4, ?3, 0, ?5, ?5)",
                (payment_hash, known.amount_msat or 0, known.fee_msat or 0, sealed, known.at),
            )
        return made.rowcount > 0

    def unfinished(self) -> list[Payout]:
        """All that is not over."""
        return self._select("status IN ('intent', 'sent', 'doubtful')")

    def pending(self) -> Msat:
        """The money whose fate is open."""
        row: tuple[int] = self._file.db.execute(
            "SELECT coalesce(sum(amount), 0) FROM payments WHERE status IN ('intent', 'sent', 'doubtful')"
        ).fetchone()
        return Msat(row[0])

    def records(self, since: int) -> list[PaymentRecord]:
        """All that changed since then or is not over."""
        rows = self._file.db.execute(
            "SELECT payment_hash, status, amount, fee, changed_at FROM payments"
            " WHERE changed_at >= ? OR status IN ('intent', 'sent', 'doubtful') ORDER BY changed_at",
            (since,),
        ).fetchall()
        return [PaymentRecord(Direction.OUT, row[0], SEEN[PayoutStatus(row[1])], Msat(row[2]), Msat(row[3]), row[4]) for row in rows]

    def _end(self, payment_hash: bytes, status: PayoutStatus, reason: str, now: int, again: bool) -> bool:
        with self._file.change() as db:
            changed = db.execute(
                "UPDATE payments SET status = ?, reason = ?, changed_at = ?, again = ?"
                " WHERE payment_hash = ? AND status IN ('intent', 'sent', 'doubtful')",
                (status, reason, now, again, payment_hash),
            )
        return changed.rowcount > 0

    def _select(self, where: str, *values: bytes) -> list[Payout]:
        rows = self._file.db.execute(f"SELECT {COLUMNS} FROM payments WHERE {where}", values).fetchall()
        return [self._payout(*row) for row in rows]

    def _payout(
        self, payment_hash: bytes, key: bytes, bolt11: str, amount: int, max_fee: int, status: str, sealed: bytes | None,
        fee: int, closes: int, reason: str, again: int,
    ) -> Payout:
        preimage = None if sealed is None else self._file.unseal(sealed, payment_hash)
        return Payout(
            payment_hash, key, bolt11, Msat(amount), Msat(max_fee), PayoutStatus(status), preimage, Msat(fee), closes, reason, bool(again)
        )
