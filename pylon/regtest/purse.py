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
        self._filling: asyncio.Task[None] | None = None

    async def pour(self) -> None:
        """Send coins from the faucet; they can be used once a block holds them and the hub has seen it."""
        for _ in range(COINS):
            self._coins.pay(await self._hub.node.address(), COIN_SAT)
        log.info("the hub gets %d sats from the faucet", COINS * COIN_SAT)

    async def spendable(self) -> int:
        """The hub's sats that can go into channels now."""
        return (await self._hub.node.balances()).onchain_spendable_sat

    async def have(self, sats: int) -> None:
        """Make sure that so many sats can be used, and that more are on their way before they are needed. Raises PurseEmpty."""
        left = await self.spendable()
        if left < sats + LOW_SAT and (self._filling is None or self._filling.done()):
            self._filling = asyncio.get_running_loop().create_task(self._fill())
        if left < sats and self._filling is not None:
            await asyncio.wait([self._filling])
            left = await self.spendable()
        if left < sats:
            raise PurseEmpty(
                f"the hub has {left:,} sats now and {sats:,} are needed", hint="if a payment is held, no block may be made: try again later"
            )

    async def _fill(self) -> None:
        try:
            await self.pour()
        except PylonError as error:  # the faucet is empty for now, or the disk is full
            log.warning("the hub gets no coins: %s (%s)", error.message, error.hint)
        await self._miner.confirmed(WAIT_SECONDS)
        await self._hub.sync()

    async def aclose(self) -> None:
        """Give up what is under way: coins that were sent arrive all the same."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
