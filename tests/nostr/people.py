"""Whom the tests of this room speak of, and events of theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from pylon.nostr.event import Draft, Tags, VerifiedEvent, sign
from pylon.nostr.keys import Keys

ALICE = Keys(bytes.fromhex("01" * 32))
BOB = Keys(bytes.fromhex("02" * 32))
CAROL = Keys(bytes.fromhex("03" * 32))

NOW = 1_780_000_000
VECTORS = Path(__file__).parent.parent / "vectors"


def event(kind: int = 1, tags: Tags = (), content: str = "", *, by: Keys = ALICE, at: int = NOW) -> VerifiedEvent:
    """An event signed by one of them."""
    return sign(Draft(kind=kind, created_at=at, content=content, tags=tags), by)


def vectors(name: str) -> dict[str, object]:
    """A file of test vectors whose top is an object."""
    return cast(dict[str, object], json.loads((VECTORS / name).read_text()))
