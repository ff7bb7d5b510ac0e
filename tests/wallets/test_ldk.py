"""The wallet `ldk` on a private network of real nodes: what the suite of the port does not ask."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from pylon import _native
from pylon.errors import InsufficientFunds, PaymentError, PaymentFailed, PaymentUnknown, PylonError
from pylon.units import Msat
from pylon.wallets import network
from pylon.wallets.base import Balance, Direction, HealthState, PaymentStatus, Wallet
from pylon.wallets.ldk.hub import Provider
from pylon.wallets.ldk.wallet import LdkWallet
from tests.conformance.wallet import FEE, PATIENCE, PRICE, event, hold, holds, new_key, reached, soon
from tests.regtest.stopping import end, pid_of
from tests.wallets.ldk_world import FUNDS, World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def net(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One private network for this module."""
    async with world(tmp_path_factory.mktemp("net")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def buyer(net: World) -> LdkWallet:
    """A wallet with sats."""
    wallet = net.open("buyer")
    await soon(wallet.fund(FUNDS))
    return wallet


async def state(wallet: Wallet, wanted: HealthState) -> None:
    """Until the wallet is so."""
    async with asyncio.timeout(PATIENCE):
        while (await wallet.health()).state is not wanted:  # noqa: ASYNC110 health is asked for, not told
            await asyncio.sleep(0.05)


async def test_a_wallet_that_nobody_uses_costs_nothing(tmp_path: Path) -> None:
    """Looking at a wallet that never was starts no node and no network, and leaves no file."""
    async with world(tmp_path) as made:
        wallet = made.open("nobody")
        assert await wallet.balance() == Balance(Msat(0), Msat(0), Msat(0))
        for direction in Direction:
            assert (await wallet.lookup(bytes(32), direction)).status is PaymentStatus.UNKNOWN
        assert not await wallet.payments(0)
        assert not await wallet.channels()
        assert (await wallet.health()).state is HealthState.OFF
        waiting = asyncio.ensure_future(anext(wallet.events(None)))
        await asyncio.sleep(0)
        await wallet.aclose()
        with pytest.raises(StopAsyncIteration):
            await soon(waiting)
        assert not (tmp_path / "nobody").exists()
        assert pid_of(made.state) is None


async def test_a_provider_that_was_never_funded_can_receive(net: World, buyer: LdkWallet) -> None:
    """The hub gives it room with its first invoice; all that it got it can spend."""
    provider = net.open("provider")
    made = await soon(provider.invoice(PRICE, "", 600))
    await soon(buyer.pay(made.bolt11, max_fee=FEE, key=new_key()))
    await soon(holds(provider, PRICE))
    back = await soon(buyer.invoice(PRICE, "", 600))
    await soon(provider.pay(back.bolt11, max_fee=Msat(0), key=new_key()))
    assert (await provider.balance()).spendable == 0


async def test_room_grows_with_what_is_asked_for(net: World, buyer: LdkWallet) -> None:
    """An invoice over more than the channel can take gets another channel first."""
    provider = net.open("grows")
    await soon(provider.invoice(PRICE, "", 600))
    room = (await provider.balance()).receivable
    made = await soon(provider.invoice(Msat(room + 1000), "", 600))
    assert _native.bolt11_decode(made.bolt11).route_hints
    assert (await provider.balance()).receivable > room
    assert len(await provider.channels()) == 2


async def test_many_invoices_at_once(net: World, buyer: LdkWallet) -> None:
    """A hundred invoices asked for together are a hundred, each payable; the first of them brings the channel for all."""
    provider = net.open("many")
    made = await soon(asyncio.gather(*(provider.invoice(Msat(1000), "", 600) for _ in range(100))))
    assert len({one.payment_hash for one in made}) == 100
    assert all(_native.bolt11_decode(one.bolt11).route_hints for one in made)
    assert len(await provider.channels()) == 1


async def test_sixty_payments_in_flight(net: World, buyer: LdkWallet) -> None:
    """More payments than a channel carries wait their turn: all are paid, to the msat, and what waits is not offered for sale twice."""
    provider = net.open("sixty")
    made = await soon(asyncio.gather(*(provider.invoice(Msat(1001), "", 600) for _ in range(60))))
    before = await buyer.balance()
    paying = [asyncio.create_task(buyer.pay(one.bolt11, max_fee=FEE, key=one.payment_hash)) for one in made]
    while (balance := await buyer.balance()).pending == 0:  # noqa: ASYNC110 a balance is asked for, not told
        await asyncio.sleep(0)
    assert balance.spendable + balance.pending <= before.spendable
    paid = await soon(asyncio.gather(*paying))
    assert [hashlib.sha256(one.preimage).digest() for one in paid] == [one.payment_hash for one in made]
    await soon(holds(buyer, before.spendable - 60 * 1001))
    await soon(holds(provider, 60 * 1001))
    assert {record.status for record in await provider.payments(0)} == {PaymentStatus.SETTLED}


async def test_more_channels_carry_more(net: World, buyer: LdkWallet) -> None:
    """With `channels = 3` the first sats come over three channels, a hundred payments at once are all paid, and one that is lost is
    replaced."""
    payer, payee = net.open("wide", channels=3), net.open("broad", channels=3)
    await soon(payer.fund(Msat(90_000_000)))
    assert len(await payer.channels()) == 3
    assert (await payer.balance()).spendable == 90_000_000
    made = await soon(asyncio.gather(*(payee.invoice(PRICE, "", 600) for _ in range(100))))
    assert len(await payee.channels()) == 3
    paid = await soon(asyncio.gather(*(payer.pay(one.bolt11, max_fee=FEE, key=one.payment_hash) for one in made)))
    assert sum(one.fee for one in paid) == 0
    await soon(holds(payer, 90_000_000 - 100 * PRICE))
    await soon(holds(payee, 100 * PRICE))
    node = await payer._life.node()
    inside = (await node.channels())[0]
    await node.close_channel(inside.user_id, inside.peer, True)
    async with asyncio.timeout(PATIENCE):
        while inside.id in (there := {one.id for one in await payer.channels() if one.usable}) or len(there) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_the_faucet_is_exact(net: World) -> None:
    """The first sats come with a channel, the next ones over it, more than fits in a new one: each exactly what was asked for."""
    wallet, held = net.open("funded"), 0
    for amount, channels in ((1_000, 1), (100_000_001, 1), (900_000_000, 2)):
        await soon(wallet.fund(Msat(amount)))
        held += amount
        assert (await wallet.balance()).spendable == held
        assert len(await wallet.channels()) == channels


async def test_a_late_payment_is_sent_back(net: World, buyer: LdkWallet) -> None:
    """A payer whose clock is a day behind pays an invoice that is over for its payee: the money comes back, and nothing is settled."""
    late = net.open("late", clock=lambda: time.time() + 86_400)
    made = await soon(late.invoice(PRICE, "", 3600))
    events = late.events(None)
    late_state = await reached(late, made.payment_hash, Direction.IN, PaymentStatus.EXPIRED)
    assert late_state.preimage is None
    with pytest.raises(PaymentFailed):
        await soon(buyer.pay(made.bolt11, max_fee=FEE, key=made.payment_hash))
    assert (await late.lookup(made.payment_hash, Direction.IN)).status is PaymentStatus.EXPIRED
    assert (await late.balance()).spendable == 0
    del events


async def test_a_hash_is_used_once_and_one_way(net: World, buyer: LdkWallet) -> None:
    """Our own invoice is not paid; an invoice of somebody else under a hash of ours neither; a hash that we have paid makes no invoice."""
    mine = await soon(buyer.invoice(PRICE, "", 600))
    with pytest.raises(PaymentFailed, match="our own"):
        await buyer.pay(mine.bolt11, max_fee=FEE, key=new_key())
    other = net.open("copycat")
    copied = await soon(other.invoice(PRICE, "", 600, payment_hash=mine.payment_hash))
    with pytest.raises(PaymentFailed, match="our own"):
        await buyer.pay(copied.bolt11, max_fee=FEE, key=new_key())
    theirs = await soon(other.invoice(PRICE, "", 600))
    await soon(buyer.pay(theirs.bolt11, max_fee=FEE, key=new_key()))
    with pytest.raises(PaymentError, match="used already"):
        await buyer.invoice(PRICE, "", 600, payment_hash=theirs.payment_hash)


async def test_a_fee_over_the_limit_is_not_paid(net: World, buyer: LdkWallet) -> None:
    """`max_fee` is the node's limit. (The hub takes nothing, so no fee at all is enough.)"""
    provider = net.open("free")
    made = await soon(provider.invoice(PRICE, "", 600))
    assert (await soon(buyer.pay(made.bolt11, max_fee=Msat(0), key=new_key()))).fee == 0
    with pytest.raises(PaymentFailed, match="negative"):
        await buyer.pay(made.bolt11, max_fee=Msat(-1), key=new_key())


@pytest.mark.parametrize("amount", [None, 1000])
async def test_invoices_of_others_and_other_networks(buyer: LdkWallet, amount: int | None) -> None:
    """An invoice of mainnet, and one without an amount, are a final no."""
    currency = "bc" if amount else "bcrt"
    now, some = int(time.time()), secrets.token_bytes(32)
    text = _native.bolt11_encode(b"\1" * 32, currency, amount, some, some, "", now, 600, 18)
    with pytest.raises(PaymentFailed, match=r"another network \(lnbc\)" if amount else "names no amount"):
        await buyer.pay(text, max_fee=FEE, key=new_key())


async def test_restarts_forget_nothing(net: World, buyer: LdkWallet) -> None:
    """A hold invoice is paid, both wallets restart, and it is settled: the payer's key gets the preimage, the payee's cursor the events."""
    payer, payee = net.open("payer"), net.open("payee")
    await soon(payer.fund(FUNDS))
    made, preimage = await soon(hold(payee))
    events, key = payee.events(None), new_key()
    paying = asyncio.create_task(payer.pay(made.bolt11, max_fee=FEE, key=key))
    told = await event(events, made.payment_hash, PaymentStatus.HELD)
    await payer.aclose()
    with pytest.raises(PaymentUnknown):
        await soon(paying)
    await payee.aclose()
    payer, payee = net.open("payer"), net.open("payee")
    assert (await payer.lookup(made.payment_hash, Direction.OUT)).status is PaymentStatus.PENDING
    assert (await payee.lookup(made.payment_hash, Direction.IN)).status is PaymentStatus.HELD
    paying = asyncio.create_task(payer.pay(made.bolt11, max_fee=FEE, key=key))
    await soon(payee.settle(preimage))
    assert (await soon(paying)).preimage == preimage
    again = payee.events(told.cursor)
    assert (await event(again, made.payment_hash, PaymentStatus.SETTLED)).preimage == preimage
    await soon(holds(payer, FUNDS - PRICE))
    await soon(holds(payee, PRICE))


async def test_one_process_a_wallet_and_one_folder_a_seed(net: World, buyer: LdkWallet) -> None:
    """A second opening of the same wallet is told who has it; a copy of the identity in another home, where the first one is."""
    twin = net.open("buyer")
    with pytest.raises(PylonError, match=rf"in use by process {os.getpid()}"):
        await soon(twin.invoice(PRICE, "", 600))
    assert (await twin.health()).state is HealthState.FAILED
    await twin.aclose()
    moved = net.open("moved", seed_of="buyer")
    with pytest.raises(PylonError, match=r"runs already, from .*buyer") as refusal:
        await soon(moved.invoice(PRICE, "", 600))
    assert "lose the money" in refusal.value.hint
    await moved.aclose()
    assert (await buyer.balance()).spendable > 0


async def test_a_seed_whose_wallet_is_elsewhere_is_refused(net: World) -> None:
    """The first one need not run: its channels would be given up by a node that has never heard of them."""
    first = net.open("first")
    await soon(first.fund(FUNDS))
    await first.aclose()
    twin = net.open("elsewhere", seed_of="first")
    with pytest.raises(PylonError, match=r"the wallet of this seed is in .*first.*, with its channels") as refusal:
        await soon(twin.invoice(PRICE, "", 600))
    assert "one installation a seed" in refusal.value.hint
    await twin.aclose()
    again = net.open("first")
    assert (await soon(again.balance())).spendable == FUNDS
    await again.aclose()


async def test_a_lost_channel_is_replaced(net: World) -> None:
    """The hub's side force-closes (its peer has a stale state, say): another channel is there by itself, the old money shows as closing,
    then on the chain, and can be sent."""
    wallet = net.open("lost")
    await soon(wallet.fund(FUNDS))
    (channel,) = await wallet.channels()
    node = await wallet._life.node()
    (inside,) = await node.channels()
    await node.close_channel(inside.user_id, inside.peer, True)
    async with asyncio.timeout(PATIENCE):
        while [one.id for one in await wallet.channels() if one.usable] in ([], [channel.id]):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    balance = await wallet.balance()
    assert (balance.spendable, balance.pending) == (0, 0)
    assert FUNDS + channel.reserved - balance.closing < 2_000_000  # its fee on the chain
    await soon(net.ask("resolve"))
    async with asyncio.timeout(PATIENCE):
        while (balance := await wallet.balance()).closing or not balance.onchain:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert FUNDS + channel.reserved - balance.onchain < 2_000_000
    coins = await soon(wallet.send_onchain(await wallet.address(), None, sat_per_vbyte=None))
    assert (len(coins.txid), coins.fee > 0) == (32, True)


async def test_a_closed_channel_that_was_left_is_not_replaced(net: World, buyer: LdkWallet) -> None:
    """Who closes a channel himself wants none in its place; an unknown one is told as that."""
    wallet = net.open("leaver")
    await soon(wallet.fund(FUNDS))
    with pytest.raises(PylonError, match="no channel 00"):
        await wallet.close_channel("00", force=False)
    (channel,) = await wallet.channels()
    await soon(wallet.close_channel(channel.id, force=False))
    async with asyncio.timeout(PATIENCE):
        while await wallet.channels():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await asyncio.sleep(2.5)  # a look at the node and more
    assert not await wallet.channels()
    made = await soon(buyer.invoice(PRICE, "", 600))
    with pytest.raises(InsufficientFunds):
        await soon(wallet.pay(made.bolt11, max_fee=FEE, key=new_key()))


async def test_room_comes_with_the_payment_on_other_networks(net: World, buyer: LdkWallet) -> None:
    """As on a real network: blocks from a source of the user's choice, a provider of room (LSPS2), no faucet. The first invoice is for
    a channel just in time, held and taken like any other; what came can be spent; a later invoice uses the channel."""
    found = await network.ensure(net.state)
    wallet = net.open("abroad", hub=Provider("regtest", found.electrum, f"{found.hub.node_id}@{found.hub.address}", ""))
    assert not wallet.capabilities.faucet
    with pytest.raises(PylonError, match="no faucet"):
        await wallet.fund(PRICE)
    events, preimage = wallet.events(None), secrets.token_bytes(32)
    made = await soon(wallet.invoice(Msat(50_000_000), "", 600, payment_hash=hashlib.sha256(preimage).digest()))
    assert not await wallet.channels()
    paying = asyncio.create_task(buyer.pay(made.bolt11, max_fee=FEE, key=new_key()))
    await event(events, made.payment_hash, PaymentStatus.HELD)
    assert len(await wallet.channels()) == 1
    await soon(wallet.settle(preimage))
    assert (await soon(paying)).preimage == preimage
    await event(events, made.payment_hash, PaymentStatus.SETTLED)
    later = await soon(wallet.invoice(PRICE, "", 600))
    await soon(buyer.pay(later.bolt11, max_fee=FEE, key=new_key()))
    await reached(wallet, later.payment_hash, Direction.IN, PaymentStatus.SETTLED)
    back = await soon(buyer.invoice(PRICE, "", 600))
    await soon(wallet.pay(back.bolt11, max_fee=FEE, key=new_key()))
    assert len(await wallet.channels()) == 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_network_that_ends_comes_back(tmp_path: Path, how: signal.Signals) -> None:
    """One that was stopped is told, and comes back with the next use; one that was killed comes back by itself. Nothing is lost."""
    async with world(tmp_path) as made:
        payer, payee = made.open("payer"), made.open("payee")
        await soon(payer.fund(FUNDS))
        one = await soon(payee.invoice(PRICE, "", 600))
        await soon(payer.pay(one.bolt11, max_fee=FEE, key=new_key()))
        await asyncio.to_thread(end, made.state, how)
        if how is signal.SIGTERM:
            await state(payer, HealthState.DEGRADED)
            health = await payer.health()
            assert "does not run" in health.problem
            assert health.hint
        assert (await payer.balance()).spendable == FUNDS - PRICE
        two = await soon(payee.invoice(PRICE, "", 600))
        await soon(payer.pay(two.bolt11, max_fee=FEE, key=new_key()))
        await state(payer, HealthState.READY)
        assert (await payer.balance()).spendable == FUNDS - 2 * PRICE


async def test_another_chain_is_refused_before_the_node_starts(tmp_path: Path) -> None:
    """The private network is deleted and made anew: a wallet of the old one says so, at once and clearly, and touches nothing."""
    async with world(tmp_path) as made:
        wallet = made.open("old")
        await soon(wallet.fund(FUNDS))
        await wallet.aclose()
        await made.stop()
        await asyncio.to_thread(end, made.state)
        (made.state / "regtest").rename(tmp_path / "gone")
        wallet = made.open("old")
        with pytest.raises(PylonError, match="another chain than the one this wallet is on"):
            await soon(wallet.balance())
        assert (await wallet.health()).state is HealthState.FAILED
        assert len(await wallet.payments(0)) == 0
        await wallet.aclose()


async def test_logs_hold_no_secrets(net: World, buyer: LdkWallet, caplog: pytest.LogCaptureFixture) -> None:
    """Neither preimage nor whole invoice appears in the log, nor the preimage in plain in the files of the wallet."""
    caplog.set_level("DEBUG")
    provider, preimage = net.open("quiet"), secrets.token_bytes(32)
    made = await soon(provider.invoice(PRICE, "", 600, preimage=preimage))
    home = net.base / "quiet" / "wallet" / "regtest"
    assert not any(preimage in file.read_bytes() for file in home.iterdir() if file.is_file())
    await soon(buyer.pay(made.bolt11, max_fee=FEE, key=new_key()))
    await reached(provider, made.payment_hash, Direction.IN, PaymentStatus.SETTLED)
    assert preimage.hex() not in caplog.text
    assert made.bolt11 not in caplog.text
    for name in ("wallet.sqlite3", "wallet.sqlite3-wal", "node.log"):
        text = (home / name).read_bytes()
        assert preimage not in text
        assert preimage.hex().encode() not in text
    assert made.bolt11.encode() not in (home / "node.log").read_bytes()
    assert home.stat().st_mode & 0o077 == 0
