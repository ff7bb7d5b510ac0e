"""How a bench is run: the candidate by pytest-benchmark, and its ratio to a named reference by ABBA quartets in the same run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benches.abba import Call, ratio

Against = Callable[..., None]
RATIOS = pytest.StashKey[list[str]]()


@pytest.fixture
def against(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Against:
    """Measure `candidate` against `reference`: `against(unit, candidate, name, reference)`. Without benchmarks both run once."""

    def measure(unit: str, candidate: Call, name: str, reference: Call, *, quartets: int = 200) -> None:
        reference()
        benchmark(candidate)
        if benchmark.disabled:
            return
        found = ratio(candidate, reference, quartets)
        benchmark.extra_info |= {"unit": unit, "reference": name, "ratio": round(found.value, 3), "reference_us": found.reference_us}
        line = f"{unit:48} {found.value:7.3f}   {found.candidate_us:10.2f} us   {found.reference_us:10.2f} us   {name}"
        request.config.stash.setdefault(RATIOS, []).append(line)

    return measure


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The ratios, one a line."""
    lines = config.stash.get(RATIOS, [])
    if lines:
        terminalreporter.section("ratios to references (ABBA quartets; below 1 is faster)")
        terminalreporter.write_line(f"{'unit':48} {'ratio':>7}   {'ours':>13}   {'reference':>13}")
        for line in lines:
            terminalreporter.write_line(line)
