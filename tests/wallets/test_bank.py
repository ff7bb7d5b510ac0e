"""The bank alone, under random histories: money is conserved and every account's balance is what its history says."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from pylon.errors import InsufficientFunds, PaymentError, PaymentFailed
from pylon.units import MAX_MSAT, Msat
from pylon.wallets.bank import FUND_LIMIT, Bank, Books
from pylon.wallets.base import Direction, PaymentStatus, WalletEvent

ACCOUNTS = [bytes([2]) + bytes([number]) * 32 for number in range(3)]
HOLD = 50
accounts = st.sampled_from(ACCOUNTS)


class Issued:
    """What the model knows of an invoice."""

    def __init__(self, number: int, payee: bytes, amount: int, hold: bool, due: int) -> None:
        self.preimage = number.to_bytes(32, "big")
        self.payment_hash = hashlib.sha256(self.preimage).digest()
        self.bolt11 = f"invoice {number}"
        self.payee, self.amount, self.hold, self.due = payee, Msat(amount), hold, due
        self.status = PaymentStatus.OPEN
        self.payer: bytes | None = None


class History(RuleBasedStateMachine):
    """Random operations on the bank and on a model of it, which must agree."""

    invoices: Bundle[Issued] = Bundle("invoices")

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.path = Path(self.stack.enter_context(tempfile.TemporaryDirectory())) / "bank.sqlite3"
        self.bank = Bank.open(self.path)
        self.now, self.count, self.key = 1_800_000_000, 0, 0
        self.balance = dict.fromkeys(ACCOUNTS, 0)
        self.funded = 0
        self.issued: list[Issued] = []
        self.told: dict[bytes, list[tuple[bytes, PaymentStatus]]] = {account: [] for account in ACCOUNTS}
        self.first = self.bank.cursor()

    def teardown(self) -> None:
        """Close the bank and remove it."""
        self.bank.close()
        self.stack.close()

    @initialize(amount=st.integers(1, 10_000))
    def start(self, amount: int) -> None:
        """Somebody has money."""
        self.fund(ACCOUNTS[0], amount)

    @rule(account=accounts, amount=st.integers(1, 10_000))
    def fund(self, account: bytes, amount: int) -> None:
        """The faucet gives."""
        self.bank.fund(account, Msat(amount))
        self.balance[account] += amount
        self.funded += amount

    @rule(target=invoices, payee=accounts, amount=st.integers(1, 5_000), hold=st.booleans(), expires_in=st.integers(1, 100))
    def issue(self, payee: bytes, amount: int, hold: bool, expires_in: int) -> Issued:
        """Somebody makes an invoice."""
        self.count += 1
        made = Issued(self.count, payee, amount, hold, self.now + expires_in)
        self.bank.issue(payee, made.bolt11, made.payment_hash, made.amount, None if hold else made.preimage, made.due)
        self.issued.append(made)
        return made

    @rule(invoice=invoices, payer=accounts)
    def pay(self, invoice: Issued, payer: bytes) -> None:
        """Somebody pays, perhaps what he cannot or must not."""
        self.lapse()
        self.key += 1
        key = self.key.to_bytes(32, "big")
        if payer == invoice.payee or invoice.status is not PaymentStatus.OPEN:
            with pytest.raises(PaymentFailed):
                self.bank.pay(payer, invoice.bolt11, key, HOLD, self.now)
            return
        if self.balance[payer] < invoice.amount:
            with pytest.raises(InsufficientFunds):
                self.bank.pay(payer, invoice.bolt11, key, HOLD, self.now)
            return
        state = self.bank.pay(payer, invoice.bolt11, key, HOLD, self.now)
        assert state == self.bank.pay(payer, invoice.bolt11, key, HOLD, self.now)
        self.balance[payer] -= invoice.amount
        invoice.payer = payer
        if invoice.hold:
            assert state.status is PaymentStatus.PENDING
            invoice.due = self.now + HOLD
            self.becomes(invoice, PaymentStatus.HELD)
        else:
            assert state.preimage == invoice.preimage
            self.settled(invoice)

    @rule(invoice=invoices)
    def settle(self, invoice: Issued) -> None:
        """A payee takes what is held, or tries to."""
        self.lapse()
        if invoice.status in (PaymentStatus.HELD, PaymentStatus.SETTLED):
            self.bank.settle(invoice.payee, invoice.payment_hash, invoice.preimage, self.now)
            if invoice.status is PaymentStatus.HELD:
                self.settled(invoice)
        else:
            with pytest.raises(PaymentFailed):
                self.bank.settle(invoice.payee, invoice.payment_hash, invoice.preimage, self.now)

    @rule(invoice=invoices)
    def cancel(self, invoice: Issued) -> None:
        """A payee cancels, or tries to."""
        self.lapse()
        if invoice.status is PaymentStatus.SETTLED:
            with pytest.raises(PaymentFailed):
                self.bank.cancel(invoice.payee, invoice.payment_hash, self.now)
            return
        self.bank.cancel(invoice.payee, invoice.payment_hash, self.now)
        if invoice.status in (PaymentStatus.OPEN, PaymentStatus.HELD):
            self.closed(invoice, PaymentStatus.FAILED)

    @rule(invoice=consumes(invoices), stranger=accounts)
    def meddle(self, invoice: Issued, stranger: bytes) -> None:
        """A stranger who knows everything can neither take nor cancel it."""
        if stranger != invoice.payee:
            with pytest.raises(PaymentFailed):
                self.bank.settle(stranger, invoice.payment_hash, invoice.preimage, self.now)
            with pytest.raises(PaymentFailed):
                self.bank.cancel(stranger, invoice.payment_hash, self.now)

    @rule(seconds=st.integers(1, 120))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.now += seconds

    @rule()
    def reopen(self) -> None:
        """The process ends and another one begins."""
        self.bank.close()
        self.bank = Bank.open(self.path)

    @invariant()
    def agrees(self) -> None:
        """Books, balances, states and events are those of the model."""
        self.lapse()
        for account in ACCOUNTS:
            held = sum(one.amount for one in self.issued if one.payer == account and one.status is PaymentStatus.HELD)
            found = self.bank.balance(account, self.now)
            assert (found.spendable, found.pending) == (self.balance[account], held)
            events = self.bank.events(account, self.first, 10_000, self.now)
            assert sorted(map(_told, events)) == sorted(self.told[account])
            assert [event.cursor for event in events] == sorted({event.cursor for event in events})
        for one in self.issued:
            assert self.bank.lookup(one.payee, one.payment_hash, Direction.IN, self.now).status is one.status
        books = self.bank.books()
        assert books.balances + books.held == books.funded == self.funded

    def lapse(self) -> None:
        """What the bank ends by itself."""
        for one in self.issued:
            if one.due <= self.now and one.status in (PaymentStatus.OPEN, PaymentStatus.HELD):
                self.closed(one, PaymentStatus.EXPIRED if one.status is PaymentStatus.OPEN else PaymentStatus.FAILED)

    def settled(self, invoice: Issued) -> None:
        """The payee has it."""
        self.balance[invoice.payee] += invoice.amount
        self.becomes(invoice, PaymentStatus.SETTLED)

    def closed(self, invoice: Issued, status: PaymentStatus) -> None:
        """The payer has it again, where it was held."""
        if invoice.status is PaymentStatus.HELD:
            assert invoice.payer is not None
            self.balance[invoice.payer] += invoice.amount
        self.becomes(invoice, status)

    def becomes(self, invoice: Issued, status: PaymentStatus) -> None:
        """A new status, which the payee is told."""
        invoice.status = status
        self.told[invoice.payee].append((invoice.payment_hash, status))


def _told(event: WalletEvent) -> tuple[bytes, PaymentStatus]:
    return event.payment_hash, event.status


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    """An empty bank."""
    bank = Bank.open(tmp_path / "bank.sqlite3")
    yield bank
    bank.close()


@pytest.mark.parametrize("amount", [0, -1, FUND_LIMIT + 1, 2**70])
def test_faucet_has_bounds(bank: Bank, amount: int) -> None:
    """Nothing, less than nothing, and more than the bound at once are refused."""
    with pytest.raises(PaymentError):
        bank.fund(ACCOUNTS[0], Msat(amount))
    assert bank.books() == Books(0, 0, 0)


def test_faucet_gives_no_more_than_all_bitcoin(tmp_path: Path, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums stay below what Lightning can name, so no number overflows."""
    monkeypatch.setattr("pylon.wallets.bank.FUND_LIMIT", MAX_MSAT)
    bank.fund(ACCOUNTS[0], Msat(MAX_MSAT - 1))
    with pytest.raises(PaymentError):
        bank.fund(ACCOUNTS[1], Msat(2))
    bank.fund(ACCOUNTS[1], Msat(1))
    assert bank.books() == Books(MAX_MSAT, 0, MAX_MSAT)


def test_one_hash_is_paid_once_by_one_payer(bank: Bank) -> None:
    """Two payees may use one hash (who passes a payment on does); one payer pays only one of them."""
    payer, first, second = ACCOUNTS
    preimage = bytes(32)
    payment_hash = hashlib.sha256(preimage).digest()
    bank.fund(payer, Msat(1000))
    for payee in (first, second):
        bank.issue(payee, f"invoice of {payee!r}", payment_hash, Msat(10), preimage, 100)
    bank.pay(payer, f"invoice of {first!r}", b"1" * 32, HOLD, 1)
    with pytest.raises(PaymentFailed, match="already paid"):
        bank.pay(payer, f"invoice of {second!r}", b"2" * 32, HOLD, 1)
    assert bank.balance(payer, 1).spendable == 990


def test_many_make_one_bank(tmp_path: Path) -> None:
    """Those who find no bank, all at once, make one: nobody fails, and nobody's money is in a bank that another replaced."""
    for attempt in range(10):
        path, barrier = tmp_path / str(attempt) / "bank.sqlite3", threading.Barrier(8)

        def begin(number: int, path: Path = path, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            bank = Bank.open(path)
            bank.fund(bytes([number]) * 33, Msat(10))
            bank.close()

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(begin, range(8)))
        bank = Bank.open(path)
        assert bank.books() == Books(80, 0, 80)
        bank.close()


def test_cursors_rise_from_bank_to_bank(tmp_path: Path) -> None:
    """A bank made after another was deleted continues after its cursors, so that a reader who kept one misses nothing."""
    cursors = []
    for name in ("first", "second"):
        bank = Bank.open(tmp_path / name / "bank.sqlite3")
        bank.issue(ACCOUNTS[0], "invoice", bytes(32), Msat(1), None, 10)
        (event,) = bank.events(ACCOUNTS[0], 0, 10, 11)
        cursors.append(event.cursor)
        bank.close()
    assert cursors == sorted(set(cursors))
