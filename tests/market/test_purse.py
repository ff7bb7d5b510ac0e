"""One budget for many asks: whatever is reserved and settled, in whatever order, it holds."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pylon.market.purse import Purse
from pylon.units import Msat

BUDGET = Msat(10_000)


class AnyOrder(RuleBasedStateMachine):
    """Reservations that are taken and settled at random, beside a ledger that adds them up."""

    def __init__(self) -> None:
        super().__init__()
        self.purse = Purse(BUDGET)
        self.held: list[int] = []
        self.gone = 0

    @rule(amount=st.integers(-5, 12_000))
    def reserve(self, amount: int) -> None:
        """It says yes exactly where the amount is there."""
        there = 0 <= amount <= BUDGET - self.gone - sum(self.held)
        assert self.purse.reserve(Msat(amount)) is there
        if there:
            self.held.append(amount)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """Some of it, all or nothing was spent; the rest comes back."""
        amount = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        cost = data.draw(st.integers(0, amount))
        self.purse.settle(Msat(amount), Msat(cost))
        self.gone += cost

    @precondition(lambda self: self.held)
    @rule(more=st.integers(1, 10**15))
    def overspend(self, more: int) -> None:
        """More than was set aside is an error, and changes nothing."""
        with pytest.raises(AssertionError):
            self.purse.settle(Msat(self.held[0]), Msat(self.held[0] + more))

    @invariant()
    def holds(self) -> None:
        """Spent, set aside and left are the budget, and none is below zero."""
        assert self.purse.spent == self.gone
        assert self.purse.left == BUDGET - self.gone - sum(self.held)
        assert 0 <= self.purse.spent <= BUDGET
        assert self.purse.left >= 0


TestAnyOrder = AnyOrder.TestCase


def test_a_budget_is_not_negative() -> None:
    """Nothing is an amount; less than nothing is an error."""
    assert not Purse(Msat(0)).reserve(Msat(1))
    assert Purse(Msat(0)).reserve(Msat(0))
    with pytest.raises(ValueError, match="not negative"):
        Purse(Msat(-1))


@pytest.mark.parametrize(("reserved", "cost"), [(0, 1), (100, 101), (100, -1), (101, 5), (-1, 0)])
def test_what_cannot_be_settled(reserved: int, cost: int) -> None:
    """Costs beyond the reservation, below zero, or of a reservation that was never made."""
    purse = Purse(Msat(1000))
    assert purse.reserve(Msat(100))
    with pytest.raises(AssertionError, match="set aside"):
        purse.settle(Msat(reserved), Msat(cost))
    assert (purse.spent, purse.left) == (0, 900)
