"""How large the hub's channels are, and what it gives away in them. Numbers only.

The rules are LDK's: each side keeps a reserve of 1 % of the capacity, at least 1,000 sat (`their_channel_reserve_proportional_millionths`,
MIN_THEIR_CHAN_RESERVE_SATOSHIS); who opened a channel pays the fees of its commitment transactions and has to be able to if they rise.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pylon.errors import UsageError

LEAST_CAPACITY: Final = 1_000_000
MOST_CAPACITY: Final = 16_000_000
"""Below 2^24 sat, which BOLT 2 allows without `option_support_large_channel`."""
OPENER_COSTS: Final = 20_000
"""What the hub keeps back in each channel for the fees of commitment transactions, with a few HTLCs in them, and the anchors."""
MOST_CHANNELS: Final = 20
"""Opened for one call."""
MSAT: Final = 1000


class Plan(NamedTuple):
    """A channel to open: sats in all, of which the other side gets so many millisats."""

    capacity_sat: int
    push_msat: int


def reserve(capacity_sat: int) -> int:
    """What either side has to keep, in sats."""
    return max(capacity_sat // 100, 1000)


def room(capacity_sat: int) -> int:
    """What can move at most in a channel of this capacity, in sats: all but the reserves and the opener's costs."""
    return capacity_sat - 2 * reserve(capacity_sat) - OPENER_COSTS


def outward(amount_msat: int, channels: int) -> list[Plan]:
    """Channels whose other side can spend exactly `amount_msat` in all, and receive as much again."""
    most = room(MOST_CAPACITY) * MSAT // 2
    return [
        Plan(capacity, part + reserve(capacity) * MSAT)
        for part in _parts(amount_msat, channels, most)
        for capacity in [_capacity(2 * part)]
    ]


def inward(amount_msat: int, channels: int) -> list[Plan]:
    """Channels by which the other side can receive `amount_msat` in all; it owns its reserve and no more, so it can spend what it gets."""
    most = room(MOST_CAPACITY) * MSAT
    return [
        Plan(capacity, reserve(capacity) * MSAT)
        for part in _parts(amount_msat, channels, most)
        for capacity in [_capacity(part)]
    ]


def _parts(amount_msat: int, channels: int, most: int) -> list[int]:
    if amount_msat < 0 or channels < 1:
        raise UsageError("an amount is 0 msat or more, over one channel or more")
    count = max(channels, -(-amount_msat // most))
    if count > MOST_CHANNELS:
        raise UsageError(
            f"that takes {count} channels, and one call opens {MOST_CHANNELS} at most",
            hint=f"ask for {MOST_CHANNELS * most // MSAT:,} sats at most",
        )
    share, rest = divmod(amount_msat, count)
    return [share + (1 if i < rest else 0) for i in range(count)]


def _capacity(moving_msat: int) -> int:
    """The smallest capacity, in thousands of sats, in which so much can move."""
    moving = -(-moving_msat // MSAT)
    capacity = max(LEAST_CAPACITY, (moving + OPENER_COSTS) * 100 // 98)
    while room(capacity) < moving:
        capacity += 1000
    return min(MOST_CAPACITY, -(-capacity // 1000) * 1000)
