"""Homes whose wallet has changed: the journal is kept, what was open with the wallet of before is closed, nothing is mixed."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from pylon.errors import WalletChanged
from pylon.market.effects import LookUp, MakeInvoice, Pay
from pylon.market.job import BuyerState
from pylon.market.payment import Status
from pylon.node.figures import Purse
from pylon.node.journal import Payment
from pylon.node.ledger import Ledger
from pylon.node.succession import succeed
from pylon.units import Msat
from pylon.wallets.base import Direction
from pylon.wallets.sim import CAPABILITIES as SIM
from tests.market.scene import NOW, TROUBLE, bought, invoice, payment_hash, quote

SECRET = b"\x05" * 32
DUMP = Path(__file__).parents[1] / "vectors" / "ledger_v1.sql"
LDK = replace(SIM, name="ldk", simulated=False)
LND = replace(LDK, name="lnd", network="mainnet")
IN, OUT = Direction.IN, Direction.OUT


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Ledger]:
    """The ledger of a home of the first release (tests/vectors/ledger_v1.sql)."""
    path = tmp_path / "ledger.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(DUMP.read_text("utf-8"))
    ledger = Ledger(path, secret=SECRET)
    yield ledger
    ledger.close()


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    ledger = Ledger(tmp_path / "new.sqlite3", secret=SECRET)
    yield ledger
    ledger.close()


def line(n: int, status: Status, direction: Direction = OUT) -> Payment:
    """A line that the wallet of now has begun."""
    return Payment(direction=direction, payment_hash=payment_hash(n), bolt11=invoice(n), amount=Msat(1000), status=status, at=NOW)


def states(ledger: Ledger) -> Counter[str]:
    """How many payments stand where."""
    return Counter(f"{one.direction}.{one.status}" for one in ledger.payments(-1))


def test_a_home_of_the_simulated_bank_opens_with_a_real_wallet(old: Ledger) -> None:
    """The journal is kept; purchases that are being paid have ended and say why, sales that wait for payment have expired, what was
    paid is answered; one sentence, once."""
    before = {(one.direction, one.payment_hash) for one in old.payments(-1)}
    said = succeed(old, LDK, NOW)
    assert said == (
        "The simulated sats of this home have ended: its wallet is ldk on regtest now, test sats without value; what was open with the one "
        "before is closed (4). The journal is kept."
    )
    assert {(one.direction, one.payment_hash) for one in old.payments(-1)} == before
    assert all((one.wallet, one.network) == ("sim", "regtest") for one in old.payments(-1))
    assert old.pending() == [] == old.invoices()
    ended = [job for job in old.jobs(-1) if job.trouble is not None and job.trouble.code == WalletChanged.code]
    assert sorted(job.state for job in ended) == ["expired", "failed", "failed"]
    assert old.counts() == {
        "buyer.done": 1, "buyer.failed": 2, "buyer.paid": 1, "buyer.posted": 2, "provider.delivered": 1, "provider.expired": 2,
        "provider.offered": 1, "provider.running": 1,
    }
    left = [stored.effect for stored in old.unfinished()]
    assert not any(isinstance(effect, Pay | LookUp) for effect in left), "no effect asks the new wallet about a payment of the old one"
    assert any(isinstance(effect, MakeInvoice) for effect in left), "an offer that was not made yet is made by the new wallet"
    assert succeed(old, LDK, NOW) == ""
    assert old.purse == Purse("ldk", "regtest")


def test_it_stays_with_the_ledger(old: Ledger) -> None:
    """Opened again, by a reader too, the ledger knows whose it is."""
    succeed(old, LDK, NOW)
    reader = Ledger(old._db.path, readonly=True)
    assert reader.purse == Purse("ldk", "regtest")
    reader.close()


def test_what_was_earned_is_not_mixed(old: Ledger) -> None:
    """Earnings are of the wallet of now; those of before are shown beside them."""
    assert old.earnings() == (3000, 2)
    succeed(old, LDK, NOW)
    assert old.earnings() == (0, 0)
    old.intend(replace(line(77, Status.OPEN, IN), job="e" * 64))
    old.settle(IN, payment_hash(77), now=NOW)
    assert old.earnings() == (1000, 1)
    assert old.earnings_by_wallet() == [(Purse("sim", "regtest"), 3000, 2), (Purse("ldk", "regtest"), 1000, 1)]


def test_simulated_sats_count_against_no_real_limit(old: Ledger) -> None:
    """Neither what was spent of them nor what failed by their end; back at the bank they count again."""
    spent = old.left()
    assert spent > 0
    succeed(old, LDK, NOW)
    assert (old.left(), old.left_by_peer(0), old.failures(0)) == (0, [], [])
    succeed(old, SIM, NOW)
    assert 0 < old.left() < spent


def test_the_first_wallet_is_no_change(new: Ledger) -> None:
    """A new home says nothing and closes nothing."""
    assert succeed(new, SIM, NOW) == ""
    new.intend(line(1, Status.INTENT))
    assert succeed(new, SIM, NOW) == ""
    assert states(new) == {"out.intent": 1}
    assert new.payments(1)[0].wallet == "sim"


def test_a_real_wallet_that_is_left_keeps_its_dont_know(new: Ledger) -> None:
    """Nothing is declared failed that may have been paid: it stays unknown, counted on its own network, and the job says why it ended."""
    succeed(new, LDK, NOW)
    with new.transaction(full=True):
        new.put(bought(BuyerState.PAYING), [Pay(invoice(), payment_hash(1), Msat(1000), Msat(10))], now=NOW)
    new.intend(line(2, Status.INTENT))
    new.send(payment_hash(2), now=NOW)
    new.intend(line(3, Status.OPEN, IN))
    said = succeed(new, LND, NOW)
    assert said.startswith("This home has left ldk on regtest: its wallet is lnd on mainnet now; what was open")
    assert states(new) == {"out.unknown": 2, "in.closed": 1}
    assert new.counts() == {"buyer.failed": 1}
    assert new.left() == 0, "sats of a test network do not count against the limits of the real one"
    assert succeed(new, LDK, NOW).startswith("This home has left lnd on mainnet: its wallet is ldk on regtest now, test sats")
    assert new.left() == 2010


def test_a_late_payment_of_before_is_not_lost(new: Ledger) -> None:
    """An invoice that was closed and is paid after all is settled, as the line of the wallet that it belongs to."""
    succeed(new, LDK, NOW)
    new.intend(line(3, Status.OPEN, IN))
    succeed(new, LND, NOW)
    new.settle(IN, payment_hash(3), now=NOW)
    assert [(one.status, one.wallet) for one in new.payments(9)] == [(Status.SETTLED, "ldk")]


def test_back_to_the_simulated_bank(new: Ledger) -> None:
    """The other way round: said as plainly, and the sats are said to be none."""
    succeed(new, LDK, NOW)
    assert succeed(new, SIM, NOW) == (
        "This home has left ldk on regtest: its wallet is sim on regtest now, simulated: not Lightning, no value. The journal is kept."
    )


def test_an_answer_that_had_come_is_kept(new: Ledger) -> None:
    """The payee saw the settlement before our wallet told us: the purchase is done."""
    succeed(new, SIM, NOW)
    with new.transaction():
        new.put(bought(BuyerState.UNSURE, answer="4", answered_by="b" * 64, trouble=TROUBLE))
    succeed(new, LDK, NOW)
    (job,) = new.jobs(9)
    assert (job.state, job.trouble) == (BuyerState.DONE, None)


def test_offers_of_before_are_not_paid(new: Ledger) -> None:
    """A purchase that waits goes on without the offers it has: their invoices are of the bank."""
    succeed(new, SIM, NOW)
    with new.transaction():
        new.put(bought(BuyerState.POSTED, quotes=(quote(),)))
    succeed(new, LDK, NOW)
    (job,) = new.open_jobs()
    assert job == bought(BuyerState.POSTED)
