"""What is remembered, in bounded memory."""

from __future__ import annotations

from pylon.relay.seen import Seen


def test_the_last_ones_are_remembered_and_memory_is_bounded() -> None:
    """Of any number of ids the last `size` are known, never more than twice as many."""
    seen = Seen(100)
    for number in range(1000):
        seen.add(f"{number:064x}")
        assert f"{number:064x}" in seen
        known = sum(f"{earlier:064x}" in seen for earlier in range(number + 1))
        assert min(100, number + 1) <= known <= 200


def test_whole_ids() -> None:
    """Ids that differ in one character are different."""
    seen = Seen(10)
    seen.add("a" * 64)
    assert "a" * 63 + "b" not in seen
