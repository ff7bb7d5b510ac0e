"""One hard budget for many asks: every msat is reserved before it can be spent, and what was not spent comes back."""

from __future__ import annotations

from pylon.units import Msat


class Purse:
    """`budget` in msat. Never below zero: `reserve` says no instead."""

    def __init__(self, budget: Msat) -> None:
        if budget < 0:
            raise ValueError("a budget is not negative")
        self.budget = budget
        self._spent = 0
        self._reserved = 0

    @property
    def spent(self) -> Msat:
        """What is gone."""
        return Msat(self._spent)

    @property
    def left(self) -> Msat:
        """What can still be reserved."""
        return Msat(self.budget - self._spent - self._reserved)

    def reserve(self, amount: Msat) -> bool:
        """Set `amount` aside, if it is there."""
        if not 0 <= amount <= self.left:
            return False
        self._reserved += amount
        return True

    def settle(self, reserved: Msat, cost: Msat) -> None:
        """End a reservation: `cost` of it was spent. Raises AssertionError where more was spent than was set aside."""
        if not 0 <= cost <= reserved <= self._reserved:
            raise AssertionError(f"{cost} msat were spent of {reserved} that were set aside")
        self._reserved -= reserved
        self._spent += cost
