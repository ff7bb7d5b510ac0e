"""The catalogue of attacks on payments (P1 to P28): each that can be tried today is named by a test that tries it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pylon.market import provider
from pylon.market.effects import Generate, Pay
from pylon.market.job import BuyerState, ProviderState
from pylon.market.signals import Settled, Signal
from pylon.market.table import ImpossibleSignal
from tests.market.scene import NOW, B, bought, buy, quoted, sell, sold
from tests.market.test_tables import EXAMPLES

TESTS = Path(__file__).parents[1]
LATER = {28}
"""Locked results are not made yet."""
ELSEWHERE = {9, 10, 16, 17, 18, 19, 20}
"""Of jobs and answers rather than of money: named where those are tested."""


def named() -> dict[int, list[str]]:
    """The tests whose sentence names an attack, by its number; `P12 to P15` names all between."""
    found: dict[int, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
                continue
            said = ast.get_docstring(node) or ""
            for first, last in re.findall(r"\bP(\d{1,2})(?: to P(\d{1,2}))?\b", said):
                for number in range(int(first), int(last or first) + 1):
                    found.setdefault(number, []).append(f"{path.name}::{node.name}")
    return found


def test_every_attack_is_named_by_a_test_that_tries_it() -> None:
    """All numbers of the catalogue, but for those that are named where jobs and answers are tested."""
    found = named()
    missing = set(range(1, 29)) - LATER - ELSEWHERE - set(found)
    assert not missing, f"no test names {sorted(missing)}"


@pytest.mark.parametrize("signal", EXAMPLES.values(), ids=lambda signal: type(signal).__name__)
@pytest.mark.parametrize("state", ProviderState)
def test_nothing_is_computed_before_the_settlement(state: ProviderState, signal: Signal) -> None:
    """P27: in every state, for every signal: a job with a price is computed only once its money is there."""
    if type(signal) not in provider.SIGNALS:
        return
    job = sold(state)
    try:
        step = sell(job, signal)
    except ImpossibleSignal:
        return
    if any(isinstance(effect, Generate) for effect in step.effects):
        assert step.job.paid or step.job.price == 0
        assert job.paid or job.price == 0 or isinstance(signal, Settled)


@pytest.mark.parametrize("state", [BuyerState.PAYING, BuyerState.UNSURE, BuyerState.PAID, BuyerState.DONE, BuyerState.LOST])
@pytest.mark.parametrize("by", ["a", "b"])
def test_a_second_invoice_after_the_first_pays_nothing(state: BuyerState, by: str) -> None:
    """P11: from the provider that is being or was paid, or another one, whatever it asks: no second payment for the job."""
    from_ = bought(state).quote
    assert from_ is not None
    step = buy(bought(state), quoted(from_.provider if by == "a" else B, 7, 1, at=NOW))
    assert not any(isinstance(effect, Pay) for effect in step.effects)
    assert step.job.state is state
