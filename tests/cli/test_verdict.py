"""What became of a recursive query: its exit status, its sentence and its document, for every end that a run can come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.cli.verdict import Run, verdict
from pylon.errors import PartialAnswer
from pylon.rlm.asking import Reason
from pylon.rlm.plan import Lack, Report
from pylon.units import Msat


def run(pieces: int, answered: int, *reasons: str, message: str = "because", spent: int = 0, local: bool = False) -> Run:
    """A run that has ended: the last pieces are lacking, for these reasons."""
    lacking = tuple(Lack(pieces - len(reasons) + n, reason, message) for n, reason in enumerate(reasons))
    report = Report(
        answer="- yes" if answered else "", pieces=pieces, answered=answered, lacking=lacking, spent=Msat(spent),
        providers={"b": 1, "a": answered - 1} if answered > 1 else {},
    )
    return Run("00" * 32, report, Msat(5000), local)


def status(outcome: Run) -> int:
    """The exit status."""
    error = verdict(outcome)
    return error.exit_status if error else 0


def test_whole_and_partial() -> None:
    """All pieces: 0. Some: 10, with the count."""
    assert status(run(5, 5)) == 0
    error = verdict(run(5, 4, "useless"))
    assert isinstance(error, PartialAnswer)
    assert (error.exit_status, error.message, error.hint) == (10, "the answer stands on 4 of 5 pieces", "")


@pytest.mark.parametrize(
    ("reason", "message", "spent", "expected"),
    [
        ("budget", "", 0, 6), ("price", "", 0, 6), ("money", "the wallet holds 3 msat", 0, 6), ("money", "it failed", 0, 6),
        ("unreachable", "", 0, 5), ("silent", "", 0, 8), ("time", "", 0, 8), ("busy", "", 0, 8), ("silent", "", 1000, 9),
        ("refused", "", 0, 7), ("failed", "", 0, 7), ("useless", "", 5000, 7), ("overflow", "", 0, 4), ("gone", "", 1000, 1),
    ],
)
def test_nothing_at_all(reason: str, message: str, spent: int, expected: int) -> None:
    """The commonest reason says why there is no answer."""
    outcome = run(3, 0, reason, reason, "refused" if reason != "refused" else "price", message=message, spent=spent)
    assert status(outcome) == expected


@pytest.mark.parametrize("reason", [reason.value for reason in Reason])
def test_nothing_here(reason: str) -> None:
    """Without the swarm it is always the models of this machine: 4."""
    assert status(run(2, 0, reason, reason, local=True)) == 4


@pytest.mark.parametrize(
    ("reason", "message", "hint"),
    [
        ("budget", "x", "a larger --budget buys more"), ("price", "x", "a larger --budget buys more"),
        ("silent", "no answer; it cannot be asked again: the budget is used up", "a larger --budget buys more"),
        ("silent", "no answer", "a longer --timeout may help"), ("busy", "x", "a longer --timeout may help"),
        ("overflow", "x", "a smaller --chunk-size may help"), ("refused", "x", ""),
    ],
)
def test_what_may_help(reason: str, message: str, hint: str) -> None:
    """A partial answer says what would make it whole, where something would."""
    error = verdict(run(3, 2, reason, message=message))
    assert error is not None
    assert error.hint == hint


def test_the_document() -> None:
    """The fields of the JSON document; providers by name, no answer is null."""
    assert run(4, 3, "useless", spent=4000).document() == {
        "run": "00" * 32, "answer": "- yes", "coverage": {"pieces": 4, "answered": 3}, "spent_msat": 4000, "budget_msat": 5000,
        "providers": [{"provider": "a", "pieces": 2}, {"provider": "b", "pieces": 1}],
        "lacking": [{"piece": 3, "reason": "useless", "message": "because"}], "notes": [],
    }
    assert run(1, 0, "time").document()["answer"] is None


@given(
    st.lists(st.sampled_from([*(reason.value for reason in Reason), "budget", "time", "useless"]), max_size=6), st.integers(0, 4),
    st.integers(0, 5000), st.booleans(), st.text(max_size=20),
)
def test_every_end_has_a_status(reasons: list[str], answered: int, spent: int, local: bool, message: str) -> None:
    """0 exactly where nothing lacks, 10 exactly where something is there and something lacks, else another that is known."""
    pieces = answered + len(reasons)
    found = status(run(pieces, answered, *reasons, message=message, spent=spent, local=local))
    if not reasons:
        assert found == 0
    elif answered:
        assert found == 10
    else:
        assert found in (1, 4, 5, 6, 7, 8, 9)
