"""Closed channels: the blocks that they wait for are made, the coins come home, and a payment that is held keeps blocks away."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path

import pytest

from pylon.lightning import built

if not built():
    pytest.skip("this build leaves the Lightning node out", allow_module_level=True)

from pylon.regtest import miner
from pylon.regtest.daemon import Daemon
from pylon.regtest.resolve import NEVER, Waits
from pylon.wallets import network
from tests.regtest.side import Side, call, hold, running, until

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


async def resolved(daemon: Daemon, *sides: Side) -> None:
    """Resolve until nothing is waited for; the nodes look at the chain between."""
    async with asyncio.timeout(60):
        while await daemon.resolver.resolve(seconds=2.0):
            for side in sides:
                await side.node.sync()


async def two(daemon: Daemon, payer: Side, payee: Side) -> None:
    """Channels for a payer and a payee."""
    await daemon.opener.fund(payer.id, FUNDED)
    await daemon.opener.inbound(payee.id, FUNDED)
    await payer.usable(1)
    await payee.usable(1)


@pytest.mark.parametrize("claims", [True, False], ids=["claimed", "sent back"])
async def test_the_payer_closes_with_a_payment_held(tmp_path: Path, claims: bool) -> None:
    """The payee keeps its right: blocks wait for it, then its word decides what the closed channel pays out, to hub and payer."""
    async with (
        running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "payer", joined) as payer, Side(tmp_path / "payee", joined) as payee,
    ):
        await two(daemon, payer, payee)
        (channel,) = await payer.usable(1)
        preimage, held = await hold(payer, payee, 50_000_000)
        await payer.node.close_channel(channel.user_id, joined.hub.node_id, True)
        await payer.event("channel_closed")
        height = daemon.chain.height
        assert await daemon.resolver.resolve([channel.id], seconds=2.0) == 1
        assert daemon.chain.height <= height + 1
        if claims:
            await payee.node.claim(preimage, held.amount_msat or 0)
            await until(payee.totals, lambda said: said["spendable"] == 50_000_000)
        else:
            await payee.node.fail(hashlib.sha256(preimage).digest())
        await resolved(daemon, payer)
        paid = 50_000 if claims else 0
        owned = FUNDED // 1000 + channel.reserve_sat - paid
        await until(payer.coins, lambda said: owned - 3_000 < int(str(said["onchain"])) <= owned)
        assert (await payer.event("sent", "failed")).type == ("sent" if claims else "failed")


async def test_the_payee_closes_with_a_payment_held(tmp_path: Path) -> None:
    """It claims on the chain: the payer's payment is sent, the payee owns it on-chain, less fees."""
    async with (
        running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "payer", joined) as payer, Side(tmp_path / "payee", joined) as payee,
    ):
        await two(daemon, payer, payee)
        (channel,) = await payee.usable(1)
        preimage, held = await hold(payer, payee, 50_000_000)
        await payee.node.close_channel(channel.user_id, joined.hub.node_id, True)
        await payee.event("channel_closed")
        await payee.node.claim(preimage, held.amount_msat or 0)
        await resolved(daemon, payee)
        sent = await payer.event("sent", "failed")
        assert (sent.type, sent.preimage) == ("sent", preimage.hex())
        owned = 50_000 + channel.reserve_sat
        await until(payee.coins, lambda said: owned - 3_000 < int(str(said["onchain"])) <= owned)


async def test_a_payee_that_never_comes_back(tmp_path: Path) -> None:
    """While it may come back no blocks are made for others; after ten minutes its payment runs out, and the payer has its sats again."""
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "payer", joined) as payer:
        async with Side(tmp_path / "payee", joined) as payee:
            await two(daemon, payer, payee)
            await hold(payer, payee, 50_000_000)
        assert not await daemon.miner.may_mine(2)
        now = time.monotonic()
        daemon.miner._clock = lambda: now + miner.AWAY_SECONDS + 1
        assert await daemon.miner.may_mine(2)
        for _ in range(20):
            await daemon.miner.mine(12)
            await daemon.hub.sync()
            await payer.node.sync()
            if daemon.hub.record.unresolved():
                break
        assert await daemon.resolver.resolve() == 1  # what belongs to the payee waits for the payee
        assert (await payer.event("sent", "failed")).type == "failed"
        await until(payer.totals, lambda said: said["spendable"] == FUNDED)
        assert [closed.peer for closed in daemon.hub.record.unresolved()] == [payee.id]


async def test_a_payee_that_is_away_for_a_while(tmp_path: Path) -> None:
    """Its channel is closed with a payment in it and it is away: no block brings the payment to its end before it is back and claims it."""
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "payer", joined) as payer:
        async with Side(tmp_path / "payee", joined) as payee:
            await two(daemon, payer, payee)
            (channel,) = await payee.usable(1)
            preimage, held = await hold(payer, payee, 50_000_000)
        (ours,) = [one for one in await daemon.hub.node.channels() if one.peer == payee.id]
        await daemon.hub.node.close_channel(ours.user_id, payee.id, True)
        await until(daemon.status, lambda said: daemon.hub.record.unresolved() != [])
        await daemon.resolver.resolve(seconds=2.0)
        assert daemon.chain.height < (held.deadline or 0)
        async with Side(tmp_path / "payee", joined) as payee:
            await payee.node.claim(preimage, held.amount_msat or 0)
            await resolved(daemon, payee)
            assert (await payer.event("sent", "failed")).preimage == preimage.hex()
            owned = 50_000 + channel.reserve_sat
            await until(payee.coins, lambda said: owned - 3_000 < int(str(said["onchain"])) <= owned)


async def test_what_is_being_sent_back_is_waited_for(tmp_path: Path) -> None:
    """Blocks are made up to the height that a payment into the hub allows, and none beyond it."""
    async with running(tmp_path / "net") as (daemon, _):
        height = daemon.chain.height
        await daemon.resolver._step(Waits([height + 10], [], height + 3, soon=False))
        assert daemon.chain.height == height + 3
        await daemon.resolver._step(Waits([height + 10], [], height + 3, soon=False))
        assert daemon.chain.height == height + 3
        await daemon.resolver._step(Waits([height + 10], [height + 12], NEVER, soon=False))
        assert daemon.chain.height == height + 6


async def test_nobody_has_to_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is quiet the network makes the blocks by itself; not while payments go through."""
    monkeypatch.setattr("pylon.regtest.resolve.QUIET_SECONDS", 0.5)
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "one", joined) as one:
        await daemon.opener.fund(one.id, FUNDED)
        (channel,) = await one.usable(1)
        await one.node.close_channel(channel.user_id, joined.hub.node_id, True)
        await one.event("channel_closed")
        owned = FUNDED // 1000 + channel.reserve_sat
        await until(one.coins, lambda said: owned - 2_000 < int(str(said["onchain"])) <= owned, seconds=40)
        await until(daemon.status, lambda said: not daemon.hub.record.unresolved())
