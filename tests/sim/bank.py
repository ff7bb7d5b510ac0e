"""A tiny bank in memory: the wallets of a simulated world. It counts every msat, and tells payees what came, in order, for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from pylon import _native
from pylon.errors import InsufficientFunds, PaymentFailed, PaymentUnknown
from pylon.units import Msat
from pylon.wallets.base import Direction, Invoice, Paid, PaymentState, PaymentStatus, WalletEvent
from tests.sim.clock import Clock


@dataclass
class Entry:
    """An invoice and what became of it."""

    bolt11: str
    payee: str
    amount: Msat
    payment_hash: bytes
    preimage: bytes
    expires_at: int
    status: PaymentStatus = PaymentStatus.OPEN
    payer: str = ""
    told: bool = True
    """Whether the payer has been told; a payment that is open to him is resolved later."""


@dataclass
class Bank:
    """Accounts by name. `fee` is taken by nobody: it leaves the payer and lands in `fees`."""

    clock: Clock
    balances: dict[str, int] = field(default_factory=dict)
    held: int = 0
    funded: int = 0
    entries: dict[bytes, Entry] = field(default_factory=dict)
    failed: dict[tuple[str, bytes], bool] = field(default_factory=dict)
    news: dict[str, list[WalletEvent]] = field(default_factory=dict)
    listeners: dict[str, Callable[[WalletEvent], None]] = field(default_factory=dict)
    faults: bool = True
    count: int = 0

    def fund(self, account: str, amount: int) -> None:
        """The faucet."""
        self.balances[account] = self.balances.get(account, 0) + amount
        self.funded += amount
        self.check()

    def check(self) -> None:
        """Sats are conserved and no purse is below zero."""
        assert sum(self.balances.values()) + self.held == self.funded, "sats are not conserved"
        assert min(self.balances.values()) >= 0, "a purse is below zero"

    def invoice(self, account: str, amount: Msat, memo: str, expires_in: int, currency: str = "bcrt") -> Invoice:
        """A correctly signed invoice."""
        self.balances.setdefault(account, 0)
        self.count += 1
        preimage = self.clock.chance.randbytes(32)
        payment_hash = hashlib.sha256(preimage).digest()
        now = int(self.clock.now)
        bolt11 = _native.bolt11_encode(b"\x07" * 32, currency, amount, payment_hash, b"\x08" * 32, memo, now, expires_in, 18)
        self.entries[payment_hash] = Entry(bolt11, account, amount, payment_hash, preimage, now + expires_in)
        return Invoice(bolt11, payment_hash, amount, now + expires_in)

    def pay(self, account: str, payment_hash: bytes) -> Paid:
        """Pay: yes, no, or (with faults) don't know; then it may land, or fail, much later. The same hash never pays twice."""
        entry = self.entries[payment_hash]
        if entry.payer == account:
            match self.lookup(account, payment_hash, Direction.OUT).status:
                case PaymentStatus.SETTLED:
                    return Paid(entry.preimage, Msat(0))
                case PaymentStatus.PENDING:
                    raise PaymentUnknown("it is on its way")
        if entry.status is not PaymentStatus.OPEN or self.clock.now >= entry.expires_at or (self.faults and self.clock.happens(0.1)):
            self.failed[account, payment_hash] = True
            raise PaymentFailed("the payment failed")
        if self.balances[account] < entry.amount:
            raise InsufficientFunds("the wallet holds too little")
        self.balances[account] -= entry.amount
        self.held += entry.amount
        entry.payer, entry.status = account, PaymentStatus.PENDING
        self.failed.pop((account, payment_hash), None)
        if self.faults and self.clock.happens(0.3):
            # The wallet does not know: the payment lands after minutes, perhaps after the invoice's end, or comes back.
            self.clock.soon(lambda: self._resolve(entry, lands=self.clock.happens(0.6)), mean=60)
            raise PaymentUnknown("the wallet does not answer")
        self._resolve(entry, lands=True)
        return Paid(entry.preimage, Msat(0))

    def _resolve(self, entry: Entry, *, lands: bool) -> None:
        self.held -= entry.amount
        if lands:
            self.balances[entry.payee] += entry.amount
            entry.status = PaymentStatus.SETTLED
            news = self.news.setdefault(entry.payee, [])
            news.append(
                WalletEvent(len(news) + 1, entry.payment_hash, PaymentStatus.SETTLED, entry.amount, int(self.clock.now), entry.preimage)
            )
            if listener := self.listeners.get(entry.payee):
                listener(news[-1])
        else:
            self.balances[entry.payer] += entry.amount
            self.failed[entry.payer, entry.payment_hash] = True
            entry.payer, entry.status = "", PaymentStatus.OPEN
        self.check()

    def lookup(self, account: str, payment_hash: bytes, direction: Direction) -> PaymentState:
        """What became of it, seen from one side."""
        entry = self.entries[payment_hash]
        if direction is Direction.IN or entry.payer == account:
            return PaymentState(entry.status, entry.preimage if entry.status is PaymentStatus.SETTLED else None, Msat(0), entry.amount)
        return PaymentState(PaymentStatus.FAILED if (account, payment_hash) in self.failed else PaymentStatus.UNKNOWN)

    def cancel(self, payment_hash: bytes) -> None:
        """Close an open invoice."""
        entry = self.entries[payment_hash]
        if entry.status is PaymentStatus.OPEN:
            entry.status = PaymentStatus.FAILED

    def settled(self) -> list[Entry]:
        """All payments that have landed."""
        return [entry for entry in self.entries.values() if entry.status is PaymentStatus.SETTLED]
