"""The cache of what was seen, through the door. What it remembers in detail is tested in Rust."""

from __future__ import annotations

import pytest

from pylon._native import BAD_SIGNATURE, DUPLICATE, Seen, Signer, check_events
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


def test_a_known_id_vouches_for_no_other_signature() -> None:
    """The same event with another signature is verified anew, and refused; with its own it is known, once for a scope."""
    seen = Seen(10)
    event = Signer(b"\x01" * 32).sign_event(1, 1, (), "hello")
    other = "0" if event.sig[5] != "0" else "1"
    forged = event.raw.replace(event.sig.encode(), f"{event.sig[:5]}{other}{event.sig[6:]}".encode())
    assert check_events([event.raw], seen, [1]) == [event]
    assert check_events([forged, event.raw, event.raw, event.raw], seen, [2, 1, 2, 2]) == [BAD_SIGNATURE, DUPLICATE, event, DUPLICATE]
    assert (seen.verified, seen.delivered) == (1, 2)


def test_the_room_is_bounded() -> None:
    """Of a hundred events at least the last three are known and at most six."""
    seen, signer = Seen(3), Signer(b"\x01" * 32)
    raws = [signer.sign_event(number, 1, (), "").raw for number in range(100)]
    for raw in raws:
        check_events([raw], seen, [1])
        assert 1 <= seen.verified <= 6
        assert 1 <= seen.delivered <= 6
    assert check_events(raws[-3:], seen, [1] * 3) == [DUPLICATE] * 3
    assert DUPLICATE not in check_events(raws[:90], seen, [1] * 90)
