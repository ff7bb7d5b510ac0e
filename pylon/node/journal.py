"""The journal: every payment, out and in, from the intent to its end. The part of the ledger that keeps money from being spent twice.

An outgoing payment is written as `intent` before anything else is done about it, and goes on by the table of `market.payment`. While its
hash stands here and has not failed, no second payment to it can be written. Preimages are sealed (`vault`). Every line names the wallet and
the network that it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pylon.market import payment as table
from pylon.market.job import Trouble
from pylon.market.payment import LIVE, NO_FEE, UNDER_WAY, Intended, Outgoing, Sent, Status
from pylon.market.signals import Paid, PayFailed, Signal
from pylon.node import figures
from pylon.node.database import Database, Value
from pylon.node.figures import Figures
from pylon.node.vault import Vault
from pylon.units import Msat
from pylon.wallets.base import Direction

SCHEMA = (
    """CREATE TABLE payments (
    n INTEGER PRIMARY KEY AUTOINCREMENT, direction TEXT NOT NULL, payment_hash BLOB NOT NULL, bolt11 TEXT NOT NULL,
    wallet TEXT NOT NULL, network TEXT NOT NULL, status TEXT NOT NULL, amount INTEGER NOT NULL, max_fee INTEGER NOT NULL DEFAULT 0,
    fee INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0, preimage BLOB, at REAL NOT NULL, sent_at REAL, settled_at REAL,
    failed_at REAL, memo TEXT NOT NULL DEFAULT '', job TEXT, peer TEXT, own INTEGER NOT NULL DEFAULT 0, error_code TEXT, error TEXT,
    UNIQUE (direction, payment_hash)
) STRICT""",
    "CREATE INDEX payments_by_status ON payments (direction, status)",
    "CREATE INDEX payments_by_job ON payments (job) WHERE job IS NOT NULL",
    # The sums of the limits, read from the index alone.
    f"CREATE INDEX payments_left ON payments (network, settled_at, amount, fee, wallet) WHERE {figures.LEFT}",
    f"CREATE INDEX payments_left_to ON payments (peer, network, settled_at, amount, fee, wallet) WHERE {figures.LEFT}",
    # Every payment that failed, each time: what the circuit breaker counts.
    """CREATE TABLE failures (
    n INTEGER PRIMARY KEY, wallet TEXT NOT NULL, network TEXT NOT NULL, payment_hash BLOB NOT NULL, code TEXT NOT NULL, at REAL NOT NULL
) STRICT""",
    "CREATE INDEX failures_by_time ON failures (network, at)",
)
COLUMNS = (
    "direction, payment_hash, bolt11, wallet, network, status, amount, max_fee, fee, tries, preimage, at, sent_at, settled_at, failed_at, "
    "memo, job, peer, own, error_code, error"
)

MOST_WORDS = 500
"""Characters of an error that are kept."""


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the journal. `own`: from ourselves to ourselves. `peer`: whom it goes to or comes from, in hex (for a job the provider's
    or customer's key, else the node of the invoice). `sealed`: there is a preimage, whether or not this reader can open it."""

    direction: Direction
    payment_hash: bytes
    bolt11: str
    amount: Msat
    status: Status
    at: float
    wallet: str = ""
    network: str = ""
    max_fee: Msat = NO_FEE
    fee: Msat = NO_FEE
    tries: int = 0
    preimage: bytes = b""
    sealed: bool = False
    sent_at: float | None = None
    settled_at: float | None = None
    failed_at: float | None = None
    memo: str = ""
    job: str = ""
    peer: str = ""
    own: bool = False
    trouble: Trouble | None = None

    @property
    def outgoing(self) -> Outgoing:
        """What the table of payments knows of it."""
        return Outgoing(
            status=self.status, tries=self.tries, fee=self.fee, preimage=self.preimage, own=self.own, sent_at=self.sent_at,
            settled_at=self.settled_at, failed_at=self.failed_at, trouble=self.trouble,
        )


class Journal(Figures):
    """The journal in an open database."""

    def __init__(self, database: Database, vault: Vault) -> None:
        super().__init__(database)
        self._vault = vault

    def spent(self, payment_hash: bytes) -> bool:
        """Whether a payment to this hash was begun and has not failed."""
        return self._db.row(
            "SELECT 1 FROM payments WHERE direction=? AND payment_hash=? AND status<>?", Direction.OUT, payment_hash, Status.FAILED
        ) is not None

    def intend(self, payment: Payment) -> None:
        """Write an intent, or an invoice of ours. A failed payment to the same hash may be tried again; any other raises."""
        before = self.payment(payment.direction, payment.payment_hash)
        if before is not None:
            if payment.direction is Direction.IN or before.status is not Status.FAILED:
                raise AssertionError("the journal knows a payment to this hash: never pay twice")
            again = table.advance(before.outgoing, Intended(), payment.at)
            payment = msgspec.structs.replace(payment, status=again.status, tries=again.tries)
        wallet, network = payment.wallet or self.purse.wallet, payment.network or self.purse.network
        self._db.run(
            f"INSERT OR REPLACE INTO payments ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            payment.direction, payment.payment_hash, payment.bolt11, wallet, network, payment.status, payment.amount, payment.max_fee,
            payment.fee, payment.tries, self._vault.seal(payment.preimage, payment.payment_hash) or None, payment.at, payment.sent_at,
            payment.settled_at, payment.failed_at, payment.memo, payment.job or None, payment.peer or None, payment.own,
            *_words(payment.trouble),
        )

    def take(self, payment_hash: bytes, signal: Signal, *, now: float) -> Payment:
        """Lead an outgoing payment on by the table; the line as it is then. A payment without an intent is a bug and raises."""
        line = self.payment(Direction.OUT, payment_hash)
        if line is None:
            raise AssertionError("a payment has an outcome that the journal never heard of")
        before = line.outgoing
        after = table.advance(before, signal, now)
        if after == before:
            return line
        if after.status is Status.FAILED and before.status in UNDER_WAY and after.trouble is not None:
            self._db.run(
                "INSERT INTO failures (wallet, network, payment_hash, code, at) VALUES (?,?,?,?,?)",
                line.wallet, line.network, payment_hash, after.trouble.code, now,
            )
        self._db.run(
            "UPDATE payments SET status=?, tries=?, fee=?, preimage=?, own=?, sent_at=?, settled_at=?, failed_at=?, error_code=?, error=? "
            "WHERE direction=? AND payment_hash=?",
            after.status, after.tries, after.fee, self._vault.seal(after.preimage, payment_hash) or None, after.own, after.sent_at,
            after.settled_at, after.failed_at, *_words(after.trouble), Direction.OUT, payment_hash,
        )
        return msgspec.structs.replace(
            line, status=after.status, tries=after.tries, fee=after.fee, preimage=after.preimage, sealed=bool(after.preimage),
            own=after.own, sent_at=after.sent_at, settled_at=after.settled_at, failed_at=after.failed_at, trouble=after.trouble,
        )

    def send(self, payment_hash: bytes, *, now: float) -> None:
        """The wallet is called next. Written without waiting for the disk: the intent is there, and what a power cut takes is looked up."""
        self.take(payment_hash, Sent(), now=now)

    def settle(
        self, direction: Direction, payment_hash: bytes, *, now: float, fee: Msat = NO_FEE, preimage: bytes = b"", own: bool = False,
        received: Msat | None = None,
    ) -> None:
        """The payment is settled; said again, nothing changes. One without an intent, or an invoice, is a bug and raises. `received`: what
        came for an invoice of ours, where a payer gave more than it asks."""
        if direction is Direction.OUT:
            self.take(payment_hash, Paid(preimage, fee, own), now=now)
            return
        touched = self._db.run(
            "UPDATE payments SET status=?, settled_at=?, preimage=?, own=?, amount=coalesce(?, amount) "
            "WHERE direction=? AND payment_hash=? AND status<>?",
            Status.SETTLED, now, self._vault.seal(preimage, payment_hash) or None, own, received, direction, payment_hash, Status.SETTLED,
        )
        if touched == 0 and self.payment(direction, payment_hash) is None:
            raise AssertionError("a payment is settled that the journal never heard of")

    def fail(self, payment_hash: bytes, trouble: Trouble, *, now: float) -> None:
        """Our payment has failed for good."""
        self.take(payment_hash, PayFailed(trouble), now=now)

    def settle_coins(self, mark: bytes, txid: bytes, amount: Msat, fee: Msat, *, now: float) -> None:
        """Coins have left: their line has the transaction as its hash from now on."""
        touched = self._db.run(
            "UPDATE payments SET payment_hash=?, amount=?, fee=?, status=?, settled_at=? "
            "WHERE direction=? AND payment_hash=? AND bolt11=''",
            txid, amount, fee, Status.SETTLED, now, Direction.OUT, mark,
        )
        if touched != 1:
            raise AssertionError("coins have left that the journal never heard of")

    def forget_coins(self, mark: bytes) -> None:
        """These coins have not left, for sure."""
        self._db.run("DELETE FROM payments WHERE direction=? AND payment_hash=? AND bolt11=''", Direction.OUT, mark)

    def name_gift(self, mark: bytes, payment_hash: bytes) -> None:
        """The faucet has paid by this payment: it has one line, whether it was told before or is told later."""
        if (told := self.payment(Direction.IN, payment_hash)) is None:
            self._db.run("UPDATE payments SET payment_hash=? WHERE direction=? AND payment_hash=?", payment_hash, Direction.IN, mark)
            return
        gift = self.payment(Direction.IN, mark)
        if gift is None:
            raise AssertionError("the faucet was asked without a line")
        self.forget_gift(mark)
        self._db.run(
            "UPDATE payments SET memo=?, peer=? WHERE direction=? AND payment_hash=?", gift.memo, gift.peer, Direction.IN, told.payment_hash
        )

    def forget_gift(self, mark: bytes) -> None:
        """The faucet gave nothing."""
        self._db.run("DELETE FROM payments WHERE direction=? AND payment_hash=? AND bolt11=''", Direction.IN, mark)

    def close_invoice(self, payment_hash: bytes) -> None:
        """Nobody shall pay this invoice of ours any more; a late payment still settles it."""
        self._db.run(
            "UPDATE payments SET status=? WHERE direction=? AND payment_hash=? AND status=?",
            Status.CLOSED, Direction.IN, payment_hash, Status.OPEN,
        )

    def payment(self, direction: Direction, payment_hash: bytes) -> Payment | None:
        """One line of the journal."""
        return next(iter(self._payments("direction=? AND payment_hash=?", direction, payment_hash, limit=1)), None)

    def pending(self) -> list[Payment]:
        """Outgoing payments that were begun and have not ended, oldest first."""
        return self._in_states(Direction.OUT, LIVE)

    def invoices(self) -> list[Payment]:
        """Invoices of ours that are open."""
        return self._in_states(Direction.IN, (Status.OPEN,))

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

    def _in_states(self, direction: Direction, states: Sequence[Status]) -> list[Payment]:
        marks = ",".join("?" * len(states))
        return self._payments(f"direction=? AND status IN ({marks})", direction, *states, limit=-1, order="n")

    def _payments(self, where: str, *values: Value, limit: int, order: str = "n DESC") -> list[Payment]:
        rows = self._db.rows(f"SELECT {COLUMNS} FROM payments WHERE {where} ORDER BY {order} LIMIT ?", *values, limit)
        return [
            Payment(
                direction=Direction(direction), payment_hash=hashed, bolt11=bolt11, wallet=wallet, network=network, status=Status(status),
                amount=Msat(amount), max_fee=Msat(max_fee), fee=Msat(fee), tries=tries,
                preimage=self._vault.unseal(sealed or b"", hashed), sealed=sealed is not None, at=at, sent_at=sent, settled_at=settled,
                failed_at=failed, memo=memo, job=job or "", peer=peer or "", own=bool(own),
                trouble=None if code is None else Trouble(code, error or ""),
            )
            for (
                direction, hashed, bolt11, wallet, network, status, amount, max_fee, fee, tries, sealed, at, sent, settled, failed, memo,
                job, peer, own, code, error,
            ) in rows
        ]


def _words(trouble: Trouble | None) -> tuple[str | None, str | None]:
    """What a wallet said, cut short; half a character, which cannot be stored, is replaced."""
    return (None, None) if trouble is None else (trouble.code, trouble.message.encode("utf-8", "replace").decode()[:MOST_WORDS])
