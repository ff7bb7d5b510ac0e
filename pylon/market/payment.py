"""An outgoing payment, as a table.

(nothing) -> intent -Sent-> sent -Paid-> settled · sent -PayFailed-> failed · sent -PayUnknown-> unknown
 · unknown -Paid-> settled, unknown -PayFailed-> failed (by looking it up, never by paying again)
 · intent -Paid-> settled (to ourselves, inside the journal) · intent -PayFailed-> failed (a limit, or the wallet was never asked)
 · intent -PayUnknown-> unknown (what a power cut left: the mark `sent` may be lost, so it is looked up)
 · failed -Intended-> intent (the same invoice may be tried again: nothing had left the wallet)
 · failed -Paid-> settled (the last word of a wallet is that the money has moved)

`intent` is on the disk before anything else happens, `sent` is written right before the wallet is called: a start that finds `intent` may
begin, one that finds `sent` knows nothing and looks it up.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from typing import cast

import msgspec
from msgspec.structs import replace

from pylon.market.job import Trouble
from pylon.market.signals import Paid, PayFailed, PayUnknown, Signal
from pylon.market.table import Fixed, Row, Rule, leads, row, rule_of
from pylon.units import Msat

NO_FEE = Msat(0)


class Status(StrEnum):
    """Of a line in the journal. An invoice of ours is `open`, `settled` or `closed` (nobody will pay it: it may still be paid late); the
    other words are those of the table."""

    INTENT = "intent"
    SENT = "sent"
    UNKNOWN = "unknown"
    SETTLED = "settled"
    FAILED = "failed"
    OPEN = "open"
    CLOSED = "closed"


OUTGOING = (Status.INTENT, Status.SENT, Status.UNKNOWN, Status.SETTLED, Status.FAILED)
"""The states of the table."""
LIVE = (Status.INTENT, Status.SENT, Status.UNKNOWN)
"""Begun and not ended: nothing else may be paid to this hash."""
UNDER_WAY = (Status.SENT, Status.UNKNOWN)
"""The wallet may have moved the money: it counts as spent."""


class Intended(Signal, frozen=True):
    """Somebody wants to pay it again."""


class Sent(Signal, frozen=True):
    """The wallet is about to be asked."""


Outcome = Paid | PayFailed | PayUnknown
"""The three answers of a wallet."""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """What the table knows of a payment. `tries` counts how often a wallet was asked; times are Unix seconds."""

    status: Status = Status.INTENT
    tries: int = 0
    fee: Msat = NO_FEE
    preimage: bytes = b""
    own: bool = False
    sent_at: float | None = None
    settled_at: float | None = None
    failed_at: float | None = None
    trouble: Trouble | None = None


def advance(payment: Outgoing, signal: Signal, now: float) -> Outgoing:
    """The payment after `signal`. Raises ImpossibleSignal for what can only be a bug, above all a second payment to one hash."""
    rule = rule_of(TABLE, payment.status, signal)
    if isinstance(rule, Fixed):
        return payment
    after = cast(Outgoing, rule.act(payment, signal, now))
    if after.status not in rule.to:
        raise AssertionError(f"{payment.status} -{type(signal).__name__}-> {after.status} is not in the table")
    return after


def _again(payment: Outgoing, signal: Intended, now: float) -> Outgoing:
    return Outgoing(tries=payment.tries)


def _sent(payment: Outgoing, signal: Sent, now: float) -> Outgoing:
    return replace(payment, status=Status.SENT, tries=payment.tries + 1, sent_at=now)


def _paid(payment: Outgoing, signal: Paid, now: float) -> Outgoing:
    return replace(
        payment, status=Status.SETTLED, fee=signal.fee, preimage=signal.preimage, own=signal.own, settled_at=now, failed_at=None,
        trouble=None,
    )


def _failed(payment: Outgoing, signal: PayFailed, now: float) -> Outgoing:
    return replace(payment, status=Status.FAILED, failed_at=now, trouble=signal.trouble)


def _unknown(payment: Outgoing, signal: PayUnknown, now: float) -> Outgoing:
    return replace(payment, status=Status.UNKNOWN, trouble=signal.trouble)


SIGNALS: tuple[type[Signal], ...] = (Intended, Sent, Paid, PayFailed, PayUnknown)
_row = partial(row, SIGNALS)
_OPEN: Mapping[type[Signal], Rule] = {PayUnknown: leads(_unknown, Status.UNKNOWN)}
_ENDS: Mapping[type[Signal], Rule] = {Paid: leads(_paid, Status.SETTLED), PayFailed: leads(_failed, Status.FAILED)}

TABLE: Mapping[str, Row] = {
    Status.INTENT: _row({**_ENDS, **_OPEN, Sent: leads(_sent, Status.SENT)}, Intended),
    Status.SENT: _row({**_ENDS, **_OPEN}, Intended, Sent),
    Status.UNKNOWN: _row(_ENDS, Intended, Sent),
    Status.SETTLED: _row({}, Intended, Sent),
    Status.FAILED: _row({Intended: leads(_again, Status.INTENT), Paid: leads(_paid, Status.SETTLED)}, Sent, PayUnknown),
}
