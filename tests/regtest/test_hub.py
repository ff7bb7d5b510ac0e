"""The hub, in its own process, and real nodes with channels to it."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from pylon.lightning import built

if not built():
    pytest.skip("this build leaves the Lightning node out", allow_module_level=True)

from pylon.errors import InvoiceRefused, PaymentFailed, PaymentUnknown, PylonError, UsageError
from pylon.regtest import paying, plan, purse
from pylon.regtest.opening import NotConnected
from pylon.wallets import network
from tests.regtest.side import Side, call, running, until

MAINNET = (
    "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5"
    "xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam"
    "30g4vgpfna3rh"
)
"""From BOLT 11: "Please send $3 for a cup of coffee to the same peer, within one minute"."""


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


async def test_a_node_that_was_never_funded_can_receive(tmp_path: Path) -> None:
    """It gets a channel in which it owns its reserve and nothing else: all that it is paid it can spend. Asked again, nothing is opened."""
    async with (
        running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "payer", joined) as payer, Side(tmp_path / "payee", joined) as payee,
    ):
        await daemon.opener.fund(payer.id, 100_000_000)
        assert len(await daemon.opener.inbound(payee.id, 60_000_000)) == 1
        assert await daemon.opener.inbound(payee.id, 60_000_000) == []
        await payer.usable(1)
        await payee.usable(1)
        assert await payee.spendable() == 0
        assert await payee.receivable() >= 60_000_000
        await payer.node.pay(await payee.node.invoice(60_000_000, "x", 600), 0)
        assert (await payer.event("sent", "failed")).type == "sent"
        await until(payee.totals, lambda said: said["spendable"] == 60_000_000)
        assert len(await daemon.opener.inbound(payee.id, 10_000_000_000)) == 1
        await payee.usable(2)
        assert await payee.receivable() >= 10_000_000_000


async def test_calls_at_once(tmp_path: Path) -> None:
    """Many ask at the same time: every channel is opened, none spends the coin of another, and each node gets exactly what it asked for."""
    async with running(tmp_path / "net") as (daemon, joined):
        sides = [Side(tmp_path / f"side{n}", joined) for n in range(3)]
        try:
            for side in sides:
                await side.__aenter__()
            funded = await asyncio.gather(*(daemon.opener.fund(side.id, 3_000_000, 2) for side in sides for _ in range(2)))
            outpoints = [outpoint for some in funded for outpoint in some]
            assert len(set(outpoints)) == 12
            for side in sides:
                await side.usable(4)
                assert await side.spendable() == 6_000_000
            await until(daemon.status, lambda _: all(daemon.chain.where(outpoint[:64]) for outpoint in outpoints))
        finally:
            for side in sides:
                await side.__aexit__()


async def test_more_than_a_channel_holds(tmp_path: Path) -> None:
    """A sum over what one channel can hold goes over several, exact; over what one call opens, it is refused."""
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "rich", joined) as rich:
        await daemon.opener.fund(rich.id, 20_000_000_001)
        await rich.usable(3)
        assert await rich.spendable() == 20_000_000_001
        assert await rich.receivable() >= 20_000_000_001
        with pytest.raises(UsageError, match="one call opens 20 at most"):
            await daemon.opener.fund(rich.id, 1_000_000_000_000)


async def test_a_lost_channel_is_replaced(tmp_path: Path) -> None:
    """After a force close the same call opens a new channel; the old one stands in the record until its coins are home."""
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "one", joined) as one:
        await daemon.opener.fund(one.id, 5_000_000)
        (lost,) = await one.usable(1)
        await one.node.close_channel(lost.user_id, joined.hub.node_id, True)
        await one.event("channel_closed")
        await daemon.opener.fund(one.id, 5_000_000)
        assert {channel.funding for channel in await one.usable(1)} != {lost.funding}
        assert [closed.funding for closed in daemon.hub.record.unresolved()] == [lost.funding]


async def test_who_is_not_connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that nobody knows is waited for, and then named."""
    monkeypatch.setattr("pylon.regtest.opening.CONNECT_SECONDS", 0.1)
    async with running(tmp_path / "net") as (daemon, joined):
        with pytest.raises(NotConnected, match="not connected to the hub"):
            await daemon.opener.fund(joined.hub.node_id[:-1] + "0", 1_000_000)


async def test_the_hub_pays_once(tmp_path: Path) -> None:
    """The same invoice asked for many times, also at once, is paid once, and every answer is the same preimage."""
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "one", joined) as one:
        await daemon.opener.inbound(one.id, 10_000_000)
        await one.usable(1)
        invoice = await one.node.invoice(4_000_000, "x", 600)
        answers = await asyncio.gather(*(daemon.payer.pay(invoice) for _ in range(5)))
        answers.append(await daemon.payer.pay(invoice))
        assert len(set(answers)) == 1
        await until(one.totals, lambda said: said["spendable"] == 4_000_000)
        assert [event.amount_msat for event in one.news if event.type == "received"] == [4_000_000]


async def test_what_the_hub_does_not_pay(tmp_path: Path) -> None:
    """What is no invoice, or of another network; one that cannot be routed fails, and is not tried again when it could be."""
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "one", joined) as one:
        for text in ("garbage", MAINNET):
            with pytest.raises(InvoiceRefused):
                await daemon.payer.pay(text)
        invoice = await one.node.invoice(1_000_000, "no channel", 600)
        for _ in range(2):
            with pytest.raises(PaymentFailed):
                await daemon.payer.pay(invoice)
            await daemon.opener.inbound(one.id, 10_000_000)
            await one.usable(1)
        assert await one.spendable() == 0


async def test_an_unknown_outcome_is_said_as_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payment that is held is neither paid nor failed; asked again later, its end is told, and it was paid once."""
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "one", joined) as one:
        await daemon.opener.inbound(one.id, 10_000_000)
        await one.usable(1)
        preimage = os.urandom(32)
        invoice = await one.node.invoice(4_000_000, "hold", 600, hashlib.sha256(preimage).digest())
        with monkeypatch.context() as patch:
            patch.setattr(paying, "PAY_SECONDS", 0.5)
            for _ in range(2):
                with pytest.raises(PaymentUnknown):
                    await daemon.payer.pay(invoice)
        assert not await daemon.miner.may_mine(2)
        held = await one.event("claimable")
        await one.node.claim(preimage, held.amount_msat or 0)
        assert await daemon.payer.pay(invoice) == (preimage.hex(), 0)


async def test_the_purse_is_filled_before_it_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When less than a reserve is left, the faucet gives more by itself; a call that needs more than there is waits for it."""
    monkeypatch.setattr(purse, "COIN_SAT", 3_000_000)
    monkeypatch.setattr(purse, "LOW_SAT", 2_000_000)
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "one", joined) as one:
        await daemon.hub.caught_up()
        assert await daemon.purse.spendable() == 24_000_000
        for n in range(1, 5):
            await daemon.opener.fund(one.id, 5_000_000_000)
            await one.usable(n)
        assert await one.spendable() == 20_000_000_000


async def test_the_hubs_fee(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing, unless a test asks for one: then every payment through the hub costs exactly that."""
    monkeypatch.setenv("PYLON_REGTEST_FEE_MSAT", "1234")
    async with (
        running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "payer", joined) as payer, Side(tmp_path / "payee", joined) as payee,
    ):
        await daemon.opener.fund(payer.id, 100_000_000)
        await daemon.opener.inbound(payee.id, 60_000_000)
        await payer.usable(1)
        await payee.usable(1)
        await payer.node.pay(await payee.node.invoice(60_000_000, "x", 600), 5_000)
        assert (await payer.event("sent", "failed")).fee_msat == 1234


async def test_a_fee_that_is_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network does not start with it."""
    monkeypatch.setenv("PYLON_REGTEST_FEE_MSAT", "-1")
    with pytest.raises(PylonError, match="no number of millisats"):
        async with running(tmp_path / "net"):
            pass


@pytest.mark.parametrize("amount_msat", [0, 1, 999, 480_000_000, 7_000_000_000, 15_656_000_000, 90_000_000_001])
@pytest.mark.parametrize("channels", [1, 3])
def test_plans(amount_msat: int, channels: int) -> None:
    """What is given away is the amount and the reserves, to the msat; every channel has room for as much again, and the hub's own costs."""
    for plans, given in ((plan.outward(amount_msat, channels), amount_msat), (plan.inward(amount_msat, channels), 0)):
        assert len(plans) >= channels
        assert sum(one.push_msat - plan.reserve(one.capacity_sat) * 1000 for one in plans) == given
        left = sum(one.capacity_sat * 1000 - one.push_msat - (plan.reserve(one.capacity_sat) + plan.OPENER_COSTS) * 1000 for one in plans)
        assert left >= amount_msat
        assert all(plan.LEAST_CAPACITY <= one.capacity_sat <= plan.MOST_CAPACITY for one in plans)
