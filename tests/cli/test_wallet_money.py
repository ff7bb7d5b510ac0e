"""`pylon wallet history` and `limits` as a person and a program see them, from a ledger, without a node."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from pylon.cli.common import Context
from pylon.cli.wallet import wallet
from pylon.cli.wallet_money import journal_check
from pylon.config import Home
from pylon.market.job import Trouble
from pylon.market.payment import Status
from pylon.node.differences import Difference, Kind
from pylon.node.figures import Purse
from pylon.node.journal import Payment
from pylon.node.ledger import Ledger
from pylon.nostr.keys import Identity
from pylon.units import Msat
from pylon.wallets.base import Direction
from tests.market.scene import A, invoice, payment_hash, preimage

IN, OUT = Direction.IN, Direction.OUT


class Safe:
    """A home with a ledger of six payments, and the command line on it."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.home.create()
        identity = Identity.generate(12)
        identity.save(self.home.identity, None)
        self.now = time.time()
        ledger = Ledger(self.home.ledger, secret=identity.wallet_secret())
        ledger.belong(Purse("sim", "regtest"))
        ledger.intend(self.line(1, IN, 7000, job="a" * 64))
        ledger.settle(IN, payment_hash(1), now=self.now - 100_000, preimage=preimage(1))
        ledger.belong(Purse("ldk", "regtest"))
        for n in (2, 3, 4):
            ledger.intend(self.line(n, OUT, 1000 * n, job="b" * 64))
            ledger.send(payment_hash(n), now=self.now - 20)
        ledger.settle(OUT, payment_hash(2), now=self.now - 10, fee=Msat(5), preimage=preimage(2))
        ledger.fail(payment_hash(3), Trouble("payment_failed", "no route"), now=self.now - 10)
        ledger.intend(self.line(5, IN, 9000))
        ledger.intend(self.line(6, OUT, 600))
        ledger.settle(OUT, payment_hash(6), now=self.now - 5, own=True)
        ledger.close()

    def line(self, n: int, direction: Direction, amount: int, job: str = "") -> Payment:
        """A payment that has begun."""
        return Payment(
            direction=direction, payment_hash=payment_hash(n), bolt11=invoice(n), amount=Msat(amount), at=self.now - 30 + n,
            status=Status.INTENT if direction is OUT else Status.OPEN, max_fee=Msat(10 if direction is OUT else 0), peer=A, job=job,
            memo=f"payment {n}\x1b[31m",
        )

    def run(self, *words: str) -> Result:
        """`pylon wallet …`."""
        return CliRunner().invoke(wallet, list(words), obj=Context(self.home))

    def document(self, *words: str) -> dict[str, object]:
        """Its JSON."""
        done = self.run(*words, "--json")
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.stdout))


@pytest.fixture
def safe(tmp_path: Path) -> Safe:
    """It."""
    return Safe(tmp_path / "home")


def test_history_is_complete_enough_for_accounting(safe: Safe) -> None:
    """Every payment with amount, fee, peer, job, times, wallet and error; sums of each wallet by itself, exact to the msat."""
    document = safe.document("history", "-l", "0")
    rows = document["payments"]
    assert isinstance(rows, list)
    assert [row["amount_msat"] for row in rows] == [600, 2000, 4000, 3000, 7000]
    paid = next(row for row in rows if row["amount_msat"] == 2000)
    assert {name: paid[name] for name in (
        "id", "direction", "status", "fee_msat", "max_fee_msat", "payment_hash", "has_preimage", "preimage", "peer", "job", "wallet",
        "network", "own", "tries", "error",
    )} == {
        "id": f"out:{payment_hash(2).hex()}", "direction": "out", "status": "settled", "fee_msat": 5, "max_fee_msat": 10,
        "payment_hash": payment_hash(2).hex(), "has_preimage": True, "preimage": None, "peer": A, "job": "b" * 64, "wallet": "ldk",
        "network": "regtest", "own": False, "tries": 1, "error": None,
    }
    assert paid["begun_at"] < paid["sent_at"] < paid["settled_at"] == paid["at"]
    failed = next(row for row in rows if row["status"] == "failed")
    assert failed["error"] == {"code": "payment_failed", "message": "no route"}
    assert document["totals"] == [
        {
            "wallet": "sim", "network": "regtest", "received_msat": 7000, "sent_msat": 0, "fees_msat": 0, "under_way_msat": 0,
            "own_msat": 0, "payments": 1,
        },
        {
            "wallet": "ldk", "network": "regtest", "received_msat": 0, "sent_msat": 2000, "fees_msat": 5, "under_way_msat": 4010,
            "own_msat": 600, "payments": 4,
        },
    ]
    assert document["differences"] == []


def test_a_proof_is_shown_only_to_who_asks_for_it(safe: Safe) -> None:
    """The preimage needs the identity, and `--secrets`; without it no output has one."""
    rows = safe.document("history", "--secrets")["payments"]
    assert isinstance(rows, list)
    proofs = {row["payment_hash"]: (row["preimage"], row["bolt11"]) for row in rows}
    assert proofs[payment_hash(2).hex()] == (preimage(2).hex(), invoice(2))
    assert proofs[payment_hash(3).hex()][0] is None
    for words in (("history",), ("history", "--json"), ("limits", "--json")):
        shown = safe.run(*words).output
        assert preimage(1).hex() not in shown
        assert invoice(2) not in shown


def test_history_for_people(safe: Safe) -> None:
    """Newest first, what each cost, why one failed, which wallet one was of; nothing drives the terminal."""
    lines = safe.run("history").output.splitlines()
    assert len(lines) == 5
    assert lines[0].endswith("self")
    assert "-2 sats" in lines[1]
    assert lines[1].endswith("fee 5 msat")
    assert "not known yet" not in lines[1]
    assert "no route" in lines[3]
    assert lines[4].endswith("sim, regtest")
    assert not any("\x1b" in line for line in lines)
    assert safe.run("history", "-l", "2").output.splitlines() == lines[:2]


def test_differences_are_said_everywhere(safe: Safe) -> None:
    """On stderr for people, in the document for programs, in `doctor` as a warning; one that is gone only in the document."""
    ledger = Ledger(safe.home.ledger)
    fee = Difference(kind=Kind.FEE, direction=OUT, payment_hash=payment_hash(2), journal="5", says="7")
    ledger.note([fee, replace(fee, kind=Kind.AMOUNT)], now=safe.now)
    ledger.note([fee], now=safe.now + 1)
    ledger.close()
    done = safe.run("history")
    assert "do not agree about 1 payment" in done.stderr
    assert "the journal says 5, the wallet 7" in done.stderr
    differences = safe.document("history")["differences"]
    assert isinstance(differences, list)
    assert sorted((one["kind"], one["gone_at"] is None) for one in differences) == [("amount", False), ("fee", True)]
    check = journal_check(safe.home)
    assert (check.level, check.detail) == ("warn", "does not agree with the wallet about 1 payment")


def test_limits_and_what_is_used_of_them(safe: Safe) -> None:
    """P25, P26: fees and what is under way count, what stayed with ourselves does not."""
    safe.home.config.write_text('[wallet.limits]\nper_day_sats = 10\nper_peer_sats = 8\nallow = []\nfailures = 1\n', "utf-8")
    document = safe.document("limits")
    assert document["day"] == {"limit_msat": 10_000, "used_msat": 6015, "left_msat": 3985}
    assert document["peer"] == {"limit_msat": 8000, "used": [{"peer": A, "used_msat": 6015}]}
    assert document["total"] == {"limit_msat": None, "used_msat": 6015, "left_msat": None}
    breaker = document["breaker"]
    assert isinstance(breaker, dict)
    assert (breaker["failed"], breaker["paused_until"]) == (0, None), "a payment has settled since the failure"
    shown = safe.run("limits").output
    assert "Per day:   10 sats, 6.015 sats used in the last 24 hours" in shown
    assert "May be paid: everybody" in shown


def test_a_home_where_nothing_has_happened(tmp_path: Path) -> None:
    """No error and no zero that looks like a limit."""
    home = Home(tmp_path / "new")
    home.create()
    Identity.generate(12).save(home.identity, None)
    done = CliRunner().invoke(wallet, ["history"], obj=Context(home))
    assert (done.exit_code, done.output) == (0, "No payments yet.\n")
    done = CliRunner().invoke(wallet, ["limits"], obj=Context(home))
    assert done.exit_code == 0
    assert done.output.count("no limit") == 4
