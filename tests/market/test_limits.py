"""The limits of spending as a decision: fees count, zero is no limit, and failures in a row stop paying for a while, never for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import OverLimit, PayeeNotAllowed, PaymentsPaused, PylonError
from pylon.market.limits import WINDOW, Limits, Used, paused_until, refusal
from pylon.units import MAX_MSAT, Msat
from tests.market.scene import NOW, A, B

FAILED = tuple(float(NOW - 50 + 10 * n) for n in range(5))
"""Five failures in a row, the last ten seconds ago."""


def ask(
    limits: Limits, cost: int, *, job: int = 0, peer: int = 0, day: int = 0, total: int = 0, failed: tuple[float, ...] = (), to: str = A,
    now: float = NOW,
) -> PylonError | None:
    """May this be paid?"""
    return refusal(limits, Used(Msat(job), Msat(peer), Msat(day), Msat(total)), failed, cost=Msat(cost), peer=to, now=now)


def test_no_limits_refuse_nothing() -> None:
    """The default: amounts of any size, to anybody."""
    assert ask(Limits(), MAX_MSAT, job=MAX_MSAT, peer=MAX_MSAT, day=MAX_MSAT, total=MAX_MSAT) is None


@pytest.mark.parametrize("name", ["job", "peer", "day", "total"])
def test_exactly_the_limit_passes_and_a_msat_more_does_not(name: str) -> None:
    """P25, P26: what is used and what this may cost, fee included, together."""
    limits = {"job": Limits(per_job=Msat(5000)), "peer": Limits(per_peer=Msat(5000)), "day": Limits(per_day=Msat(5000)),
              "total": Limits(total=Msat(5000))}[name]

    def used(amount: int, cost: int) -> PylonError | None:
        sums = {one: Msat(amount if one == name else 0) for one in ("job", "peer", "day", "total")}
        return refusal(limits, Used(**sums), (), cost=Msat(cost), peer=A, now=NOW)

    assert used(4000, 1000) is None
    error = used(4000, 1001)
    assert isinstance(error, OverLimit)
    assert "1 sat are left of" in error.message
    over = used(9000, 1)
    assert isinstance(over, OverLimit)
    assert "0 sats are left" in over.message


@given(st.integers(1, 10**7), st.integers(0, 10**7), st.integers(1, 10**7))
def test_no_limit_is_ever_exceeded(limit: int, used: int, cost: int) -> None:
    """For all amounts: what is let through leaves the sum within the limit."""
    if ask(Limits(per_day=Msat(limit)), cost, day=used) is None:
        assert used + cost <= limit


def test_only_those_named_are_paid() -> None:
    """An allow list that is not empty refuses everybody else, also who has no name."""
    limits = Limits(allow=frozenset({A}))
    assert ask(limits, 1) is None
    for stranger in (B, "", A.upper()):
        assert isinstance(ask(limits, 1, to=stranger), PayeeNotAllowed)


def test_failures_in_a_row_stop_paying() -> None:
    """With when it ends, and how to go on at once; one failure less does not."""
    error = ask(Limits(), 1, failed=FAILED)
    assert isinstance(error, PaymentsPaused)
    assert "5 payments in a row have failed, so none is begun for 590 s" in error.message
    assert "--reset" in error.hint
    assert ask(Limits(), 1, failed=FAILED[1:]) is None
    assert ask(Limits(failures=0), 1, failed=FAILED * 9) is None


def test_it_ends_by_itself_and_one_more_failure_stops_again() -> None:
    """After the cool-down a payment is tried; if that fails too, within the window, the next wait begins at once."""
    after = FAILED[-1] + 600
    assert paused_until(Limits(), FAILED, after - 1) == after
    assert paused_until(Limits(), FAILED, after) is None
    assert paused_until(Limits(), (*FAILED, after), after + 1) == after + 600


def test_failures_that_lie_far_apart_stop_nothing() -> None:
    """Five in a row over days are no storm."""
    rare = tuple(NOW - WINDOW * n for n in range(4, -1, -1))
    assert paused_until(Limits(), rare, NOW) is None


@pytest.mark.parametrize("skew", [-86_400, 86_400])
def test_a_clock_that_is_off_by_a_day_pauses_nobody_for_a_day(skew: int) -> None:
    """Failures of a time to come, or of long ago: the pause is never longer than the cool-down."""
    assert paused_until(Limits(), FAILED, NOW + skew) is None
