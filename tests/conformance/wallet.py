"""What every wallet must do, whatever rail it pays over: subclass `WalletConformance` and give it the fixture `pair`.

`pair` yields a `Pair` of open wallets of one network that can pay each other, each holding at least `NEEDED`. A test that
needs something the wallet does not declare in its capabilities is skipped.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import TypeVar

import pytest

from pylon import _native
from pylon.config import CURRENCY
from pylon.errors import InsufficientFunds, PaymentFailed, PylonError
from pylon.units import Msat
from pylon.wallets.base import Direction, HealthState, Invoice, Paid, PaymentState, PaymentStatus, Wallet, WalletEvent

T = TypeVar("T")

NEEDED = Msat(1_000_000)
"""What each wallet of a pair holds at least (1,000 sats)."""
PATIENCE = 60.0
"""Seconds until a test that waits is called hung."""
PRICE = Msat(21_000)
FEE = Msat(5_000)


@dataclass
class Pair:
    """Two wallets that can pay each other."""

    payer: Wallet
    payee: Wallet


def new_key() -> bytes:
    """A fresh payment key."""
    return secrets.token_bytes(32)


async def soon(outcome: Awaitable[T]) -> T:
    """The outcome, which must come."""
    async with asyncio.timeout(PATIENCE):
        return await outcome


async def event(events: AsyncIterator[WalletEvent], payment_hash: bytes, status: PaymentStatus) -> WalletEvent:
    """The next event of this invoice, which must have this status."""
    while True:
        found = await soon(anext(events))
        if found.payment_hash == payment_hash:
            assert found.status is status
            return found


async def reached(wallet: Wallet, payment_hash: bytes, direction: Direction, status: PaymentStatus) -> PaymentState:
    """The state once it has this status."""
    async with asyncio.timeout(PATIENCE):
        while (state := await wallet.lookup(payment_hash, direction)).status is not status:  # noqa: ASYNC110 not every wallet pushes events
            await asyncio.sleep(0.02)
    return state


async def holds(wallet: Wallet, spendable: int) -> None:
    """The wallet holds exactly so much to spend: at once or, over a real network, a moment after it was told of the payment."""
    async with asyncio.timeout(PATIENCE):
        while (await wallet.balance()).spendable != spendable:  # noqa: ASYNC110 not every wallet pushes events
            await asyncio.sleep(0.02)


async def hold(payee: Wallet, expires_in: int = 600) -> tuple[Invoice, bytes]:
    """A hold invoice and its preimage."""
    preimage = secrets.token_bytes(32)
    return await payee.invoice(PRICE, "hold", expires_in, payment_hash=hashlib.sha256(preimage).digest()), preimage


class WalletConformance:
    """The rules. A subclass provides the fixture `pair`."""

    async def test_capabilities_are_consistent(self, pair: Pair) -> None:
        """Both wallets name themselves and one known network."""
        mine, theirs = pair.payer.capabilities, pair.payee.capabilities
        assert mine.name
        assert mine.network in CURRENCY
        assert mine.network == theirs.network
        assert not (mine.simulated and mine.network == "mainnet")

    async def test_invoice_is_signed_bolt11(self, pair: Pair) -> None:
        """An invoice decodes strictly and says what was asked for."""
        made = await pair.payee.invoice(PRICE, "pylon:job — ⚡ שלום", 3600)
        read = _native.bolt11_decode(made.bolt11)
        assert read.currency == CURRENCY[pair.payee.capabilities.network]
        assert (read.amount_msat, read.payment_hash, read.description) == (PRICE, made.payment_hash, "pylon:job — ⚡ שלום")
        assert read.timestamp + read.expiry == made.expires_at
        assert read.expiry == 3600
        assert read.payment_secret is not None
        assert made.amount == PRICE
        if pair.payee.capabilities.knows_preimage:
            assert made.preimage is not None
            assert hashlib.sha256(made.preimage).digest() == made.payment_hash

    async def test_invoices_are_distinct(self, pair: Pair) -> None:
        """Two invoices for the same thing share neither hash nor payment secret."""
        one, two = [await pair.payee.invoice(PRICE, "", 60) for _ in range(2)]
        assert one.payment_hash != two.payment_hash
        assert _native.bolt11_decode(one.bolt11).payment_secret != _native.bolt11_decode(two.bolt11).payment_secret

    @pytest.mark.parametrize(("amount", "expires_in"), [(0, 60), (-1, 60), (2**63, 60), (1000, 0), (1000, -1)])
    async def test_impossible_invoice_is_refused(self, pair: Pair, amount: int, expires_in: int) -> None:
        """No invoice for nothing, for more than all bitcoin, or expired from the start."""
        with pytest.raises(PylonError):
            await pair.payee.invoice(Msat(amount), "", expires_in)

    async def test_long_description_is_refused(self, pair: Pair) -> None:
        """A description that BOLT11 cannot hold is refused, not cut."""
        with pytest.raises(PylonError):
            await pair.payee.invoice(PRICE, "é" * 320, 60)

    async def test_preimage_and_hash_exclude_each_other(self, pair: Pair) -> None:
        """An invoice has a preimage of ours or only a hash."""
        with pytest.raises(PylonError):
            await pair.payee.invoice(PRICE, "", 60, preimage=bytes(32), payment_hash=hashlib.sha256(bytes(32)).digest())

    async def test_payment_moves_money(self, pair: Pair) -> None:
        """What the payer loses is what the payee gets and the fee; both find the payment settled."""
        before = await pair.payer.balance(), await pair.payee.balance()
        made = await pair.payee.invoice(PRICE, "", 600)
        assert (await pair.payee.lookup(made.payment_hash, Direction.IN)).status is PaymentStatus.OPEN
        paid = await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=new_key()))
        assert hashlib.sha256(paid.preimage).digest() == made.payment_hash
        assert 0 <= paid.fee <= FEE
        got = await reached(pair.payee, made.payment_hash, Direction.IN, PaymentStatus.SETTLED)
        assert (got.preimage, got.amount) == (paid.preimage, PRICE)
        sent = await pair.payer.lookup(made.payment_hash, Direction.OUT)
        assert (sent.status, sent.preimage, sent.fee) == (PaymentStatus.SETTLED, paid.preimage, paid.fee)
        assert before[0].spendable - (await pair.payer.balance()).spendable == PRICE + paid.fee
        await holds(pair.payee, before[1].spendable + PRICE)

    async def test_parts_of_a_sat(self, pair: Pair) -> None:
        """A wallet with msat precision is exact to the millisat."""
        if not (pair.payee.capabilities.msat and pair.payer.capabilities.msat):
            pytest.skip("whole sats only")
        before = await pair.payee.balance()
        made = await pair.payee.invoice(Msat(1_001), "", 600)
        await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=new_key()))
        await reached(pair.payee, made.payment_hash, Direction.IN, PaymentStatus.SETTLED)
        await holds(pair.payee, before.spendable + 1_001)

    async def test_chosen_preimage(self, pair: Pair) -> None:
        """The payer receives the very preimage that the payee chose; it cannot be chosen twice."""
        if not pair.payee.capabilities.choose_preimage:
            pytest.skip("the wallet chooses")
        preimage = secrets.token_bytes(32)
        made = await pair.payee.invoice(PRICE, "", 600, preimage=preimage)
        assert made.payment_hash == hashlib.sha256(preimage).digest()
        assert (await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=new_key()))).preimage == preimage
        with pytest.raises(PylonError):
            await pair.payee.invoice(PRICE, "", 600, preimage=preimage)

    async def test_same_key_pays_once(self, pair: Pair) -> None:
        """The same key, again and at once, gets the first answer and spends once."""
        key, made = new_key(), await pair.payee.invoice(PRICE, "", 600)
        before = await pair.payer.balance()
        answers = await soon(asyncio.gather(*(pair.payer.pay(made.bolt11, max_fee=FEE, key=key) for _ in range(5))))
        answers.append(await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=key)))
        assert len({(paid.preimage, paid.fee) for paid in answers}) == 1
        assert before.spendable - (await pair.payer.balance()).spendable == PRICE + answers[0].fee

    async def test_key_of_another_payment_is_refused(self, pair: Pair) -> None:
        """A key names one payment: another invoice is not paid with it, nor answered with the first preimage."""
        key = new_key()
        one, two = [await pair.payee.invoice(PRICE, "", 600) for _ in range(2)]
        await soon(pair.payer.pay(one.bolt11, max_fee=FEE, key=key))
        with pytest.raises(PaymentFailed):
            await soon(pair.payer.pay(two.bolt11, max_fee=FEE, key=key))
        assert (await pair.payee.lookup(two.payment_hash, Direction.IN)).status is PaymentStatus.OPEN

    async def test_second_payment_is_refused(self, pair: Pair) -> None:
        """Of several keys for one invoice, at once, exactly one pays; the others are told no."""
        made = await pair.payee.invoice(PRICE, "", 600)
        before = await pair.payer.balance()
        pays = (pair.payer.pay(made.bolt11, max_fee=FEE, key=new_key()) for _ in range(5))
        answers = await soon(asyncio.gather(*pays, return_exceptions=True))
        (paid,) = [answer for answer in answers if isinstance(answer, Paid)]
        assert sum(isinstance(answer, PaymentFailed) for answer in answers) == 4
        assert before.spendable - (await pair.payer.balance()).spendable == PRICE + paid.fee

    async def test_insufficient_funds(self, pair: Pair) -> None:
        """Too little money: told so, and nothing has moved."""
        before = await pair.payer.balance()
        made = await pair.payee.invoice(Msat(before.spendable // 1000 * 1000 + 1000), "", 600)
        with pytest.raises(InsufficientFunds):
            await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=new_key()))
        assert await pair.payer.balance() == before
        assert (await pair.payer.lookup(made.payment_hash, Direction.OUT)).status in (PaymentStatus.UNKNOWN, PaymentStatus.FAILED)

    @pytest.mark.parametrize("text", ["", "lnbc", "alice@example.com", "spark1qqq", "\0", "\ud800", "⚡" * 1000])
    async def test_what_is_no_invoice_is_refused(self, pair: Pair, text: str) -> None:
        """Other strings are a final no."""
        with pytest.raises(PaymentFailed):
            await soon(pair.payer.pay(text, max_fee=FEE, key=new_key()))

    async def test_unknown_hash(self, pair: Pair) -> None:
        """A hash that nobody has heard of is `unknown` both ways."""
        for direction in Direction:
            assert (await pair.payer.lookup(secrets.token_bytes(32), direction)).status is PaymentStatus.UNKNOWN

    async def test_directions_are_kept_apart(self, pair: Pair) -> None:
        """Whoever pays has no invoice of that hash, and whoever is paid no payment."""
        made = await pair.payee.invoice(PRICE, "", 600)
        await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=new_key()))
        assert (await pair.payer.lookup(made.payment_hash, Direction.IN)).status is PaymentStatus.UNKNOWN
        assert (await pair.payee.lookup(made.payment_hash, Direction.OUT)).status is PaymentStatus.UNKNOWN

    async def test_expired_invoice_is_refused(self, pair: Pair) -> None:
        """After its time an invoice is `expired` and cannot be paid."""
        made = await pair.payee.invoice(PRICE, "", 1)
        await reached(pair.payee, made.payment_hash, Direction.IN, PaymentStatus.EXPIRED)
        with pytest.raises(PaymentFailed):
            await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=new_key()))

    async def test_cancelled_invoice_is_refused(self, pair: Pair) -> None:
        """A cancelled invoice is `failed` and cannot be paid; cancelling again changes nothing."""
        made = await pair.payee.invoice(PRICE, "", 600)
        for _ in range(2):
            await pair.payee.cancel(made.payment_hash)
        assert (await pair.payee.lookup(made.payment_hash, Direction.IN)).status is PaymentStatus.FAILED
        with pytest.raises(PaymentFailed):
            await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=new_key()))

    async def test_settled_invoice_cannot_be_cancelled(self, pair: Pair) -> None:
        """Money that was taken stays taken."""
        made = await pair.payee.invoice(PRICE, "", 600)
        await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=new_key()))
        await reached(pair.payee, made.payment_hash, Direction.IN, PaymentStatus.SETTLED)
        with pytest.raises(PaymentFailed):
            await pair.payee.cancel(made.payment_hash)

    async def test_faucet(self, pair: Pair) -> None:
        """The faucet gives exactly what was asked for, and refuses nothing and less."""
        if not pair.payer.capabilities.faucet:
            pytest.skip("no faucet")
        before = await pair.payer.balance()
        await soon(pair.payer.fund(Msat(5_000_000)))
        assert (await pair.payer.balance()).spendable - before.spendable == 5_000_000
        for amount in (0, -1):
            with pytest.raises(PylonError):
                await pair.payer.fund(Msat(amount))

    async def test_settlement_is_told(self, pair: Pair) -> None:
        """The payee hears of the payment, with its preimage."""
        events = pair.payee.events(None)
        made = await pair.payee.invoice(PRICE, "", 600)
        paid = await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=new_key()))
        told = await event(events, made.payment_hash, PaymentStatus.SETTLED)
        assert (told.amount, told.preimage) == (PRICE, paid.preimage)

    async def test_events_resume_after_a_cursor(self, pair: Pair) -> None:
        """A second reader that begins at any cursor hears exactly the rest, with rising cursors."""
        events, hashes = pair.payee.events(None), []
        for _ in range(4):
            made = await pair.payee.invoice(PRICE, "", 600)
            hashes.append(made.payment_hash)
            await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=new_key()))
        heard = [await soon(anext(events)) for _ in range(4)]
        assert [told.payment_hash for told in heard] == hashes
        assert [told.cursor for told in heard] == sorted({told.cursor for told in heard})
        for count in range(1, 4):
            later = pair.payee.events(heard[count - 1].cursor)
            assert [await soon(anext(later)) for _ in range(4 - count)] == heard[count:]

    async def test_hold_then_settle(self, pair: Pair) -> None:
        """A held payment is pending for its payer, and settles when its payee shows the preimage, once or twice."""
        if not pair.payee.capabilities.hold:
            pytest.skip("no hold invoices")
        events, before = pair.payee.events(None), await pair.payer.balance()
        made, preimage = await hold(pair.payee)
        assert made.preimage is None
        paying = asyncio.create_task(pair.payer.pay(made.bolt11, max_fee=FEE, key=new_key()))
        told = await event(events, made.payment_hash, PaymentStatus.HELD)
        assert told.deadline is not None
        assert told.deadline > told.at
        assert (await pair.payee.lookup(made.payment_hash, Direction.IN)).status is PaymentStatus.HELD
        assert (await pair.payer.lookup(made.payment_hash, Direction.OUT)).status is PaymentStatus.PENDING
        during = await pair.payer.balance()
        assert during.pending - before.pending >= PRICE
        assert before.spendable - during.spendable == during.pending - before.pending
        await pair.payee.settle(preimage)
        paid = await soon(paying)
        assert paid.preimage == preimage
        told = await event(events, made.payment_hash, PaymentStatus.SETTLED)
        assert told.preimage == preimage
        await pair.payee.settle(preimage)
        after = await pair.payer.balance()
        assert after.pending == before.pending
        assert before.spendable - after.spendable == PRICE + paid.fee

    async def test_hold_then_cancel(self, pair: Pair) -> None:
        """A cancelled hold gives all money back and is a final no, also for the same key later."""
        if not pair.payee.capabilities.hold:
            pytest.skip("no hold invoices")
        events, before, key = pair.payee.events(None), await pair.payer.balance(), new_key()
        made, preimage = await hold(pair.payee)
        paying = asyncio.create_task(pair.payer.pay(made.bolt11, max_fee=FEE, key=key))
        await event(events, made.payment_hash, PaymentStatus.HELD)
        for _ in range(2):
            await pair.payee.cancel(made.payment_hash)
        with pytest.raises(PaymentFailed):
            await soon(paying)
        await event(events, made.payment_hash, PaymentStatus.FAILED)
        assert await pair.payer.balance() == before
        assert (await pair.payer.lookup(made.payment_hash, Direction.OUT)).status is PaymentStatus.FAILED
        with pytest.raises(PaymentFailed):
            await pair.payee.settle(preimage)
        with pytest.raises(PaymentFailed):
            await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=key))

    async def test_hold_is_joined_by_its_key_only(self, pair: Pair) -> None:
        """While a payment is held, the same key waits with it and another key is refused."""
        if not pair.payee.capabilities.hold:
            pytest.skip("no hold invoices")
        events, before, key = pair.payee.events(None), await pair.payer.balance(), new_key()
        made, preimage = await hold(pair.payee)
        first = asyncio.create_task(pair.payer.pay(made.bolt11, max_fee=FEE, key=key))
        await event(events, made.payment_hash, PaymentStatus.HELD)
        second = asyncio.create_task(pair.payer.pay(made.bolt11, max_fee=FEE, key=key))
        with pytest.raises(PaymentFailed):
            await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=new_key()))
        await pair.payee.settle(preimage)
        one, two = await soon(asyncio.gather(first, second))
        assert one == two
        assert before.spendable - (await pair.payer.balance()).spendable == PRICE + one.fee

    async def test_settle_needs_a_held_payment(self, pair: Pair) -> None:
        """There is nothing to take for an unknown preimage, nor before somebody has paid."""
        if not pair.payee.capabilities.hold:
            pytest.skip("no hold invoices")
        _, preimage = await hold(pair.payee)
        for wrong in (preimage, secrets.token_bytes(32)):
            with pytest.raises(PaymentFailed):
                await pair.payee.settle(wrong)

    async def test_waiting_payer_may_stop(self, pair: Pair) -> None:
        """A caller that stops waiting for a held payment changes nothing; with the same key it gets the outcome later."""
        if not pair.payee.capabilities.hold:
            pytest.skip("no hold invoices")
        events, key = pair.payee.events(None), new_key()
        made, preimage = await hold(pair.payee)
        paying = asyncio.create_task(pair.payer.pay(made.bolt11, max_fee=FEE, key=key))
        await event(events, made.payment_hash, PaymentStatus.HELD)
        paying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await paying
        assert (await pair.payer.lookup(made.payment_hash, Direction.OUT)).status is PaymentStatus.PENDING
        await pair.payee.settle(preimage)
        assert (await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=key))).preimage == preimage

    async def test_payments_are_listed(self, pair: Pair) -> None:
        """A wallet that lists its payments tells each settled one on both sides, with its amount and, for the payer, its fee."""
        if not (pair.payer.capabilities.lists_payments and pair.payee.capabilities.lists_payments):
            pytest.skip("the wallet does not list its payments")
        began = time.time() - 1
        made = await pair.payee.invoice(PRICE, "", 600)
        paid = await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=new_key()))
        await reached(pair.payee, made.payment_hash, Direction.IN, PaymentStatus.SETTLED)
        (sent,) = [record for record in await pair.payer.payments(began) if record.payment_hash == made.payment_hash]
        assert (sent.direction, sent.status, sent.amount, sent.fee) == (Direction.OUT, PaymentStatus.SETTLED, PRICE, paid.fee)
        (got,) = [record for record in await pair.payee.payments(began) if record.payment_hash == made.payment_hash]
        assert (got.direction, got.status, got.amount) == (Direction.IN, PaymentStatus.SETTLED, PRICE)
        assert got.at >= began
        assert not [record for record in await pair.payer.payments(time.time() + 3600) if record.payment_hash == made.payment_hash]

    async def test_health_is_told_at_once(self, pair: Pair) -> None:
        """A wallet that has just paid is ready, and has no problem to tell."""
        made = await pair.payee.invoice(PRICE, "", 600)
        await soon(pair.payer.pay(made.bolt11, max_fee=FEE, key=new_key()))
        health = await pair.payer.health()
        assert (health.state, health.problem) == (HealthState.READY, "")
