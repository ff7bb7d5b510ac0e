"""A home of the first release, whose sats were simulated, opened by the Pylon of now with its real wallet, by the commands people type."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pylon import _native
from tests.e2e.world import World

DUMP = Path(__file__).parents[1] / "vectors" / "ledger_v1.sql"
SAID = "The simulated sats of this home have ended: its wallet is ldk on regtest now"


@pytest.fixture
def _home(world: World) -> Iterator[None]:
    """It, with the wallet that is the default where it is built."""
    if not _native.has_lightning():
        pytest.skip("this Pylon was built without its Lightning node")
    world.home("old", wallet="ldk")
    with closing(sqlite3.connect(world.place / "old" / "ledger.sqlite3")) as database:
        database.executescript(DUMP.read_text("utf-8"))
    yield
    world.run("old", "stop")
    world.run("old", "regtest", "stop")  # an offer that was not made yet is made by the new wallet: its network has started


@pytest.mark.usefixtures("_home")
def test_the_history_is_there_and_the_sats_have_ended(world: World) -> None:
    """Readers see the history before any node has run; the first node says once what has ended; afterwards nothing is mixed."""
    before = world.ask("old", "wallet", "history", "-l", "0")
    rows = before["payments"]
    assert isinstance(rows, list)
    assert {(row["wallet"], row["network"]) for row in rows} == {("sim", "regtest")}
    first = world.run("old", "wallet", "limits", "--reset")
    assert (first.status, first.err.count(SAID)) == (0, 1)
    again = world.run("old", "wallet", "limits", "--reset")
    assert (again.status, again.err) == (0, "")
    assert world.log("old").count(SAID) == 1
    after = world.ask("old", "wallet", "history", "-l", "0")["payments"]
    assert isinstance(after, list)
    assert {row["id"] for row in after} == {row["id"] for row in rows}
    assert {row["status"] for row in after} == {"settled", "failed"}
    earned = world.run("old", "earnings")
    assert earned.out.splitlines()[:2] == ["Earned 0 sats by 0 jobs.", "Before: 3 sats by 2 jobs (sim, regtest)."]
    states = {row["status"] for row in world.jobs("old", "buyer")}
    assert not states & {"paying", "unsure"}
