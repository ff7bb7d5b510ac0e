"""A copy of the wallet `ldk`, and the way back from it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from pylon.config import Config
from pylon.errors import PylonError
from pylon.units import Msat
from pylon.wallets.backups import Backup, place
from pylon.wallets.base import Direction, HealthState, PaymentStatus
from pylon.wallets.ldk import backup
from pylon.wallets.ldk.backup import BOOK, MAGIC, read_backup, restore_backup
from pylon.wallets.ldk.book import Book
from tests.conformance.wallet import FEE, PRICE, holds, new_key, soon
from tests.wallets.ldk_world import FUNDS, World, world


async def copied(made: World, name: str) -> tuple[Path, bytes]:
    """A backup of a wallet that has paid, and the seed that it belongs to."""
    wallet, payee = made.open(name), made.open("payee")
    await soon(wallet.fund(FUNDS))
    invoice = await soon(payee.invoice(PRICE, "", 600))
    await soon(wallet.pay(invoice.bolt11, max_fee=FEE, key=new_key()))
    await soon(holds(payee, PRICE))
    target = made.base / "copy"
    await soon(wallet.backup(target))
    with pytest.raises(PylonError, match="exists already"):
        await soon(wallet.backup(target))
    assert sorted(file.name for file in (made.base / name / "wallet" / "regtest").iterdir() if file.is_dir()) == []
    return target, wallet._life.home.seed


async def test_a_copy_brings_all_back(tmp_path: Path) -> None:
    """Written while the node runs, read with the seed alone, put into an empty home: the same balance and payments, and it pays again."""
    async with world(tmp_path) as made:
        target, seed = await copied(made, "first")
        first = made.opened[0]
        node_id, listed = (await first.health()).node_id, await first.payments(0)
        await first.aclose()
        about = read_backup(target, seed=seed)
        assert (about.network, about.node_id) == ("regtest", node_id)
        assert abs(about.made_at - time.time()) < 60
        assert target.stat().st_mode & 0o077 == 0
        shutil.rmtree(tmp_path / "first")
        assert restore_backup(target, home=tmp_path / "first", seed=seed, config=Config()) is None
        again = made.open("first")
        assert (await soon(again.balance())).spendable == FUNDS - PRICE
        assert await again.payments(0) == listed
        invoice = await soon(made.opened[1].invoice(PRICE, "", 600))
        await soon(again.pay(invoice.bolt11, max_fee=FEE, key=new_key()))
        assert (await again.balance()).spendable == FUNDS - 2 * PRICE


async def test_what_stands_there_is_moved_aside(tmp_path: Path) -> None:
    """A wallet in use is not touched; one that is not goes aside and can be put back; strangers' and damaged copies change nothing."""
    async with world(tmp_path) as made:
        target, seed = await copied(made, "first")
        home, place = tmp_path / "first", tmp_path / "first" / "wallet" / "regtest"
        with pytest.raises(PylonError, match="in use"):
            restore_backup(target, home=home, seed=seed, config=Config())
        await made.opened[0].aclose()
        before = sorted(file.name for file in place.iterdir())
        data = target.read_bytes()
        for name, wrong, says in (
            ("cut", data[:-1], "damaged"), ("changed", data[:-1] + bytes([data[-1] ^ 1]), "damaged"), ("short", MAGIC, "not a backup"),
            ("other", b"x" * 100, "not a backup"), ("newer", MAGIC + b"\x63" + data[len(MAGIC) + 1 :], "newer Pylon"),
        ):
            (tmp_path / name).write_bytes(wrong)
            with pytest.raises(PylonError, match=says):
                restore_backup(tmp_path / name, home=home, seed=seed, config=Config())
        with pytest.raises(PylonError, match="another identity"):
            restore_backup(target, home=home, seed=bytes(64), config=Config())
        with pytest.raises(PylonError, match="this home is on signet"):
            restore_backup(target, home=home, seed=seed, config=Config(network="signet"))
        with pytest.raises(PylonError, match="No such file"):
            read_backup(tmp_path / "missing", seed=seed)
        assert sorted(file.name for file in place.iterdir()) == before
        aside = restore_backup(target, home=home, seed=seed, config=Config())
        assert aside is not None
        assert sorted(file.name for file in aside.iterdir()) == before
        assert (place / "ldk.sqlite").exists()


async def test_a_book_behind_the_node_learns_from_it(tmp_path: Path) -> None:
    """The book is brought back from an earlier day and the node's store is not: payments of the time between are taken over."""
    async with world(tmp_path) as made:
        wallet, payee = made.open("first"), made.open("payee")
        await soon(wallet.fund(FUNDS))
        await wallet.aclose()
        place = tmp_path / "first" / "wallet" / "regtest"
        shutil.copy(place / "wallet.sqlite3", tmp_path / "old")
        wallet = made.open("first")
        invoice = await soon(payee.invoice(PRICE, "", 600))
        paid = await soon(wallet.pay(invoice.bolt11, max_fee=FEE, key=new_key()))
        await wallet.aclose()
        for file in place.glob("wallet.sqlite3*"):
            file.unlink()
        shutil.copy(tmp_path / "old", place / "wallet.sqlite3")
        wallet = made.open("first")
        assert (await soon(wallet.balance())).spendable == FUNDS - PRICE
        found = await wallet.lookup(invoice.payment_hash, Direction.OUT)
        assert (found.status, found.preimage, found.amount) == (PaymentStatus.SETTLED, paid.preimage, PRICE)


@pytest.mark.parametrize("name", ["wallet.sqlite3", "ldk.sqlite"])
async def test_a_wallet_of_a_newer_version_is_left_alone(tmp_path: Path, name: str) -> None:
    """Written by a later Pylon: one sentence that says so, and no byte is changed."""
    async with world(tmp_path) as made:
        wallet = made.open("first")
        await soon(wallet.invoice(Msat(1000), "", 600))
        await wallet.aclose()
        path = tmp_path / "first" / "wallet" / "regtest" / name
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        before = path.read_bytes()
        wallet = made.open("first")
        with pytest.raises(PylonError, match="newer Pylon") as refusal:
            await soon(wallet.balance())
        assert refusal.value.hint
        assert (await wallet.health()).state is HealthState.FAILED
        assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database, but long enough to be looked at" * 10, b"SQLite format 3\0" + b"\xff" * 5000])
async def test_a_damaged_book_is_named(tmp_path: Path, content: bytes) -> None:
    """A book that is none, or damaged, is one sentence with its name, and is left as it is; nothing is started on it."""
    async with world(tmp_path) as made:
        path = tmp_path / "first" / "wallet" / "regtest" / "wallet.sqlite3"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        wallet = made.open("first")
        with pytest.raises(PylonError, match="damaged") as refusal:
            await soon(wallet.balance())
        assert os.fspath(path) in refusal.value.message
        assert path.read_bytes() == content


def test_news_after_a_return_are_news(tmp_path: Path) -> None:
    """Whoever follows the wallet has seen events that the copy does not know; those that come now are not taken for seen."""
    home, seed, key = tmp_path / "home", bytes(64), b"\1" * 32
    path, copy, store = place(home, "regtest") / BOOK, tmp_path / "book", tmp_path / "store"
    book = Book.open(path, key, durable=False)
    book.copy(copy)
    store.write_bytes(b"")
    backup._write(tmp_path / "backup", seed, Backup(0.0, "regtest", ""), store, copy)
    for number in range(3):
        _end_one(book, bytes([number]) * 32)
    seen = book.bills.events(0, 10)[-1].cursor
    book.close()
    restore_backup(tmp_path / "backup", home=home, seed=seed, config=Config())
    book = Book.open(path, key, durable=False)
    _end_one(book, b"\7" * 32)
    assert [one.payment_hash for one in book.bills.events(seen, 10)] == [b"\7" * 32]
    book.close()


def _end_one(book: Book, payment_hash: bytes) -> None:
    book.bills.issue(payment_hash, "", None, Msat(1), 10, 0)
    book.bills.refuse(payment_hash, 1)
