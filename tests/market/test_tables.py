"""Both tables as a whole: every pair of a state and a signal has a rule, and nothing outside the tables can happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

from pylon.market import buyer, effects, provider, signals
from pylon.market.effects import AnyEffect, Effect
from pylon.market.job import BUYER_ENDED, PROVIDER_ENDED, BuyerState, ProviderState, Role
from pylon.market.prompt import Prompt
from pylon.market.signals import Signal
from pylon.market.table import IMPOSSIBLE, SAME, ImpossibleSignal, Row, Rule, Step, leads, row, rule_of
from pylon.units import Msat
from tests.market.scene import TROUBLE, B, bought, buy, invoice, payment_hash, preimage, quote, quoted, sell, sold

EXAMPLES: Mapping[type[Signal], Signal] = {
    type(signal): signal
    for signal in (
        signals.Accepted(Prompt("hello"), Msat(1000)),
        signals.Declined(TROUBLE),
        signals.Invoiced(invoice(), payment_hash(1), Msat(1000), 1_780_000_600),
        signals.InvoiceFailed(TROUBLE),
        signals.Settled(Msat(1000), preimage(1)),
        signals.Generated("4", "tiny", 1),
        signals.GenerateFailed(TROUBLE, True),
        signals.Delivered(),
        signals.Cancelled(),
        signals.Expired(),
        signals.Repeated(),
        signals.Posted(),
        signals.NotPosted(TROUBLE),
        quoted(),
        signals.PayOrdered(),
        signals.Paid(preimage(1), Msat(0)),
        signals.PayFailed(TROUBLE),
        signals.PayUnknown(TROUBLE),
        signals.Refused(B, TROUBLE),
        signals.Working(B),
        signals.Answered(B, "4", "tiny"),
        signals.Withdrawn(),
        signals.Woke(),
    )
}


def kinds(table: Mapping[str, Row]) -> Counter[str]:
    """How many pairs are transitions, `same` and `impossible`."""
    return Counter("transition" if isinstance(rule, Rule) else rule.value for signals_ in table.values() for rule in signals_.values())


def test_the_provider_table_is_total() -> None:
    """11 states by 12 signals: 132 pairs, each with a rule."""
    assert set(provider.TABLE) == set(ProviderState)
    assert all(set(rules) == set(provider.SIGNALS) for rules in provider.TABLE.values())
    assert kinds(provider.TABLE) == {"transition": 23, "same": 72, "impossible": 37}


def test_the_buyer_table_is_total() -> None:
    """10 states by 12 signals: 120 pairs, each with a rule."""
    assert set(buyer.TABLE) == set(BuyerState)
    assert all(set(rules) == set(buyer.SIGNALS) for rules in buyer.TABLE.values())
    assert kinds(buyer.TABLE) == {"transition": 37, "same": 63, "impossible": 20}


def test_every_signal_belongs_to_a_table() -> None:
    """No signal is defined that no table knows, and only `Woke` is in both."""
    defined = {value for value in vars(signals).values() if isinstance(value, type) and issubclass(value, Signal)} - {Signal}
    assert defined == set(provider.SIGNALS) | set(buyer.SIGNALS) == set(EXAMPLES)
    assert set(provider.SIGNALS) & set(buyer.SIGNALS) == {signals.Woke}


def test_every_effect_is_in_the_union_that_the_ledger_decodes() -> None:
    """An effect that is missing in `AnyEffect` could be stored and never read again."""
    defined = {value for value in vars(effects).values() if isinstance(value, type) and issubclass(value, Effect)} - {Effect}
    assert defined == set(AnyEffect.__args__)


@pytest.mark.parametrize("state", ProviderState)
@pytest.mark.parametrize("signal", provider.SIGNALS)
def test_a_provider_pair_does_what_its_rule_says(state: ProviderState, signal: type[Signal]) -> None:
    """A transition ends in one of its states, `same` changes nothing, and only `impossible` raises."""
    job = sold(state)
    rule = provider.TABLE[state][signal]
    if rule is IMPOSSIBLE:
        with pytest.raises(ImpossibleSignal, match=f"{signal.__name__} in state {state}"):
            sell(job, EXAMPLES[signal])
        return
    step = sell(job, EXAMPLES[signal])
    if rule is SAME:
        assert step.job is job
        assert step.effects == ()
    else:
        assert isinstance(rule, Rule)
        assert step.job.state in rule.to


@pytest.mark.parametrize("state", BuyerState)
@pytest.mark.parametrize("signal", buyer.SIGNALS)
def test_a_buyer_pair_does_what_its_rule_says(state: BuyerState, signal: type[Signal]) -> None:
    """A transition ends in one of its states, `same` changes nothing, and only `impossible` raises."""
    job = bought(state)
    rule = buyer.TABLE[state][signal]
    if rule is IMPOSSIBLE:
        with pytest.raises(ImpossibleSignal, match=f"{signal.__name__} in state {state}"):
            buy(job, EXAMPLES[signal])
        return
    step = buy(job, EXAMPLES[signal])
    if rule is SAME:
        assert step.job is job
        assert step.effects == ()
    else:
        assert isinstance(rule, Rule)
        assert step.job.state in rule.to


STRANGERS_TO_A_PROVIDER = (signals.Cancelled, signals.Repeated, signals.Settled)
STRANGERS_TO_A_BUYER = (signals.Quoted, signals.Refused, signals.Working, signals.Answered)


def test_nothing_that_a_stranger_can_cause_is_impossible() -> None:
    """Impossible means a bug of ours: what comes from the wire never raises, whatever the state."""
    for rules in provider.TABLE.values():
        assert IMPOSSIBLE not in {rules[signal] for signal in STRANGERS_TO_A_PROVIDER[:2]}
    for rules in buyer.TABLE.values():
        assert IMPOSSIBLE not in {rules[signal] for signal in STRANGERS_TO_A_BUYER}


def test_a_settlement_is_possible_wherever_an_invoice_may_be_known() -> None:
    """Money can land at any time after the invoice was made, so only the states before that call it a bug."""
    no_money = {state for state, rules in provider.TABLE.items() if rules[signals.Settled] is IMPOSSIBLE}
    assert no_money == {ProviderState.NEW, ProviderState.OFFERED, ProviderState.DECLINED}


def test_a_payment_is_begun_only_from_posted_or_after_a_failure() -> None:
    """No rule leads into `paying` while money may be under way or was paid: nobody pays twice for a job."""
    begins = {
        (state, signal.__name__)
        for state, rules in buyer.TABLE.items()
        for signal, rule in rules.items()
        if isinstance(rule, Rule) and BuyerState.PAYING in rule.to
    }
    assert begins - {("paying", name) for name in ("Posted", "Quoted", "Refused", "Answered", "Withdrawn")} == {
        ("draft", "Quoted"), ("posted", "Quoted"), ("posted", "PayOrdered"), ("paying", "PayFailed"), ("unsure", "PayFailed")
    }
    stays = [signals.Posted(), quoted(B, 2), signals.Refused(B, TROUBLE), signals.Answered(B, "4", ""), signals.Withdrawn()]
    assert not any(isinstance(effect, effects.Pay) for signal in stays for effect in buy(bought(BuyerState.PAYING), signal).effects)


def test_the_ended_states_are_those_where_nothing_happens_by_itself() -> None:
    """`ended` is what closes a job in the ledger: an owed answer keeps it open."""
    assert set(ProviderState) - PROVIDER_ENDED == {
        ProviderState.NEW, ProviderState.OFFERED, ProviderState.INVOICED, ProviderState.RUNNING, ProviderState.ANSWERED, ProviderState.OWING
    }
    assert set(BuyerState) - BUYER_ENDED == {
        BuyerState.DRAFT, BuyerState.POSTED, BuyerState.PAYING, BuyerState.UNSURE, BuyerState.PAID
    }
    assert all(sold(state).ended == (state in PROVIDER_ENDED) for state in ProviderState)
    assert all(bought(state).ended == (state in BUYER_ENDED) for state in BuyerState)
    assert set(Role) == {"buyer", "provider"}


def test_a_table_with_a_hole_is_an_error_not_a_silence() -> None:
    """A pair without a rule raises KeyError."""
    with pytest.raises(KeyError):
        rule_of({"new": row((), {})}, "new", signals.Woke())


def test_a_rule_that_ends_elsewhere_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transition whose state is not in the table raises: the table can be believed when read."""
    wrong: Row = {**buyer.TABLE[BuyerState.POSTED], signals.Withdrawn: leads(lambda job, signal, currency, now: Step(job), BuyerState.DONE)}
    monkeypatch.setattr(buyer, "TABLE", {**buyer.TABLE, BuyerState.POSTED: wrong})
    with pytest.raises(AssertionError, match="not in the table"):
        buy(bought(BuyerState.POSTED), signals.Withdrawn())


def test_quotes_of_the_examples_are_what_the_table_makes_of_them() -> None:
    """The scene of these tests speaks of the same invoices as the tables."""
    assert buy(bought(BuyerState.DRAFT), quoted()).job.quote == quote()
