"""Where all the money is: what the parties say that they have, held against every coin of the chain.

Between two moments the parties together lose what their transactions pay as fees, and the outputs of closed channels that nobody takes
(anchors). All of that stands in blocks. Whatever else is missing is unexplained.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from benches.wallet_stage import Document, Party, Stage, eventually
from pylon.regtest.blocks import hidden

SETTLE_SECONDS = 1.0
ANCHOR_SAT = 330
"""BOLT 3: the value of an anchor output."""
TWO_OF_TWO = re.compile(rb"\x47\x52\x21.{33}\x21.{33}\x52\xae", re.DOTALL)
KEY_HASH, SCRIPT_HASH = 22, 34
"""Bytes of the scripts of an output to a key and to a script (segwit version 0)."""


class Holdings(NamedTuple):
    """What the parties have together (msat). The hub has what is left of each channel once the other side's part is taken off."""

    wallets: dict[str, int]
    hub: int
    height: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.wallets.values()) + self.hub

    def text(self) -> str:
        """The sum."""
        return f"{' + '.join(f'{part:,}' for part in (*self.wallets.values(), self.hub))} = {self.total:,} msat"


class Costs(NamedTuple):
    """What left the parties on the chain (sat), by name; `given` came from the faucet."""

    openings: int
    closes: int
    sweeps: int
    anchors: int
    given: int
    transactions: dict[str, int]

    @property
    def lost(self) -> int:
        """All that is gone."""
        return self.openings + self.closes + self.sweeps + self.anchors


async def holdings(stage: Stage, wallets: Sequence[Party]) -> Holdings:
    """What everybody has now; only while no payment is on its way. First all that waits gets its block."""
    await eventually(stage.status, lambda status: status.mempool == 0, "a block for what waits")
    await asyncio.sleep(SETTLE_SECONDS)  # the nodes look at the last block
    status = await stage.status()
    channels = sum(channel.capacity_sat for channel in status.hub.channels) * 1000
    in_channels, owned = 0, {}
    for party in wallets:
        document = await party.ask("wallet.balance")
        spendable, reserved = number(document, "spendable_msat"), number(document, "reserved_msat")
        in_channels += spendable + reserved
        elsewhere = sum(number(document, name) for name in ("closing_msat", "onchain_msat", "pending_msat"))
        owned[party.name] = spendable + reserved + elsewhere
    return Holdings(owned, channels - in_channels + status.hub.onchain_sat * 1000, status.height)


def number(document: Document, name: str) -> int:
    """A number of a document."""
    return msgspec.convert(document[name], int)


async def node_id(party: Party) -> str:
    """The name of a home's node on Lightning."""
    return str((await party.ask("wallet.status"))["node_id"])


def given(network: Path, peer: str, before: set[str]) -> int:
    """Msat that the hub pushed to a node with channels for receiving: 1 % of each, the reserve that LDK asks for, and at least 1,000 sats.
    Channels that were there `before`, by their funding transaction, do not count."""
    with closing(sqlite3.connect(f"file:{network / 'hub.sqlite3'}?mode=ro", uri=True)) as db:
        opened = [str(funding).partition(":")[::2] for (funding,) in db.execute("SELECT funding FROM channels WHERE peer = ?", (peer,))]
    with closing(sqlite3.connect(f"file:{network / 'chain' / 'chain.sqlite3'}?mode=ro", uri=True)) as db:
        value = "SELECT o.value FROM outs o JOIN txs t ON t.id = o.tx WHERE t.txid = ? AND o.n = ?"
        sats = [db.execute(value, (hidden(txid), int(n))).fetchone() for txid, n in opened if txid and txid not in before]
    return sum(max(1_000, found[0] // 100) * 1000 for found in sats if found)


def costs(chain: Path, after: int) -> Costs:
    """The fees of all transactions in blocks above the height `after`, by what they are, out of the chain's own file."""
    with closing(sqlite3.connect(f"file:{chain}?mode=ro", uri=True)) as db:
        return _costs(db, after)


def _costs(db: sqlite3.Connection, after: int) -> Costs:
    rewards = db.execute("SELECT DISTINCT o.script FROM outs o JOIN txs t ON t.id = o.tx WHERE t.pos = 0 AND o.value > 0")
    faucet = {script for (script,) in rewards}
    openings = closes = sweeps = given = anchors = 0
    counts = {"openings": 0, "closes": 0, "sweeps": 0}
    for tx, fee in db.execute("SELECT id, fee FROM txs WHERE height > ? AND pos > 0", (after,)).fetchall():
        spent = db.execute("SELECT o.script, o.value FROM outs o WHERE o.spender = ?", (tx,)).fetchall()
        outs = db.execute("SELECT script, value, spender FROM outs WHERE tx = ?", (tx,)).fetchall()
        if all(script in faucet for script, _ in spent):
            given += sum(value for script, value, _ in outs if script not in faucet)
            continue
        if _spends_a_channel(db, tx):
            closes, kind = closes + fee, "closes"
            anchors += sum(value for _, value, spender in outs if value == ANCHOR_SAT and spender is None)
        elif all(len(script) == KEY_HASH for script, _ in spent) and any(len(script) == SCRIPT_HASH for script, _, _ in outs):
            openings, kind = openings + fee, "openings"
        else:
            sweeps, kind = sweeps + fee, "sweeps"
        counts[kind] += 1
    return Costs(openings, closes, sweeps, anchors, given, counts)


def _spends_a_channel(db: sqlite3.Connection, tx: int) -> bool:
    """Whether it takes the funding output of a channel: its witness ends with a script of two of two keys (BOLT 3)."""
    (raw,) = db.execute("SELECT raw FROM txs WHERE id = ?", (tx,)).fetchone()
    return TWO_OF_TWO.search(raw) is not None
