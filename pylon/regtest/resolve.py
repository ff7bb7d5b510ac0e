"""What closed channels wait for, and the blocks that they wait for, made step by step.

A commitment transaction gives its owner's part back after 144 blocks (`to_self_delay`), payments in it after their own time, and a node
believes a block when six are on it. All of that can be read from the chain: every output of such a transaction but the anchors is a script
(P2WSH) until its owner has swept it. Only payments hide their time from us; the hub, which is one end of every channel, knows them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from pylon.errors import PylonError
from pylon.regtest.blocks import hidden
from pylon.regtest.chain import Chain
from pylon.regtest.electrum import ElectrumServer
from pylon.regtest.hub import Hub
from pylon.regtest.miner import Miner
from pylon.regtest.record import Closed

log = logging.getLogger("pylon.regtest")

DELAY: Final = 144
DEEP: Final = 6
"""Confirmations after which LDK believes a block (ANTI_REORG_DELAY)."""
ANCHOR_SAT: Final = 330
STEP: Final = 12
"""Blocks made before the wallets have their turn to see them: a node that lags by more refuses payments of one that does not."""
MARGIN: Final = 6
"""So many blocks before a payment's time is over, every block waits for the wallets."""
NEVER: Final = 1 << 31
SECONDS: Final = 30.0
FOLLOW_SECONDS: Final = 12.0
"""Longer than the ten seconds after which a node looks by itself."""
BUSY_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.1
QUIET_SECONDS: Final = 10.0
AGAIN_SECONDS: Final = 30.0
"""After a try that left something: somebody is away, or has to sweep first."""


class Spend(NamedTuple):
    """An output that is a script, and what spends it: None where nothing does; its height is None while it waits."""

    spender: bytes | None
    height: int | None


class Waits(NamedTuple):
    """`heights` above the tip that something waits for; `expiries`: those at which the time of a payment in a closed channel is over;
    `limit`: the height that is not passed now, since a payment into the hub, over a channel that is open, is just being sent back;
    `soon`: a transaction is about to come."""

    heights: list[int]
    expiries: list[int]
    limit: int
    soon: bool


class Resolver:
    """Makes blocks for closed channels."""

    def __init__(self, chain: Chain, server: ElectrumServer, hub: Hub, miner: Miner) -> None:
        self._chain = chain
        self._server = server
        self._hub = hub
        self._miner = miner
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Resolve by itself, when no payment has gone through for a while. Until it is cancelled."""
        pause = QUIET_SECONDS
        while True:
            await asyncio.sleep(pause)
            pause = QUIET_SECONDS
            if not self._hub.record.unresolved() or self._hub.busy(QUIET_SECONDS):
                continue
            try:
                if await self.resolve():
                    pause = AGAIN_SECONDS
            except PylonError as error:  # the clock was set back, the disk is full
                log.warning("closed channels wait: %s", error.message)
                pause = AGAIN_SECONDS

    async def resolve(self, channels: Collection[str] = (), seconds: float = SECONDS) -> int:
        """Mine until no closed channel waits for blocks, or time is up. Answers how many channels are still waited for.

        `channels`: those that the other side has closed; the hub may hear of it only now."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        async with self._turn:
            while loop.time() < deadline:
                await self._hub.sync()
                if any(channel.id in channels for channel in await self._hub.node.channels()):
                    await self._hub.change(LOOK_SECONDS)
                    continue
                waits = await self._waits()
                if waits.heights:
                    await self._step(waits)
                elif waits.soon:
                    await self._hub.change(LOOK_SECONDS)
                else:
                    break
        return len(self._hub.record.unresolved())

    async def _step(self, waits: Waits) -> None:
        height = self._chain.height
        blocks = min(min(waits.heights) - height, STEP)
        if waits.expiries:
            blocks = max(1, min(blocks, min(waits.expiries) - MARGIN - height))
        blocks = min(blocks, waits.limit - height)
        if blocks > 0 and await self._miner.may_mine(blocks):
            await self._miner.mine(blocks, force=True)  # asked just now
            if waits.expiries or self._hub.busy(BUSY_SECONDS):
                await self._server.followed(FOLLOW_SECONDS)
        else:
            await self._hub.change(LOOK_SECONDS)

    async def _waits(self) -> Waits:
        """What all closed channels wait for. Those that wait for nothing any more are written down as resolved."""
        tip = self._chain.height
        connected = {peer.node_id for peer in await self._hub.node.peers() if peer.connected}
        opened = {channel.id: channel.peer for channel in await self._hub.node.channels()}
        balances = await self._hub.node.balances()
        claims = [claim for claim in balances.claims if claim.channel not in opened]
        # A payment whose way out is closed: its payer's channel must not come to its end before it was sent back there.
        limit = min(
            (
                claim.height - MARGIN
                for claim in balances.claims
                if claim.height and claim.kind == "preimage" and claim.channel in opened and not self._miner.is_away(opened[claim.channel])
            ),
            default=NEVER,
        )
        expiries = [claim.height for claim in claims if claim.payment_hash and claim.height and claim.height >= tip]
        heights = [claim.height + 1 for claim in claims if claim.height and claim.height >= tip]
        claimed = {claim.channel for claim in claims}
        soon = False
        for closed in self._hub.record.unresolved():
            if closed.channel in claimed and expiries and closed.peer not in connected and not self._miner.is_away(closed.peer):
                return Waits([], [], limit, soon=True)  # its payments must not run out while it may come back and claim them
            wanted, done = self._wanted(closed, tip)
            heights += wanted
            if wanted or closed.channel in claimed:
                continue
            if done:
                self._hub.record.resolved(closed.channel, tip)
                log.info("channel %s is resolved", closed.channel)
            else:
                soon = soon or closed.peer in connected
        return Waits(heights, expiries, limit, soon)

    def _wanted(self, closed: Closed, tip: int) -> tuple[list[int], bool]:
        """The heights above the tip that a channel waits for, and whether all of it has come home."""
        if not closed.funding:
            return [], True  # closed before it had a funding transaction
        txid, _, n = closed.funding.partition(":")
        found = [one for at, one in self._outputs(hidden(txid), scripts=False) if at == int(n)]
        if not found or found[0].spender is None:
            return [], False
        wanted: list[int] = []
        whole = True
        spends = [found[0]]
        while spends:
            spend = spends.pop()
            if spend.spender is None or spend.height is None:
                wanted.append(tip + 1)
                whole = False
                continue
            if spend.height + DEEP - 1 > tip:
                wanted.append(spend.height + DEEP - 1)
            for _, inner in self._outputs(spend.spender, scripts=True):
                if inner.spender is not None:
                    spends.append(inner)
                    continue
                whole = False
                if spend.height + DELAY > tip:
                    wanted.append(spend.height + DELAY)
        return wanted, whole and not wanted

    def _outputs(self, txid: bytes, *, scripts: bool) -> Iterator[tuple[int, Spend]]:
        """Outputs of a transaction by their number, and what spends them; `scripts`: only those that belong to a channel."""
        rows = self._chain.file.rows(
            "SELECT o.n, o.value, o.script, s.txid, s.height FROM txs t JOIN outs o ON o.tx = t.id LEFT JOIN txs s ON s.id = o.spender"
            " WHERE t.txid = ?",
            txid,
        )
        for n, value, script, spender, height in rows:
            # A witness program of version 0 and 32 bytes: P2WSH.
            if not scripts or (len(script) == 34 and script.startswith(b"\x00\x20") and value > ANCHOR_SAT):
                yield n, Spend(spender, height)
