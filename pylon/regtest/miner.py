"""Blocks, made when something waits for one, and not while that would cost somebody a payment.

A hold invoice has to be claimed within about three blocks (`min_final_cltv_expiry_delta` less LDK's own margins), so while a payment goes
out from the hub at most one block is made since it began, for whatever reason. On a channel that is closed it is the other way round:
there blocks are what is waited for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from pylon.errors import PylonError, UsageError
from pylon.regtest.chain import Chain, Change
from pylon.regtest.hub import Hub

log = logging.getLogger("pylon.regtest")

MOST_BLOCKS = 2000
STEP = 50
"""Blocks made before others have their turn."""
SETTLE_SECONDS = 0.1
"""Several channels that are opened at once share a block."""
LOOK_SECONDS = 0.25
"""How often it is asked whether a payment that keeps us from mining is still held."""
RETRY_SECONDS = 5.0
AWAY_SECONDS = 600.0
"""A payment whose payee has been away for longer does not count."""
PEERS_SECONDS = 15.0

Key = tuple[str, str]
"""A payment on its way: its channel and its hash. Those too small for an output of their own have no hash, and are one together."""


class PaymentsHeld(PylonError):
    """Blocks that must not be made now: a payment waits, and they would bring it to its deadline."""

    code = "payments_held"


class Miner:
    """Makes blocks. `run` until it is cancelled."""

    def __init__(self, chain: Chain, hub: Hub, clock: Callable[[], float] = time.monotonic) -> None:
        self._chain = chain
        self._hub = hub
        self._clock = clock
        self._wake = asyncio.Event()
        self._wake.set()
        self._ages: dict[Key, int] | None = None
        """Blocks made since each payment began. None before the first look: what we then find may have seen a block already."""
        self._seen: dict[str, float] = {}
        self._began = clock()
        chain.watch(self._changed)

    def _changed(self, change: Change) -> None:
        self._wake.set()
        self._hub.pulse()
        if change.tip:
            self._hub.tell_block()

    async def run(self) -> None:
        """A block for what waits in the mempool, as soon as one may be made."""
        while True:
            try:
                async with asyncio.timeout(PEERS_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                await self._look_at_peers()
                continue
            self._wake.clear()
            await asyncio.sleep(SETTLE_SECONDS)
            while self._chain.mempool:
                try:
                    if await self.may_mine(1):
                        self._mine(1)
                        break
                    await self._hub.change(LOOK_SECONDS)
                except PylonError as error:  # the clock was set back, the disk is full: it passes, or a person mends it
                    log.warning("no block can be made: %s", error.message)
                    await asyncio.sleep(RETRY_SECONDS)

    async def held(self) -> set[Key]:
        """Payments that go out from the hub over channels that are open, to payees who are there or may soon be back."""
        await self._look_at_peers()
        channels = {channel.id: channel.peer for channel in await self._hub.node.channels()}
        balances = await self._hub.node.balances()  # last, so that it is as new as can be
        found: set[Key] = set()
        for claim in balances.claims:
            peer = channels.get(claim.channel)
            if peer is None or self.is_away(peer):
                continue
            if claim.kind == "timeout":
                found.add((claim.channel, claim.payment_hash or ""))
            elif claim.kind == "open" and (claim.outgoing_forward_msat or claim.outgoing_payment):
                found.add((claim.channel, ""))
        before = self._ages
        self._ages = {key: 1 if before is None else before.get(key, 0) for key in found}
        return found

    async def _look_at_peers(self) -> None:
        now = self._clock()
        self._seen.update((peer.node_id, now) for peer in await self._hub.node.peers() if peer.connected)

    def is_away(self, peer: str) -> bool:
        """Whether a peer has not been seen for so long that nobody waits for it any more."""
        return self._clock() - self._seen.get(peer, self._began) > AWAY_SECONDS

    async def may_mine(self, blocks: int) -> bool:
        """Whether so many blocks leave every payment that is held with at most one since it began."""
        held = await self.held()
        return not held or blocks + max((self._ages or {}).values()) <= 1

    async def mine(self, blocks: int, *, force: bool = False) -> None:
        """Make blocks now. Raises PaymentsHeld, unless `force`; PylonError where the chain cannot grow."""
        if not 1 <= blocks <= MOST_BLOCKS:
            raise UsageError(f"1 to {MOST_BLOCKS} blocks are mined at a time")
        if not force and not await self.may_mine(blocks):
            raise PaymentsHeld(
                "a payment is held, and blocks would bring it to its deadline", hint="wait until it is claimed or sent back, or use force"
            )
        while blocks > 0:
            self._mine(min(blocks, STEP))
            blocks -= STEP
            await asyncio.sleep(0)

    def _mine(self, blocks: int) -> None:
        self._chain.mine(blocks)
        self._ages = {key: age + blocks for key, age in (self._ages or {}).items()}
        log.info("mined to height %d", self._chain.height)

    async def confirmed(self, seconds: float) -> None:
        """Until a block holds all that waits now, or so many seconds have gone."""
        deadline = self._clock() + seconds
        while self._chain.mempool and self._clock() < deadline:
            await self._hub.change(LOOK_SECONDS)
