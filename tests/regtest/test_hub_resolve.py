"""Closed channels: the blocks that they wait for are made, the coins come home, and a payment that is held keeps blocks away."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylon.lightning import built

if not built():
    pytest.skip("this build leaves the Lightning node out", allow_module_level=True)

from pylon.wallets import network
from tests.regtest.side import Side, call

FUNDED = 200_000_000


@pytest.mark.parametrize("force", [False, True])
async def test_a_closed_channel_pays_out(state: Path, tmp_path: Path, force: bool) -> None:
    """The node closes, together with the hub or by force: its sats are on-chain at the end, less fees, and nothing is waited for."""
    joined = await network.ensure(state)
    async with Side(tmp_path / "one", joined) as one:
        await call(state, "fund", node_id=one.id, amount_msat=FUNDED)
        (channel,) = await one.usable(1)
        owned = FUNDED // 1000 + channel.reserve_sat
        await one.node.close_channel(channel.user_id, joined.hub.node_id, force)
        await one.event("channel_closed")
        for _ in range(20):
            said = await call(state, "resolve", channels=[channel.id])
            await one.node.sync()
            if not said["waiting"]:
                break
        assert said["waiting"] == 0
        onchain = (await one.node.balances()).onchain_spendable_sat
        assert owned - 2_000 < onchain <= owned
        status = await call(state, "status")
        assert status["hub"]["closing"] == []  # type: ignore[index]
