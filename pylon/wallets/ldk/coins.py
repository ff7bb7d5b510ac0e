"""The wallet as a Lightning node: its channels one by one, its coins on the chain, and a copy of all of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pylon.errors import PaymentError, PaymentUnknown, PylonError
from pylon.lightning.node import LightningError, LightningNode
from pylon.units import Msat, msat_of_sats
from pylon.wallets import base
from pylon.wallets.base import Channel
from pylon.wallets.ldk import backup
from pylon.wallets.ldk.life import Life
from pylon.wallets.ldk.trouble import code_of, explain

ARRIVING = 15.0
"""Seconds in which the chain should show a transaction of ours."""


class Coins:
    """The calls of `NodeWallet`."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._sending = asyncio.Lock()

    async def channels(self) -> list[Channel]:
        """The channels that are open or being opened."""
        node = await self._life.node()
        return [
            Channel(
                id=one.id, peer=one.peer, funding=one.funding, capacity=msat_of_sats(one.capacity_sat), spendable=Msat(one.outbound_msat),
                receivable=Msat(one.inbound_msat), reserved=msat_of_sats(one.reserve_sat), confirmations=one.confirmations or 0,
                usable=one.usable,
            )
            for one in await node.channels()
        ]  # fmt: skip

    async def close_channel(self, channel: str, force: bool) -> None:
        """Begin to close a channel. Raises PylonError where there is none of that id."""
        node, desk = await self._life.node(), await self._life.desk()
        found = next((one for one in await node.channels() if one.id == channel), None)
        if found is None:
            raise PylonError(f"there is no channel {channel}", hint="`pylon wallet channels` lists them")
        await desk.do(lambda book, now: book.leave_channel(found.id, found.peer, now))
        try:
            await node.close_channel(found.user_id, found.peer, force)
        except LightningError as error:
            raise explain(error, self._life.home.folder) from error

    async def address(self) -> str:
        """A new address."""
        node = await self._life.node()
        try:
            return await node.address()
        except LightningError as error:
            raise explain(error, self._life.home.folder) from error

    async def send(self, address: str, amount: Msat | None, sat_per_vbyte: int | None) -> base.Coins:
        """Send coins, or all of them. Raises PaymentError where none left, PaymentUnknown where it is not sure that the chain has them."""
        if amount is not None and (amount <= 0 or amount % 1000):
            raise PaymentError("coins are sent in whole sats")
        if sat_per_vbyte is not None and sat_per_vbyte <= 0:
            raise PaymentError("a fee rate is one sat per virtual byte at least")
        try:
            node = await self._life.node()
        except PylonError as error:
            raise PaymentError(f"no coins were sent: {error.message}", hint=error.hint) from error
        async with self._sending:
            try:
                # The library spends the same coins twice until it has seen its last transaction on the chain: the later one takes the place
                # of the earlier one, or is refused where nobody is told.
                await node.sync()
                txid = await node.send_onchain(address, None if amount is None else amount // 1000, sat_per_vbyte)
            except LightningError as error:
                raise self._refused(error, address) from error
            return await self._arrived(node, txid)

    async def _arrived(self, node: LightningNode, txid: str) -> base.Coins:
        """Wait until the chain shows the transaction: what it moved. Raises PaymentUnknown."""
        try:
            async with asyncio.timeout(ARRIVING):
                while True:
                    for payment in await node.payments():
                        if payment.txid == txid and payment.kind == "onchain":
                            return base.Coins(bytes.fromhex(txid), Msat(payment.amount_msat or 0), Msat(payment.fee_msat or 0))
                    await node.sync()
        except (TimeoutError, LightningError) as error:
            raise PaymentUnknown(
                f"the coins are on their way by transaction {txid}, and the chain has not shown it yet",
                hint="look for it before you send again; `pylon wallet balance` tells when it is there",
            ) from error

    def _refused(self, error: LightningError, address: str) -> PaymentError:
        if code_of(error) == "invalid" and str(error.args[1]).startswith("address"):
            return PaymentError(f"{address!r} is no address on {self._life.home.network}", hint="another network's is none here")
        problem = explain(error, self._life.home.folder)
        return PaymentError(problem.message, hint=problem.hint)

    async def backup(self, target: Path) -> None:
        """See `pylon.wallets.ldk.backup`."""
        await backup.write(self._life, target)
