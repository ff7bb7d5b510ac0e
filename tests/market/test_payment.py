"""The table of payments: every pair of a state and a signal has a rule; what is not known is never a no, and nothing is paid twice."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.market.job import Trouble
from pylon.market.payment import LIVE, OUTGOING, SIGNALS, TABLE, UNDER_WAY, Intended, Outgoing, Sent, Status, advance
from pylon.market.signals import Paid, PayFailed, PayUnknown, Signal
from pylon.market.table import ImpossibleSignal, Rule
from pylon.units import Msat
from tests.market.scene import NOW, TROUBLE, preimage

YES = Paid(preimage(1), Msat(3))
NO = PayFailed(TROUBLE)
OPEN = PayUnknown(TROUBLE)
EXAMPLES: tuple[Signal, ...] = (Intended(), Sent(), YES, NO, OPEN)


def lead(*signals: Signal, status: Status = Status.INTENT) -> Outgoing:
    """A payment from `status` on."""
    payment = Outgoing(status=status)
    for n, signal in enumerate(signals):
        payment = advance(payment, signal, NOW + n)
    return payment


def test_the_table_is_total() -> None:
    """5 states by 5 signals: 25 pairs, each a transition, `same`, or `impossible`."""
    assert tuple(TABLE) == OUTGOING
    assert all(set(rules) == set(SIGNALS) == {type(signal) for signal in EXAMPLES} for rules in TABLE.values())
    kinds = Counter("transition" if isinstance(rule, Rule) else rule.value for rules in TABLE.values() for rule in rules.values())
    assert kinds == {"transition": 11, "same": 5, "impossible": 9}


@pytest.mark.parametrize("status", OUTGOING)
@pytest.mark.parametrize("signal", EXAMPLES, ids=lambda signal: type(signal).__name__)
def test_every_pair_does_what_the_table_says(status: Status, signal: Signal) -> None:
    """A transition ends in a state that the rule names, `same` changes nothing at all, `impossible` raises."""
    rule = TABLE[status][type(signal)]
    before = Outgoing(status=status, tries=1, sent_at=NOW - 1)
    if isinstance(rule, Rule):
        assert advance(before, signal, NOW).status in rule.to
    elif rule == "same":
        assert advance(before, signal, NOW) is before
    else:
        with pytest.raises(ImpossibleSignal):
            advance(before, signal, NOW)


def test_the_wallet_is_asked_only_once_an_intent() -> None:
    """P8, P12: `sent` follows `intent` alone, and `intent` comes again only after a no: between two questions to a wallet stands a no."""
    to_sent = {state for state, rules in TABLE.items() for rule in rules.values() if isinstance(rule, Rule) and Status.SENT in rule.to}
    to_intent = {state for state, rules in TABLE.items() for rule in rules.values() if isinstance(rule, Rule) and Status.INTENT in rule.to}
    assert (to_sent, to_intent) == ({Status.INTENT}, {Status.FAILED})
    assert set(LIVE) == {Status.INTENT, *UNDER_WAY}


def test_what_is_not_known_becomes_known_by_a_look_alone() -> None:
    """P14: from `unknown` only the wallet's yes or no leads on; a second don't-know is the same."""
    assert lead(Sent(), OPEN).status is Status.UNKNOWN
    assert lead(Sent(), OPEN, OPEN) == lead(Sent(), OPEN)
    assert lead(Sent(), OPEN, YES) == Outgoing(
        status=Status.SETTLED, tries=1, fee=Msat(3), preimage=preimage(1), sent_at=NOW, settled_at=NOW + 2
    )
    assert lead(Sent(), OPEN, NO) == Outgoing(status=Status.FAILED, tries=1, sent_at=NOW, failed_at=NOW + 2, trouble=TROUBLE)
    for again in (Sent(), Intended()):
        with pytest.raises(ImpossibleSignal):
            lead(Sent(), OPEN, again)


def test_a_no_lets_the_same_invoice_be_tried_again() -> None:
    """P15: the tries are counted on; nothing of the first try is left but their number."""
    again = lead(Sent(), NO, Intended())
    assert again == Outgoing(tries=1)
    assert advance(again, Sent(), NOW).tries == 2


def test_a_yes_is_final() -> None:
    """Whatever comes later: first fee, first preimage, first time."""
    settled = lead(Sent(), YES)
    for late in (Paid(preimage(2), Msat(9)), PayFailed(Trouble("payment_failed", "late")), OPEN):
        assert advance(settled, late, NOW + 99) is settled


def test_a_yes_after_a_no_counts() -> None:
    """P15: the last word of the wallet is that the money has moved: never hidden behind an earlier no."""
    assert lead(Sent(), NO, YES).status is Status.SETTLED


@given(st.lists(st.sampled_from(EXAMPLES), max_size=12))
def test_no_history_loses_or_doubles_money(signals: list[Signal]) -> None:
    """Whatever comes in whatever order: a settled payment stays settled, and the wallet is asked again only after a no."""
    payment, asked_since_no = Outgoing(), 0
    for signal in signals:
        try:
            after = advance(payment, signal, NOW)
        except ImpossibleSignal:
            continue
        assert payment.status is not Status.SETTLED or after == payment
        asked_since_no += after.status is Status.SENT and payment.status is not Status.SENT
        assert asked_since_no <= 1
        if after.status is Status.FAILED:
            asked_since_no = 0
        payment = after
