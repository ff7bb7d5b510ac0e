"""Sums over the journal: what has left, what was earned, what each wallet has moved. Each wallet and network by itself."""

from __future__ import annotations

import msgspec

from pylon.errors import InsufficientFunds, WalletChanged
from pylon.market.payment import UNDER_WAY, Status
from pylon.node.database import Database, Value
from pylon.units import Msat
from pylon.wallets.base import Direction

LEFT = "direction='out' AND status='settled' AND own=0"
"""What has left, in words that SQLite can hold against the partial indices."""
SIMULATED = "sim"
"""The one wallet whose sats are no sats of any network: they count only while it is the wallet."""

_SORT = f"(wallet='{SIMULATED}')"
"""Whether a line is simulated; held against the wallet of now."""


FAUCET = "faucet"
"""The peer of what a faucet gave."""

class Purse(msgspec.Struct, frozen=True):
    """Which wallet, on which network, the lines written now belong to."""

    wallet: str = ""
    network: str = ""


class Total(msgspec.Struct, frozen=True):
    """What one wallet on one network has moved in all (msat): settled in and out, fees, what is under way, what stayed with ourselves."""

    purse: Purse
    received: Msat
    sent: Msat
    fees: Msat
    under_way: Msat
    own: Msat
    payments: int


class Figures:
    """What the journal adds up to. `purse`: the wallet and network of now."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self.purse = Purse()

    @property
    def _simulated(self) -> bool:
        return self.purse.wallet == SIMULATED

    def settled(self, *, before: float) -> list[tuple[Direction, bytes, Msat, Msat]]:
        """Direction, hash, amount and fee of what the wallet of now has settled before that time; what we paid ourselves it never saw."""
        rows = self._db.rows(
            "SELECT direction, payment_hash, amount, fee FROM payments "
            "WHERE status=? AND own=0 AND bolt11<>'' AND wallet=? AND network=? AND settled_at<?",
            Status.SETTLED, self.purse.wallet, self.purse.network, before,
        )
        return [(Direction(direction), bytes(hashed), Msat(amount), Msat(fee)) for direction, hashed, amount, fee in rows]

    def statuses(self) -> dict[tuple[Direction, bytes], Status]:
        """How every line stands."""
        rows = self._db.rows("SELECT direction, payment_hash, status FROM payments")
        return {(Direction(direction), bytes(hashed)): Status(status) for direction, hashed, status in rows}

    def left(self, *, since: float = 0.0, job: str = "", peer: str = "") -> Msat:
        """What has left this network's wallets since then, or may have: settled with its fee, under way with the most that its fee may be.
        Of one job, or to one peer, where they are named. What stayed with ourselves has not left."""
        only, values = "", list[Value]()
        if job:
            only, values = " AND job=?", [job]
        network = "+network" if job else "network"  # a job has few payments: they are found by it
        if peer:
            only, values = f"{only} AND peer=?", [*values, peer]
        ((gone,),) = self._db.rows(
            f"SELECT coalesce(sum(amount + fee), 0) FROM payments WHERE {LEFT} AND {network}=? AND settled_at>? AND {_SORT}=?{only}",
            self.purse.network, since, self._simulated, *values,
        )
        ((open_,),) = self._db.rows(
            f"SELECT coalesce(sum(amount + max_fee), 0) FROM payments WHERE direction=? AND status IN (?,?) AND network=? AND own=0 "
            f"AND {_SORT}=?{only}", Direction.OUT, *UNDER_WAY, self.purse.network, self._simulated, *values,
        )
        return Msat(gone + open_)

    def left_by_peer(self, since: float) -> list[tuple[str, Msat]]:
        """The same for each peer, the most first."""
        rows = self._db.rows(
            f"SELECT peer FROM payments WHERE {LEFT} AND network=?1 AND settled_at>?2 AND {_SORT}=?6 AND peer IS NOT NULL "
            "UNION SELECT peer FROM payments WHERE direction=?3 AND status IN (?4,?5) AND network=?1 AND own=0 AND peer IS NOT NULL "
            f"AND {_SORT}=?6", self.purse.network, since, Direction.OUT, *UNDER_WAY, self._simulated,
        )
        return sorted(((str(peer), self.left(since=since, peer=str(peer))) for (peer,) in rows), key=lambda found: (-found[1], found[0]))

    def totals(self) -> list[Total]:
        """All that was moved, each wallet and network by itself, oldest first."""
        rows = self._db.rows(
            "SELECT wallet, network, sum(amount * (direction=?1 AND status=?3 AND own=0)), "
            "sum(amount * (direction=?2 AND status=?3 AND own=0)), sum(fee * (direction=?2 AND status=?3)), "
            "sum((amount + max_fee) * (direction=?2 AND status IN (?4, ?5))), "
            "sum(amount * (direction=?2 AND status=?3 AND own=1)), count(*) FROM payments WHERE direction=?2 OR status=?3 "
            "GROUP BY wallet, network ORDER BY min(n)", Direction.IN, Direction.OUT, Status.SETTLED, *UNDER_WAY,
        )
        return [
            Total(Purse(wallet, network), Msat(received), Msat(sent), Msat(fees), Msat(under_way), Msat(own), number)
            for wallet, network, received, sent, fees, under_way, own, number in rows
        ]

    def failures(self, since: float) -> list[float]:
        """When payments on this network failed, after `since` and after the last that settled, oldest first. A purse that was empty is no
        failure of the network."""
        rows = self._db.rows(
            f"SELECT at FROM failures WHERE network=? AND at>? AND {_SORT}=? AND code NOT IN (?,?) AND at>"
            f"coalesce((SELECT max(settled_at) FROM payments WHERE {LEFT} AND network=?), 0) ORDER BY at",
            self.purse.network, since, self._simulated, InsufficientFunds.code, WalletChanged.code, self.purse.network,
        )
        return [float(at) for (at,) in rows]

    def earnings(self) -> tuple[Msat, int]:
        """All that was earned with the wallet of now (msat), and by how many jobs: sats of two networks are no sum."""
        return next(((total, jobs) for purse, total, jobs in self.earnings_by_wallet() if purse == self.purse), (Msat(0), 0))

    def earnings_by_wallet(self) -> list[tuple[Purse, Msat, int]]:
        """The same for each wallet and network that this home has had."""
        rows = self._db.rows(
            "SELECT wallet, network, sum(amount), count(*) FROM payments WHERE direction=? AND status=? AND job IS NOT NULL "
            "GROUP BY wallet, network ORDER BY max(n)", Direction.IN, Status.SETTLED,
        )
        return [(Purse(wallet, network), Msat(total), jobs) for wallet, network, total, jobs in rows]
