"""The limits of spending, held against the journal; the decision itself is `market.limits`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pylon.config import LimitsConfig
from pylon.errors import PylonError
from pylon.market import limits as rules
from pylon.market.limits import DAY, Limits, Used
from pylon.node.figures import Purse
from pylon.node.journal import Payment
from pylon.node.ledger import Ledger
from pylon.nostr.nip19 import public_key
from pylon.units import Msat

CLOSED_AT = "breaker.closed"
"""The mark: Unix milliseconds at which the circuit breaker was closed by hand."""


def limits_of(config: LimitsConfig) -> Limits:
    """The settings as msat and keys. Raises UsageError for a peer that is no key."""
    return Limits(
        per_job=Msat(config.per_job_sats * 1000), per_peer=Msat(config.per_peer_sats * 1000), per_day=Msat(config.per_day_sats * 1000),
        total=Msat(config.total_sats * 1000), allow=frozenset(map(_key, config.allow)), failures=config.failures,
        cool_down=config.cool_down,
    )


def _key(name: str) -> str:
    return public_key(name) if name.startswith("npub1") else name.lower()


class Left(msgspec.Struct, frozen=True):
    """The limits and what is used of them now: by each peer and in all within a day, and ever; the failures in a row, and until when
    payments are paused by them."""

    limits: Limits
    purse: Purse = Purse()
    peers: Sequence[tuple[str, Msat]] = ()
    day: Msat = Msat(0)
    total: Msat = Msat(0)
    failed: int = 0
    paused_until: float | None = None


class Allowance:
    """What may still be spent."""

    def __init__(self, ledger: Ledger, limits: Limits) -> None:
        self._ledger = ledger
        self.limits = limits

    def refusal(self, payment: Payment, now: float) -> PylonError | None:
        """Why this payment must not be begun now, or None."""
        cost = Msat(payment.amount + payment.max_fee)
        return rules.refusal(self.limits, self._used(payment, now), self._failed(now), cost=cost, peer=payment.peer, now=now)

    def refusal_of_coins(self, line: Payment, now: float) -> PylonError | None:
        """The same for coins on the chain, which a person sends to an address: the limits of a day and in all hold for them, too."""
        limits = Limits(per_day=self.limits.per_day, total=self.limits.total, failures=0)
        used = Used(day=self._ledger.left(since=now - DAY), total=self._ledger.left())
        return rules.refusal(limits, used, (), cost=line.amount, peer="", now=now)

    def _used(self, payment: Payment, now: float) -> Used:
        """Only what is limited is summed."""
        has, left = self.limits, self._ledger.left
        return Used(
            left(job=payment.job) if has.per_job and payment.job else Msat(0),
            left(since=now - DAY, peer=payment.peer) if has.per_peer and payment.peer else Msat(0),
            left(since=now - DAY) if has.per_day else Msat(0),
            left() if has.total else Msat(0),
        )

    def _failed(self, now: float) -> list[float]:
        closed = (self._ledger.mark(CLOSED_AT) or 0) / 1000
        return self._ledger.failures(max(closed, now - rules.WINDOW - self.limits.cool_down)) if self.limits.failures else []

    def left(self, now: float) -> Left:
        """How they stand."""
        failed = self._failed(now)
        return Left(
            self.limits, self._ledger.purse, self._ledger.left_by_peer(now - DAY), self._ledger.left(since=now - DAY), self._ledger.left(),
            len(failed), rules.paused_until(self.limits, failed, now),
        )

    def close_breaker(self, now: float) -> None:
        """By hand: what has failed until now does not count any more."""
        with self._ledger.transaction():
            self._ledger.set_mark(CLOSED_AT, int(now * 1000) + 1)
