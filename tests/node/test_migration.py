"""A ledger that the code of version 1 has written (tests/vectors/ledger_v1.sql): every row is there, and what was open is not known."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pylon.errors import PylonError
from pylon.market.effects import LookUp, Pay, Publish
from pylon.market.job import BuyerState, ProviderJob, ProviderState, Role
from pylon.market.payment import Status
from pylon.node import migration
from pylon.node.ledger import SCHEMA_VERSION, Ledger
from pylon.wallets.base import Direction
from tests.market.scene import A, payment_hash, preimage

SECRET = b"\x05" * 32
DUMP = Path(__file__).parents[1] / "vectors" / "ledger_v1.sql"
IN, OUT = Direction.IN, Direction.OUT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A copy of the ledger of before."""
    path = tmp_path / "ledger.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(DUMP.read_text("utf-8"))
    return path


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """It, opened by the code of now."""
    ledger = Ledger(path, secret=SECRET)
    yield ledger
    ledger.close()


def test_every_payment_is_there(path: Path) -> None:
    """The same lines with the same amounts, times and preimages; their wallet and network are those of before, `pending` is not known."""
    with closing(sqlite3.connect(path)) as database:
        columns = "direction, payment_hash, amount, fee, status, preimage, at, settled_at, memo, job"
        before = database.execute(f"SELECT {columns} FROM payments").fetchall()
    ledger = Ledger(path, secret=SECRET)
    after = {(line.direction, line.payment_hash): line for line in ledger.payments(-1)}
    assert len(before) == len(after) == 12
    for direction, hashed, amount, fee, status, preimage_, at, settled_at, memo, job in before:
        line = after[direction, hashed]
        assert (line.amount, line.fee, line.preimage, line.at, line.settled_at, line.memo, line.job) == (
            amount, fee, preimage_ or b"", at, settled_at, memo, job or ""
        )
        assert (line.wallet, line.network) == ("sim", "regtest")
        assert line.status == {"pending": "unknown" if direction == "out" else "open"}.get(status, status)
        assert (line.tries, line.sent_at) == ((1, at) if direction == "out" else (0, None))
    assert after[OUT, payment_hash(11)].peer == A
    assert after[IN, payment_hash(1)].peer != ""
    assert {line.payment_hash for line in ledger.pending()} == {payment_hash(n) for n in (12, 13, 23)}
    assert all(line.status is Status.UNKNOWN for line in ledger.pending())
    assert ledger.mark("wallet.sim.regtest") == 1_780_000_000_000_123
    assert ledger.fact("wallet") == "sim regtest"
    ledger.close()


def test_every_job_and_effect_is_there(path: Path, ledger: Ledger) -> None:
    """Jobs in every state, what was left to be done, and what was signed."""
    assert ledger.counts() == {
        "buyer.done": 1, "buyer.paid": 1, "buyer.paying": 1, "buyer.posted": 2, "buyer.unsure": 1, "provider.delivered": 1,
        "provider.expired": 1, "provider.invoiced": 1, "provider.offered": 1, "provider.running": 1,
    }
    assert len(ledger.unfinished()) == 25
    assert {type(stored.effect) for stored in ledger.unfinished()} >= {Pay, LookUp, Publish}
    paid = [job for job in ledger.open_jobs() if job.state is BuyerState.PAID]
    assert [job.preimage for job in paid] == [preimage(14)]


def test_secrets_are_sealed_on_the_way(path: Path, ledger: Ledger) -> None:
    """No preimage is left in clear, in no table and no free page; the receipt of the delivered job is made from the job."""
    ledger._db.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    receipts = [stored for stored in ledger.unfinished() if isinstance(stored.effect, Publish) and stored.effect.reveal]
    (receipt,) = receipts
    job = ledger.provider_job(receipt.job)
    assert isinstance(job, ProviderJob)
    assert (job.state, job.preimage) == (ProviderState.DELIVERED, preimage(1))
    for file in path.parent.iterdir():
        data = file.read_bytes()
        for n in (1, 2, 11, 14, 22):
            # The bodies of effects of before hold a preimage as hex.
            assert preimage(n) not in data.replace(b"\0" * 40, b""), (file.name, n)
            assert preimage(n).hex().encode() not in data, (file.name, n)


def test_a_reader_sees_it_and_leaves_the_file(path: Path) -> None:
    """`pylon wallet history` before the node has run: the lines of now, from a copy in memory; not a byte of the file changes."""
    before = path.read_bytes()
    reader = Ledger(path, readonly=True)
    assert len(reader.payments(-1)) == 12
    with pytest.raises(AssertionError):
        assert reader.payment(OUT, payment_hash(11)) is None
    reader.close()
    assert path.read_bytes() == before
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)


def test_it_is_one_transaction(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks in the middle leaves the ledger of before, whole, and the next start does it."""

    def broken(*_: object) -> None:
        raise PylonError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(migration, "_seal_receipts", broken)
        with pytest.raises(PylonError, match="disk"):
            Ledger(path, secret=SECRET)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM payments WHERE status='pending'").fetchone() == (6,)
    ledger = Ledger(path, secret=SECRET)
    assert len(ledger.payments(-1)) == 12
    ledger.close()


def test_it_is_done_once(path: Path, ledger: Ledger) -> None:
    """Opened again, the ledger is of the version of now and nothing is changed."""
    lines, jobs = ledger.payments(-1), ledger.jobs(-1)
    ledger.close()
    again = Ledger(path, secret=SECRET)
    assert (again.payments(-1), again.jobs(-1)) == (lines, jobs)
    assert again._db.row("PRAGMA user_version")[0] == SCHEMA_VERSION  # type: ignore[index]
    assert again.unfinished()[0].role in (Role.BUYER, Role.PROVIDER)
    again.close()
