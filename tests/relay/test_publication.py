"""What a publication says of the relays that were asked."""

from __future__ import annotations

import pytest

from pylon.errors import NoRelay
from pylon.relay.pool import SETTLE
from pylon.relay.publication import Publication
from tests.relay.relays import note

ONE, TWO = "ws://one.example", "ws://two.example"


async def test_a_refusal_without_a_reason_is_no_silence() -> None:
    """`["OK", id, false, ""]` is an answer: the error tells it from a relay that has said nothing."""
    publication = Publication(note("new"), (ONE, TWO), lambda url: "no answer")
    publication.answered(ONE, False, "")
    with pytest.raises(NoRelay) as failure:
        await publication.accepted(0.01)
    assert f"{ONE}: refused without a reason" in failure.value.message
    assert f"{TWO}: no answer" in failure.value.message


def test_the_wait_for_slower_relays_leaves_room_for_a_late_timer() -> None:
    """Whoever waits for EOSE has it 300 ms after the fastest relay at the latest, however late the timer is by a little."""
    assert SETTLE <= 0.25
