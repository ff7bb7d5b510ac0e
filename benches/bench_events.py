"""Events: their ids from Python values, and their checks from the text of the wire."""

from __future__ import annotations

from functools import partial

import orjson
import pytest

from benches import references
from benches.conftest import Against
from benches.inputs import event, frame, values
from pylon import _native

CANONICAL = {"125 B": (300, 0.42, 0.35), "2 KB": (2048, 0.82, 0.70), "64 KB": (65536, 1.30, 1.0)}
"""Of the canonical form: the size of the event that it belongs to, gate, goal."""


@pytest.mark.parametrize("size", CANONICAL)
def test_event_id(against: Against, size: str) -> None:
    """The id of one event, given as Python values."""
    whole, gate, goal = CANONICAL[size]
    made_of = values(whole)
    against(
        f"canonical id from Python values, {size}", partial(_native.event_id, *made_of),
        "orjson + hashlib", partial(references.event_id, *made_of), gate=gate, goal=goal,
    )


@pytest.mark.parametrize("size", [300, 2048])
def test_check_events(against: Against, size: int) -> None:
    """64 events from their JSON: form, id, signature. The unit is one event."""
    events = [event(values(size, number)) for number in range(64)]
    texts, framed = [orjson.dumps(fields) for fields in events], [frame(fields) for fields in events]
    against(
        f"ingest with signature, batch of 64, {len(framed[0])} B", partial(_native.check_codes, texts),
        "msgspec + orjson + hashlib + coincurve", lambda: [references.checked(text) for text in framed], units=(64, 64),
        agree=lambda codes, found: codes == bytes(len(found)),
    )
