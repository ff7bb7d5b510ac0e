"""What the log of a node holds, at its most talkative."""

from __future__ import annotations

import hashlib
import re

from tests.lightning.net import Net, hold


async def test_the_log_holds_nothing_that_opens_money(net: Net) -> None:
    """After payments that were claimed, at level trace, neither a preimage nor a seed nor a whole invoice stands in any log."""
    buyer = await net.wallet("buyer", log_level="trace")
    provider = await net.wallet("provider", log_level="trace")
    await net.fund(buyer)
    await net.fund(provider, push_msat=0)
    preimage, event = await hold(provider, buyer, 25_000_000, 1)
    assert event.amount_msat
    await provider.node.claim(preimage, event.amount_msat)
    assert (await buyer.event("sent", "failed")).type == "sent"
    invoice = await provider.node.invoice(30_000, "its own preimage", 600)
    await buyer.node.pay(invoice, 0)
    sent = await buyer.event("sent", "failed")
    assert sent.preimage
    await buyer.stop()
    await provider.stop()
    logs = {name: (net.folder / name / "node.log").read_text().lower() for name in ("buyer", "provider", "hub")}
    assert hashlib.sha256(preimage).hexdigest() in logs["provider"]
    assert "per_commitment_secret: […]" in logs["provider"]
    for name, text in logs.items():
        for secret in (preimage.hex(), sent.preimage, *(hashlib.sha512(name.encode()).hexdigest()[n : n + 64] for n in (0, 64))):
            assert secret not in text, name
        assert not re.search(r"lnbcrt[0-9a-z]{60}", text), name
