"""The counted instructions: what is told as more, what passes, and what happens where there is nothing to count or compare with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benches import counts

KEPT = {"verify": 400_000, "sign": 200_000}


@pytest.mark.parametrize(
    ("factor", "verdict", "failed"),
    [(1.03, "MORE", 1), (1.021, "MORE", 1), (1.01, "same", 0), (1.0, "same", 0), (0.99, "same", 0), (0.9, "fewer", 0)],
)
def test_three_per_cent_are_told_and_one_passes(factor: float, verdict: str, failed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A function that takes over two per cent more than is kept fails, by its name; fewer are welcome."""
    found = {**KEPT, "verify": int(KEPT["verify"] * factor)}
    assert counts.verdict(KEPT, found, "rustc 1") == failed
    said = capsys.readouterr().out
    assert [line.split()[-1] for line in said.splitlines()[2:4]] == [verdict, "same"]
    assert ("verify: over 2%" in said) == bool(failed)


def test_a_new_function_fails_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """It is shown as new."""
    assert counts.verdict({"sign": 200_000}, KEPT, "rustc 1") == 0
    assert [line.verdict for line in counts.compared({"sign": 200_000}, KEPT)] == ["new", "same"]
    assert "nothing to compare" not in capsys.readouterr().out


def test_another_toolchain_fails_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Its counts are shown, and that there are none to compare with."""
    assert counts.verdict(None, KEPT, "rustc 2") == 0
    said = capsys.readouterr().out
    assert "400,000" in said
    assert "nothing to compare with" in said


def test_without_valgrind_nothing_is_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """That is said, and is no failure."""
    monkeypatch.setenv("PATH", "")
    assert counts.main() == 0
    assert "valgrind is not installed" in capsys.readouterr().out


def test_counts_are_kept_by_toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With --update they are written beside those of other toolchains, even where they are more; without, they fail and stay."""
    kept = tmp_path / "counts.json"
    kept.write_text(json.dumps({"rustc 1": {"verify": 1, "sign": 1}, "rustc 2": {"verify": 2}}))
    monkeypatch.setattr(counts, "KEPT", kept)
    monkeypatch.setattr(counts, "toolchain", lambda: "rustc 1")
    monkeypatch.setattr(counts, "build", lambda folder: folder)
    monkeypatch.setattr(counts, "count", lambda program: KEPT)
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr("sys.argv", ["counts"])
    assert counts.main() == 1
    assert json.loads(kept.read_text())["rustc 1"] == {"verify": 1, "sign": 1}
    monkeypatch.setattr("sys.argv", ["counts", "--update"])
    assert counts.main() == 0
    assert json.loads(kept.read_text()) == {"rustc 1": KEPT, "rustc 2": {"verify": 2}}
    assert capsys.readouterr().out.count("MORE") == 4


def test_a_call_is_what_is_left_of_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done once, however often the work is repeated, does not count."""
    monkeypatch.setattr(counts, "said_by", lambda *command: "verify\nsign\n")
    monkeypatch.setattr(counts, "instructions", lambda program, name, times: 1_000_000 + times * KEPT[name])
    assert counts.count(Path("counts")) == KEPT


def test_what_is_kept_can_be_compared() -> None:
    """The file in git has whole positive numbers for the functions of one toolchain at least."""
    everything = json.loads(counts.KEPT.read_text("utf-8"))
    assert everything
    for kept in everything.values():
        assert all(isinstance(count, int) and count > 0 for count in kept.values())
        assert {"verify", "sign"} <= kept.keys()
