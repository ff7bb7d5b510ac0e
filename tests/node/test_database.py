"""The ledger's file: strange, damaged, newer, read while it is written, full, or killed in the middle."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from pylon.errors import NotSetUp, PylonError
from pylon.market.effects import Pay, Wake
from pylon.market.job import BuyerState, Job
from pylon.node.database import Database
from pylon.node.ledger import SCHEMA_VERSION, Ledger
from tests.market.scene import NOW, bought

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger of a test stands."""
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    ledger = Ledger(path)
    yield ledger
    ledger.close()


def put(ledger: Ledger, job: Job) -> None:
    """One step in a transaction of its own."""
    with ledger.transaction(full=True):
        ledger.put(job, now=NOW)



def test_the_file_is_for_its_owner_alone(path: Path, ledger: Ledger) -> None:
    """Prompts, answers and preimages are in it, and in what SQLite keeps beside it."""
    put(ledger, bought(BuyerState.DRAFT))
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


@pytest.mark.parametrize("name", ["a?b#c%41 d", "ü🙂", "mode=ro&x"])
def test_a_strange_path_is_a_path(tmp_path: Path, name: str) -> None:
    """Characters that mean something in a URI mean nothing here."""
    folder = tmp_path / name
    folder.mkdir()
    ledger = Ledger(folder / "ledger.sqlite3")
    put(ledger, bought(BuyerState.DRAFT))
    ledger.close()
    assert (folder / "ledger.sqlite3").stat().st_size > 0
    assert len(Ledger(folder / "ledger.sqlite3", readonly=True).jobs(9)) == 1


def test_readers_see_what_is_committed_and_cannot_write(path: Path, ledger: Ledger) -> None:
    """While the node runs, and in the middle of its step, any process may read."""
    put(ledger, bought(BuyerState.DRAFT))
    reader = Ledger(path, readonly=True)
    with ledger.transaction():
        ledger.put(bought(BuyerState.POSTED))
        assert reader.jobs(1) == [bought(BuyerState.DRAFT)]
    assert reader.jobs(1) == [bought(BuyerState.POSTED)]
    with pytest.raises(PylonError, match="cannot be written"), reader.transaction():
        reader.put(bought(BuyerState.PAID))
    ledger.close()
    assert reader.jobs(1) == [bought(BuyerState.POSTED)]
    reader.close()


def test_reading_where_nothing_is_says_so(path: Path) -> None:
    """No ledger, or an empty file: one sentence and the command that begins it; a reader creates nothing."""
    with pytest.raises(NotSetUp, match="nothing has happened in this home yet"):
        Ledger(path, readonly=True)
    assert not path.exists()
    path.touch()
    with pytest.raises(NotSetUp, match="nothing has happened"):
        Ledger(path, readonly=True)


@pytest.mark.parametrize("readonly", [False, True])
def test_a_newer_ledger_is_left_alone(path: Path, ledger: Ledger, readonly: bool) -> None:
    """A schema version that this Pylon does not know: one sentence with both numbers, and the file is not touched."""
    ledger.close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version={SCHEMA_VERSION + 41}")
    db.close()
    with pytest.raises(PylonError, match=f"has version {SCHEMA_VERSION + 41} and this Pylon reads {SCHEMA_VERSION}") as caught:
        Ledger(path, readonly=readonly)
    assert "newer" in caught.value.hint


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize("damage", ["garbage", "head", "schema"])
def test_a_damaged_file_is_one_sentence(path: Path, ledger: Ledger, damage: str, readonly: bool) -> None:
    """Garbage, a broken header, a broken first page: PylonError that names the file and what to do, no traceback of SQLite's."""
    put(ledger, bought(BuyerState.DRAFT))
    ledger.close()
    data = path.read_bytes()
    broken = {"garbage": b"not a database" * 400, "head": b"x" * 16 + data[16:], "schema": data[:100] + b"\xff" * 3996 + data[4096:]}
    path.write_bytes(broken[damage])
    with pytest.raises(PylonError, match=r"ledger\.sqlite3 cannot be (opened|read|written): ") as caught:
        Ledger(path, readonly=readonly)
    assert caught.value.hint == "restore it from a backup, or move it away"


def test_a_full_disk_is_no_damage(path: Path) -> None:
    """Nobody is told to move a sound ledger away because there is no room for more."""
    database = Database(path, ("CREATE TABLE t (body BLOB) STRICT",), 1)
    database.rows(f"PRAGMA max_page_count={database.rows('PRAGMA page_count')[0][0]}")
    with pytest.raises(PylonError, match="is full") as caught, database.transaction():
        database.run("INSERT INTO t VALUES (?)", bytes(100_000))
    assert "free space" in caught.value.hint
    database.close()


def test_damage_in_the_middle_is_one_sentence(path: Path, ledger: Ledger) -> None:
    """A page that is broken further in shows when it is read, and as the same sentence."""
    for n in range(50):
        put(ledger, replace(bought(BuyerState.POSTED), id=f"{n:064x}"))
    ledger.close()
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    with pytest.raises(PylonError, match="cannot be read"):
        Ledger(path, readonly=True).jobs(100)


@pytest.mark.parametrize("readonly", [False, True])
def test_a_place_that_is_no_file_is_one_sentence(tmp_path: Path, readonly: bool) -> None:
    """A folder in the ledger's place, or a folder that does not exist."""
    with pytest.raises(PylonError, match="cannot be opened"):
        Ledger(tmp_path, readonly=readonly)
    with pytest.raises(PylonError):
        Ledger(tmp_path / "nowhere" / "ledger.sqlite3", readonly=readonly)


def test_a_kill_loses_no_committed_step(path: Path) -> None:
    """SIGKILL from outside in the middle of writing: every step that was acknowledged is there, whole, and the file opens at once."""
    writer = subprocess.Popen([sys.executable, "-m", "tests.node.writer", path], cwd=ROOT, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    said = [int(writer.stdout.readline()) for _ in range(200)]
    writer.send_signal(signal.SIGKILL)
    said += [int(line) for line in writer.stdout.read().split(b"\n") if line]
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL
    reader = Ledger(path, readonly=True)
    assert len(reader.jobs(-1)) in (len(said), len(said) + 1)
    reader.close()
    ledger = Ledger(path)
    jobs = {job.id for job in ledger.jobs(-1)}
    assert jobs == {f"{n:064x}" for n in range(1, len(jobs) + 1)}
    assert len(said) <= len(jobs) <= len(said) + 1
    assert {payment.amount for payment in ledger.pending()} == set(range(1, len(jobs) + 1))
    unfinished = ledger.unfinished()
    assert [e.effect for e in unfinished if isinstance(e.effect, Wake)] == [Wake(NOW + len(jobs))]
    assert len([e for e in unfinished if isinstance(e.effect, Pay)]) == len(jobs)
    ledger.close()


def test_a_disk_that_is_full_undoes_the_step(ledger: Ledger) -> None:
    """SQLite ends the transaction by itself: the error is the disk's, and the ledger works again when there is room."""
    put(ledger, bought(BuyerState.DRAFT))
    (pages,) = ledger._db.row("PRAGMA page_count") or (0,)
    ledger._db.run(f"PRAGMA max_page_count={pages}")
    with pytest.raises(PylonError, match="full"):
        put(ledger, replace(bought(BuyerState.POSTED), prompt="x" * 1_000_000))
    ledger._db.run(f"PRAGMA max_page_count={2**30}")
    assert ledger.jobs(9) == [bought(BuyerState.DRAFT)]
    put(ledger, bought(BuyerState.POSTED))
