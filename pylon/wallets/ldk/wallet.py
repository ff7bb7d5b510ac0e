"""`ldk`: real Lightning by a node of our own, embedded in this process, over ldk-node.

On regtest it joins the private network of this machine, whose sats have no value; on the other networks it needs a source of blocks. The
parts: `life` starts and watches the node, `book` is what we meant, `incoming`, `outgoing` and `channels` work on it.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from pylon.config import Config
from pylon.errors import PaymentError
from pylon.lightning.node import LightningNode
from pylon.lightning.values import Event, NodeStatus
from pylon.units import MAX_MSAT, Msat, show_sats
from pylon.wallets import base
from pylon.wallets.base import (
    Balance,
    Capabilities,
    Channel,
    Direction,
    Health,
    Invoice,
    NodeWallet,
    Paid,
    PaymentRecord,
    PaymentState,
    PaymentStatus,
    WalletEvent,
)
from pylon.wallets.ldk.backup import read_backup, restore_backup
from pylon.wallets.ldk.channels import Channels
from pylon.wallets.ldk.coins import Coins
from pylon.wallets.ldk.hub import Hub, PrivateHub, Provider
from pylon.wallets.ldk.incoming import Incoming
from pylon.wallets.ldk.life import Home, Life
from pylon.wallets.ldk.outgoing import Outgoing
from pylon.wallets.ldk.slots import Slots
from pylon.wallets.ldk.trouble import plainly

__all__ = ["LdkWallet", "open_ldk", "read_backup", "restore_backup"]

NOTHING = Balance(Msat(0), Msat(0), Msat(0))
BOOK_LABEL = b"pylon/wallet/book"


class LdkWallet:
    """One identity's Lightning wallet, in one event loop. It implements the life of its node's `Parts`."""

    def __init__(self, home: Home, hub: Hub, channels: int, clock: Callable[[], float] = time.time) -> None:
        self._life = Life(home, hub, self, clock)
        slots = Slots()
        self._channels = Channels(self._life, slots, channels)
        self._incoming = Incoming(self._life, self._channels)
        self._outgoing = Outgoing(self._life, self._channels, slots, clock)
        self._coins = Coins(self._life)
        self._funding = asyncio.Lock()
        self._capabilities = Capabilities(
            name="ldk", network=home.network, msat=True, choose_preimage=True, knows_preimage=True, hold=True, faucet=hub.private,
            push_events=True, simulated=False, lists_payments=True, node=True,
        )  # fmt: skip
        if self._life.exists and in_loop():
            self._life.wake()

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return self._capabilities

    async def balance(self) -> Balance:
        """The node's truth. A wallet that nobody has used holds nothing, and is not started for that."""
        if not self._life.exists:
            return NOTHING
        with self._plainly():
            node, desk = await self._life.node(), await self._life.desk()
            pending = await desk.do(lambda book, _: book.payouts.pending())
            return await self._channels.balance(node, pending, self._outgoing.queued)

    async def invoice(
        self, amount: Msat, memo: str, expires_in: int, *, preimage: bytes | None = None, payment_hash: bytes | None = None
    ) -> Invoice:
        """Make an invoice; see the port. On the private network the hub gives room to receive it."""
        with self._plainly():
            return await self._incoming.invoice(amount, memo, expires_in, preimage, payment_hash)

    async def pay(self, bolt11: str, *, max_fee: Msat, key: bytes) -> Paid:
        """Pay an invoice; a hold invoice is waited for. The same key joins the payment that it began. A payment that failed for a passing
        reason may be tried again, with its key or another one; one that its payee refused may not."""
        with self._plainly():
            return await self._outgoing.pay(bolt11, max_fee, key)

    async def lookup(self, payment_hash: bytes, direction: Direction) -> PaymentState:
        """How our invoice (`IN`) or our payment (`OUT`) stands. A cancelled invoice is `failed`."""
        if not self._life.exists:
            return PaymentState(PaymentStatus.UNKNOWN)
        self._life.wake()
        desk = await self._life.desk()
        if direction is Direction.IN:
            await desk.do(lambda book, now: book.bills.lapse(now))
        found = await desk.do(lambda book, _: (book.bills if direction is Direction.IN else book.payouts).find(payment_hash))
        return PaymentState(PaymentStatus.UNKNOWN) if found is None else found.state()

    async def settle(self, preimage: bytes) -> None:
        """Take a held payment; see the port. Raises PaymentUnknown where it is not ours within some seconds: look it up."""
        await self._incoming.settle(preimage)

    async def cancel(self, payment_hash: bytes) -> None:
        """Close an invoice; see the port. Raises PaymentFailed where it is settled, or not ours."""
        with self._plainly():
            await self._incoming.cancel(payment_hash)

    def events(self, since: int | None) -> AsyncIterator[WalletEvent]:
        """Changes of our invoices (held, settled, failed, expired) after `since`, for ever, over restarts. None begins with this call."""
        return self._incoming.follow(since)

    async def fund(self, amount: Msat) -> bytes | None:
        """The faucet of the private network: exactly that much more to spend, over a channel that has room, or a new one."""
        if not self._life.hub.private:
            await self._life.hub.fund("", amount, 0)
        if not 0 < amount <= MAX_MSAT:
            raise PaymentError(f"the faucet cannot give {show_sats(amount)}")
        with self._plainly():
            return await self._fund(amount)

    async def _fund(self, amount: Msat) -> bytes | None:
        node = await self._life.node()
        async with self._funding:
            if await self._channels.receivable(node) < amount:
                await self._channels.fund(node, amount)
                return None
            await self._channels.reach(node)
            before = await self._channels.spendable(node)
            invoice = await self._incoming.invoice(amount, "fund", 600, None, None)
            await self._life.hub.pay(invoice.bolt11)
            await self._channels.until(node, lambda _, spendable: spendable >= before + amount)
            return invoice.payment_hash

    async def payments(self, since: float) -> Sequence[PaymentRecord]:
        """All invoices and payments that are open or changed since then; see the port."""
        if not self._life.exists:
            return []
        self._life.wake()
        desk = await self._life.desk()
        return await desk.do(lambda book, _: [*book.bills.records(int(since)), *book.payouts.records(int(since))])

    async def health(self) -> Health:
        """How the node is, by its last look."""
        return self._life.health

    async def channels(self) -> Sequence[Channel]:
        """The open channels."""
        if not self._life.exists:
            return []
        with self._plainly():
            return await self._coins.channels()

    async def close_channel(self, channel: str, *, force: bool) -> None:
        """Begin to close a channel; none takes its place."""
        with self._plainly():
            await self._coins.close_channel(channel, force)

    async def address(self) -> str:
        """A new address for coins."""
        return await self._coins.address()

    async def send_onchain(self, address: str, amount: Msat | None, *, sat_per_vbyte: int | None) -> base.Coins:
        """Send coins; see the port."""
        return await self._coins.send(address, amount, sat_per_vbyte)

    async def backup(self, target: Path) -> None:
        """Write an encrypted copy of the book and the node's store; see `pylon.wallets.ldk.backup`."""
        await self._coins.backup(target)

    async def aclose(self) -> None:
        """Stop the node in order. Who still waits for a payment gets PaymentUnknown; iterations of events end. Idempotent."""
        self._outgoing.close()
        self._incoming.close()
        self._channels.close()
        await self._life.aclose()
        self._outgoing.close()

    def _plainly(self) -> AbstractContextManager[None]:
        return plainly(self._life.home.folder)

    async def recover(self, node: LightningNode) -> None:
        """The node runs again: bring it and the book together."""
        await self._channels.recover(node)
        await self._incoming.recover(node)
        await self._outgoing.recover(node)

    async def handle(self, node: LightningNode, event: Event) -> None:
        """Something happened to the node."""
        match event.type:
            case "claimable":
                await self._incoming.claimable(node, event)
            case "received":
                await self._incoming.received(event)
            case "sent":
                await self._outgoing.sent(event)
            case "failed":
                await self._outgoing.failed(node, event)
            case "channel_pending" | "channel_ready":
                await self._channels.ready(node, event)
            case "channel_closed":
                await self._channels.closed(node, event)

    async def tick(self, node: LightningNode, status: NodeStatus) -> None:
        """Some time has passed."""
        await self._channels.tick(node)
        await self._incoming.tick(node, status)
        await self._outgoing.tick(node)


def in_loop() -> bool:
    """Whether an event loop runs here."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def open_ldk(*, home: Path, state: Path, secret: bytes, seed: bytes, config: Config) -> NodeWallet:
    """The entry point `ldk` of the group `pylon.wallets`. In a running event loop, a wallet that exists starts in the background."""
    key = hmac.digest(secret, BOOK_LABEL, "sha256")
    place = Home(home / "wallet" / config.network, state, config.network, key, seed)
    hub: Hub
    if config.network == "regtest" and not config.wallet.chain:
        hub = PrivateHub(state)
    else:
        hub = Provider(config.network, config.wallet.chain, config.wallet.lsp, config.wallet.lsp_token)
    return LdkWallet(place, hub, config.wallet.channels)
