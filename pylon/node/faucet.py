"""Money from the faucet of a test network: a line of the journal like any other, so that the books add up from the first sat on.

The line is there before the faucet is asked. Where the faucet pays an invoice of the wallet's own, the payment's hash takes the place of
the mark, whichever of the two the journal hears of first; where it opens a channel with the money in it there is no payment to name.
"""

from __future__ import annotations

import secrets
import time

from pylon.errors import PylonError
from pylon.market.payment import Status
from pylon.node.figures import FAUCET
from pylon.node.journal import Payment
from pylon.node.ledger import Ledger
from pylon.units import Msat
from pylon.wallets.base import Direction, Wallet

MEMO = "from the faucet"


async def fund(ledger: Ledger, wallet: Wallet, amount: Msat) -> None:
    """Ask the faucet. Raises what the wallet says; then there is no line, since nothing came. What a kill cuts off stays open."""
    mark = secrets.token_bytes(32)
    with ledger.transaction():
        ledger.intend(Payment(
            direction=Direction.IN, payment_hash=mark, bolt11="", amount=amount, status=Status.OPEN, at=time.time(), memo=MEMO, peer=FAUCET,
        ))
    try:
        payment_hash = await wallet.fund(amount)
    except PylonError:
        with ledger.transaction():
            ledger.forget_gift(mark)
        raise
    with ledger.transaction(full=True):
        if payment_hash is None:
            ledger.settle(Direction.IN, mark, now=time.time())
        else:
            ledger.name_gift(mark, payment_hash)
