"""What the wallet tells of our invoices, into the journal and the jobs.

The cursor is stored after the news: what comes twice changes nothing.
"""

from __future__ import annotations

import logging
import time

from pylon.market.job import Role
from pylon.market.payment import Status
from pylon.market.signals import Expired, Settled
from pylon.node.journal import Payment
from pylon.node.node import Node
from pylon.wallets.base import Direction, PaymentStatus, Wallet, WalletEvent

log = logging.getLogger("pylon.node")

CURSOR = "wallet"


async def follow(node: Node, wallet: Wallet) -> None:
    """Take every event of the wallet in, from where the last run ended, until cancelled."""
    mark = f"{CURSOR}.{wallet.capabilities.name}.{wallet.capabilities.network}"
    async for event in wallet.events(node.ledger.mark(mark) or 0):
        take(node, event)
        with node.ledger.transaction():  # not for the disk: an event that comes twice changes nothing
            node.ledger.set_mark(mark, event.cursor)


def take(node: Node, event: WalletEvent) -> None:
    """One event: it may come twice (the cursor is stored after it), and then changes nothing."""
    job = node.ledger.provider_job_by_hash(event.payment_hash)
    if event.status is PaymentStatus.SETTLED:
        if job is not None and event.amount < job.price:
            # Lightning pays an invoice in full or not at all: a wallet that says otherwise is not believed, and the invoice stays open.
            log.error("job %s: the wallet tells of %d msat for an invoice of %d", job.id, event.amount, job.price)
            return
        if job is not None:
            node.apply(Role.PROVIDER, job.id, Settled(event.amount, event.preimage or b""))
            return
        with node.ledger.transaction(full=True):
            if node.ledger.payment(Direction.IN, event.payment_hash) is None:
                # The wallet's own business (a faucet), or a ledger that was lost: it is money all the same, and has its line.
                log.warning("a payment of %d msat arrived for an invoice that this ledger does not know", event.amount)
                node.ledger.intend(Payment(
                    direction=Direction.IN, payment_hash=event.payment_hash, bolt11="", amount=event.amount, status=Status.OPEN,
                    at=float(event.at), memo="not an invoice of this journal",
                ))
            node.ledger.settle(
                Direction.IN, event.payment_hash, now=time.time(), preimage=event.preimage or b"", received=event.amount
            )
    elif event.status in (PaymentStatus.EXPIRED, PaymentStatus.FAILED):
        if job is not None:
            node.apply(Role.PROVIDER, job.id, Expired())
        else:
            node.ledger.close_invoice(event.payment_hash)
