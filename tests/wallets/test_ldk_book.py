"""The book of the wallet `ldk`, alone: what may follow what, that it is written at once, and what stands in the file."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pylon.errors import PaymentError, PaymentFailed, PylonError
from pylon.units import Msat
from pylon.wallets.base import Direction, PaymentStatus
from pylon.wallets.ldk.bills import BillStatus
from pylon.wallets.ldk.book import Book, Desk
from pylon.wallets.ldk.payouts import PayoutStatus
from pylon.wallets.ldk.slots import EACH, Slots
from tests.conformance.wallet import soon

KEY, NOW, AMOUNT = b"\5" * 32, 1_800_000_000, Msat(21_000)
PREIMAGE = b"\6" * 32
HASH = hashlib.sha256(PREIMAGE).digest()
OTHER = b"\7" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the book is."""
    return tmp_path / "home" / "wallet.sqlite3"


@pytest.fixture
def book(path: Path) -> Iterator[Book]:
    """A new book."""
    made = Book.open(path, KEY, durable=False)
    yield made
    made.close()


def reopened(book: Book, path: Path) -> Book:
    """What another process would read."""
    return Book.open(path, KEY, durable=True)


def test_an_invoice_from_open_to_settled(book: Book, path: Path) -> None:
    """Each step is in the file when it returns; a step that comes again changes nothing and tells nothing."""
    book.bills.issue(HASH, "lnbcrt1", PREIMAGE, AMOUNT, NOW + 600, NOW)
    for _ in range(2):
        bill = book.bills.arrive(HASH, AMOUNT, 150, NOW + 300, True, NOW + 1)
        assert bill is not None
        assert (bill.status, bill.height, bill.deadline) == (BillStatus.CLAIMING, 150, NOW + 300)
    assert book.bills.find(HASH) == bill
    assert [book.bills.settle(HASH, AMOUNT, NOW + 2) for _ in range(2)] == [True, False]
    other = reopened(book, path)
    (told,) = other.bills.events(0, 10)
    assert (told.status, told.amount, told.at, told.preimage) == (PaymentStatus.SETTLED, AMOUNT, NOW + 2, PREIMAGE)
    assert other.bills.find(HASH) == book.bills.find(HASH)
    with pytest.raises(PaymentFailed, match="settled"):
        other.bills.refuse(HASH, NOW)
    assert other.bills.arrive(HASH, AMOUNT, 160, NOW, True, NOW).status is BillStatus.SETTLED  # type: ignore[union-attr]
    other.close()


def test_a_hold_invoice_shows_its_preimage_when_it_is_given(book: Book) -> None:
    """Without a preimage nothing is claimed; the preimage decides; a refused one is not taken any more."""
    book.bills.issue(HASH, "lnbcrt1", None, AMOUNT, NOW + 600, NOW)
    with pytest.raises(PaymentFailed, match="its invoice is open"):
        book.bills.take(HASH, PREIMAGE, NOW)
    bill = book.bills.arrive(HASH, AMOUNT, 150, NOW + 300, True, NOW)
    assert bill is not None
    assert bill.state().status is PaymentStatus.HELD
    assert bill.state().preimage is None
    assert not book.bills.settle(HASH, AMOUNT, NOW)
    assert book.bills.take(HASH, PREIMAGE, NOW).status is BillStatus.CLAIMING
    with pytest.raises(PaymentFailed):
        book.bills.refuse(HASH, NOW)  # the node may have it by now
    assert book.bills.settle(HASH, AMOUNT, NOW)
    assert [event.status for event in book.bills.events(0, 10)] == [PaymentStatus.HELD, PaymentStatus.SETTLED]


def test_expiry_to_the_second(book: Book) -> None:
    """An invoice ends in the second that it names, whoever looks first, and a payment that comes then is refused; a held one stays."""
    held = hashlib.sha256(b"held").digest()
    book.bills.issue(HASH, "a", PREIMAGE, AMOUNT, NOW + 60, NOW)
    book.bills.issue(held, "b", None, AMOUNT, NOW + 60, NOW)
    book.bills.arrive(held, AMOUNT, 150, NOW + 300, True, NOW + 59)
    assert book.bills.next_lapse() == NOW + 60
    assert book.bills.lapse(NOW + 59) == 0
    bill = book.bills.arrive(HASH, AMOUNT, 150, NOW + 300, True, NOW + 60)
    assert bill is not None
    assert bill.status is BillStatus.EXPIRED
    assert book.bills.next_lapse() is None
    assert book.bills.find(held).status is BillStatus.HELD  # type: ignore[union-attr]


def test_a_hash_stands_in_one_place(book: Book) -> None:
    """An invoice and a payment of one hash exclude each other, both ways, and a hash makes no second invoice."""
    book.bills.issue(HASH, "a", PREIMAGE, AMOUNT, NOW + 60, NOW)
    with pytest.raises(PaymentError, match="used already"):
        book.bills.issue(HASH, "b", PREIMAGE, AMOUNT, NOW + 60, NOW)
    with pytest.raises(PaymentFailed, match="our own"):
        book.payouts.begin(HASH, KEY, "x", AMOUNT, Msat(0), NOW)
    book.payouts.begin(OTHER, KEY, "x", AMOUNT, Msat(0), NOW)
    with pytest.raises(PaymentError, match="used already"):
        book.bills.issue(OTHER, "c", None, AMOUNT, NOW + 60, NOW)


def test_a_key_and_a_hash_name_one_payment(book: Book) -> None:
    """The same key and hash find the payment; another key, or the key of another payment, is a no, and writes nothing."""
    assert book.payouts.begin(HASH, KEY, "x", AMOUNT, Msat(5), NOW) is None
    known = book.payouts.begin(HASH, KEY, "x", AMOUNT, Msat(5), NOW)
    assert known is not None
    assert (known.status, known.max_fee, known.closes) == (PayoutStatus.INTENT, 5, 0)
    for payment_hash, key in ((HASH, OTHER), (OTHER, KEY)):
        with pytest.raises(PaymentFailed):
            book.payouts.begin(payment_hash, key, "x", AMOUNT, Msat(5), NOW)
    assert book.payouts.find(OTHER) is None
    assert book.payouts.pending() == AMOUNT


def test_what_is_over_is_over(book: Book) -> None:
    """A settled payment does not fail any more; a failed or doubtful one is settled by its preimage, and by nothing else."""
    book.payouts.begin(HASH, KEY, "x", AMOUNT, Msat(5), NOW)
    assert book.payouts.doubt(HASH, "closed", NOW)
    assert book.payouts.pending() == AMOUNT
    assert book.payouts.fail(HASH, "closed", NOW, again=False)
    assert not book.payouts.doubt(HASH, "closed", NOW)
    book.payouts.sent(HASH, NOW)
    assert book.payouts.find(HASH).status is PayoutStatus.FAILED  # type: ignore[union-attr]
    assert [book.payouts.settle(HASH, PREIMAGE, Msat(3), NOW + 1) for _ in range(2)] == [True, False]
    assert not book.payouts.fail(HASH, "late", NOW, again=True)
    found = book.payouts.find(HASH)
    assert found is not None
    assert (found.status, found.preimage, found.fee) == (PayoutStatus.SETTLED, PREIMAGE, 3)
    with pytest.raises(PaymentFailed, match="already paid"):
        book.payouts.begin(HASH, OTHER, "x", AMOUNT, Msat(5), NOW)


def test_what_failed_in_passing_may_begin_again(book: Book) -> None:
    """With its own key or another one, from the beginning; not where the no was final."""
    book.payouts.begin(HASH, KEY, "x", AMOUNT, Msat(5), NOW)
    book.payouts.fail(HASH, "route_not_found", NOW, again=True)
    assert book.payouts.begin(HASH, OTHER, "x", AMOUNT, Msat(9), NOW + 1) is None
    found = book.payouts.find(HASH)
    assert found is not None
    assert (found.key, found.max_fee, found.reason) == (OTHER, 9, "")
    book.payouts.fail(HASH, "recipient_rejected", NOW, again=False)
    with pytest.raises(PaymentFailed):
        book.payouts.begin(HASH, KEY, "x", AMOUNT, Msat(9), NOW)


def test_closes_are_counted_from_the_beginning_of_a_payment(book: Book) -> None:
    """What closed before a payment says nothing about it; what closed after it does, until that is resolved."""
    book.saw_channel("a", "p", "f", NOW)
    book.saw_channel("b", "p", "f", NOW)
    assert book.lost_channel("a", "p", "x", NOW)
    assert not book.lost_channel("a", "p", "x", NOW)  # told twice, replaced once
    book.payouts.begin(HASH, KEY, "x", AMOUNT, Msat(5), NOW)
    closes = book.payouts.find(HASH).closes  # type: ignore[union-attr]
    assert closes == 1
    assert not book.closed_since(closes, NOW, 0)
    assert book.lost_channel("b", "p", "x", NOW)
    assert book.closed_since(closes, NOW, 0)
    assert book.unresolved() == ["a", "b"]
    book.resolved(["b"], NOW)
    assert not book.closed_since(closes, NOW, 0)
    assert not book.lost_channel("never seen", "p", "x", NOW)
    assert book.closed_since(closes, NOW, 0)


def test_channels_that_were_left_are_not_missed(book: Book) -> None:
    """A wallet that never had one lacks none; one that lost some lacks them; one that closed them itself does not."""
    assert not book.lacks_channels(2, 0)
    book.saw_channel("a", "p", "f", NOW)
    assert book.lacks_channels(2, 1)
    assert not book.lacks_channels(1, 1)
    book.leave_channel("a", "p", NOW)
    assert not book.lost_channel("a", "p", "", NOW)
    assert not book.lacks_channels(1, 0)
    book.saw_channel("b", "p", "f", NOW)
    assert not book.lacks_channels(2, 1)
    assert book.lacks_channels(3, 1)


def test_records_are_all_that_is_open_or_has_changed(book: Book) -> None:
    """For whoever holds a journal against it: open ones whenever they began, finished ones since then; a channel's doubts are pending."""
    book.bills.issue(HASH, "a", PREIMAGE, AMOUNT, NOW + 60, NOW)
    book.payouts.begin(OTHER, KEY, "x", AMOUNT, Msat(5), NOW)
    book.payouts.doubt(OTHER, "closed", NOW)
    (received,), (sent,) = book.bills.records(NOW + 1000), book.payouts.records(NOW + 1000)
    assert (received.direction, received.status, received.at) == (Direction.IN, PaymentStatus.OPEN, NOW)
    assert (sent.direction, sent.status, sent.amount) == (Direction.OUT, PaymentStatus.PENDING, AMOUNT)
    book.payouts.settle(OTHER, PREIMAGE, Msat(3), NOW + 5)
    assert not book.payouts.records(NOW + 6)
    (sent,) = book.payouts.records(NOW + 5)
    assert (sent.status, sent.fee, sent.at) == (PaymentStatus.SETTLED, 3, NOW + 5)


def test_cursors_rise_over_deleted_books(path: Path) -> None:
    """A reader that kept a cursor of a book that was deleted does not wait for the new one to catch up."""
    for _ in range(2):
        book = Book.open(path, KEY, durable=False)
        before = book.bills.cursor()
        book.bills.issue(HASH, "a", PREIMAGE, AMOUNT, NOW, NOW)
        book.bills.lapse(NOW)
        assert book.bills.cursor() == before + 1 <= time.time_ns() // 1000
        book.close()
        path.unlink()


def test_preimages_are_sealed(book: Book, path: Path) -> None:
    """No preimage stands in the file in plain, the file is its owner's alone, and with another key it is not read but told."""
    book.bills.issue(HASH, "a", PREIMAGE, AMOUNT, NOW + 60, NOW)
    book.payouts.begin(OTHER, KEY, "x", AMOUNT, Msat(5), NOW)
    book.payouts.settle(OTHER, PREIMAGE, Msat(0), NOW)
    for file in path.parent.iterdir():
        assert PREIMAGE not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    stranger = Book.open(path, b"\x08" * 32, durable=False)
    with pytest.raises(PylonError, match="another identity"):
        stranger.bills.find(HASH)
    stranger.close()


def test_a_sealed_preimage_belongs_to_its_hash(book: Book, path: Path) -> None:
    """Moved to another invoice by whoever can write the file, it does not open."""
    book.bills.issue(HASH, "a", PREIMAGE, AMOUNT, NOW + 60, NOW)
    book.bills.issue(OTHER, "b", PREIMAGE, AMOUNT, NOW + 60, NOW)
    with sqlite3.connect(path) as db:
        stolen = "(SELECT preimage FROM invoices WHERE payment_hash = ?)"
        db.execute(f"UPDATE invoices SET preimage = {stolen} WHERE payment_hash = ?", (HASH, OTHER))
    db.close()
    with pytest.raises(PylonError):
        book.bills.find(OTHER)


def test_a_database_of_somebody_else_is_left_alone(path: Path) -> None:
    """A file that is a database but no book: said so, and not changed."""
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (a)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(PylonError, match="not the book of a wallet"):
        Book.open(path, KEY, durable=False)
    assert path.read_bytes() == before


def test_a_folder_in_the_way_is_told_in_one_sentence(path: Path) -> None:
    """A file where the folder should be is named, with what to look at."""
    path.parent.write_text("")
    with pytest.raises(PylonError, match="cannot be used") as refusal:
        Book.open(path, KEY, durable=False)
    assert refusal.value.hint


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_a_real_network_survives_a_power_cut(path: Path, durable: bool, level: int) -> None:
    """Where sats have value each commit reaches the disk (synchronous = FULL); on the private network the end of the process is enough."""
    book = Book.open(path, KEY, durable=durable)
    assert book._file.db.execute("PRAGMA synchronous").fetchone() == (level,)
    book.close()


async def test_a_desk_that_is_closed_says_so(path: Path) -> None:
    """What was asked before the close is done; what comes after it is a PylonError, and closing twice is one."""
    desk = await Desk.open(path, KEY, durable=False, clock=lambda: NOW)
    first = asyncio.ensure_future(desk.do(lambda book, now: book.note("a", str(now))))
    await asyncio.sleep(0)
    await asyncio.gather(desk.close(), desk.close())
    await first
    with pytest.raises(PylonError, match="closed"):
        await desk.do(lambda book, _: book.mark("a"))
    desk = await Desk.open(path, KEY, durable=False)
    assert await desk.do(lambda book, _: book.mark("a")) == str(NOW)
    await desk.close()


async def test_a_desk_explains_a_disk_that_fails(path: Path) -> None:
    """An error of the file is one sentence that names it."""
    desk = await Desk.open(path, KEY, durable=False)

    def broken(_: Book, __: int) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(PylonError, match=r"cannot be used \(disk I/O error\)") as refusal:
        await desk.do(broken)
    assert os.fspath(path) in refusal.value.message
    await desk.close()


async def test_slots_are_given_in_order_and_given_back() -> None:
    """As many as the channels carry, then one for each that ends; who stops waiting, or has just been called, leaves no gap."""
    slots, order, gate = Slots(), list[int](), asyncio.Event()

    async def use(number: int) -> None:
        async with slots.one():
            order.append(number)
            await gate.wait()

    users = [asyncio.create_task(use(number)) for number in range(EACH + 4)]
    await asyncio.sleep(0)
    assert (slots.used, order) == (EACH, list(range(EACH)))
    users[EACH].cancel()  # waits
    users[0].cancel()  # has one: the next waiter that still wants it gets it
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order[EACH:] == [EACH + 1]
    slots.resize(2)
    await asyncio.sleep(0)
    assert order[EACH:] == [EACH + 1, EACH + 2, EACH + 3]
    gate.set()
    await soon(asyncio.gather(*users, return_exceptions=True))
    assert slots.used == 0


async def test_a_slot_that_came_too_late_is_passed_on() -> None:
    """A waiter is called and cancelled in the same moment: its slot is free again."""
    slots, held = Slots(), asyncio.Event()

    async def use() -> None:
        async with slots.one():
            await held.wait()

    users = [asyncio.create_task(use()) for _ in range(EACH + 1)]
    await asyncio.sleep(0)
    slots.resize(2)  # calls the waiter …
    users[-1].cancel()  # … which is gone
    held.set()
    await soon(asyncio.gather(*users, return_exceptions=True))
    assert slots.used == 0
