"""Blocks and payments that are held: with real nodes, and a real hold invoice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pylon.errors import PylonError
from pylon.lightning import built

if not built():
    pytest.skip("this build leaves the Lightning node out", allow_module_level=True)

from pylon.regtest.miner import Miner
from pylon.wallets import network
from tests.regtest.side import Side, call, hold, running, until


async def refused(state: Path, blocks: int) -> bool:
    """Whether so many blocks may not be made now, because a payment is held."""
    try:
        await call(state, "mine", blocks=blocks)
    except PylonError as error:
        return error.code == "payments_held"
    return False


@pytest.mark.parametrize("amount_msat", [2_000, 60_000_000], ids=["dust", "output"])
async def test_no_second_block_while_a_payment_is_held(state: Path, tmp_path: Path, amount_msat: int) -> None:
    """A held payment lets one block be made since it began, for whatever reason; when it is claimed, what waits is mined."""
    joined = await network.ensure(state)
    async with Side(tmp_path / "buyer", joined) as buyer, Side(tmp_path / "provider", joined) as provider:
        await call(state, "fund", node_id=buyer.id, amount_msat=200_000_000)
        await call(state, "inbound", node_id=provider.id, amount_msat=200_000_000)
        await buyer.usable(1)
        await provider.usable(1)
        await until(lambda: call(state, "status"), lambda said: said["mempool"] == 0)
        preimage, held = await hold(buyer, provider, amount_msat)
        assert await refused(state, 2)
        assert not await refused(state, 1)
        assert await refused(state, 1)
        height = (await call(state, "network"))["height"]
        await call(state, "faucet", address=await buyer.node.address(), sats=10_000)
        assert await refused(state, 1)
        await provider.node.sync()
        await provider.node.claim(preimage, held.amount_msat or 0)
        assert (await buyer.event("sent", "failed")).preimage == preimage.hex()
        await until(lambda: call(state, "status"), lambda said: said["mempool"] == 0 and said["height"] == int(str(height)) + 1)
        assert not await refused(state, 2)


async def test_force_mines_all_the_same(state: Path, tmp_path: Path) -> None:
    """Who says `force` gets the blocks; the payment comes to its deadline and goes back, nobody loses the channel."""
    joined = await network.ensure(state)
    async with Side(tmp_path / "buyer", joined) as buyer, Side(tmp_path / "provider", joined) as provider:
        await call(state, "fund", node_id=buyer.id, amount_msat=200_000_000)
        await call(state, "inbound", node_id=provider.id, amount_msat=200_000_000)
        await provider.usable(1)
        _, held = await hold(buyer, provider, 5_000_000)
        height = int(str((await call(state, "network"))["height"]))
        await call(state, "mine", blocks=(held.deadline or 0) - height, force=True)
        await provider.node.sync()
        assert (await buyer.event("sent", "failed")).type == "failed"
        assert await buyer.spendable() == 200_000_000
        assert not await refused(state, 2)


async def test_after_a_start_a_held_payment_may_have_seen_a_block(tmp_path: Path) -> None:
    """Who has just started does not know how many blocks a payment has seen: none more is made until it is over."""
    async with (
        running(tmp_path / "net") as (daemon, joined),
        Side(tmp_path / "buyer", joined) as buyer, Side(tmp_path / "provider", joined) as provider,
    ):
        await daemon.opener.fund(buyer.id, 200_000_000)
        await daemon.opener.inbound(provider.id, 200_000_000)
        await provider.usable(1)
        await until(daemon.status, lambda said: said["mempool"] == 0)
        preimage, held = await hold(buyer, provider, 5_000_000)
        assert await daemon.miner.may_mine(1)
        started = Miner(daemon.chain, daemon.hub)
        assert not await started.may_mine(1)
        await provider.node.claim(preimage, held.amount_msat or 0)
        await buyer.event("sent", "failed")
        async with asyncio.timeout(20):
            while not await started.may_mine(2):
                await daemon.hub.change(0.1)
