"""The short form of `make crash`: payments over real Lightning while processes are killed, and every millisat is accounted for."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylon.lightning import built

if not built():
    pytest.skip("this build leaves the Lightning node out", allow_module_level=True)

from benches.wallet_crash import perform
from benches.wallet_outcome import Plan, table

PLAN = Plan(payments=40, every=1.5, kills=4, seed=3, workers=6, seconds=60.0)


async def test_forty_payments_and_four_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are paid, none twice; none is left unknown; what is gone is fees and anchors, to the msat."""
    monkeypatch.setenv("PYLON_STATE_DIR", str(tmp_path / "state"))
    outcome = await perform(tmp_path, PLAN)
    told = table(PLAN, outcome)
    assert outcome.unexplained == 0, told
    assert outcome.settled == PLAN.payments, told
    assert (outcome.twice, outcome.unknown, outcome.one_sided) == (0, [], []), told
    assert len(outcome.kills) > 0, told
