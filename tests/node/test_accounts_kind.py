"""What kind of payment a line of the history is."""

from __future__ import annotations

import pytest

from pylon.market.payment import Status
from pylon.node.accounts import payment_document
from pylon.node.journal import Payment
from pylon.units import Msat
from pylon.wallets.base import Direction


@pytest.mark.parametrize(("direction", "kind"), [(Direction.IN, "lightning"), (Direction.OUT, "onchain")])
def test_a_line_without_an_invoice(direction: Direction, kind: str) -> None:
    """Coins that were sent have a transaction; money that came for an invoice of another journal (the faucet's) has a payment hash."""
    line = Payment(direction=direction, payment_hash=b"\1" * 32, bolt11="", amount=Msat(5), status=Status.SETTLED, at=1.0, settled_at=2.0)
    document = payment_document(line)
    assert document["kind"] == kind
    assert (document["payment_hash"], document["txid"])[kind == "onchain"] == "01" * 32
    assert (document["txid"], document["payment_hash"])[kind == "onchain"] is None
