"""The bank behind the `sim` wallet: accounts and invoices in one SQLite file, shared by all homes of a user. Simulated, not Lightning.

An account is a node's public key. In every committed state the balances and the held payments together are what the faucet gave (`books`).
Each change is one BEGIN IMMEDIATE transaction with synchronous=FULL, so kill -9 leaves it done or not begun, and several processes may
work at once. What has a time limit (an open invoice, a held payment) lapses at the next touch by anybody. All methods block: they
belong in a worker thread. They take the time as `now` (Unix seconds) and raise sqlite3.Error where the file fails (`bankfile.explain`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import msgspec

from pylon.errors import InsufficientFunds, PaymentError, PaymentFailed
from pylon.units import MAX_MSAT, Msat, show_sats
from pylon.wallets.bankfile import connect
from pylon.wallets.base import Balance, Direction, PaymentRecord, PaymentState, PaymentStatus, WalletEvent
from pylon.wallets.wake import knock

FUND_LIMIT = Msat(100_000_000 * 1000)
"""The most the faucet gives at once: one (worthless) bitcoin."""

COLUMNS = "bolt11, payee, payment_hash, amount, preimage, status, due, payer, key"


class Entry(msgspec.Struct, frozen=True):
    """One row of `invoices`."""

    bolt11: str
    payee: bytes
    payment_hash: bytes
    amount: Msat
    preimage: bytes | None
    status: PaymentStatus
    due: int
    payer: bytes | None
    key: bytes | None

    def seen_by(self, direction: Direction) -> PaymentState:
        """The state as the payee (`IN`) or the payer (`OUT`) calls it."""
        status = self.status
        if direction is Direction.OUT:
            status = {PaymentStatus.HELD: PaymentStatus.PENDING, PaymentStatus.SETTLED: status}.get(status, PaymentStatus.FAILED)
        return PaymentState(status, self.preimage if status is PaymentStatus.SETTLED else None, Msat(0), self.amount)


class Books(msgspec.Struct, frozen=True):
    """All money there is, msat: what accounts hold, what is held for payees, what the faucet gave."""

    balances: int
    held: int
    funded: int


class Bank:
    """One connection to the bank's file. One thread at a time."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db
        self._touched: set[bytes] = set()
        self._gone: list[str] = []

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the bank's file, made when missing. Raises PylonError where it cannot be used (`bankfile.connect`)."""
        return cls(path, connect(path))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def fund(self, account: bytes, amount: Msat) -> None:
        """The faucet."""
        if not 0 < amount <= FUND_LIMIT:
            raise PaymentError(f"the simulated faucet gives from 0.001 sats to {show_sats(FUND_LIMIT)} at once, not {show_sats(amount)}")
        with self._change():
            # The sums stay below 2^63, and an amount that Lightning itself could not hold never appears.
            if self._number("SELECT coalesce(sum(funded), 0) FROM accounts") + amount > MAX_MSAT:
                raise PaymentError("the simulated faucet has given all bitcoin there are")
            self._credit(account, amount, funded=amount)

    def balance(self, account: bytes, now: int) -> Balance:
        """Spendable and pending. There are no channels here: an account can always receive, up to all bitcoin there are."""
        self._lapse(now)
        spendable = self._number("SELECT coalesce(sum(balance), 0) FROM accounts WHERE id = ?", account)
        pending = self._number("SELECT coalesce(sum(amount), 0) FROM invoices WHERE payer = ? AND status = 'held'", account)
        return Balance(Msat(spendable), Msat(MAX_MSAT), Msat(pending))

    def issue(self, payee: bytes, bolt11: str, payment_hash: bytes, amount: Msat, preimage: bytes | None, expires_at: int) -> None:
        """Record an invoice of `payee`. Without the preimage it is a hold invoice."""
        with self._change():
            if self._entry("payee = ? AND payment_hash = ?", payee, payment_hash):
                raise PaymentError("there is an invoice for this payment hash already")
            values = (bolt11, payee, payment_hash, amount, preimage, PaymentStatus.OPEN, expires_at)
            self._db.execute(
                "INSERT INTO invoices (bolt11, payee, payment_hash, amount, preimage, status, due) VALUES (?,?,?,?,?,?,?)", values
            )

    def pay(self, payer: bytes, bolt11: str, key: bytes, hold_seconds: int, now: int) -> PaymentState:
        """Pay, or say again how the payment with this key went: settled, pending (held) or failed. Raises PaymentFailed and
        InsufficientFunds where no money has moved; such a refusal leaves no trace, so the key may be tried again."""
        with self._change(now):
            if mine := self._entry("payer = ? AND key = ?", payer, key):
                if mine.bolt11 != bolt11:
                    raise PaymentFailed("this key belongs to the payment of another invoice")
                return mine.seen_by(Direction.OUT)
            entry = self._payable(payer, bolt11)
            balance = self._number("SELECT coalesce(sum(balance), 0) FROM accounts WHERE id = ?", payer)
            if balance < entry.amount:
                raise InsufficientFunds(
                    f"the simulated wallet holds {show_sats(Msat(balance))} and the invoice asks for {show_sats(entry.amount)}",
                    hint="run `pylon wallet fund`",
                )
            self._db.execute("UPDATE accounts SET balance = balance - ? WHERE id = ?", (entry.amount, payer))
            entry = msgspec.structs.replace(entry, payer=payer, key=key)
            if entry.preimage is None:
                entry = msgspec.structs.replace(entry, due=now + hold_seconds)
                self._move(entry, PaymentStatus.HELD, now)
                return PaymentState(PaymentStatus.PENDING, amount=entry.amount)
            return self._settle(entry, entry.preimage, now)

    def payment(self, payer: bytes, key: bytes, now: int) -> PaymentState:
        """How the payment with this key stands."""
        self._lapse(now)
        entry = self._entry("payer = ? AND key = ?", payer, key)
        return entry.seen_by(Direction.OUT) if entry else PaymentState(PaymentStatus.UNKNOWN)

    def lookup(self, account: bytes, payment_hash: bytes, direction: Direction, now: int) -> PaymentState:
        """How our invoice, or our payment, of this hash stands. Of several payments the one that holds money counts."""
        self._lapse(now)
        whose = "payee" if direction is Direction.IN else "payer"
        order = "ORDER BY status = 'settled' DESC, status = 'held' DESC"
        entry = self._entry(f"{whose} = ? AND payment_hash = ? {order}", account, payment_hash)
        return entry.seen_by(direction) if entry else PaymentState(PaymentStatus.UNKNOWN)

    def settle(self, payee: bytes, payment_hash: bytes, preimage: bytes, now: int) -> None:
        """Give a held payment to its payee."""
        with self._change(now):
            entry = self._entry("payee = ? AND payment_hash = ?", payee, payment_hash)
            if entry is None or entry.status not in (PaymentStatus.HELD, PaymentStatus.SETTLED):
                raise PaymentFailed("no payment is held for this preimage" + (f": its invoice is {entry.status}" if entry else ""))
            if entry.status is PaymentStatus.HELD:
                self._settle(entry, preimage, now)

    def cancel(self, payee: bytes, payment_hash: bytes, now: int) -> None:
        """Close an invoice; a held payment goes back."""
        with self._change(now):
            entry = self._entry("payee = ? AND payment_hash = ?", payee, payment_hash)
            if entry is None:
                raise PaymentFailed("there is no invoice of this wallet for this payment hash")
            if entry.status is PaymentStatus.SETTLED:
                raise PaymentFailed("this invoice is settled and cannot be cancelled")
            if entry.status in (PaymentStatus.OPEN, PaymentStatus.HELD):
                self._close(entry, PaymentStatus.FAILED, now)

    def events(self, account: bytes, since: int, limit: int, now: int) -> list[WalletEvent]:
        """What happened to this account's invoices after `since`, oldest first."""
        self._lapse(now)
        columns = "cursor, payment_hash, status, amount, at, preimage, deadline"
        rows = self._db.execute(
            f"SELECT {columns} FROM events WHERE account = ? AND cursor > ? ORDER BY cursor LIMIT ?", (account, since, limit)
        )
        return [WalletEvent(row[0], row[1], PaymentStatus(row[2]), Msat(row[3]), row[4], row[5], row[6]) for row in rows]

    def payments(self, account: bytes, since: int, now: int) -> list[PaymentRecord]:
        """All invoices of this account that are open or changed since then, and all that it paid."""
        self._lapse(now)
        rows = self._db.execute(
            "SELECT i.payee = ?1, i.payer = ?1, i.payment_hash, i.status, i.amount, coalesce(max(e.at), 0) AS moved FROM invoices AS i "
            "LEFT JOIN events AS e ON e.account = i.payee AND e.payment_hash = i.payment_hash "
            "WHERE i.payee = ?1 OR i.payer = ?1 GROUP BY i.bolt11 HAVING moved >= ?2 OR i.status = 'open'", (account, since)
        )
        records = []
        for received, paid, payment_hash, status, amount, at in rows:
            entry = PaymentStatus(status)
            if received:
                records.append(PaymentRecord(Direction.IN, payment_hash, entry, Msat(amount), Msat(0), at))
            if paid:
                out = PaymentStatus.PENDING if entry is PaymentStatus.HELD else entry
                records.append(PaymentRecord(Direction.OUT, payment_hash, out, Msat(amount), Msat(0), at))
        return records

    def cursor(self) -> int:
        """The cursor of the last event of all."""
        return self._number("SELECT seq FROM sqlite_sequence WHERE name = 'events'")

    def listen(self, account: bytes, path: str) -> None:
        """Knock on the doorbell at `path` when something of this account changes."""
        with self._change():
            self._db.execute("INSERT OR REPLACE INTO listeners (path, account) VALUES (?, ?)", (path, account))

    def unlisten(self, path: str) -> None:
        """Knock there no more."""
        with self._change():
            self._db.execute("DELETE FROM listeners WHERE path = ?", (path,))

    def books(self) -> Books:
        """All money, counted in one snapshot: balances + held = funded."""
        held = "SELECT coalesce(sum(amount), 0) FROM invoices WHERE status = 'held'"
        sums = f"SELECT coalesce(sum(balance), 0), ({held}), coalesce(sum(funded), 0) FROM accounts"
        row: tuple[int, int, int] = self._db.execute(sums).fetchone()
        return Books(*row)

    def _payable(self, payer: bytes, bolt11: str) -> Entry:
        """The open invoice of this text, if this payer may pay it."""
        entry = self._entry("bolt11 = ?", bolt11)
        if entry is None:
            raise PaymentFailed("the simulated bank did not issue this invoice, and it can pay no other", hint="`sim` is not Lightning")
        if entry.payee == payer:
            raise PaymentFailed("this invoice is our own")
        if entry.status is PaymentStatus.EXPIRED:
            raise PaymentFailed("this invoice has expired")
        if entry.status is PaymentStatus.FAILED:
            raise PaymentFailed("this invoice was cancelled by its payee")
        # A second payment for one hash buys nothing: whoever knows the preimage can take it.
        spent = self._entry("payer = ? AND payment_hash = ? AND status IN ('held', 'settled')", payer, entry.payment_hash)
        if entry.status is not PaymentStatus.OPEN or spent:
            raise PaymentFailed("already paid")
        return entry

    def _settle(self, entry: Entry, preimage: bytes, now: int) -> PaymentState:
        self._credit(entry.payee, entry.amount)
        self._move(msgspec.structs.replace(entry, preimage=preimage), PaymentStatus.SETTLED, now)
        return PaymentState(PaymentStatus.SETTLED, preimage, Msat(0), entry.amount)

    def _close(self, entry: Entry, status: PaymentStatus, now: int) -> None:
        """End an open or held entry without a payment."""
        if entry.status is PaymentStatus.HELD and entry.payer is not None:
            self._credit(entry.payer, entry.amount)
        self._move(entry, status, now)

    def _move(self, entry: Entry, status: PaymentStatus, now: int) -> None:
        """Write the entry with its new status, and the event that tells its payee."""
        row = (status, entry.preimage, entry.due, entry.payer, entry.key, entry.bolt11)
        self._db.execute("UPDATE invoices SET status = ?, preimage = ?, due = ?, payer = ?, key = ? WHERE bolt11 = ?", row)
        preimage = entry.preimage if status is PaymentStatus.SETTLED else None
        deadline = entry.due if status is PaymentStatus.HELD else None
        event = (entry.payee, entry.payment_hash, status, entry.amount, now, preimage, deadline)
        self._db.execute("INSERT INTO events (account, payment_hash, status, amount, at, preimage, deadline) VALUES (?,?,?,?,?,?,?)", event)
        self._touched.add(entry.payee)
        if entry.payer is not None:
            self._touched.add(entry.payer)

    def _credit(self, account: bytes, amount: Msat, funded: int = 0) -> None:
        upsert = "INSERT INTO accounts VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE SET balance = balance + ?2, funded = funded + ?3"
        self._db.execute(upsert, (account, amount, funded))

    def _lapse(self, now: int) -> None:
        """Before a look: end what is over, if anything is."""
        if self._overdue(now, 1):
            with self._change(now):
                pass

    def _overdue(self, now: int, limit: int) -> list[Entry]:
        return self._entries("status IN ('open', 'held') AND due <= ? ORDER BY due LIMIT ?", now, limit)

    @contextmanager
    def _change(self, now: int | None = None) -> Iterator[None]:
        """One transaction, and after it the knocks. With `now`, what is over by then ends first, in the same transaction."""
        self._touched.clear()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            if now is not None:
                for entry in self._overdue(now, -1):
                    self._close(entry, PaymentStatus.EXPIRED if entry.status is PaymentStatus.OPEN else PaymentStatus.FAILED, now)
            yield
            if self._gone:
                self._db.executemany("DELETE FROM listeners WHERE path = ?", [(path,) for path in self._gone])
            marks = ",".join("?" * len(self._touched))
            paths: list[tuple[str]] = self._db.execute(
                f"SELECT path FROM listeners WHERE account IN ({marks})", [*self._touched]
            ).fetchall()
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._gone = knock(path for (path,) in paths) if paths else []

    def _entries(self, where: str, *values: bytes | str | int) -> list[Entry]:
        rows = self._db.execute(f"SELECT {COLUMNS} FROM invoices WHERE {where}", values).fetchall()
        return [Entry(row[0], row[1], row[2], Msat(row[3]), row[4], PaymentStatus(row[5]), *row[6:]) for row in rows]

    def _entry(self, where: str, *values: bytes | str | int) -> Entry | None:
        return next(iter(self._entries(f"{where} LIMIT 1", *values)), None)

    def _number(self, query: str, *values: bytes) -> int:
        row: tuple[int] = self._db.execute(query, values).fetchone()
        return row[0]
