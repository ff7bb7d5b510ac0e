"""Paying: an intent in the book, then the node, then its word; never twice, and never a no that is not sure.

A payment runs in a task of its own: whoever waits for it may stop waiting. What failed while one of our channels closed is doubtful until
that close is resolved. After a crash the node is asked what it knows; what it does not know is looked at again before it is called failed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pylon import _native
from pylon.config import CURRENCY
from pylon.errors import InsufficientFunds, PaymentFailed, PaymentUnknown, PylonError
from pylon.lightning.node import LightningError, LightningNode
from pylon.lightning.values import Event
from pylon.units import Msat, show_sats
from pylon.wallets.base import Paid
from pylon.wallets.ldk.channels import Channels
from pylon.wallets.ldk.life import Life
from pylon.wallets.ldk.payouts import OVER, Payout, PayoutStatus
from pylon.wallets.ldk.slots import Slots
from pylon.wallets.ldk.trouble import code_of

log = logging.getLogger(__name__)

MAX_INVOICE = 7089
"""Characters: what fits into a QR code, the longest that anybody shows."""
RETRY_SECONDS = 6.0
"""How long a payment that finds no way at once is tried again, where others are in flight or the node has just come back."""
RETRY_PAUSE = 0.15
FINAL = ("recipient_rejected", "payment_expired", "unknown_required_features")
"""Reasons that another try would meet again."""
NOT_BEGUN = ("payment_sending_failed", "not_running", "invalid")
"""Codes of the node after which nothing has left the wallet."""


class Outgoing:
    """The payments of one wallet."""

    def __init__(self, life: Life, channels: Channels, slots: Slots, clock: Callable[[], float]) -> None:
        self._life = life
        self._channels = channels
        self._slots = slots
        self._clock = clock
        self._answers: dict[bytes, asyncio.Future[None]] = {}
        self._tasks: dict[bytes, asyncio.Task[None]] = {}
        self._verdicts: dict[bytes, asyncio.Future[bool]] = {}
        """For a payment that the node carries: whether it shall be tried again."""
        self._begun: set[bytes] = set()
        """Those of them that the node has said to have."""
        self._queued: dict[bytes, Msat] = {}
        self._beginning = asyncio.Lock()

    @property
    def queued(self) -> Msat:
        """What is promised to payments that the node has not begun."""
        return Msat(sum(self._queued.values()))

    async def pay(self, bolt11: str, max_fee: Msat, key: bytes) -> Paid:
        """See the port."""
        if len(key) != 32:
            raise PaymentFailed("the key of a payment has 32 bytes")
        if max_fee < 0:
            raise PaymentFailed("the limit for the fee is negative")
        text, invoice = self._checked(bolt11)
        payment_hash = invoice.payment_hash
        desk = await self._life.desk()
        known = await desk.do(lambda book, _: book.payouts.known(payment_hash, key))
        if known is None or (known.status not in OVER and payment_hash not in self._tasks):
            if invoice.timestamp + invoice.expiry > self._clock():
                node = await self._life.node()
                await self._channels.reach(node)
                # From here on the payment goes its way although the caller may not wait for it.
                await asyncio.shield(self._begin(node, text, payment_hash, Msat(invoice.amount_msat or 0), max_fee, key))
            elif known is None:
                raise PaymentFailed("this invoice has expired (by the clock of this computer)")
        return await self._outcome(payment_hash, key)

    async def sent(self, event: Event) -> None:
        """The payee has the money."""
        await self._settled(bytes.fromhex(event.payment_hash or ""), bytes.fromhex(event.preimage or ""), Msat(event.fee_msat or 0))

    async def failed(self, node: LightningNode, event: Event) -> None:
        """The node says that it failed. Is that sure, and is it final?"""
        payment_hash, reason = bytes.fromhex(event.payment_hash or ""), event.reason or "unknown"
        desk = await self._life.desk()
        payout = await desk.do(lambda book, _: book.payouts.find(payment_hash))
        if payout is None or payout.status in OVER:
            return
        verdict = self._verdicts.get(payment_hash)
        if await self._channels.doubtful(node, payout.closes):
            await self._doubted(payment_hash, reason)
            return
        known = await node.payment(payment_hash)
        if known is not None and known.status == "pending":
            await node.forget(payment_hash)  # it failed before its record was written, and another try would be a duplicate for ever
        if reason == "route_not_found" and verdict is not None and not verdict.done() and self._may_pass():
            verdict.set_result(True)
        else:
            await self._gave_up(payment_hash, reason)

    async def recover(self, node: LightningNode) -> None:
        """After a start: what the node knows of the payments that are not over, and those that only it knows."""
        for payment_hash in list(self._begun):
            self._ended(payment_hash)  # by a run of before, which may have swallowed it: looked up from now on
        await self.tick(node)
        desk = await self._life.desk()
        known = [one for one in await node.payments() if one.direction == "out" and one.status == "succeeded" and one.preimage]
        await desk.do(lambda book, _: [book.payouts.adopt(one) for one in known])

    async def tick(self, node: LightningNode) -> None:
        """Look again at what is open and not carried by a task of ours. What is carried while a channel closes may take as long as that
        close: whoever waits for it is told that it is not known."""
        desk = await self._life.desk()
        doubts: dict[int, bool] = {}
        for payout in await desk.do(lambda book, _: book.payouts.unfinished()):
            if payout.payment_hash not in self._tasks:
                await self._look(node, payout)
            elif payout.status is PayoutStatus.SENT:
                if payout.closes not in doubts:
                    doubts[payout.closes] = await self._channels.doubtful(node, payout.closes)
                if doubts[payout.closes]:
                    await self._doubted(payout.payment_hash, "channel_closed")

    def close(self) -> None:
        """Payments that wait for their turn are not begun any more; whoever waits finds the book's last word."""
        for task in self._tasks.values():
            task.cancel()
        for payment_hash in list(self._answers):
            self._tell(payment_hash)

    def _checked(self, bolt11: str) -> tuple[str, _native.Bolt11]:
        """The invoice in lower case, strictly decoded. Raises PaymentFailed for any other text."""
        if len(bolt11) > MAX_INVOICE:
            raise PaymentFailed(f"this is not a BOLT11 invoice: it has {len(bolt11):,} characters")
        try:
            invoice = _native.bolt11_decode(bolt11)
        except ValueError as error:
            raise PaymentFailed(f"this is not a BOLT11 invoice: {error}") from error
        network = self._life.home.network
        if invoice.currency != CURRENCY[network]:
            raise PaymentFailed(f"this invoice is for another network (ln{invoice.currency}); this wallet is on {network}")
        if invoice.amount_msat is None:
            raise PaymentFailed("this invoice names no amount")
        # BIP-173: an all-upper-case string is the same one (QR codes).
        return bolt11.lower(), invoice

    async def _begin(self, node: LightningNode, bolt11: str, payment_hash: bytes, amount: Msat, max_fee: Msat, key: bytes) -> None:
        """The intent, and the task that pays. A payment that was begun before a crash goes on: the node refuses to begin it twice."""
        desk = await self._life.desk()
        async with self._beginning:
            known = await desk.do(lambda book, _: book.payouts.known(payment_hash, key))
            if payment_hash in self._tasks or (known is not None and known.status in OVER):
                return
            if known is not None and (known.status is not PayoutStatus.INTENT or await node.payment(payment_hash) is not None):
                return  # the node has it: followed, never begun again
            if known is None:
                spendable = Msat(max(0, await self._channels.spendable(node) - self.queued))
                if amount > spendable:
                    raise InsufficientFunds(
                        f"the wallet can spend {show_sats(spendable)} and the invoice asks for {show_sats(amount)}",
                        hint="run `pylon wallet fund`" if self._life.hub.private else "receive first: `pylon wallet invoice`",
                    )
                await desk.do(lambda book, now: book.payouts.begin(payment_hash, key, bolt11, amount, max_fee, now))
                self._queued[payment_hash] = amount
            self._tasks[payment_hash] = task = asyncio.create_task(self._carry(payment_hash, bolt11, max_fee))
            task.add_done_callback(lambda _: self._left(payment_hash))

    def _left(self, payment_hash: bytes) -> None:
        """The task of a payment has ended; its outcome is in the book, or it is looked up from now on."""
        task = self._tasks.pop(payment_hash)
        self._queued.pop(payment_hash, None)
        self._verdicts.pop(payment_hash, None)
        self._begun.discard(payment_hash)
        if not task.cancelled() and (error := task.exception()):
            self._channels.settle_again()
            log.error("a payment is looked up from now on: %r", error)
        self._tell(payment_hash)

    async def _carry(self, payment_hash: bytes, bolt11: str, max_fee: Msat) -> None:
        """Wait for a slot and have the node pay; again while a way may open. The end comes as an event, and is in the book by then."""
        loop = asyncio.get_running_loop()
        async with self._slots.one():
            until = loop.time() + RETRY_SECONDS
            while True:
                verdict = self._verdicts[payment_hash] = loop.create_future()
                refused = await self._ask(bolt11, max_fee)
                self._queued.pop(payment_hash, None)
                if refused == "":
                    desk = await self._life.desk()
                    await desk.do(lambda book, now: book.payouts.sent(payment_hash, now))
                elif refused == "duplicate_payment":
                    await self._find(payment_hash)
                if refused in ("", "duplicate_payment"):
                    self._begun.add(payment_hash)
                    if not await verdict:
                        return
                    self._begun.discard(payment_hash)
                    refused = "route_not_found"
                elif refused not in NOT_BEGUN:
                    self._channels.settle_again()
                    log.error("whether a payment has begun is not known (%s): it is looked up", refused)
                    return
                if loop.time() > until or not self._may_pass():
                    await self._gave_up(payment_hash, refused)
                    return
                await asyncio.sleep(RETRY_PAUSE)

    async def _ask(self, bolt11: str, max_fee: Msat) -> str:
        """Have the node begin; the code of its refusal, or nothing."""
        node = await self._life.node()
        try:
            await node.pay(bolt11, max_fee)
        except LightningError as error:
            return code_of(error)
        return ""

    def _may_pass(self) -> bool:
        """Whether a way that is missing now may open: others are in flight, or the node, or its peer, has just come back."""
        return self._slots.used > 1 or self._channels.young()

    async def _find(self, payment_hash: bytes) -> None:
        """The node has this payment already: where it is settled, no event comes any more."""
        desk, node = await self._life.desk(), await self._life.node()
        payout = await desk.do(lambda book, _: book.payouts.find(payment_hash))
        known = await node.payment(payment_hash)
        if payout is not None and known is not None and known.status == "succeeded":
            await self._look(node, payout)

    async def _look(self, node: LightningNode, payout: Payout) -> None:
        """What the node knows of a payment that nobody carries."""
        known = await node.payment(payout.payment_hash)
        if known is not None and known.status == "succeeded" and known.preimage is not None:
            await self._settled(payout.payment_hash, bytes.fromhex(known.preimage), Msat(known.fee_msat or 0))
        elif known is not None and known.status == "failed":
            if await self._channels.doubtful(node, payout.closes):
                await self._doubted(payout.payment_hash, payout.reason)
            else:
                await self._gave_up(payout.payment_hash, payout.reason or "unknown")
        elif not await self._channels.doubtful(node, payout.closes) and await self._channels.forgot(node, payout.payment_hash):
            if known is not None:
                await node.forget(payout.payment_hash)  # else it would call another try a duplicate, for ever
            await self._gave_up(payout.payment_hash, "not_sent")

    async def _settled(self, payment_hash: bytes, preimage: bytes, fee: Msat) -> None:
        desk = await self._life.desk()
        before = await desk.do(lambda book, _: book.payouts.find(payment_hash))
        settled = await desk.do(lambda book, now: book.payouts.settle(payment_hash, preimage, fee, now))
        if settled and before is not None and before.status is PayoutStatus.FAILED:
            log.error("a payment that counted as failed has arrived after all: %s", payment_hash.hex())
        self._ended(payment_hash)

    async def _doubted(self, payment_hash: bytes, reason: str) -> None:
        desk = await self._life.desk()
        if await desk.do(lambda book, now: book.payouts.doubt(payment_hash, reason, now)):
            log.warning("a payment is not known before the close of a channel is resolved")
        self._ended(payment_hash)

    async def _gave_up(self, payment_hash: bytes, reason: str) -> None:
        desk = await self._life.desk()
        payout = await desk.do(lambda book, _: book.payouts.find(payment_hash))
        again = reason not in FINAL and payout is not None and payout.status is not PayoutStatus.DOUBTFUL
        await desk.do(lambda book, now: book.payouts.fail(payment_hash, reason, now, again=again))
        self._ended(payment_hash)

    def _ended(self, payment_hash: bytes) -> None:
        """The book has its word: whoever carries it lets go, whoever waits reads it."""
        verdict = self._verdicts.get(payment_hash)
        if verdict is not None and not verdict.done():
            verdict.set_result(False)
        self._tell(payment_hash)

    def _tell(self, payment_hash: bytes) -> None:
        answer = self._answers.pop(payment_hash, None)
        if answer is not None and not answer.done():
            answer.set_result(None)

    async def _outcome(self, payment_hash: bytes, key: bytes) -> Paid:
        """Wait for the end, and say it."""
        desk = await self._life.desk()
        while not self._life.closed:
            answer = self._answers.setdefault(payment_hash, asyncio.get_running_loop().create_future())
            try:
                payout = await desk.do(lambda book, _: book.payouts.find(payment_hash))
            except PylonError as error:  # a book that fails, or is closed: what became of the money is not known
                raise PaymentUnknown(f"the outcome of the payment is not known: {error.message}", hint=error.hint) from error
            if payout is None or payout.key != key:
                raise PaymentFailed("this invoice is being paid with another key")
            if payout.status is PayoutStatus.SETTLED and payout.preimage is not None:
                return Paid(payout.preimage, payout.fee)
            if payout.status is PayoutStatus.FAILED:
                raise PaymentFailed(payout.sentence())
            if payout.status is PayoutStatus.DOUBTFUL:
                raise PaymentUnknown("a channel closed while the payment was on its way", hint="it is known when the close is resolved")
            self._life.wake()
            await asyncio.shield(answer)
        raise PaymentUnknown("the wallet was closed while the payment was on its way", hint="look it up")
