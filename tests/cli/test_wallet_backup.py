"""`pylon wallet restore`: never while a node runs, never stale without a word, never over a wallet that is lost by it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pylon.cli.main import pylon
from pylon.config import Home
from pylon.errors import PaymentError
from pylon.market.payment import Status
from pylon.node.journal import Payment
from pylon.node.ledger import Ledger
from pylon.node.lock import HomeLock, is_running
from pylon.units import Msat
from pylon.wallets import backups
from pylon.wallets.base import Direction
from tests.cli.scripted_node import READY, ScriptedBackups, scripted

MADE_AT = 1_800_000_000


class Safe:
    """A home without a node, and a backup."""

    def __init__(self, home: Home, file: Path, keeper: ScriptedBackups) -> None:
        self.home = home
        self.file = file
        self.keeper = keeper
        self.place = backups.place(home.path, "regtest")

    def run(self, *words: str) -> Result:
        """`pylon wallet restore …`."""
        return CliRunner().invoke(pylon, ["--home", str(self.home.path), "wallet", "restore", *words])

    def refused(self, *words: str) -> tuple[int, str]:
        """Exit status and message; nothing was touched, and the lock is free again."""
        done = self.run(str(self.file), "--json", *words)
        assert not self.keeper.restored
        return done.exit_code, json.loads(done.stdout)["error"]["message"]

    def paid(self, at: float, status: Status = Status.SETTLED) -> None:
        """The journal gets a payment."""
        ledger = Ledger(self.home.ledger)
        with ledger.transaction(full=True):
            ledger.intend(Payment(
                direction=Direction.OUT, payment_hash=int(at).to_bytes(32, "big"), bolt11="", amount=Msat(1), status=status, at=at
            ))
        ledger.close()


@pytest.fixture
def safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Safe]:
    """With a scripted keeper of backups."""
    home, wallet = scripted(tmp_path)
    keeper = ScriptedBackups()
    monkeypatch.setattr(backups, "backups_of", lambda name, network: keeper)
    file = tmp_path / "copy"
    file.write_text(f"{MADE_AT} regtest", "utf-8")
    yield Safe(home, file, keeper)
    wallet._bank.close()
    wallet._thread.shutdown()


def test_into_a_fresh_home(safe: Safe) -> None:
    """It says what it restored, and what a stale copy means."""
    done = safe.run(str(safe.file), "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {
        "made_at": MADE_AT, "network": "regtest", "node_id": READY.node_id, "moved_to": None, "doubts": [],
    }
    assert (safe.place / "restored").exists()
    assert not is_running(safe.home)


def test_over_a_wallet(safe: Safe) -> None:
    """Only with --force, and what stood there is moved aside and named."""
    safe.place.mkdir(parents=True)
    assert safe.run(str(safe.file)).exit_code == 0, "an empty folder is no wallet"
    safe.keeper.restored.clear()
    status, message = safe.refused()
    assert (status, "there is a wallet in" in message, "may keep what was ours" in message) == (2, True, True)
    done = safe.run(str(safe.file), "--force")
    assert done.exit_code == 0
    assert f"is now in {safe.place}.aside" in done.stdout
    assert "may keep what was ours" in done.stderr


def test_a_stale_backup(safe: Safe) -> None:
    """The journal knows payments after it: refused without --force. A payment before it, or one that failed, says nothing."""
    safe.paid(MADE_AT - 5)
    safe.paid(MADE_AT + 5, Status.FAILED)
    assert safe.run(str(safe.file)).exit_code == 0
    safe.keeper.restored.clear()
    (safe.place / "restored").unlink()
    safe.paid(MADE_AT + 6, Status.SENT)
    safe.paid(MADE_AT + 7)
    status, message = safe.refused()
    assert (status, "is stale: 2 payments came after it" in message) == (2, True)
    document = json.loads(safe.run(str(safe.file), "--json", "--force").stdout)
    assert len(document["doubts"]) == 1


def test_while_a_node_runs(safe: Safe) -> None:
    """Not even with --force: two that use one wallet lose its money."""
    lock = HomeLock(safe.home)
    assert lock.acquire()
    status, message = safe.refused("--force")
    assert (status, "Pylon runs in this home" in message) == (2, True)
    lock.release()


@pytest.mark.parametrize("text", ["", "garbage", "\0" * 100, f"{MADE_AT} regtest more"])
def test_what_is_no_backup(safe: Safe, text: str) -> None:
    """Any other file is refused, and the lock is free again."""
    safe.file.write_text(text, "utf-8")
    assert safe.refused()[0] == 1
    assert not is_running(safe.home)


def test_of_another_network(safe: Safe) -> None:
    """A backup of mainnet does not become a wallet of regtest, whatever is forced."""
    safe.file.write_text(f"{int(time.time())} mainnet", "utf-8")
    assert "is for mainnet" in safe.refused("--force")[1]


def test_no_file_and_no_identity(safe: Safe, tmp_path: Path) -> None:
    """What is not there: usage (2), or not set up (3)."""
    assert safe.run(str(tmp_path / "nothing")).exit_code == 2
    assert safe.run(str(tmp_path)).exit_code == 2
    safe.home.identity.unlink()
    assert safe.refused()[0] == 3


def test_wallets_without_backups() -> None:
    """The simulated wallet has none, and says so (exit 6)."""
    with pytest.raises(PaymentError) as caught:
        backups.backups_of("sim", "regtest")
    assert "the wallet sim makes no backups" in caught.value.message
