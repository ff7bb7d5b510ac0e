"""The hub's coins: from the faucet, enough of them before they are needed."""

from __future__ import annotations

import asyncio
import logging

from pylon.errors import PylonError
from pylon.regtest.coins import Coins
from pylon.regtest.hub import Hub
from pylon.regtest.miner import Miner

log = logging.getLogger("pylon.regtest")

COIN_SAT = 500_000_000
"""Several large ones: a channel takes one, and its change is another."""
COINS = 8
LOW_SAT = 1_000_000_000
"""Below this the purse is filled again."""
WAIT_SECONDS = 10.0


class PurseEmpty(PylonError):
    """The hub has too few coins now."""

    code = "hub_purse_empty"


class Purse:
    """What the hub can put into channels."""

    def __init__(self, hub: Hub, coins: Coins, miner: Miner) -> None:
        self._hub = hub
        self._coins = coins
        self._miner = miner
        self._filling = asyncio.Lock()

    async def pour(self) -> None:
        """Send coins from the faucet; they can be used once a block holds them and the hub has seen it."""
        for _ in range(COINS):
            self._coins.pay(await self._hub.node.address(), COIN_SAT)
        log.info("the hub gets %d sats from the faucet", COINS * COIN_SAT)

    async def spendable(self) -> int:
        """The hub's sats that can go into channels now."""
        return (await self._hub.node.balances()).onchain_spendable_sat

    async def have(self, sats: int) -> None:
        """Make sure that so many sats can be used. Raises PurseEmpty where they cannot be had now."""
        if await self.spendable() >= sats + LOW_SAT:
            return
        async with self._filling:
            if await self.spendable() < sats + LOW_SAT:
                await self.pour()
                await self._miner.confirmed(WAIT_SECONDS)
                await self._hub.sync()
        left = await self.spendable()
        if left < sats:
            raise PurseEmpty(
                f"the hub has {left:,} sats now and {sats:,} are needed", hint="a payment is held and no block may be made: try again later"
            )
