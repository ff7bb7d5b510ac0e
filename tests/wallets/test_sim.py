"""What is particular to `sim`: its clock, its file, its signatures, and what it refuses to pay."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import secrets
from pathlib import Path

import pytest

from pylon import _native
from pylon.errors import InsufficientFunds, PaymentError, PaymentFailed, PaymentUnknown, PylonError
from pylon.units import Msat
from pylon.wallets.base import Direction, PaymentStatus
from pylon.wallets.sim import HOLD_SECONDS, MAX_INVOICE, SimWallet
from tests.conformance.wallet import PRICE, Pair, event, hold, new_key, soon
from tests.wallets.conftest import FUNDS, PAYEE, PAYER, START, Clock, Open

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "bolt11.json").read_text())
NO_FEE = Msat(0)

HOSTILE = [
    "", " ", "\0", "lnbcrt", "lnbcrt1", "lnbcrt10u1" + "q" * 300, "\ud800lnbcrt", "\u202eלנbcrt1", "⚡" * 500, "lnbcrt1" + "q" * 10_000_000,
    "alice@example.com", "lightning:alice@example.com", "LNURL1DP68GURN8GHJ7UM9WFMXJCM99E3K7MF0V9CXJ0M385EKVC",
    "spark1pgss9qyxx8pxn0zv2cc0ysxqzayf5txkyaa3hnpflfwd2kgsk5gwp8jqh2n3xn", "sparkrt1pgss9qyxx8pxn0zv2cc0ysxqz",
    "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
    "bitcoin:bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080?lightning=x", "lno1pqps7sjqpgtyzm3qv4uxzmtsd3jjqer9wd3hy6tsw35k7msjzfpy",
    "0", "-1", "1e999", "'; DROP TABLE invoices; --", *(vector["invoice"] for vector in VECTORS["valid"] + VECTORS["invalid"]),
]  # fmt: skip


@pytest.mark.parametrize("network", ["mainnet", "testnet", "signet", "", "Regtest"])
def test_only_regtest(network: str, tmp_path: Path) -> None:
    """Simulated money has no place on a real network; no file is made."""
    with pytest.raises(PylonError, match="not Lightning"):
        SimWallet.open(tmp_path, PAYER, network)
    assert not [*tmp_path.iterdir()]


async def test_it_says_that_it_is_simulated(timed: Pair) -> None:
    """The capabilities name it and call it simulated."""
    assert timed.payer.capabilities.simulated
    assert timed.payer.capabilities.name == "sim"


async def test_invoices_are_signed_by_the_account(timed: Pair) -> None:
    """The payee of an invoice is the node key of the wallet, recovered from the signature; the time is the bank's."""
    read = _native.bolt11_decode((await timed.payee.invoice(Msat(1), "x" * 639, 60)).bolt11)
    assert read.payee == _native.public_key(PAYEE)
    assert (read.currency, read.timestamp, read.expiry, read.description) == ("bcrt", START, 60, "x" * 639)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_strings_are_refused(timed: Pair, text: str) -> None:
    """Whatever is not an invoice of this bank is a final no, in a short sentence that does not repeat it."""
    with pytest.raises(PaymentFailed) as refusal:
        await timed.payer.pay(text, max_fee=NO_FEE, key=new_key())
    assert len(refusal.value.message) < 200
    assert len(text) < 20 or text not in refusal.value.message
    assert (await timed.payer.balance()).spendable == FUNDS


async def test_altered_invoice_is_refused(timed: Pair) -> None:
    """One letter, a space, a prefix, mixed case: not the invoice that was issued. All upper case is (BIP-173)."""
    text = (await timed.payee.invoice(PRICE, "", 60)).bolt11
    swapped = text[:40] + ("q" if text[40] != "q" else "p") + text[41:]
    for wrong in (
        swapped,
        text + " ",
        text + "\0",
        "lightning:" + text,
        "LNBCRT" + text[6:],
        text * 2,
        text.replace("lnbcrt", "lnbc"),
    ):
        with pytest.raises(PaymentFailed):
            await timed.payer.pay(wrong, max_fee=NO_FEE, key=new_key())
    await timed.payer.pay(text.upper(), max_fee=NO_FEE, key=new_key())


async def test_invoice_of_another_bank_is_refused(timed: Pair, tmp_path: Path) -> None:
    """A correct regtest invoice that this bank did not issue is refused, also when its signer has an account here."""
    other = SimWallet.open(tmp_path / "other", PAYEE, "regtest")
    made = await other.invoice(PRICE, "", 600)
    await other.aclose()
    open_amount = _native.bolt11_encode(PAYEE, "bcrt", None, bytes(32), bytes(32), "", START, 600, 18)
    for text in (made.bolt11, open_amount):
        with pytest.raises(PaymentFailed, match="did not issue"):
            await timed.payer.pay(text, max_fee=NO_FEE, key=new_key())


async def test_own_invoice_is_refused(timed: Pair) -> None:
    """Paying oneself is settled in the node's journal, never here."""
    made = await timed.payer.invoice(PRICE, "", 60)
    with pytest.raises(PaymentFailed, match="our own"):
        await timed.payer.pay(made.bolt11, max_fee=NO_FEE, key=new_key())


@pytest.mark.parametrize(("key", "max_fee"), [(b"", 0), (b"k" * 31, 0), (b"k" * 33, 0), (b"k" * 32, -1)])
async def test_bad_arguments_of_a_payment(timed: Pair, key: bytes, max_fee: int) -> None:
    """A key that is not 32 bytes, or a negative fee, pays nothing."""
    made = await timed.payee.invoice(PRICE, "", 60)
    with pytest.raises(PaymentFailed):
        await timed.payer.pay(made.bolt11, max_fee=Msat(max_fee), key=key)
    assert (await timed.payer.balance()).spendable == FUNDS


@pytest.mark.parametrize("memo", ["\ud800", "é" * 320, "x" * 640])
async def test_descriptions_that_bolt11_cannot_hold(timed: Pair, memo: str) -> None:
    """Lone surrogates and too many bytes are refused in one sentence."""
    with pytest.raises(PaymentError):
        await timed.payee.invoice(PRICE, memo, 60)


@pytest.mark.parametrize("memo", ["", "\0", "שלום \u202e abc", "🦀" * 159, "\r\n\t"])
async def test_descriptions_that_bolt11_can_hold(timed: Pair, memo: str) -> None:
    """Any other text comes back as it was; the longest invoice is one that the bank reads."""
    made = await timed.payee.invoice(Msat(123_456_789), memo, 365 * 24 * 3600)
    assert _native.bolt11_decode(made.bolt11).description == memo
    assert len(made.bolt11) <= MAX_INVOICE


@pytest.mark.parametrize("wrong", [b"", b"p" * 31, b"p" * 33])
async def test_wrong_lengths(timed: Pair, wrong: bytes) -> None:
    """Hashes and preimages have 32 bytes."""
    with pytest.raises(PaymentError):
        await timed.payee.invoice(PRICE, "", 60, preimage=wrong)
    with pytest.raises(PaymentError):
        await timed.payee.invoice(PRICE, "", 60, payment_hash=wrong)
    with pytest.raises(PaymentFailed):
        await timed.payee.settle(wrong)
    with pytest.raises(PaymentFailed):
        await timed.payee.cancel(wrong)
    assert (await timed.payee.lookup(wrong, Direction.IN)).status is PaymentStatus.UNKNOWN


async def test_expiry_to_the_second(timed: Pair, clock: Clock) -> None:
    """An invoice can be paid in its last second, not in the one after it; its payee is told."""
    events = timed.payee.events(None)
    one, two = [await timed.payee.invoice(PRICE, "", 60) for _ in range(2)]
    clock.now = START + 59
    await timed.payer.pay(one.bolt11, max_fee=NO_FEE, key=new_key())
    clock.now = START + 60
    with pytest.raises(PaymentFailed, match="expired"):
        await timed.payer.pay(two.bolt11, max_fee=NO_FEE, key=new_key())
    assert (await soon(anext(events))).status is PaymentStatus.SETTLED
    told = await soon(anext(events))
    assert (told.payment_hash, told.status, told.at) == (two.payment_hash, PaymentStatus.EXPIRED, START + 60)
    assert (await timed.payee.lookup(two.payment_hash, Direction.IN)).status is PaymentStatus.EXPIRED


async def test_held_payment_goes_back_at_its_deadline(timed: Pair, clock: Clock) -> None:
    """What the payee has not taken at the deadline is the payer's again; the waiting payer is told no, the payee that it failed."""
    events = timed.payee.events(None)
    made, preimage = await hold(timed.payee, 60)
    paying = asyncio.create_task(timed.payer.pay(made.bolt11, max_fee=NO_FEE, key=new_key()))
    assert (await event(events, made.payment_hash, PaymentStatus.HELD)).deadline == START + HOLD_SECONDS
    clock.now = START + HOLD_SECONDS - 1
    assert (await timed.payer.balance()).pending == PRICE
    clock.now = START + HOLD_SECONDS
    balance = await timed.payer.balance()
    assert (balance.spendable, balance.pending) == (FUNDS, 0)
    with pytest.raises(PaymentFailed):
        await soon(paying)
    await event(events, made.payment_hash, PaymentStatus.FAILED)
    with pytest.raises(PaymentFailed):
        await timed.payee.settle(preimage)


async def test_held_payment_outlives_its_invoice(timed: Pair, clock: Clock) -> None:
    """Expiry limits the paying, not the taking: a payment held in time can be settled after the invoice's expiry."""
    events = timed.payee.events(None)
    made, preimage = await hold(timed.payee, 60)
    paying = asyncio.create_task(timed.payer.pay(made.bolt11, max_fee=NO_FEE, key=new_key()))
    await event(events, made.payment_hash, PaymentStatus.HELD)
    clock.now = START + 300
    await timed.payee.settle(preimage)
    assert (await soon(paying)).preimage == preimage


async def test_lapses_are_told_without_a_touch(timed: Pair, clock: Clock) -> None:
    """A reader of events hears of an expiry although nobody touches the bank."""
    events = timed.payee.events(None)
    made = await timed.payee.invoice(PRICE, "", 60)
    first = asyncio.ensure_future(anext(events))
    clock.now = START + 60
    assert (await soon(first)).payment_hash == made.payment_hash


async def test_refusal_leaves_the_key_free(timed: Pair, open_wallet: Open) -> None:
    """A payment refused for want of money never began: with money, the same key pays."""
    poor, key = open_wallet(b"\3" * 32), new_key()
    made = await timed.payee.invoice(PRICE, "", 60)
    with pytest.raises(InsufficientFunds):
        await poor.pay(made.bolt11, max_fee=NO_FEE, key=key)
    await poor.fund(PRICE)
    await poor.pay(made.bolt11, max_fee=NO_FEE, key=key)
    assert (await poor.balance()).spendable == 0


async def test_somebody_else_cannot_pay_again(timed: Pair, open_wallet: Open) -> None:
    """An invoice is paid once, whoever pays; the key of one account means nothing for another."""
    other, key = open_wallet(b"\3" * 32), new_key()
    await other.fund(FUNDS)
    made = await timed.payee.invoice(PRICE, "", 60)
    await timed.payer.pay(made.bolt11, max_fee=NO_FEE, key=key)
    with pytest.raises(PaymentFailed, match="already paid"):
        await other.pay(made.bolt11, max_fee=NO_FEE, key=key)


async def test_events_begin_with_the_call(timed: Pair) -> None:
    """`events(None)` skips what was before the call, and nothing that came between it and the first step."""
    old, new = [await timed.payee.invoice(PRICE, "", 60) for _ in range(2)]
    await timed.payer.pay(old.bolt11, max_fee=NO_FEE, key=new_key())
    events = timed.payee.events(None)
    await timed.payer.pay(new.bolt11, max_fee=NO_FEE, key=new_key())
    assert (await soon(anext(events))).payment_hash == new.payment_hash
    for since in (0, -5):
        assert (await soon(anext(timed.payee.events(since)))).payment_hash == old.payment_hash


async def test_two_readers_hear_everything(timed: Pair) -> None:
    """Readers of one wallet, and of a second one of the same account, do not take events from each other; others' events are not told."""
    readers = [timed.payee.events(0), timed.payee.events(0)]
    stranger = asyncio.ensure_future(anext(timed.payer.events(0)))
    for _ in range(3):
        made = await timed.payee.invoice(PRICE, "", 60)
        await timed.payer.pay(made.bolt11, max_fee=NO_FEE, key=new_key())
    one, two = [[await soon(anext(events)) for _ in range(3)] for events in readers]
    assert one == two
    assert not stranger.done()
    stranger.cancel()


async def test_a_long_history_is_told_in_order(timed: Pair) -> None:
    """More events than are read at once come in order, none lost."""
    hashes = [(await timed.payee.invoice(PRICE, "", 60)).payment_hash for _ in range(300)]
    for payment_hash in hashes:
        await timed.payee.cancel(payment_hash)
    events = timed.payee.events(0)
    assert [(await soon(anext(events))).payment_hash for _ in hashes] == hashes


async def test_closing_ends_those_who_wait(timed: Pair, tmp_path: Path) -> None:
    """Closing a wallet tells its waiting payer `unknown` (the money is held), ends the iterations, and removes the socket."""
    events, told = timed.payer.events(None), timed.payee.events(None)
    reading = asyncio.ensure_future(anext(events, None))
    made, _ = await hold(timed.payee)
    paying = asyncio.create_task(timed.payer.pay(made.bolt11, max_fee=NO_FEE, key=new_key()))
    await event(told, made.payment_hash, PaymentStatus.HELD)
    await asyncio.gather(timed.payer.aclose(), timed.payer.aclose())
    with pytest.raises(PaymentUnknown):
        await soon(paying)
    assert await soon(reading) is None
    with pytest.raises(PylonError, match="closed"):
        await timed.payer.balance()
    await timed.payee.aclose()
    assert not [*(tmp_path / "sim" / "wake").iterdir()]


async def test_closed_and_opened_again(timed: Pair, open_wallet: Open) -> None:
    """Money, invoices and the answers to keys are in the file, not in the process."""
    key, made = new_key(), await timed.payee.invoice(PRICE, "", 60)
    paid = await timed.payer.pay(made.bolt11, max_fee=NO_FEE, key=key)
    await timed.payer.aclose()
    again = open_wallet(PAYER)
    assert await again.pay(made.bolt11, max_fee=NO_FEE, key=key) == paid
    assert (await again.balance()).spendable == FUNDS - PRICE


async def test_files_are_the_users_alone(timed: Pair, tmp_path: Path) -> None:
    """The bank holds preimages: nobody else may read it."""
    await timed.payee.invoice(PRICE, "", 60)
    assert (tmp_path / "sim").stat().st_mode & 0o077 == 0
    for file in (tmp_path / "sim").glob("bank.sqlite3*"):
        assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"not a database, but long enough to be looked at" * 10, b"SQLite format 3\0" + b"\xff" * 5000])
def test_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    """A file that is no database: one sentence with its name and what to do, and the file is left as it is."""
    path = tmp_path / "sim" / "bank.sqlite3"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(PylonError, match="is damaged") as refusal:
        SimWallet.open(tmp_path, PAYER, "regtest")
    assert str(path) in refusal.value.message
    assert refusal.value.hint
    assert path.read_bytes() == content


async def test_damage_inside_the_file(timed: Pair, tmp_path: Path, open_wallet: Open) -> None:
    """Damage behind a sound first page is found when it is read; a payment is then `unknown`, not refused."""
    made = await timed.payee.invoice(PRICE, "", 60)
    await timed.payer.aclose()
    await timed.payee.aclose()
    path = tmp_path / "sim" / "bank.sqlite3"
    content = path.read_bytes()
    path.write_bytes(content[:4096] + os.urandom(len(content) - 4096))
    wallet = open_wallet(PAYER)
    with pytest.raises(PylonError, match="is damaged"):
        await wallet.balance()
    with pytest.raises(PaymentUnknown, match="is damaged"):
        await wallet.pay(made.bolt11, max_fee=NO_FEE, key=new_key())


def test_folder_in_the_way(tmp_path: Path) -> None:
    """A file where the folder should be is told in one sentence."""
    (tmp_path / "sim").write_text("")
    with pytest.raises(PylonError, match="cannot be used"):
        SimWallet.open(tmp_path, PAYER, "regtest")


async def test_logs_hold_no_secrets(timed: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """Neither preimage nor invoice nor key appears in the log, at any level."""
    caplog.set_level(logging.DEBUG)
    preimage, events = secrets.token_bytes(32), timed.payee.events(None)
    made = await timed.payee.invoice(PRICE, "", 60, payment_hash=hashlib.sha256(preimage).digest())
    paying = asyncio.create_task(timed.payer.pay(made.bolt11, max_fee=NO_FEE, key=new_key()))
    await event(events, made.payment_hash, PaymentStatus.HELD)
    await timed.payee.settle(preimage)
    await soon(paying)
    for secret in (preimage.hex(), made.bolt11, PAYER.hex(), PAYEE.hex(), repr(preimage)):
        assert secret not in caplog.text
