"""The journal of payments: an intent once, an end once, what was earned and spent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from pylon.market.payment import Status
from pylon.node.journal import Payment
from pylon.node.ledger import Ledger
from pylon.units import MAX_MSAT, Msat
from pylon.wallets.base import Direction
from tests.market.scene import NOW, TROUBLE, invoice, payment_hash, preimage

IN, OUT = Direction.IN, Direction.OUT


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    ledger = Ledger(tmp_path / "ledger.sqlite3", secret=b"\x05" * 32)
    yield ledger
    ledger.close()


def line(n: int = 1, direction: Direction = OUT, amount: int = 1000, job: str = "a" * 64) -> Payment:
    """An intent for invoice number `n`."""
    return Payment(
        direction=direction, payment_hash=payment_hash(n), bolt11=invoice(n), amount=Msat(amount),
        status=Status.INTENT if direction is OUT else Status.OPEN, at=NOW + n, memo="nul \x00 🙂 \u202e", job=job,
    )


def test_an_intent_comes_back_as_it_was_written(ledger: Ledger) -> None:
    """Every field, up to all bitcoin there are; the invoice to the letter, so that it can be compared exactly."""
    payment = line(amount=MAX_MSAT)
    ledger.intend(payment)
    assert ledger.payment(OUT, payment_hash(1)) == payment
    assert ledger.payment(IN, payment_hash(1)) is None
    assert ledger.payment(OUT, payment_hash(1)[:31]) is None
    assert ledger.pending() == [payment]


def test_nothing_is_paid_twice(ledger: Ledger) -> None:
    """P8, P12: while a payment to a hash is pending or settled, a second intent raises, for another job and another invoice too."""
    ledger.intend(line())
    for again in (line(), replace(line(), job="b" * 64), replace(line(), bolt11=invoice(1, 2), amount=Msat(2))):
        with pytest.raises(AssertionError, match="never pay twice"):
            ledger.intend(again)
    ledger.settle(OUT, payment_hash(1), now=NOW)
    with pytest.raises(AssertionError, match="never pay twice"):
        ledger.intend(line())
    assert len(ledger.payments(9)) == 1


def test_a_failed_payment_may_be_tried_again(ledger: Ledger) -> None:
    """Nothing left the wallet: the same hash may be paid for this or another job, and the line is the new one."""
    ledger.intend(line())
    ledger.fail(payment_hash(1), TROUBLE, now=NOW)
    assert not ledger.spent(payment_hash(1))
    second = replace(line(), job="b" * 64, at=NOW + 50, amount=Msat(1001))
    ledger.intend(second)
    assert ledger.payment(OUT, payment_hash(1)) == second
    with pytest.raises(AssertionError):
        ledger.intend(second)


def test_spent_means_begun_and_not_failed(ledger: Ledger) -> None:
    """Pending and settled count, failed and incoming do not."""
    assert not ledger.spent(payment_hash(1))
    ledger.intend(line())
    assert ledger.spent(payment_hash(1))
    ledger.settle(OUT, payment_hash(1), now=NOW)
    assert ledger.spent(payment_hash(1))
    ledger.intend(line(2, IN))
    ledger.settle(IN, payment_hash(2), now=NOW)
    assert not ledger.spent(payment_hash(2))


def test_a_payment_ends_once(ledger: Ledger) -> None:
    """Settled stays settled, with the first time, fee and preimage; a late failure does not take it back."""
    ledger.intend(line())
    ledger.settle(OUT, payment_hash(1), now=NOW + 5, fee=Msat(3), preimage=preimage(1))
    ledger.settle(OUT, payment_hash(1), now=NOW + 9, fee=Msat(4), preimage=preimage(2))
    ledger.fail(payment_hash(1), TROUBLE, now=NOW)
    assert ledger.payment(OUT, payment_hash(1)) == replace(
        line(), status=Status.SETTLED, settled_at=NOW + 5, fee=Msat(3), preimage=preimage(1), sealed=True
    )
    assert ledger.pending() == []


def test_a_payment_that_failed_and_lands_after_all_is_settled(ledger: Ledger) -> None:
    """P14, P15: the last word of the wallet is that the money has moved."""
    ledger.intend(line())
    ledger.fail(payment_hash(1), TROUBLE, now=NOW)
    ledger.settle(OUT, payment_hash(1), now=NOW)
    assert ledger.spent(payment_hash(1))


def test_a_settlement_without_an_intent_is_a_bug(ledger: Ledger) -> None:
    """Earnings that nobody wrote down would be lost in silence."""
    for direction in Direction:
        with pytest.raises(AssertionError, match="never heard of"):
            ledger.settle(direction, payment_hash(1), now=NOW)


def test_earnings_are_settled_payments_for_jobs(ledger: Ledger) -> None:
    """Each once, however often the wallet tells it: open invoices, a person's own invoices and what we paid do not count."""
    assert ledger.earnings() == (0, 0)
    for n, amount in ((1, 1000), (2, 1500), (3, 99)):
        ledger.intend(line(n, IN, amount))
    ledger.intend(line(4, IN, 7777, job=""))
    ledger.intend(line(1, OUT, 1000))
    for n in (2, 1, 4):
        for now in (NOW + 10 - n, NOW + 90):
            ledger.settle(IN, payment_hash(n), now=now)
    ledger.settle(OUT, payment_hash(1), now=NOW)
    assert ledger.earnings() == (2500, 2)
    assert [payment.amount for payment in ledger.earned(10)] == [1000, 1500]
    assert [payment.amount for payment in ledger.earned(1)] == [1000]


def test_an_own_payment_is_marked_and_counts(ledger: Ledger) -> None:
    """From ourselves to ourselves, both lines in one transaction: it is in earnings and history, marked `own`."""
    with ledger.transaction(full=True):
        for direction in Direction:
            ledger.intend(line(1, direction))
            ledger.settle(direction, payment_hash(1), now=NOW, own=True)
    assert [payment.own for payment in ledger.payments(9)] == [True, True]
    assert ledger.earnings() == (1000, 1)


def test_the_history_is_of_payments(ledger: Ledger) -> None:
    """Invoices that nobody has paid take no line of it, however many are newer; what moved last stands first."""
    ledger.intend(line(1, IN))
    ledger.intend(line(2, OUT))
    for n in range(3, 30):
        ledger.intend(line(n, IN))
    ledger.settle(IN, payment_hash(1), now=NOW + 100)
    assert [(payment.direction, payment.status) for payment in ledger.history(2)] == [(IN, Status.SETTLED), (OUT, Status.INTENT)]
    assert len(ledger.history(100)) == 2


def test_the_history_is_newest_first(ledger: Ledger) -> None:
    """Both directions, every status, as many as asked for."""
    for n in range(1, 6):
        ledger.intend(line(n, IN if n % 2 else OUT))
    ledger.fail(payment_hash(2), TROUBLE, now=NOW)
    assert [payment.at - NOW for payment in ledger.payments(3)] == [5, 4, 3]
    assert [payment.status for payment in ledger.payments(9)][3] is Status.FAILED
