"""Payments between real nodes over a real hub: one hop after the other, held, failed, many, and those that cannot be."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from pylon.lightning.node import LightningError
from tests.lightning.net import Net, Party, hold, until


async def pair(net: Net) -> tuple[Party, Party]:
    """A buyer with half a million sats and a provider with none, who can receive."""
    buyer, provider = await net.wallet("buyer"), await net.wallet("provider")
    await net.fund(buyer)
    await net.fund(provider, push_msat=0)
    return buyer, provider


async def test_a_payment_from_wallet_to_wallet(net: Net) -> None:
    """Wallets without a coin take channels that need no block, the hub forwards between them, and both know the preimage's proof."""
    buyer, provider = await pair(net)
    height = net.chain.height
    invoice = await provider.node.invoice(21_000, "a job", 600)
    assert invoice.startswith("lnbcrt210n")
    await buyer.node.pay(invoice, 0)
    sent, received, forwarded = await asyncio.gather(
        buyer.event("sent", "failed"), provider.event("received"), net.hub.event("forwarded")
    )
    assert (sent.type, sent.fee_msat) == ("sent", 0)
    assert sent.preimage
    assert sent.payment_hash
    assert hashlib.sha256(bytes.fromhex(sent.preimage)).hexdigest() == sent.payment_hash == received.payment_hash
    assert (received.amount_msat, forwarded.amount_msat, forwarded.peer) == (21_000, 21_000, provider.node.node_id)
    paid = await buyer.node.payment(bytes.fromhex(sent.payment_hash))
    assert paid
    assert (paid.direction, paid.status, paid.preimage, paid.fee_msat) == ("out", "succeeded", sent.preimage, 0)
    got = await provider.node.payment(bytes.fromhex(sent.payment_hash))
    assert got
    assert (got.direction, got.status, got.amount_msat) == ("in", "succeeded", 21_000)
    assert net.chain.height == height
    with pytest.raises(LightningError) as error:
        await buyer.node.pay(invoice, 0)
    assert error.value.args[0] == "duplicate_payment"


async def test_a_held_payment_is_claimed_or_failed_and_the_hub_knows_that_it_is_held(net: Net) -> None:
    """With a hash of our own nothing is claimed by itself; while it is held the hub sees what goes out, dust or not, and then no more."""
    buyer, provider = await pair(net)

    async def held_msat() -> int:
        claims = (await net.hub.node.balances()).claims
        return sum(claim.outgoing_forward_msat for claim in claims)

    async def none_held() -> bool:
        return await held_msat() == 0

    for number, (amount, claimed) in enumerate([(50_000, True), (50_000_000, True), (50_000_777, False), (1, False)]):
        preimage, event = await hold(provider, buyer, amount, number)
        assert event.amount_msat == amount
        assert event.deadline
        assert event.deadline > net.chain.height + 18
        assert await held_msat() == amount
        if claimed:
            await provider.node.claim(preimage, amount)
            ended = await buyer.event("sent", "failed")
            assert (ended.type, ended.preimage) == ("sent", preimage.hex())
        else:
            await provider.node.fail(hashlib.sha256(preimage).digest())
            ended = await buyer.event("sent", "failed")
            assert (ended.type, ended.reason) == ("failed", "recipient_rejected")
        await until(none_held)


async def test_a_channel_can_be_filled_by_one_payment(net: Net) -> None:
    """The first channel of a provider takes 90 % of its capacity at once, and then gives it back."""
    buyer, provider = await net.wallet("buyer"), await net.wallet("provider")
    await net.fund(buyer, 2_000_000, 1_900_000_000)
    await net.fund(provider, 1_000_000, 0)
    for payer, payee, amount in ((buyer, provider, 900_000_000), (provider, buyer, 800_000_000)):

        async def there(payer: Party = payer, amount: int = amount) -> bool:
            return await payer.outbound_msat() >= amount

        await until(there)
        await payer.node.pay(await payee.node.invoice(amount, "all of it", 600), 0)
        ended = await payer.event("sent", "failed")
        assert ended.type == "sent", ended


async def test_more_than_a_channel_holds_is_refused_and_may_be_tried_again(net: Net) -> None:
    """Fifty payments are held at most on a channel; what is refused was not sent, and the same invoice is paid when there is room."""
    buyer, provider = await pair(net)
    preimages = [hashlib.sha256(f"slot {n}".encode()).digest() for n in range(60)]
    hashes = [hashlib.sha256(preimage).digest() for preimage in preimages]
    invoices = [await provider.node.invoice(1_000, "slot", 600, payment_hash) for payment_hash in hashes]
    refused: list[int] = []
    begun: list[int] = []
    for number, invoice in enumerate(invoices):
        try:
            await buyer.node.pay(invoice, 0)
            begun.append(number)
        except LightningError as error:
            if error.args[0] != "payment_sending_failed":
                raise
            refused.append(number)
    assert len(begun) == 50
    for _ in begun:
        await provider.event("claimable")
    for number in begun:
        await provider.node.claim(preimages[number], 1_000)
    for _ in begun:
        assert (await buyer.event("sent", "failed")).type == "sent"
    for number in refused[:3]:
        await buyer.node.pay(invoices[number], 0)
        await provider.event("claimable")
        await provider.node.claim(preimages[number], 1_000)
        assert (await buyer.event("sent", "failed")).type == "sent"


async def test_what_cannot_be_paid(net: Net) -> None:
    """Our own invoice, another network's, one without a route, more than we have, and what is no invoice: none of them begins."""
    buyer, provider = await pair(net)
    own = await buyer.node.invoice(1_000, "mine", 600)
    much = await provider.node.invoice(600_000_000, "too much", 600)
    stranger = net.party("stranger")
    await stranger.start()
    nowhere = await stranger.node.invoice(1_000, "no channel", 600)
    unsent = "payment_sending_failed"
    for invoice, code in ((own, "own_invoice"), (much, unsent), (nowhere, unsent), ("lntbs1", "invalid")):
        with pytest.raises(LightningError) as error:
            await buyer.node.pay(invoice, 0)
        assert error.value.args[0] == code, invoice
    for call in (
        buyer.node.invoice(0, "nothing", 600), buyer.node.invoice(1, "m" * 640, 600), buyer.node.claim(bytes(31), 1),
        buyer.node.payment(b"short"), buyer.node.send_onchain("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", 1000),
        buyer.node.close_channel("x", net.hub.node.node_id), buyer.node.connect("02", net.address),
    ):
        with pytest.raises(LightningError) as error:
            await call
        assert error.value.args[0] == "invalid"
    with pytest.raises(LightningError) as error:
        await buyer.node.fail(bytes(32))
    assert error.value.args[0] == "unknown_payment"


async def test_an_invoice_that_was_forgotten_takes_no_payment(net: Net) -> None:
    """It is no payment of the node any more, and what comes for it goes back to its payer."""
    buyer, provider = await pair(net)
    payment_hash = hashlib.sha256(bytes(32)).digest()
    invoice = await provider.node.invoice(1_000, "too late", 600, payment_hash)
    await provider.node.forget(payment_hash)
    await provider.node.forget(payment_hash)
    assert await provider.node.payments() == []
    await buyer.node.pay(invoice, 0)
    assert (await buyer.event("sent", "failed")).type == "failed"
    assert "claimable" not in {event.type for event in provider.told}


async def test_a_first_payment_may_bring_its_channel(net: Net) -> None:
    """A provider without a channel asks the hub for an invoice that opens one (LSPS2), and the payment arrives over it."""
    buyer, provider = await net.wallet("buyer"), await net.wallet("provider")
    await net.fund(buyer, 2_000_000, 1_000_000_000)
    await net.hub.node.sync()
    invoice = await provider.node.invoice(100_000_000, "the first", 600, jit=True)
    await buyer.node.pay(invoice, 0)
    sent, received = await asyncio.gather(buyer.event("sent", "failed"), provider.event("received"))
    assert (sent.type, received.amount_msat) == ("sent", 100_000_000)
    assert len(await provider.node.channels()) == 1
