"""`sim`: a wallet at the simulated bank of this computer. **It is not Lightning and its sats have no value.**

The invoices are real BOLT11 (prefix `lnbcrt`), signed by the node key that is also the account; preimages, expiry, refusal of a second
payment and hold invoices are those of Lightning. Fees are nothing; amounts are exact to the millisat.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from pylon import _native
from pylon.config import CURRENCY, Config
from pylon.errors import PaymentError, PaymentFailed, PaymentUnknown, PylonError
from pylon.units import Msat
from pylon.wallets import asked
from pylon.wallets.bank import Bank
from pylon.wallets.bankfile import explain
from pylon.wallets.base import (
    Balance,
    Capabilities,
    Direction,
    Health,
    HealthState,
    Invoice,
    Paid,
    PaymentRecord,
    PaymentState,
    PaymentStatus,
    Wallet,
    WalletEvent,
)
from pylon.wallets.wake import Doorbell

T = TypeVar("T")

NETWORK = "regtest"
HOLD_SECONDS = 600
"""A held payment that its payee has not taken by then goes back to the payer."""
MAX_INVOICE = 2048
"""Characters. No invoice of this bank is longer."""
FINAL_CLTV = 18
"""BOLT 11's default for `c`; blocks mean nothing here."""
BATCH = 256

CAPABILITIES = Capabilities(
    name="sim",
    network=NETWORK,
    msat=True,
    choose_preimage=True,
    knows_preimage=True,
    hold=True,
    faucet=True,
    push_events=True,
    simulated=True,
    lists_payments=True,
)


class SimWallet:
    """One account of the simulated bank, in one event loop. Database work runs in a thread of its own, one piece after another."""

    def __init__(self, bank: Bank, secret: bytes, wake: Path, clock: Callable[[], float], hold_seconds: int) -> None:
        self.account = _native.public_key(secret)
        self._secret = secret
        self._bank = bank
        self._wake = wake
        self._clock = clock
        self._hold_seconds = hold_seconds
        self._thread = ThreadPoolExecutor(1, "sim-bank")
        self._bell: Doorbell | None = None
        self._hanging = asyncio.Lock()
        self._closed = False

    @classmethod
    def open(
        cls, state: Path, secret: bytes, network: str, *, clock: Callable[[], float] = time.time, hold_seconds: int = HOLD_SECONDS
    ) -> Self:
        """The wallet whose node key is `secret` (32 bytes), at the bank in the folder `state` (made when missing).
        Raises PylonError on another network than regtest, and where the bank's file cannot be used."""
        if network != NETWORK:
            raise PylonError(
                f"the `sim` wallet is simulated, not Lightning, and has no place on {network}",
                hint='set `network = "regtest"` or another `[wallet] backend` in config.toml',
            )
        folder = state / "sim"
        return cls(Bank.open(folder / "bank.sqlite3"), secret, folder / "wake", clock, hold_seconds)

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, and that it is simulated."""
        return CAPABILITIES

    async def balance(self) -> Balance:
        """`receivable` is all bitcoin there are: there are no channels, so nothing limits it."""
        return await self._do(lambda bank, now: bank.balance(self.account, now))

    async def invoice(
        self, amount: Msat, memo: str, expires_in: int, *, preimage: bytes | None = None, payment_hash: bytes | None = None
    ) -> Invoice:
        """Make an invoice; see the port. Raises PaymentError for what BOLT11 or this bank does not allow."""
        hash_, preimage_ = asked.hash_of(amount, memo, expires_in, preimage, payment_hash)
        now = int(self._clock())
        try:
            bolt11 = _native.bolt11_encode(
                self._secret, CURRENCY[NETWORK], amount, hash_, secrets.token_bytes(32), memo, now, expires_in, FINAL_CLTV
            )
        except ValueError as error:
            raise PaymentError(f"this invoice cannot be made: {error}") from error
        await self._do(lambda bank, _: bank.issue(self.account, bolt11, hash_, amount, preimage_, now + expires_in))
        return Invoice(bolt11, hash_, amount, now + expires_in, preimage_)

    async def pay(self, bolt11: str, *, max_fee: Msat, key: bytes) -> Paid:
        """Pay an invoice of this bank; a hold invoice is waited for until its payee takes or cancels it, or its deadline passes.
        The same key joins the payment that it began. A refusal that moved no money may be tried again with its key."""
        if len(key) != 32:
            raise PaymentFailed("the key of a payment has 32 bytes")
        if max_fee < 0:
            raise PaymentFailed("the limit for the fee is negative")
        text = _checked(bolt11)
        state = await self._sure(self._do(lambda bank, now: bank.pay(self.account, text, key, self._hold_seconds, now)))
        if state.status is PaymentStatus.PENDING:
            bell = await self._sure(self._doorbell())
            while state.status is PaymentStatus.PENDING:
                ring = bell.ring
                state = await self._sure(self._do(lambda bank, now: bank.payment(self.account, key, now)))
                if state.status is PaymentStatus.PENDING:
                    await bell.wait(ring)
        if state.preimage is None:
            raise PaymentFailed("the payee did not take the payment; it came back")
        return Paid(state.preimage, state.fee)

    async def lookup(self, payment_hash: bytes, direction: Direction) -> PaymentState:
        """How our invoice (`IN`) or our payment (`OUT`) stands. A cancelled invoice is `failed`."""
        return await self._do(lambda bank, now: bank.lookup(self.account, payment_hash, direction, now))

    async def settle(self, preimage: bytes) -> None:
        """Take a held payment; see the port. Raises PaymentUnknown where the bank's file failed: settle again."""
        if len(preimage) != 32:
            raise PaymentFailed("a preimage has 32 bytes")
        payment_hash = hashlib.sha256(preimage).digest()
        await self._sure(self._do(lambda bank, now: bank.settle(self.account, payment_hash, preimage, now)))

    async def cancel(self, payment_hash: bytes) -> None:
        """Close an invoice; see the port. Raises PaymentFailed where it is settled, or not ours."""
        await self._do(lambda bank, now: bank.cancel(self.account, payment_hash, now))

    def events(self, since: int | None) -> AsyncIterator[WalletEvent]:
        """Changes of our invoices (held, settled, failed, expired) after `since`, for ever, also those made by other processes.
        None begins with this call, not with the first step of the iteration."""
        first = self._submit(lambda bank, _: bank.cursor() if since is None else max(0, min(since, 2**63 - 1)))
        return self._follow(first)

    async def fund(self, amount: Msat) -> None:
        """The faucet, at most `bank.FUND_LIMIT` at once. These sats have no value."""
        await self._do(lambda bank, _: bank.fund(self.account, amount))

    async def payments(self, since: float) -> Sequence[PaymentRecord]:
        """All of this account; see the port."""
        return await self._do(lambda bank, now: bank.payments(self.account, int(since), now))

    async def health(self) -> Health:
        """A bank that is open is ready."""
        return Health(HealthState.OFF if self._closed else HealthState.READY)

    async def aclose(self) -> None:
        """Close. Who still waits for a held payment gets PaymentUnknown; iterations of events end. Idempotent."""
        if self._closed:
            return
        self._closed = True
        path = self._bell.path if self._bell else None
        if self._bell:
            self._bell.close()

        def end(bank: Bank, _: int) -> None:
            try:
                if path:
                    bank.unlisten(path)
            finally:
                bank.close()

        try:
            await asyncio.wrap_future(self._thread.submit(self._run, end))
        finally:
            self._thread.shutdown(wait=False)

    async def _follow(self, first: Future[int]) -> AsyncIterator[WalletEvent]:
        cursor = await asyncio.wrap_future(first)
        bell = await self._doorbell()
        while not self._closed:
            ring = bell.ring
            events = await self._news(cursor)
            for event in events:
                cursor = event.cursor
                yield event
            if not events:
                await bell.wait(ring)

    async def _news(self, since: int) -> list[WalletEvent]:
        return await self._do(lambda bank, now: bank.events(self.account, since, BATCH, now))

    async def _doorbell(self) -> Doorbell:
        """Our doorbell, hung up at its first use and known to the bank."""
        async with self._hanging:
            if self._bell is None:
                try:
                    bell = Doorbell(self._wake)
                except OSError as error:
                    raise explain(self._wake, error) from error
                try:
                    await self._do(lambda bank, _: bank.listen(self.account, bell.path))
                    if self._closed:
                        raise PylonError("the simulated wallet is closed")
                except BaseException:
                    bell.close()
                    raise
                self._bell = bell
            return self._bell

    async def _sure(self, outcome: Awaitable[T]) -> T:
        """Where money may have moved, a failure of the file, or our own end, means that the outcome is not known."""
        try:
            return await outcome
        except PaymentError:
            raise
        except PylonError as error:
            raise PaymentUnknown(f"the outcome of the payment is not known: {error.message}", hint=error.hint) from error

    async def _do(self, work: Callable[[Bank, int], T]) -> T:
        """Run in the bank's thread. A caller that is cancelled meanwhile does not undo it."""
        return await asyncio.wrap_future(self._submit(work))

    def _submit(self, work: Callable[[Bank, int], T]) -> Future[T]:
        if self._closed:
            raise PylonError("the simulated wallet is closed")
        return self._thread.submit(self._run, work)

    def _run(self, work: Callable[[Bank, int], T]) -> T:
        try:
            return work(self._bank, int(self._clock()))
        except sqlite3.Error as error:
            raise explain(self._bank.path, error) from error


def _checked(bolt11: str) -> str:
    """The invoice in lower case, strictly decoded. Raises PaymentFailed for any other text."""
    if len(bolt11) > MAX_INVOICE:
        raise PaymentFailed(f"this is not an invoice of the simulated bank: it has {len(bolt11):,} characters")
    try:
        invoice = _native.bolt11_decode(bolt11)
    except ValueError as error:
        raise PaymentFailed(
            f"this is not a BOLT11 invoice: {error}", hint="the simulated bank pays its own invoices (lnbcrt…) and nothing else"
        ) from error
    if invoice.currency != CURRENCY[NETWORK]:
        raise PaymentFailed(
            f"this invoice is for another network (ln{invoice.currency}); the simulated bank is on regtest and not Lightning"
        )
    # BIP-173: an all-upper-case string is the same one (QR codes); the bank knows its invoices in lower case.
    return bolt11.lower()


def open_sim(*, home: Path, state: Path, secret: bytes, seed: bytes, config: Config) -> Wallet:
    """The entry point `sim` of the group `pylon.wallets`."""
    return SimWallet.open(state, secret, config.network)
