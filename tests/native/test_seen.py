"""The cache of what was seen: what the door shows of it. What it remembers is tested in Rust, and through `check_events`."""

from __future__ import annotations

import pytest

from pylon._native import Seen
from pylon._native.plain_seen import Seen as PlainSeen


def test_an_empty_cache() -> None:
    """Nothing is known at the start, at the smallest capacity too."""
    for capacity in (1, 1000):
        seen = Seen(capacity)
        assert (seen.verified, seen.delivered) == (PlainSeen(capacity).verified, PlainSeen(capacity).delivered) == (0, 0)


@pytest.mark.parametrize("capacity", [0, -1, 2**24 + 1, 2**64, -(2**64)])
def test_capacities_that_cannot_be_had(capacity: int) -> None:
    """Room for nothing, or for more than any machine has, is refused and not attempted."""
    for kind in (Seen, PlainSeen):
        with pytest.raises(ValueError, match="1 entry at least"):
            kind(capacity)


@pytest.mark.parametrize("capacity", ["1", 1.0, None, b"1"])
def test_a_capacity_is_an_integer(capacity: object) -> None:
    """Nothing is converted."""
    with pytest.raises(TypeError):
        Seen(capacity)  # type: ignore[arg-type]
