"""Where the journal and the wallet do not say the same: kept in a table of the ledger until they do, shown, never hidden."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from pylon.node.database import Database
from pylon.node.figures import Purse
from pylon.wallets.base import Direction

SCHEMA = (
    """CREATE TABLE differences (
    kind TEXT NOT NULL, direction TEXT NOT NULL, payment_hash BLOB NOT NULL, wallet TEXT NOT NULL, network TEXT NOT NULL,
    journal TEXT NOT NULL, says TEXT NOT NULL, seen_at REAL NOT NULL, gone_at REAL, PRIMARY KEY (kind, direction, payment_hash)
) STRICT, WITHOUT ROWID""",
)


class Kind(StrEnum):
    """What kind of difference it is."""

    NOT_IN_JOURNAL = "not_in_journal"
    """The wallet moved money, and the journal has no line for it."""
    NOT_IN_WALLET = "not_in_wallet"
    """The journal says settled, and the wallet has never heard of it."""
    STATUS = "status"
    """The journal says settled and the wallet does not, or the wallet does and the journal said failed."""
    AMOUNT = "amount"
    FEE = "fee"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One of them. `journal` and `says` are what the journal and the wallet say: a status, or msat; empty: nothing."""

    kind: Kind
    direction: Direction
    payment_hash: bytes
    journal: str
    says: str
    wallet: str = ""
    network: str = ""
    seen_at: float = 0.0
    gone_at: float | None = None


def keep(database: Database, purse: Purse, found: Iterable[Difference], *, now: float) -> list[Difference]:
    """Keep what a comparison found: those that are new. What it did not find again is gone, and stays on record as such."""
    known = {(one.kind, one.direction, one.payment_hash): one for one in of(database, purse)}
    new = []
    for one in found:
        before = known.pop((one.kind, one.direction, one.payment_hash), None)
        if before is not None and (before.journal, before.says, before.gone_at) == (one.journal, one.says, None):
            continue
        database.run(
            "INSERT OR REPLACE INTO differences VALUES (?,?,?,?,?,?,?,?,NULL)",
            one.kind, one.direction, one.payment_hash, purse.wallet, purse.network, one.journal, one.says, now,
        )
        new.append(one)
    for kind, direction, payment_hash in (key for key, one in known.items() if one.gone_at is None):
        database.run(
            "UPDATE differences SET gone_at=? WHERE kind=? AND direction=? AND payment_hash=?", now, kind, direction, payment_hash
        )
    return new


def of(database: Database, purse: Purse | None = None) -> list[Difference]:
    """All that were ever seen (of one wallet), oldest first."""
    rows = database.rows(
        "SELECT kind, direction, payment_hash, journal, says, wallet, network, seen_at, gone_at FROM differences ORDER BY seen_at"
    )
    return [
        Difference(
            kind=Kind(kind), direction=Direction(direction), payment_hash=hashed, journal=journal, says=says, wallet=wallet,
            network=network, seen_at=seen, gone_at=gone,
        )
        for kind, direction, hashed, journal, says, wallet, network, seen, gone in rows
        if purse in (None, Purse(wallet, network))
    ]
