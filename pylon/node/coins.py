"""Coins that leave on the chain: by the same limits and in the same journal as payments.

Their line has no invoice. Its hash is a mark of our own until the transaction is known, and the txid from then on. A refusal leaves no
line, since nothing left. What breaks in the middle stays unknown: nobody can look up a transaction without its name; a person has to.
"""

from __future__ import annotations

import logging
import secrets
import time

from pylon.errors import PaymentError, PaymentUnknown
from pylon.market.job import Trouble
from pylon.market.payment import Status
from pylon.market.signals import PayUnknown
from pylon.node.allowance import Allowance
from pylon.node.journal import Payment
from pylon.node.ledger import Ledger
from pylon.units import Msat
from pylon.wallets.base import Coins, Direction, NodeWallet

log = logging.getLogger("pylon.node")


async def send(
    ledger: Ledger, allowance: Allowance, node: NodeWallet, address: str, amount: Msat | None, sat_per_vbyte: int | None
) -> Coins:
    """Send coins, or all of them (None). Raises OverLimit and what the wallet says; PaymentUnknown where it broke in the middle."""
    most = amount if amount is not None else (await node.balance()).onchain
    mark, now = secrets.token_bytes(32), time.time()
    line = Payment(
        direction=Direction.OUT, payment_hash=mark, bolt11="", amount=most, status=Status.INTENT, at=now, memo=f"coins to {address}"
    )
    # From here to the mark `sent` nothing is awaited: of two that spend at once, each sees what the other has taken.
    if (error := allowance.refusal_of_coins(line, now)) is not None:
        raise error
    with ledger.transaction(full=True):
        ledger.intend(line)
        ledger.send(mark, now=now)
    try:
        coins = await node.send_onchain(address, amount, sat_per_vbyte=sat_per_vbyte)
    except PaymentUnknown as unknown:
        _unknown(ledger, mark, unknown.message)
        raise
    except PaymentError:
        with ledger.transaction():
            ledger.forget_coins(mark)
        raise
    except Exception as broken:  # whatever else it breaks with: it is not a no
        log.exception("the wallet broke while it sent coins")
        _unknown(ledger, mark, f"the wallet broke: {type(broken).__name__}")
        raise PaymentUnknown(
            f"the wallet does not say what became of the coins: {broken}", hint=f"look for them at {address} before you send again"
        ) from broken
    with ledger.transaction(full=True):
        ledger.settle_coins(mark, coins.txid, coins.amount, coins.fee, now=time.time())
    return coins


def _unknown(ledger: Ledger, mark: bytes, why: str) -> None:
    with ledger.transaction():
        ledger.take(mark, PayUnknown(Trouble(PaymentUnknown.code, why)), now=time.time())
