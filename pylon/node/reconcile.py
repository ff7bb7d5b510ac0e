"""The journal held against the wallet, at every start: what the wallet has moved, and what we say that it has.

Healed is only what is certain: money that has come or gone, by the wallet's own word. What does not fit is kept and shown (`differences`):
by `pylon wallet status`, `pylon doctor` and `pylon wallet history --json`. What is under way needs no comparison: it is looked up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping

from pylon.errors import PylonError
from pylon.market.payment import Status
from pylon.market.signals import Paid
from pylon.node import earning
from pylon.node.differences import Difference, Kind
from pylon.node.node import Node
from pylon.wallets.base import Direction, PaymentRecord, PaymentStatus, Wallet, WalletEvent

log = logging.getLogger("pylon.node")

Key = tuple[Direction, bytes]
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two tries of a wallet that cannot list its payments yet."""


async def reconcile(node: Node, wallet: Wallet) -> list[Difference]:
    """Compare once, heal what is certain, keep the rest: all differences that there are now. A wallet that does not list its payments is
    believed. Raises PylonError where it cannot list them now."""
    if not wallet.capabilities.lists_payments:
        return []
    began = time.time()
    records = {(record.direction, record.payment_hash): record for record in await wallet.payments(0)}
    found = await _heal(node, wallet, records.values())
    found += _compare(node, records, began)
    for one in node.ledger.note(found, now=time.time()):
        log.warning(
            "journal and wallet differ (%s, %s): the journal says %s, the wallet %s", one.kind, one.direction,
            one.journal or "nothing", one.says or "nothing",
        )
    return found


async def once(node: Node, wallet: Wallet) -> None:
    """Compare as soon as the wallet can."""
    pause = FIRST_PAUSE
    while True:
        try:
            await reconcile(node, wallet)
        except PylonError as error:
            log.warning("the journal cannot be held against the wallet yet: %s", error.message)
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
        else:
            return


async def _heal(node: Node, wallet: Wallet, records: Iterable[PaymentRecord]) -> list[Difference]:
    """Take in what the wallet has settled and the journal has not: incoming by the ordinary signal, outgoing that had counted as failed."""
    found = []
    stands = node.ledger.statuses()
    for record in records:
        status = stands.get((record.direction, record.payment_hash))
        if record.status is not PaymentStatus.SETTLED or status is Status.SETTLED:
            continue
        if record.direction is Direction.IN:
            state = await wallet.lookup(record.payment_hash, Direction.IN)
            log.warning("a payment to us (%d msat) had not come to the journal; it is taken in now", record.amount)
            earning.take(node, WalletEvent(0, record.payment_hash, record.status, record.amount, record.at, state.preimage))
        elif status is Status.FAILED:
            state = await wallet.lookup(record.payment_hash, Direction.OUT)
            with node.ledger.transaction(full=True):
                node.ledger.take(record.payment_hash, Paid(state.preimage or b"", record.fee), now=time.time())
            found.append(_difference(Kind.STATUS, record, Status.FAILED, record.status))
    return found


def _compare(node: Node, records: Mapping[Key, PaymentRecord], began: float) -> list[Difference]:
    """What was settled before the comparison began, on either side, and does not fit."""
    found = []
    for direction, payment_hash, amount, fee in node.ledger.settled(before=began):
        record = records.get((direction, payment_hash))
        if record is None:
            found.append(Difference(kind=Kind.NOT_IN_WALLET, direction=direction, payment_hash=payment_hash, journal=str(amount), says=""))
        elif record.status is not PaymentStatus.SETTLED:
            found.append(_difference(Kind.STATUS, record, Status.SETTLED, record.status))
        elif record.amount != amount:
            found.append(_difference(Kind.AMOUNT, record, amount, record.amount))
        elif direction is Direction.OUT and record.fee != fee:
            found.append(_difference(Kind.FEE, record, fee, record.fee))
    stands = node.ledger.statuses()
    for key, record in records.items():
        if record.status is not PaymentStatus.SETTLED:
            continue
        if key not in stands:
            found.append(_difference(Kind.NOT_IN_JOURNAL, record, "", record.amount))
        elif record.direction is Direction.IN and stands[key] is not Status.SETTLED:
            found.append(_difference(Kind.AMOUNT, record, stands[key], record.amount))  # too little came: `earning.take`
    return found


def _difference(kind: Kind, record: PaymentRecord, journal: object, says: object) -> Difference:
    return Difference(kind=kind, direction=record.direction, payment_hash=record.payment_hash, journal=str(journal), says=str(says))
