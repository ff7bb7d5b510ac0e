"""How a bench is run: the candidate by pytest-benchmark, and its ratio to a named reference by ABBA quartets in the same run."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Protocol

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benches.abba import Call, Ratio, fitting, ratio, side
from benches.table import Measure, Row, judged, markdown, ordered, text

ROWS = pytest.StashKey[list[Row]]()


class Judge(Protocol):
    """Measures a path and puts it into the table; the bench fails when the ratio stays above the gate."""

    def __call__(self, path: str, reference: str, measure: Measure, *, gate: float | None = None, goal: float | None = None) -> None: ...


class Against(Protocol):
    """Checks that candidate and reference agree, and measures the one beside the other.

    A call of the candidate does `units[0]` units of work, one of the reference `units[1]`; `agree` compares their answers. Without
    --benchmark-enable each of them runs, and nothing is measured."""

    def __call__(
        self, path: str, candidate: Call, name: str, reference: Call, *, units: tuple[int, int] = (1, 1), gate: float | None = None,
        goal: float | None = None, agree: Callable[[Any, Any], bool] = operator.eq,
    ) -> None: ...


@pytest.fixture
def judge(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Judge:
    """The judge of this run."""

    def judge(path: str, reference: str, measure: Measure, *, gate: float | None = None, goal: float | None = None) -> None:
        if benchmark.disabled:
            return
        row = judged(path, reference, measure, gate, goal)
        benchmark.extra_info |= {
            "path": path, "reference": reference, "ratio": row.ratio, "gate": gate, "goal": goal,
            "candidate_us": row.found.candidate_us, "reference_us": row.found.reference_us,
        }
        request.config.stash.setdefault(ROWS, []).append(row)
        if row.verdict == "ABOVE":
            pytest.fail(f"{path}: {row.ratio} times {reference} is above its gate {gate}, in both measurements", pytrace=False)

    return judge


@pytest.fixture
def against(benchmark: BenchmarkFixture, judge: Judge) -> Against:
    """`against(path, candidate, name, reference)`."""

    def against(
        path: str, candidate: Call, name: str, reference: Call, *, units: tuple[int, int] = (1, 1), gate: float | None = None,
        goal: float | None = None, agree: Callable[[Any, Any], bool] = operator.eq,
    ) -> None:
        assert agree(candidate(), reference()), f"{path}: {name} gives another answer"
        benchmark(candidate)

        def measure(times: int) -> Ratio:
            ours, theirs = side(candidate, units[0]), side(reference, units[1])
            return ratio(ours, theirs, times * fitting(ours, theirs))

        judge(path, name, measure, gate=gate, goal=goal)

    return against


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table; build/bench.md has it too."""
    rows = ordered(config.stash.get(ROWS, []))
    if rows:
        terminalreporter.section("ratios to references in the same run (below 1 is faster)")
        for line in text(rows):
            terminalreporter.write_line(line)
        place = config.rootpath / "build" / "bench.md"
        place.parent.mkdir(exist_ok=True)
        place.write_text(markdown(rows), "utf-8")
