"""The harness of the benches: what is measured, what is judged, what fails, and what stands in the table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benches import inputs, references
from benches.abba import FEWEST, MOST, Ratio, Side, fitting, ratio, repeats
from benches.table import HEAD, MORE, Row, judged, markdown, ordered, text
from tests.law.source import ROOT

BENCH = """
from __future__ import annotations

from benches.conftest import Against


def test_slow(against: Against) -> None:
    against("slow path", lambda: sum(range(20_000)) and 1, "a short sum", lambda: sum(range(2_000)) and 1, gate=1.0, goal=0.5)


def test_fast(against: Against) -> None:
    against("fast path", lambda: sum(range(2_000)) and 1, "a long sum", lambda: sum(range(20_000)) and 1, gate=1.0, goal=0.9)


def test_wrong(against: Against) -> None:
    against("wrong path", lambda: 1, "two", lambda: 2)
"""


def run(folder: Path, *options: str) -> str:
    """What pytest says about BENCH in a process of its own."""
    (folder / "bench_synthetic.py").write_text(BENCH)
    (folder / "pytest.ini").write_text("[pytest]\npython_files = bench_*.py\n")
    command = [sys.executable, "-m", "pytest", "-p", "benches.conftest", "--benchmark-max-time=0.01", "--benchmark-quiet"]
    # A worker of several would measure nothing.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    return subprocess.run([*command, *options, str(folder)], cwd=ROOT, env=environment, capture_output=True, text=True).stdout


def test_a_path_above_its_gate_fails_and_a_fast_one_reaches_its_goal(tmp_path: Path) -> None:
    """Measured, the slow one fails by its gate; the table has both verdicts, and so has the file for documents."""
    said = run(tmp_path, "--benchmark-enable")
    assert "2 failed, 1 passed" in said
    assert "slow path: " in said
    assert "is above its gate 1.0, in both measurements" in said
    lines = {line.split("  ")[0]: line for line in said.splitlines()}
    assert lines["slow path"].endswith("ABOVE")
    assert lines["fast path"].endswith("goal")
    document = (tmp_path / "build" / "bench.md").read_text()
    assert "| slow path | a short sum |" in document
    assert "wrong path" not in document


def test_without_measuring_only_answers_are_compared(tmp_path: Path) -> None:
    """An ordinary test run has no table and fails only where candidate and reference disagree."""
    said = run(tmp_path, "--benchmark-disable")
    assert "1 failed, 2 passed" in said
    assert "wrong path: two gives another answer" in said
    assert "ABOVE" not in said
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(
    ("value", "gate", "goal", "verdict"),
    [
        (0.5, 1.0, 0.5, "goal"), (0.5004, 1.0, 0.5, "goal"), (0.51, 1.0, 0.5, "gate"), (1.0, 1.0, 0.5, "gate"), (1.001, 1.0, 0.5, "ABOVE"),
        (9.0, None, None, "reported"), (0.5, None, 0.5, "goal"), (0.6, None, 0.5, "reported"),
    ],
)
def test_verdicts(value: float, gate: float | None, goal: float | None, verdict: str) -> None:
    """A ratio is judged as it is printed, with three digits."""
    assert Row("path", "reference", Ratio(value, 1.0, 2.0), gate, goal).verdict == verdict


@pytest.mark.parametrize(
    ("values", "asked", "verdict"),
    [([0.9], [1], "gate"), ([1.1, 0.9], [1, MORE], "gate"), ([1.1, 1.2], [1, MORE], "ABOVE"), ([0.4], [1], "goal")],
)
def test_a_ratio_above_its_gate_is_measured_once_more(values: list[float], asked: list[int], verdict: str) -> None:
    """Once, with three times the quartets, and the second measurement counts; a good one is not repeated."""
    calls: list[int] = []

    def measure(times: int) -> Ratio:
        calls.append(times)
        return Ratio(values[len(calls) - 1], 1.0, 1.0)

    row = judged("path", "reference", measure, gate=1.0, goal=0.5)
    assert calls == asked
    assert row.verdict == verdict
    assert row.ratio == values[-1]


def test_a_path_without_a_gate_is_measured_once() -> None:
    """There is nothing that it could fail."""
    calls: list[int] = []

    def measure(times: int) -> Ratio:
        calls.append(times)
        return Ratio(9.0, 1.0, 1.0)

    judged("path", "reference", measure)
    assert calls == [1]


def test_the_ratio_is_one_of_units_of_work() -> None:
    """Slices of different size are compared by unit, and a drift of the clock that is linear over a quartet cancels out."""
    clock = iter(range(1000, 100_000))

    def drifting(times: int) -> int:
        return times * next(clock)

    found = ratio(Side(lambda: drifting(256), 256), Side(lambda: drifting(2 * 8), 8), 20)
    assert found.value == 0.5
    assert found.candidate_us == 1.0
    assert found.reference_us == 2 * 1.001


def test_the_order_of_a_quartet() -> None:
    """Candidate, reference, reference, candidate."""
    order: list[str] = []

    def spend(name: str) -> int:
        order.append(name)
        return 1

    ratio(Side(lambda: spend("a"), 1), Side(lambda: spend("b"), 1), 3)
    assert "".join(order) == "abba" * 3


def test_a_long_call_is_a_slice_by_itself() -> None:
    """And a short one is repeated until it fills one."""
    assert repeats(lambda: sum(range(200_000)), 100) == 1
    assert repeats(lambda: None, 100) > 10


def test_quartets_fit_into_the_time() -> None:
    """Within bounds: some for the slowest path, not more than needed for the fastest."""
    assert fitting(Side(lambda: 5_000_000, 1), Side(lambda: 5_000_000, 1), 1.0) == 50
    assert fitting(Side(lambda: 10**9, 1), Side(lambda: 10**9, 1), 1.0) == FEWEST
    assert fitting(Side(lambda: 1000, 1), Side(lambda: 1000, 1), 1.0) == MOST


def test_the_order_of_the_table() -> None:
    """As the goals are named, and what has no goal at the end."""
    found = Ratio(1.0, 1.0, 1.0)
    paths = {"nexus: take an event": None, "chunk spans, 1 KB": 1.0, "verify, one": None, "sign": 1.0, "verify, batch": 1.0, "other": 1.0}
    rows = ordered([Row(path, "twin", found, goal=goal) for path, goal in paths.items()])
    assert [row.path for row in rows] == ["verify, batch", "sign", "chunk spans, 1 KB", "other", "verify, one", "nexus: take an event"]


def test_the_tables_have_every_row() -> None:
    """The one for a terminal is aligned, the one for documents names the machine."""
    rows = [Row("verify", "C", Ratio(0.98765, 34.0, 35.0), 1.05, 1.0), Row("a longer path", "twin", Ratio(0.1, 12345.6, 2.0))]
    head, first, second = text(rows)
    assert head.split("  ")[0] == HEAD[0]
    assert first.index("34.00") + len("34.00") == second.index("12346") + len("12346")
    assert first.split() == ["verify", "C", "34.00", "35.00", "0.988", "1.05", "1.00", "goal"]
    assert second.split()[-1] == "reported"
    document = markdown(rows)
    assert "cores (load" in document.splitlines()[0]
    assert "| verify | C | 34.00 | 35.00 | 0.988 | 1.05 | 1.00 | goal |" in document


def test_the_reference_in_c_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is none, the benches say what they miss."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="need a C compiler: neither gcc nor cc is on PATH"):
        references.libsecp256k1.__wrapped__()


def test_the_reference_in_c_can_tell_right_from_wrong() -> None:
    """It verifies every signature that it is given, and signs as we do."""
    batch = inputs.signatures(3, 3)
    assert references.libsecp256k1_verify(*batch)
    for place in (0, 64, 128):
        broken = bytearray(batch.signatures)
        broken[place + 40] ^= 1
        assert not references.libsecp256k1_verify(batch.keys, bytes(broken), batch.messages)
    messages = [one[2] for one in batch.split()]
    assert references.libsecp256k1_sign(inputs.SECRET, messages, inputs.AUX) == [inputs.ALICE.sign(one, inputs.AUX) for one in messages]
