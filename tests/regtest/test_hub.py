"""The hub, in its own process, and real nodes with channels to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylon.lightning import built

if not built():
    pytest.skip("this build leaves the Lightning node out", allow_module_level=True)

from pylon.wallets import network
from tests.regtest.side import Side, call


async def test_fund_is_exact(state: Path, tmp_path: Path) -> None:
    """A node can spend exactly what it was given, to the msat, and receive as much again; a second time adds exactly that."""
    joined = await network.ensure(state)
    async with Side(tmp_path / "one", joined) as one:
        await call(state, "fund", node_id=one.id, amount_msat=100_000_000)
        await one.usable(1)
        assert await one.spendable() == 100_000_000
        assert await one.receivable() >= 100_000_000
        await call(state, "fund", node_id=one.id, amount_msat=7_654_321, channels=3)
        await one.usable(4)
        assert await one.spendable() == 107_654_321
