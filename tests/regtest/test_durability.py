"""What survives: the end of the process at any moment, a lost or damaged engine's folder, a full disk, another version, a wrong clock."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pylon.errors import PylonError
from pylon.regtest import kernel
from pylon.regtest.blocks import shown
from pylon.regtest.chain import MAX_AHEAD, Chain, Change, ClockBehind
from pylon.regtest.chainfile import ChainFile
from pylon.regtest.coins import Coins
from pylon.regtest.kernel import BlockRefused
from tests.regtest.spending import SOMEBODY, Coin, open_coin, outcome, spend

WORKER = """
import sys
from pathlib import Path
from pylon.regtest.chain import Chain
from pylon.regtest.coins import Coins
chain = Chain.open(Path(sys.argv[1]))
coins = Coins(chain)
print("open", chain.height, chain.mempool, flush=True)
while True:
    txid = coins.pay("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", 10_000)
    print("paid", txid, flush=True)
    chain.mine(3)
    print("mined", chain.height, chain.tip, flush=True)
    if chain.height % 5 == 0:
        done = chain.reorg(2, 3)
        print("mined", chain.height, chain.tip, flush=True)
"""


def test_the_height_never_falls_and_nothing_told_is_lost(tmp_path: Path) -> None:
    """A process that mines, pays and reorganises is killed again and again, at any moment."""
    folder = tmp_path / "chain"
    chain = Chain.open(folder)
    chain.mine(110)
    chain.close()
    dice = random.Random(6)
    height, paid = 110, []
    for _ in range(6):
        with subprocess.Popen([sys.executable, "-c", WORKER, str(folder)], stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout
            for _ in range(dice.randrange(1, 40)):
                word, value, *_ = worker.stdout.readline().split()
                if word == "paid":
                    paid.append(value)
                else:
                    assert int(value) >= height
                    height = int(value)
            worker.send_signal(signal.SIGKILL)
            # What it had said before the end counts too.
            for line in worker.stdout:
                if line.startswith("paid") and line.endswith("\n"):
                    paid.append(line.split()[1])
                elif line.startswith("mined") and line.endswith("\n"):
                    height = int(line.split()[1])
    chain = Chain.open(folder)
    assert chain.height >= height
    known = {row[0][::-1].hex() for row in chain.file.rows("SELECT txid FROM txs")}
    assert set(paid) <= known
    chain.mine()
    assert chain.mempool == 0
    chain.close()


def test_a_branch_that_only_the_engine_knows_is_forgotten(tmp_path: Path) -> None:
    """The process ended while the engine was told of a reorganisation that was not written yet."""
    folder = tmp_path / "chain"
    chain = Chain.open(folder)
    chain.mine(110)
    chain.close()
    shutil.copytree(folder, tmp_path / "before")
    chain = Chain.open(folder)
    chain.reorg(5, 6)
    chain.close()
    shutil.rmtree(tmp_path / "before" / "kernel")
    shutil.copytree(folder / "kernel", tmp_path / "before" / "kernel")
    chain = Chain.open(tmp_path / "before")
    assert chain.height == chain._ready()._height() == 110
    assert shown(chain._ready()._hash(110)) == chain.tip
    chain.mine(2)
    assert chain.height == 112
    chain.close()


def test_a_kill_costs_few_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine writes after so many blocks, so that after a kill it is given no more than those again."""
    monkeypatch.setattr(kernel, "FLUSH_BLOCKS", 40)
    folder = tmp_path / "chain"
    chain = Chain.open(folder)
    chain.mine(110)
    shutil.copytree(folder, tmp_path / "killed", ignore=shutil.ignore_patterns("LOCK"))
    chain.close()
    given: list[bytes] = []
    feed = kernel.Engine._feed

    def counted(engine: kernel.Engine, raw: bytes) -> None:
        given.append(raw)
        feed(engine, raw)

    monkeypatch.setattr(kernel.Engine, "_feed", counted)
    chain = Chain.open(tmp_path / "killed")
    assert chain.height == 110
    assert len(given) == 110 - 2 * 40
    chain.close()


@pytest.mark.parametrize(
    "part", ["blocks/blk00000.dat", "blocks/rev00000.dat", "chainstate/CURRENT", "blocks/index/000003.log", "chainstate"]
)
def test_a_damaged_engines_folder_is_made_anew(tmp_path: Path, part: str) -> None:
    """Garbage in the engine's files, also in old blocks that only a deep reorganisation reads."""
    folder = tmp_path / "chain"
    chain = Chain.open(folder)
    chain.mine(120)
    tip = chain.tip
    chain.close()
    damaged = folder / "kernel" / part
    if damaged.is_dir():
        shutil.rmtree(damaged)
        damaged.write_bytes(b"")
    else:
        with damaged.open("r+b") as file:
            for at in range(0, min(damaged.stat().st_size, 20_000), 50):
                file.seek(at)
                file.write(b"garbage!")
    chain = Chain.open(folder)
    assert chain.tip == tip
    chain.reorg(110, 111)
    assert chain.height == 121
    chain.mine()
    chain.close()


def test_a_full_disk_leaves_everything_as_it_was(chain: Chain) -> None:
    """SQLite is told that its file may not grow: each step says so and changes nothing; with room it goes on."""
    coin = open_coin(chain)
    chain.mine()
    before = (chain.height, chain.tip, chain.mempool)
    pages = chain.file.rows("PRAGMA page_count")[0][0]
    chain.file.rows(f"PRAGMA max_page_count={pages}")
    for step in (lambda: chain.mine(200), lambda: chain.reorg(2, 150)):
        with pytest.raises(PylonError, match="full"):
            step()
        assert (chain.height, chain.tip, chain.mempool) == before
    with pytest.raises(PylonError, match="full"):
        pay_until_full(chain, coin)
    before = (chain.height, chain.tip, chain.mempool)
    chain.file.rows(f"PRAGMA max_page_count={2**30}")
    assert len(chain.mine()) == 1
    assert chain.height == before[0] + 1
    assert chain.mempool == 0


def pay_until_full(chain: Chain, coin: Coin) -> None:
    """One payment after the other, each of the coin that the last one made."""
    for _ in range(200):
        paid = spend([coin])
        chain.accept(paid.raw)
        coin = outcome(paid)


def test_what_the_engine_refuses_is_taken_back(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of ours that breaks a rule: an error, and the chain, its queue and the engine are as before."""
    txid = Coins(chain).pay(SOMEBODY, 10_000)
    before = (chain.height, chain.tip)
    with monkeypatch.context() as patch:
        patch.setattr("pylon.regtest.chain.SUBSIDY", 51 * 100_000_000)
        for step in (lambda: chain.mine(2), lambda: chain.reorg(1, 3)):
            with pytest.raises(BlockRefused, match="consensus"):
                step()
            assert (chain.height, chain.tip, chain.mempool) == (*before, 1)
    chain.mine()
    assert chain.where(txid) == (111, chain.tip)


def test_an_engine_that_cannot_go_on_leaves_the_chain_as_it_was(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is gone and cannot be made: no block is left in our file, and all is well when it can."""
    before = (chain.height, chain.tip)
    told: list[Change] = []
    chain.watch(told.append)
    with monkeypatch.context() as patch:
        patch.setattr(kernel.Engine, "follow", stuck)
        for step in (lambda: chain.mine(2), lambda: chain.reorg(1, 3)):
            with pytest.raises(PylonError, match="no room"):
                step()
            assert (chain.height, chain.tip) == before
    assert told == []
    chain.mine()
    assert len(told) == 1


def stuck(_engine: kernel.Engine, _file: ChainFile) -> None:
    """An engine without a disk."""
    raise PylonError("no room")


def test_a_newer_version_is_refused_and_untouched(tmp_path: Path) -> None:
    """A file from a Pylon to come is left alone."""
    folder = tmp_path / "chain"
    Chain.open(folder).close()
    with sqlite3.connect(folder / "chain.sqlite3") as file:
        file.execute("PRAGMA user_version = 2")
    file.close()
    with pytest.raises(PylonError, match="version 2"):
        Chain.open(folder)


@pytest.mark.parametrize("content", [b"not a database at all, not at all", None])
def test_a_file_that_is_no_chain_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """Garbage, or somebody else's database."""
    folder = tmp_path / "chain"
    folder.mkdir()
    if content:
        (folder / "chain.sqlite3").write_bytes(content * 100)
    else:
        with sqlite3.connect(folder / "chain.sqlite3") as file:
            file.execute("CREATE TABLE other (a)")
        file.close()
    with pytest.raises(PylonError, match=r"cannot be used|not a private network"):
        Chain.open(folder)


def test_a_damaged_file_is_told_and_nothing_else_comes_out(tmp_path: Path) -> None:
    """Garbage at many places of the database: what is noticed is one sentence, at the start or at a step."""
    chain = Chain.open(tmp_path / "good")
    chain.mine(110)
    for _ in range(20):
        Coins(chain).pay(SOMEBODY, 10_000)
    chain.mine()
    Coins(chain).pay(SOMEBODY, 10_000)
    chain.close()
    dice = random.Random(3)
    noticed = 0
    for i in range(12):
        folder = tmp_path / f"bad {i}"
        shutil.copytree(tmp_path / "good", folder)
        if i % 2:
            shutil.rmtree(folder / "kernel")
        with (folder / "chain.sqlite3").open("r+b") as file:
            for _ in range(5):
                file.seek(dice.randrange(100, (folder / "chain.sqlite3").stat().st_size))
                file.write(dice.randbytes(200))
        with contextlib.ExitStack() as stack:
            try:
                chain = Chain.open(folder)
                stack.callback(chain.close)
                chain.mine(2)
                Coins(chain).pay(SOMEBODY, 10_000)
                chain.reorg(5, 6)
            except PylonError:
                noticed += 1
    assert noticed > 6


def test_a_file_that_lacks_blocks_is_told(tmp_path: Path) -> None:
    """Rows that a damaged page has taken with it: one sentence, wherever the blocks are missed."""
    chain = Chain.open(tmp_path)
    chain.mine(20)
    chain.file.rows("PRAGMA foreign_keys = OFF")
    chain.file.rows("DELETE FROM blocks WHERE height > 5 AND height < 20")
    for step in (lambda: chain.median(20), lambda: chain.file.block(19), lambda: chain.mine(1)):
        with pytest.raises(PylonError, match="missing"):
            step()
    chain.close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "chain").write_bytes(b"")
    with pytest.raises(PylonError, match="cannot be used"):
        Chain.open(tmp_path / "chain")


def test_without_the_engine_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Python that has no py-bitcoinkernel."""
    monkeypatch.setitem(sys.modules, "pbk", None)
    with pytest.raises(PylonError, match="py-bitcoinkernel"):
        Chain.open(tmp_path / "chain")
    with pytest.raises(PylonError, match="py-bitcoinkernel"):
        kernel.engine()


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.off = 0.0

    def __call__(self) -> float:
        return time.time() + self.off


def test_a_clock_that_is_behind_is_named(tmp_path: Path) -> None:
    """Two hours are bridged; more is an error that names the clock. The chain can be read, and goes on when the clock is right."""
    clock = Clock()
    chain = Chain.open(tmp_path / "chain", clock)
    chain.mine(110)
    clock.off = -MAX_AHEAD + 100
    chain.mine()
    assert chain.ahead() > 0
    clock.off = -86_400
    with pytest.raises(ClockBehind, match=r"clock of this machine is 14[0-9][0-9] minutes behind"):
        chain.mine()
    with pytest.raises(ClockBehind):
        chain.reorg(1, 2)
    Coins(chain).pay(SOMEBODY, 10_000)
    chain.close()
    chain = Chain.open(tmp_path / "chain", clock)
    assert (chain.height, chain.mempool) == (111, 1)
    with pytest.raises(ClockBehind):
        chain.mine()
    clock.off = 0
    chain.mine()
    assert (chain.height, chain.mempool) == (112, 0)
    chain.close()


AHEAD = """
import ctypes, sys, time
from pathlib import Path
import pbk
from pylon.regtest.chain import Chain
off = float(sys.argv[2])
clock = lambda: time.time() + off
pbk.capi.bindings.BITCOINKERNEL_LIB._Z11SetMockTimel(ctypes.c_long(int(clock())))
chain = Chain.open(Path(sys.argv[1]), clock)
chain.mine(110)
print(chain.height, round(chain.ahead()))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the engine's own clock is set by a symbol of its Linux build")
def test_a_clock_that_is_a_day_ahead_works_until_it_is_put_right(tmp_path: Path) -> None:
    """Blocks from tomorrow: mined and kept; with the clock right again they are told, and mined on when their time has come."""
    folder = tmp_path / "chain"
    ran = subprocess.run([sys.executable, "-c", AHEAD, str(folder), "86400"], capture_output=True, text=True, check=True)
    assert ran.stdout.split()[0] == "110"
    chain = Chain.open(folder)
    assert chain.height == 110
    assert 86_000 < chain.ahead() < 87_000
    with pytest.raises(ClockBehind) as told:
        chain.mine()
    assert "set the clock right" in told.value.hint
    chain.close()
    ran = subprocess.run([sys.executable, "-c", AHEAD, str(folder), "86500"], capture_output=True, text=True, check=True)
    assert ran.stdout.split()[0] == "220"
