"""Our own share of a payment: door, limits, journal and table, with a wallet that answers at once, beside a plain SQLite commit that waits
for the disk in the same folder. The time is that on the wall, since the disk is most of it."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benches.abba import Ratio, Side, fitting, ratio
from benches.conftest import Judge
from benches.inputs import AUX, SECRET
from pylon import _native
from pylon.market.effects import Pay
from pylon.market.job import BuyerJob, Role
from pylon.market.limits import Limits
from pylon.market.payment import Status
from pylon.market.signals import Quoted
from pylon.node.figures import Purse
from pylon.node.journal import Payment
from pylon.node.ledger import Ledger, StoredEffect
from pylon.node.payments import Payments
from pylon.units import Msat
from pylon.wallets.base import Direction, Paid
from tests.market.scene import A
from tests.node import stage
from tests.node.scripted_wallet import Scripted

REFERENCE = "one SQLite commit, synchronous=FULL"
MANY = 10_000
"""Payments in the journal before."""
ALL = Limits(per_job=Msat(10**9), per_peer=Msat(10**12), per_day=Msat(10**12), total=Msat(10**12))
PREPARED = 2000
REAL = Limits(per_job=Msat(10**9), per_day=Msat(10**12))
"""The limits that mainnet asks for."""
ROW = b"x" * 400
"""About what a line of the journal holds."""


def walled(call: Callable[[], object]) -> Side:
    """One call a slice, by the clock on the wall."""

    def spend() -> int:
        start = time.perf_counter_ns()
        call()
        return time.perf_counter_ns() - start

    return Side(spend, 1)


class AtOnce(Scripted):
    """A wallet that says yes at once."""

    async def pay(self, bolt11: str, *, max_fee: Msat, key: bytes) -> Paid:
        """Yes."""
        return Paid(b"", Msat(0))


class Takes:
    """Keeps the payment that a step asks for."""

    pay: StoredEffect

    def perform(self, stored: StoredEffect, *, resumed: bool = False) -> None:
        """Keep it."""
        if isinstance(stored.effect, Pay):
            self.pay = stored


def bill(n: int) -> str:
    """Invoice number `n`, made now."""
    payment_hash = hashlib.sha256(n.to_bytes(32)).digest()
    return _native.bolt11_encode(SECRET, "bcrt", 1000, payment_hash, AUX, "one answer", int(time.time()), 600, 18)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Callable[[], object]]:
    """The reference."""
    with closing(sqlite3.connect(tmp_path / "plain.sqlite3", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE t (body BLOB)")

        def commit() -> None:
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO t VALUES (?)", (ROW,))
            database.execute("COMMIT")

        yield commit


def fill(ledger: Ledger) -> None:
    """A journal that has seen something."""
    with ledger.transaction():
        for n in range(MANY):
            hashed = hashlib.sha256(b"before" + n.to_bytes(4)).digest()
            ledger.intend(Payment(
                direction=Direction.OUT, payment_hash=hashed, bolt11="lnbcrt", amount=Msat(1000), status=Status.SETTLED, at=time.time(),
                settled_at=time.time(), peer=A, job=f"{n:064x}",
            ))


def judged(judge: Judge, benchmark: BenchmarkFixture, path: str, call: Callable[[], object], plain: Callable[[], object]) -> None:
    """Into the table: goal and gate of the issue are 5 ms; beside a commit that is 2 to 4 of them."""
    benchmark(call)

    def measure(times: int) -> Ratio:
        ours, theirs = walled(call), walled(plain)
        return ratio(ours, theirs, times * fitting(ours, theirs))

    judge(path, REFERENCE, measure, gate=None)


@pytest.mark.parametrize("before", [0, MANY])
def test_payment_of_a_person(tmp_path: Path, judge: Judge, benchmark: BenchmarkFixture, plain: Callable[[], object], before: int) -> None:
    """`wallet pay`: decode, vet, limits, intent (FULL), sent, the wallet, outcome (FULL)."""
    ledger = Ledger(tmp_path / "ledger.sqlite3", secret=SECRET)
    ledger.belong(Purse("scripted", "regtest"))
    if before:
        fill(ledger)
    engine = Payments(ledger, AtOnce(), "bcrt", Msat(10), ALL if before else Limits())
    count = iter(range(1, 10**9))
    with asyncio.Runner() as runner:
        judged(
            judge, benchmark, f"payment by hand, our share, {before:,} before", lambda: runner.run(engine.pay(bill(next(count)))), plain
        )
    ledger.close()


def test_payment_of_a_job(tmp_path: Path, judge: Judge, benchmark: BenchmarkFixture, plain: Callable[[], object]) -> None:
    """From the offer to the paid job: table, step and intent (FULL), limits, sent, the wallet, step and outcome (FULL)."""
    node = stage.node(tmp_path / "home")
    node.ledger.belong(Purse("scripted", "regtest"))
    fill(node.ledger)
    engine = Payments(node.ledger, AtOnce(), "bcrt", Msat(10), REAL)

    performer = Takes()
    node.performer = performer

    async def buy(job: BuyerJob, bolt11: str) -> None:
        node.apply(Role.BUYER, job.id, Quoted(A, bolt11, Msat(1000), spent_before=False))
        stored = performer.pay
        assert isinstance(stored.effect, Pay)
        node.apply(Role.BUYER, job.id, await engine.perform(stored.effect.payment_hash), done=stored.n)

    numbers = itertools.count(1)

    def prepared(count: int) -> list[tuple[BuyerJob, str]]:
        return [(stage.posted(node, request=stage.asks(node.buyer_keys, salt=n)), bill(n)) for n in itertools.islice(numbers, count)]

    jobs = prepared(PREPARED)
    with asyncio.Runner() as runner:

        def one() -> None:
            if not jobs:
                jobs.extend(prepared(PREPARED))  # a quicker machine than was thought of: one round is slow by it
            runner.run(buy(*jobs.pop()))

        judged(judge, benchmark, "payment of a job, our share", one, plain)
    node.ledger.close()
