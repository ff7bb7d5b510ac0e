"""What a start does: what the last run left, once, and nothing that this run has begun already."""

from __future__ import annotations

import time
from pathlib import Path

from msgspec.structs import replace

from pylon.market.effects import Wake
from pylon.market.job import BuyerState
from pylon.node.ledger import StoredEffect
from tests.node.stage import asks, node, posted


class Noting:
    """Performs nothing, and notes what it was told to: the effect's number, and whether it was resumed."""

    def __init__(self) -> None:
        self.told: list[tuple[int, bool]] = []

    def perform(self, stored: StoredEffect, *, resumed: bool = False) -> None:
        """Note it."""
        self.told.append((stored.n, resumed))


def test_what_was_left_is_done_once(tmp_path: Path) -> None:
    """The wallet's news and the relays may speak before `resume`: what they begin is performed then, and not a second time."""
    before = node(tmp_path)
    job = posted(before)
    with before.ledger.transaction():
        (left,) = before.ledger.put(job, [Wake(job.deadline)])
    before.ledger.close()

    after = node(tmp_path)
    after.performer = noting = Noting()
    request = asks(after.buyer_keys, salt=1)
    after.submit(replace(job, id=request.id, request=request, state=BuyerState.DRAFT, created_at=time.time()))
    fresh = [(n, False) for n, _ in noting.told]
    assert len(fresh) == 2
    after.resume(provides=False)
    after.resume(provides=False)
    assert noting.told == [*fresh, (left.n, True)]
    after.ledger.close()
