"""The life of a node: events that wait, restarts, a hub that comes and goes, opens in a row, syncs, closes, reorganisations."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from pylon.regtest.electrum import ElectrumServer
from tests.lightning.net import Net, hold, until


async def test_an_event_is_told_again_until_it_is_acknowledged(net: Net) -> None:
    """One event at a time; what the consumer had not come back for when the node stopped is the first one after the next start."""
    wallet = net.party("wallet", trusted=(net.hub.node.node_id, net.address))
    node = wallet.node
    await node.start()
    await net.connected(wallet)
    await net.hub.node.open_channel(node.node_id, "127.0.0.1:1", 1_000_000, 0)
    events = node.events()
    async with asyncio.timeout(10):
        first = await anext(events)
        assert first.type == "channel_pending"
        second = await anext(events)  # which acknowledges the first
    assert second.type == "channel_ready"
    assert second.channel == first.channel
    await events.aclose()  # the consumer died before its commit
    async with asyncio.timeout(10):
        assert await anext(node.events()) == second
    await node.stop()
    await node.start()
    async with asyncio.timeout(10):
        events = node.events()
        assert await anext(events) == second
    await node.stop()
    async with asyncio.timeout(10):
        assert await anext(events, None) is None  # the end of the iteration


async def test_an_orderly_restart_keeps_a_held_payment(net: Net) -> None:
    """Each party is stopped and started while a payment is held; its event is not told twice, and it is claimed afterwards."""
    buyer, provider = await net.wallet("buyer"), await net.wallet("provider")
    await net.fund(buyer)
    await net.fund(provider, push_msat=0)
    for number, party in enumerate((buyer, provider, net.hub)):
        preimage, event = await hold(provider, buyer, 30_000_000, number)
        await party.stop()
        await party.start()
        await asyncio.gather(buyer.usable(), provider.usable())
        assert event.amount_msat
        await provider.node.claim(preimage, event.amount_msat)
        ended = await buyer.event("sent", "failed")
        assert (ended.type, ended.preimage) == ("sent", preimage.hex())
    assert [event.type for event in provider.told].count("claimable") == 3
    assert await buyer.outbound_msat() == 500_000_000 - 3 * 30_000_000 - 10_000_000  # the reserve is 1 %


async def test_a_wallet_finds_its_hub_again(net: Net) -> None:
    """The hub goes away and comes back, and the wallet is connected within a second or two, not after the library's minute."""
    wallet = await net.wallet("wallet")
    await net.fund(wallet)
    await net.hub.stop()

    async def alone() -> bool:
        return not any(channel.usable for channel in await wallet.node.channels())

    await until(alone)
    await net.hub.start()
    async with asyncio.timeout(5):
        await wallet.usable()


async def test_opens_in_a_row_do_not_spend_a_coin_twice(net: Net) -> None:
    """With a sync before each, six channels are opened one after the other over four coins, and all of them stand in one block."""
    wallet = await net.wallet("wallet")
    for _ in range(6):
        await net.fund(wallet, 1_000_000, 0)
    fundings = [channel.funding.partition(":")[0] for channel in await wallet.node.channels()]

    async def arrived() -> bool:
        return all(map(net.chain.knows, fundings))

    await until(arrived)  # a 0-conf channel is usable before its transaction has reached the chain
    net.chain.mine()
    await wallet.node.sync()
    channels = await wallet.node.channels()
    assert [channel.confirmations for channel in channels] == [1] * 6
    assert all(net.chain.where(channel.funding.partition(":")[0]) for channel in channels)


async def test_a_sync_shows_what_was_mined_before_it(net: Net) -> None:
    """Ten times in a row: a coin that is in a block when `sync` is called is in the balance when it returns."""
    wallet = net.party("wallet")
    await wallet.start()
    for count in range(1, 11):
        net.coins.pay(await wallet.node.address(), 10_000)
        net.chain.mine()
        _, _, after = await asyncio.gather(wallet.node.sync(), wallet.node.sync(), wallet.node.sync())
        assert after is None
        assert (await wallet.node.balances()).onchain_sat == 10_000 * count
        assert (await wallet.node.status()).height == net.chain.height


@pytest.mark.parametrize("force", [False, True])
async def test_a_channel_is_closed_and_the_sats_come_back(net: Net, force: bool) -> None:
    """Together or by force of the wallet: what was ours is on its way, then on the chain, and can be sent."""
    wallet = await net.wallet("wallet")
    await net.fund(wallet, push_msat=400_000_000)
    (channel,) = await wallet.node.channels()
    await wallet.node.close_channel(channel.user_id, channel.peer, force)
    closed = await wallet.event("channel_closed")
    assert closed.user_id == channel.user_id
    assert closed.reason

    async def back() -> bool:
        net.chain.mine(10)
        await asyncio.gather(net.hub.node.sync(), wallet.node.sync())
        balances = await wallet.node.balances()
        return not balances.claims and balances.onchain_spendable_sat > 0

    await until(back)
    balances = await wallet.node.balances()
    assert 395_000 < balances.onchain_sat <= 400_000
    txid = await wallet.node.send_onchain(await net.hub.node.address(), None, 2)

    async def broadcast() -> bool:
        return net.chain.mempool > 0

    await until(broadcast)
    net.chain.mine()
    assert net.chain.where(txid)
    await wallet.node.sync()
    assert (await wallet.node.balances()).onchain_sat == 0
    onchain = [payment for payment in await wallet.node.payments() if payment.kind == "onchain"]
    assert txid in {payment.txid for payment in onchain}


async def test_a_reorganisation_leaves_a_deep_channel_alone(net: Net) -> None:
    """Four of nine blocks above a funding are replaced, the heights fall for a while, and the next payment goes through."""
    buyer, provider = await net.wallet("buyer"), await net.wallet("provider")
    await net.fund(buyer)
    await net.fund(provider, push_msat=0)
    net.chain.mine(9)
    await asyncio.gather(*(party.node.sync() for party in net.parties))
    net.chain.reorg(4, 5)
    await asyncio.gather(*(party.node.sync() for party in net.parties))
    assert {(await party.node.status()).hash for party in net.parties} == {net.chain.tip}
    preimage, event = await hold(provider, buyer, 1_000_000, 1)
    assert event.payment_hash == hashlib.sha256(preimage).hexdigest()
    await provider.node.claim(preimage, 1_000_000)
    assert (await buyer.event("sent", "failed")).type == "sent"


async def test_a_reorganisation_under_a_channel_costs_nothing_but_the_channel(net: Net) -> None:
    """The block with the funding is replaced: the channel stays, or it is closed and its sats come back on the chain."""
    wallet = await net.wallet("wallet")
    await net.fund(wallet, push_msat=400_000_000)
    net.chain.mine()
    await asyncio.gather(*(party.node.sync() for party in net.parties))
    net.chain.reorg(1, 2)
    await asyncio.gather(*(party.node.sync() for party in net.parties))

    async def right() -> bool:
        if any(channel.usable for channel in await wallet.node.channels()):
            return await wallet.outbound_msat() == 390_000_000
        net.chain.mine(10)
        await asyncio.gather(*(party.node.sync() for party in net.parties))
        return 395_000 < (await wallet.node.balances()).onchain_sat <= 400_000

    await until(right)


async def test_the_chain_goes_away_and_comes_back(net: Net) -> None:
    """Payments go on without the server, and when it is back at its place it is found, without a start of the node."""
    wallet = await net.wallet("wallet")
    await net.fund(wallet)
    port = int(net.url.rpartition(":")[2])
    await net.server.aclose()
    await wallet.node.pay(await net.hub.node.invoice(1_000, "meanwhile", 600), 0)
    assert (await wallet.event("sent", "failed")).type == "sent"
    net.server = ElectrumServer(net.chain)
    await net.server.start(port)
    net.chain.mine()
    await wallet.node.sync()
    status = await wallet.node.status()
    assert (status.height, status.sync_error) == (net.chain.height, None)
