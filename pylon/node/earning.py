"""What the wallet tells of our invoices, into the journal and the jobs.

The cursor is stored after the news: what comes twice changes nothing.
"""

from __future__ import annotations

import logging
import time

from pylon.market.job import Role
from pylon.market.signals import Expired, Settled
from pylon.node.node import Node
from pylon.wallets.base import Direction, PaymentStatus, Wallet, WalletEvent

log = logging.getLogger("pylon.node")

CURSOR = "wallet"


async def follow(node: Node, wallet: Wallet) -> None:
    """Take every event of the wallet in, from where the last run ended, until cancelled."""
    mark = f"{CURSOR}.{wallet.capabilities.name}.{wallet.capabilities.network}"
    async for event in wallet.events(node.ledger.mark(mark) or 0):
        take(node, event)
        node.ledger.set_mark(mark, event.cursor)


def take(node: Node, event: WalletEvent) -> None:
    """One event: it may come twice (the cursor is stored after it), and then changes nothing."""
    job = node.ledger.provider_job_by_hash(event.payment_hash)
    if event.status is PaymentStatus.SETTLED:
        if job is not None:
            node.apply(Role.PROVIDER, job.id, Settled(event.amount, event.preimage or b""))
            return
        payment = node.ledger.payment(Direction.IN, event.payment_hash)
        if payment is None:
            log.warning("a payment arrived for an invoice that this ledger does not know (%d msat)", event.amount)
            return
        with node.ledger.transaction(full=True):
            node.ledger.settle(Direction.IN, event.payment_hash, now=time.time(), preimage=event.preimage or b"")
    elif event.status in (PaymentStatus.EXPIRED, PaymentStatus.FAILED) and job is not None:
        node.apply(Role.PROVIDER, job.id, Expired())
