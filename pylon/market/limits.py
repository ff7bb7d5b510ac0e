"""How much may be spent, on whom, and when to stop trying: a decision from facts, before the wallet is asked.

Fees count: the most that a payment's fee may be is set aside before, the real one is counted afterwards. What is under way, or whose fate
is open, counts as spent. A limit of 0 is none.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pylon.errors import OverLimit, PayeeNotAllowed, PaymentsPaused, PylonError
from pylon.units import Msat, show_sats

DAY = 86_400.0
"""Seconds of the sliding day."""
WINDOW = 3600.0
"""Seconds within which failures in a row open the circuit breaker."""
NONE = Msat(0)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """msat; 0 is no limit. `allow`: hex keys of those who may be paid (empty: everybody). After `failures` payments in a row that failed
    within WINDOW (0: never), none is begun for `cool_down` seconds after the last."""

    per_job: Msat = NONE
    per_peer: Msat = NONE
    per_day: Msat = NONE
    total: Msat = NONE
    allow: frozenset[str] = frozenset()
    failures: int = 5
    cool_down: float = 600.0


class Used(msgspec.Struct, frozen=True):
    """What has left, or may have left, of each limit (msat, fees included): for this job, to this peer and in all within DAY, ever."""

    job: Msat = NONE
    peer: Msat = NONE
    day: Msat = NONE
    total: Msat = NONE


def paused_until(limits: Limits, failed: Sequence[float], now: float) -> float | None:
    """When payments may begin again, or None where they may now. `failed` are the times of the failures since the last payment that
    settled, or since the breaker was closed by hand, oldest first."""
    if not limits.failures or len(failed) < limits.failures:
        return None
    last, first = failed[-1], failed[-limits.failures]
    # A clock that was set back must not hold payments up for longer than the cool-down.
    if last - first > WINDOW or not 0 <= now - last < limits.cool_down:
        return None
    return last + limits.cool_down


def refusal(limits: Limits, used: Used, failed: Sequence[float], *, cost: Msat, peer: str, now: float) -> PylonError | None:
    """Why a payment that costs at most `cost` (amount and fee) must not be begun, or None."""
    if limits.allow and peer not in limits.allow:
        return PayeeNotAllowed(f"{peer or 'this payee'} is not among those who may be paid", hint="`allow` in [wallet.limits] names them")
    if (until := paused_until(limits, failed, now)) is not None:
        return PaymentsPaused(
            f"{len(failed)} payments in a row have failed, so none is begun for {until - now:.0f} s",
            hint="`pylon wallet history` shows them; `pylon wallet limits --reset` goes on at once",
        )
    for name, limit, spent in (
        ("per_job_sats", limits.per_job, used.job), ("per_peer_sats", limits.per_peer, used.peer),
        ("per_day_sats", limits.per_day, used.day), ("total_sats", limits.total, used.total),
    ):
        if limit and spent + cost > limit:
            return OverLimit(
                f"up to {show_sats(cost)} with the fee, and {show_sats(Msat(max(0, limit - spent)))} are left of {name} = {limit // 1000}",
                hint="`pylon wallet limits` shows them; they stand in [wallet.limits] of config.toml",
            )
    return None
