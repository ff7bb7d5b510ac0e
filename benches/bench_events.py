"""Events: their ids from Python values, signed frames, and their checks from the text of the wire. The unit of work is one event."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import cast

import coincurve
import orjson
import pytest

from benches import references
from benches.conftest import Against
from benches.inputs import ALICE, AUX, SECRET, frames, values
from benches.references import Wire
from pylon import _native
from pylon._native import VerifiedEvent
from pylon.nostr.message import publish

COINCURVE = coincurve.PrivateKey(SECRET)
CANONICAL = {"125 B": (300, 0.42, 0.35), "2 KB": (2048, 0.82, 0.70), "64 KB": (65536, 1.30, 1.0)}
"""Of the canonical form: the size of the event that it belongs to, gate, goal."""
CODES = {"392 B": (300, 0.18, 0.15), "2 KB": (2048, 0.30, 0.26), "64 KB": (65536, 0.56, 0.45)}
"""Of the frame: the size of the event in it, gate, goal."""
OBJECTS = {"392 B": (300, 0.48, 0.40), "2 KB": (2048, 0.68, 0.55)}
SIGNED = {256: (0.42, 0.36), 32: (0.23, 0.20)}
"""Of 256 frames: by how many keys, gate, goal."""

Fields = tuple[int, str, str, str, list[list[str]]]


def counted(size: int) -> int:
    """How many frames of this size are one batch."""
    return 64 if size < 65536 else 8


def none_is_wrong(codes: bytes, events: list[Wire]) -> bool:
    """What is all right for the reference is all right for us."""
    return codes == bytes(len(events))


@pytest.mark.parametrize("size", CANONICAL)
def test_event_id(against: Against, size: str) -> None:
    """The id of one event, given as Python values."""
    whole, gate, goal = CANONICAL[size]
    made_of = values(whole)
    against(
        f"canonical id from Python values, {size}", partial(_native.event_id, *made_of),
        "orjson + hashlib", partial(references.event_id, *made_of), gate=gate, goal=goal,
    )


def test_floor_of_event_id(against: Against) -> None:
    """What is left where the canonical bytes are there already: their SHA-256 by OpenSSL."""
    made_of = values(65536)
    text = orjson.dumps((0, *made_of))
    against(
        "floor: SHA-256 of the canonical bytes, 64 KB", lambda: hashlib.sha256(text).digest(),
        "orjson + hashlib", partial(references.event_id, *made_of),
    )


def test_signed_frame(against: Against) -> None:
    """`["EVENT",event]` from the fields of an event: id, signature, JSON."""
    made_of = values(2048)

    def frame() -> bytes:
        return publish(ALICE.sign_event(*made_of[1:], AUX).raw)

    against(
        "signed EVENT frame, 2 KB", frame,
        "orjson + hashlib + coincurve", partial(references.signed_frame, COINCURVE, made_of, AUX), gate=0.28, goal=0.24,
    )


@pytest.mark.parametrize("size", CODES)
def test_codes(against: Against, size: str) -> None:
    """Frames of the wire in a batch: form and id, the verdict alone."""
    whole, gate, goal = CODES[size]
    texts = frames(counted(whole), whole)
    against(
        f"ingest without signature, verdicts, {size}", partial(_native.check_codes, texts, False),
        "msgspec + orjson + hashlib", lambda: [references.checked(text, False) for text in texts],
        units=(len(texts), len(texts)), gate=gate, goal=goal, agree=none_is_wrong,
    )


def wire_fields(events: list[Wire]) -> list[Fields]:
    """What is read of an event."""
    return [(event.kind, event.pubkey, event.id, event.content, event.tags) for event in events]


@pytest.mark.parametrize("size", OBJECTS)
def test_objects(against: Against, size: str) -> None:
    """The same with an event object for each, of which five fields are read.

    The signatures were verified before (`seen`), so that neither side verifies any."""
    whole, gate, goal = OBJECTS[size]
    texts = frames(counted(whole), whole)
    seen = _native.Seen(1024)
    _native.check_events(texts, seen)

    def ours() -> list[tuple[int, str, str, str, tuple[tuple[str, ...], ...]]]:
        events = cast(list[VerifiedEvent], _native.check_events(texts, seen))
        return [(event.kind, event.pubkey, event.id, event.content, event.tags) for event in events]

    def same(ours: list[Fields], theirs: list[Fields]) -> bool:
        return [(*fields[:4], [list(tag) for tag in fields[4]]) for fields in ours] == theirs

    against(
        f"ingest without signature, event objects read, {size}", ours,
        "msgspec + orjson + hashlib", lambda: wire_fields([references.checked(text, False) for text in texts]),
        units=(len(texts), len(texts)), gate=gate, goal=goal, agree=same,
    )


@pytest.mark.parametrize("keys", SIGNED)
def test_ingest(against: Against, keys: int) -> None:
    """256 frames of 392 B in a batch: form, id, signature."""
    gate, goal = SIGNED[keys]
    texts = frames(256, 300, keys)
    against(
        f"ingest with signature, 256 of 392 B, {keys} keys", partial(_native.check_codes, texts),
        "msgspec + orjson + hashlib + coincurve", lambda: [references.checked(text) for text in texts],
        units=(256, 256), gate=gate, goal=goal, agree=none_is_wrong,
    )
