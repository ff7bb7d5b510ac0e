"""What came of payments while processes were killed: the numbers, and the table that `make crash` prints."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from benches.wallet_books import Costs, Holdings

NOBODY = Holdings({}, 0, 0)


class Plan(msgspec.Struct, frozen=True):
    """What is to be done."""

    payments: int
    every: float
    """Seconds between two kills, on average."""
    kills: int
    """So many at most."""
    seed: int
    workers: int
    seconds: float
    """After which no new payment is begun."""
    who: str = "buyer,provider,hub"
    """Who may be killed."""


@dataclass
class Kill:
    """One kill, and what it cost."""

    who: str
    in_flight: int
    lost: int = 0
    up: float = 0.0
    """Seconds from the kill to the process running again."""
    usable: float = 0.0
    """Seconds from then on to both wallets having a usable channel again."""


@dataclass
class Outcome:
    """What came of it all."""

    kills: list[Kill] = field(default_factory=list)
    settled: int = 0
    tries: Counter[str] = field(default_factory=Counter)
    unknown: list[str] = field(default_factory=list)
    twice: int = 0
    """Msat that the provider has got above the invoices that count as paid."""
    given: int = 0
    """Msat that the hub gave the provider with the channels that replaced lost ones: their reserves."""
    dust: list[str] = field(default_factory=list)
    """Too small for an output of their own, and on their way in a channel that closed: claimed by the provider, and failed for the buyer.
    No transaction carries them; who stands before the closed channel keeps them, or the miner has them (BOLT 3, "Trimmed Outputs")."""
    one_sided: list[str] = field(default_factory=list)
    """Paid by the books of one side, and not by those of the other."""
    start: Holdings = NOBODY
    end: Holdings = NOBODY
    costs: Costs | None = None
    seconds: float = 0.0

    @property
    def unexplained(self) -> int:
        """Msat that are gone, and nobody can say where."""
        assert self.costs is not None
        return self.start.total + 1000 * (self.costs.given - self.costs.lost) - self.end.total


def table(plan: Plan, outcome: Outcome) -> str:
    """The table, as text."""
    assert outcome.costs is not None
    cost = outcome.costs
    by = Counter(kill.who for kill in outcome.kills)
    lost = Counter({who: sum(kill.lost for kill in outcome.kills if kill.who == who) for who in by})
    slowest = max((kill.usable for kill in outcome.kills if kill.lost), default=0.0)
    again = sorted(kill.up for kill in outcome.kills) or [0.0]
    rows = [
        ("payments settled", f"{outcome.settled} of {plan.payments}"),
        ("answers to a payment", ", ".join(f"{word} {count}" for word, count in outcome.tries.most_common())),
        ("kills", ", ".join(f"{who} {count}" for who, count in sorted(by.items()))),
        ("channels lost", ", ".join(f"by killing the {who} {lost[who]}" for who in sorted(by)) or "0"),
        ("a process runs again after", f"{again[len(again) // 2]:.1f} s (median), {again[-1]:.1f} s at most"),
        ("a lost channel is replaced after", f"{slowest:.1f} s at most from then on"),
        ("paid twice", f"{outcome.twice:,} msat"),
        ("left unknown", str(len(outcome.unknown))),
        ("dust of closed channels", f"{len(outcome.dust)} claimed by the provider, failed for the buyer"),
        ("settled on one side alone, otherwise", str(len(outcome.one_sided))),
        ("given by the hub with new channels", f"{outcome.given:,} msat"),
        ("start: buyer + provider + hub", outcome.start.text()),
        ("faucet", f"{cost.given * 1000:,} msat"),
        ("fees of openings", f"{cost.openings * 1000:,} msat in {cost.transactions['openings']} transactions"),
        ("fees, dust and rounding of closes", f"{cost.closes * 1000:,} msat in {cost.transactions['closes']} transactions"),
        ("fees of sweeps", f"{cost.sweeps * 1000:,} msat in {cost.transactions['sweeps']} transactions"),
        ("anchors that nobody took", f"{cost.anchors * 1000:,} msat"),
        ("end: buyer + provider + hub", outcome.end.text()),
        ("unexplained", f"{outcome.unexplained:,} msat"),
        ("seed, seconds", f"{plan.seed}, {outcome.seconds:.0f}"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
