"""Being paid: invoices with a preimage of ours, and those that are held for whoever knows theirs.

Every invoice is made for its hash, so the node never takes a payment by itself: the book decides. Each step may come again after a crash
and ends the same: the book is written first, then the node is told, then the event is acknowledged.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from concurrent.futures import Future

from pylon import _native
from pylon.errors import PaymentError, PaymentFailed, PaymentUnknown, PylonError
from pylon.lightning.node import LightningError, LightningNode
from pylon.lightning.values import Event, NodeStatus
from pylon.units import Msat
from pylon.wallets import asked
from pylon.wallets.base import Invoice, WalletEvent
from pylon.wallets.ldk.bills import Bill, BillStatus
from pylon.wallets.ldk.book import Desk
from pylon.wallets.ldk.channels import Channels
from pylon.wallets.ldk.life import Life
from pylon.wallets.ldk.trouble import code_of, trouble
from pylon.wallets.ldk.watch import PAUSES

log = logging.getLogger(__name__)

BATCH = 256
BLOCK_SECONDS = 600
LATE = 18
"""Blocks after which a payment that we wanted to take, and that the node has not told of, is gone: it may be claimed on the chain."""
HOLD_SECONDS = 600
"""On the private network blocks come on demand: a held payment has this long at least, by the clock (its block is in the book)."""
STALE_SECONDS = 3600
"""An invoice that ended unpaid so long ago is forgotten by the node, which keeps all records in memory; the book keeps it."""
SETTLING = 15.0
"""Seconds until a payment that we take must be ours; after that it is not known."""
HINTS = 5
"""How often an invoice is made again that names no way to us: the peer's word about a new channel is on its way."""
HINT_PAUSE = 0.1
UNCLAIMABLE = ("invalid", "unknown_payment")
"""Codes of the node for a payment that it never claims, whose preimage it has not told: less came than a provider may leave of it (LSPS2),
or its store is older than the book."""


class Incoming:
    """The invoices of one wallet."""

    def __init__(self, life: Life, channels: Channels) -> None:
        self._life = life
        self._channels = channels
        self._lapsing: asyncio.Task[None] | None = None
        self._sooner = asyncio.Event()

    async def invoice(self, amount: Msat, memo: str, expires_in: int, preimage: bytes | None, payment_hash: bytes | None) -> Invoice:
        """See the port."""
        hash_, preimage_ = asked.hash_of(amount, memo, expires_in, preimage, payment_hash)
        node, desk = await self._life.node(), await self._life.desk()
        # The node would forget an earlier payment of the same hash.
        await desk.do(lambda book, _: book.bills.refuse_known(hash_))
        jit = not await self._channels.room(node, amount)
        bolt11 = await self._made(node, amount, memo, expires_in, hash_, jit)
        read = _native.bolt11_decode(bolt11)
        expires_at = read.timestamp + read.expiry
        await desk.do(lambda book, now: book.bills.issue(hash_, bolt11, preimage_, amount, expires_at, now))
        self._watch(desk)
        return Invoice(bolt11, hash_, amount, expires_at, preimage_)

    async def settle(self, preimage: bytes) -> None:
        """See the port."""
        if len(preimage) != 32:
            raise PaymentFailed("a preimage has 32 bytes")
        payment_hash = hashlib.sha256(preimage).digest()
        desk = await self._life.desk()
        held = await desk.do(lambda book, _: book.bills.find(payment_hash))
        if held is not None and held.status is BillStatus.HELD and (node := self._life.running) is not None:
            await self._past(node, desk, held, (await node.status()).height)  # from its block on it is not ours to take
        bill = await desk.do(lambda book, now: book.bills.take(payment_hash, preimage, now))
        if bill.status is BillStatus.SETTLED:
            return
        try:
            await self._claim(await self._life.node(), bill)
            async with asyncio.timeout(SETTLING):
                while bill.status is BillStatus.CLAIMING:
                    ring = self._life.bell.ring
                    bill = await desk.do(lambda book, now: book.bills.take(payment_hash, preimage, now))
                    if bill.status is BillStatus.CLAIMING:
                        await self._life.bell.wait(ring)
        except (TimeoutError, LightningError) as error:
            raise PaymentUnknown("the payment is being taken; whether in time is not known yet", hint="look it up") from error

    async def cancel(self, payment_hash: bytes) -> None:
        """See the port."""
        desk = await self._life.desk()
        bill = await desk.do(lambda book, now: book.bills.refuse(payment_hash, now))
        if bill.loose:
            await self._refuse(await self._life.node(), payment_hash)
        self._life.bell.rouse()

    def follow(self, since: int | None) -> AsyncIterator[WalletEvent]:
        """Events after the cursor, for ever; None: from this call on."""
        desk, first = self._life.opened, None
        if since is None and desk is not None:
            first = desk.submit(lambda book, _: book.bills.cursor())
        elif since is None and not self._life.exists:
            since = 0
        return self._follow(since, first)

    async def _follow(self, since: int | None, first: Future[int] | None) -> AsyncIterator[WalletEvent]:
        while not self._life.exists and not self._life.closed:
            await self._life.bell.wait(self._life.bell.ring)  # nobody has used this wallet: nothing is started for it
        if self._life.closed:
            return
        desk = await self._opened()
        if desk is None:
            return
        self._life.wake()
        if first is not None:
            cursor = await asyncio.wrap_future(first)
        else:
            cursor = desk.first if since is None else max(0, min(since, 2**63 - 1))
        while not self._life.closed:
            ring = self._life.bell.ring
            events = await self._news(desk, cursor)
            for event in events:
                cursor = event.cursor
                yield event
            if not events:
                await self._life.bell.wait(ring)

    async def _opened(self) -> Desk | None:
        """The book, once it can be opened: who asks the wallet for something is told why not. None where the wallet ends before."""
        pause, longest = PAUSES
        while not self._life.closed:
            ring = self._life.bell.ring
            try:
                return await self._life.desk()
            except PylonError as error:
                trouble(self._life.home.folder, "the wallet's book does not open", error)
            await self._life.bell.wait(ring, pause)
            pause = min(longest, 2 * pause)
        return None

    async def _news(self, desk: Desk, cursor: int) -> list[WalletEvent]:
        return await desk.do(lambda book, _: book.bills.events(cursor, BATCH))

    async def claimable(self, node: LightningNode, event: Event) -> None:
        """A payment has arrived: take it, hold it, or send it back."""
        payment_hash, received, height = bytes.fromhex(event.payment_hash or ""), Msat(event.amount_msat or 0), event.deadline
        desk = await self._life.desk()
        found = await desk.do(lambda book, _: book.bills.find(payment_hash))
        enough = found is not None and (received >= found.amount or await self._jit(node, payment_hash))
        deadline = await self._deadline(node, height)
        bill = await desk.do(lambda book, now: book.bills.arrive(payment_hash, received, height, now + deadline, enough, now))
        if bill is not None and bill.status is BillStatus.CLAIMING:
            await self._claim(node, bill)
        elif bill is None or bill.status is not BillStatus.HELD:
            log.info("a payment is sent back: %s", "nobody asked for it" if bill is None else f"its invoice is {bill.status}")
            await self._refuse(node, payment_hash)

    async def received(self, event: Event) -> None:
        """The node has the money."""
        payment_hash, amount = bytes.fromhex(event.payment_hash or ""), Msat(event.amount_msat or 0)
        desk = await self._life.desk()
        await desk.do(lambda book, now: book.bills.settle(payment_hash, amount, now))

    async def recover(self, node: LightningNode) -> None:
        """After a start: what the book decided and the node may have forgotten."""
        desk = await self._life.desk()
        for bill in await desk.do(lambda book, _: book.bills.unfinished()):
            known = await node.payment(bill.payment_hash)
            if bill.status is BillStatus.CLAIMING and known is not None and known.status == "succeeded":
                await self._settled(desk, bill, known.amount_msat)
            elif bill.status is BillStatus.CLAIMING:
                await self._claim(node, bill)
            elif bill.loose:
                await self._refuse(node, bill.payment_hash)
        self._watch(desk)

    async def tick(self, node: LightningNode, status: NodeStatus) -> None:
        """LDK sends a held payment back by itself at its block, and says nothing."""
        desk = await self._life.desk()
        for bill in await desk.do(lambda book, _: book.bills.unfinished()):
            await self._past(node, desk, bill, status.height)
        await self._forget(node, desk)

    async def _past(self, node: LightningNode, desk: Desk, bill: Bill, now_at: int) -> None:
        """Write down a payment that went back at its block."""
        late = LATE if bill.status is BillStatus.CLAIMING else 0
        if bill.height is None or now_at < bill.height + late or bill.loose:
            return
        known = await node.payment(bill.payment_hash)
        if known is not None and known.status == "succeeded":
            await self._settled(desk, bill, known.amount_msat)
        elif await self._gone(desk, bill.payment_hash):
            log.warning("a held payment went back to its payer: it was not taken before block %d", bill.height)
            await self._refuse(node, bill.payment_hash)
            self._life.bell.rouse()

    async def _forget(self, node: LightningNode, desk: Desk) -> None:
        stale = await desk.do(lambda book, now: book.bills.stale(now - STALE_SECONDS, BATCH))
        for payment_hash in stale:
            await node.forget(payment_hash)
        if stale:
            await desk.do(lambda book, _: book.bills.dropped(stale))

    def close(self) -> None:
        """Watch no more."""
        if self._lapsing is not None:
            self._lapsing.cancel()

    async def _made(self, node: LightningNode, amount: Msat, memo: str, expires_in: int, payment_hash: bytes, jit: bool) -> str:
        try:
            bolt11 = await node.invoice(amount, memo, expires_in, payment_hash, jit)
            for _ in range(HINTS):
                if _native.bolt11_decode(bolt11).route_hints:
                    break
                await asyncio.sleep(HINT_PAUSE)
                bolt11 = await node.invoice(amount, memo, expires_in, payment_hash, jit)
        except LightningError as error:
            raise PaymentError(f"this invoice cannot be made: {error.args[1]}") from error
        return bolt11

    async def _jit(self, node: LightningNode, payment_hash: bytes) -> bool:
        """Whether it comes through a channel just in time (LSPS2): the provider takes its fee from it, and the node checks how much."""
        known = await node.payment(payment_hash)
        return known is not None and known.kind == "bolt11_jit"

    async def _claim(self, node: LightningNode, bill: Bill) -> None:
        if bill.preimage is None:
            return
        try:
            await node.claim(bill.preimage, bill.amount if bill.received is None else bill.received)
        except LightningError as error:
            if code_of(error) not in UNCLAIMABLE:
                raise
            log.warning("a payment is sent back: it cannot be taken (%s)", error.args[1])
            await self._gone(await self._life.desk(), bill.payment_hash)
            await self._refuse(node, bill.payment_hash)
            self._life.bell.rouse()

    async def _refuse(self, node: LightningNode, payment_hash: bytes) -> None:
        try:
            await node.fail(payment_hash)
        except LightningError as error:
            if code_of(error) != "unknown_payment":
                raise
        desk = await self._life.desk()
        await desk.do(lambda book, _: book.bills.tied(payment_hash))

    async def _gone(self, desk: Desk, payment_hash: bytes) -> bool:
        return await desk.do(lambda book, now: book.bills.gone(payment_hash, now))

    async def _settled(self, desk: Desk, bill: Bill, amount: int | None) -> None:
        received = bill.amount if amount is None else Msat(amount)
        await desk.do(lambda book, now: book.bills.settle(bill.payment_hash, received, now))
        self._life.bell.rouse()

    async def _deadline(self, node: LightningNode, height: int | None) -> int:
        """Seconds until the payment goes back, as far as a clock can tell."""
        if self._life.home.network == "regtest" or height is None:
            return HOLD_SECONDS
        return max(0, height - (await node.status()).height) * BLOCK_SECONDS

    def _watch(self, desk: Desk) -> None:
        """Have invoices end in time although nobody looks."""
        self._sooner.set()
        if self._lapsing is None or self._lapsing.done():
            self._lapsing = asyncio.create_task(self._lapse(desk))

    async def _lapse(self, desk: Desk) -> None:
        while not self._life.closed:
            self._sooner.clear()
            try:
                due = await desk.do(lambda book, now: (book.bills.lapse(now), book.bills.next_lapse(), now))
            except PylonError as error:  # a full disk: what is over is told when there is room
                log.warning("invoices that are over cannot be written down yet: %s", error.message)
                await asyncio.sleep(PAUSES[0])
                continue
            lapsed, following, now = due
            if lapsed:
                self._life.bell.rouse()
            try:
                async with asyncio.timeout(None if following is None else max(0, following - now) + 0.05):
                    await self._sooner.wait()
            except TimeoutError:
                continue
