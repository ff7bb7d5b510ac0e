"""The one table of `make bench`: what each path costs beside its reference, and whether it holds its gate and reaches its goal."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from benches.abba import Ratio

Measure = Callable[[int], Ratio]
"""Measures with so many times the usual number of quartets."""
HEAD = ("path", "reference", "ours, us", "reference, us", "ratio", "gate", "goal", "verdict")
REFERENCES = ("coincurve", "orjson", "msgspec", "picows", "chonkie-core")
ORDER = ("verify", "sign", "signed", "canonical", "ingest", "match", "receive", "drop", "chunk")
"""The first words of the paths with goals, in the order of the table; others follow as they were measured."""
MORE = 3
"""How many times the quartets of the first measurement the second has."""


class Row(NamedTuple):
    """One path. The microseconds are those of one unit of work, which the path or BASELINE.md names."""

    path: str
    reference: str
    found: Ratio
    gate: float | None = None
    goal: float | None = None

    @property
    def ratio(self) -> float:
        """As it is printed, and as it is judged."""
        return round(self.found.value, 3)

    @property
    def verdict(self) -> str:
        """`goal`: it is reached; `gate`: the gate holds; `ABOVE`: it does not; `reported`: there is none."""
        if self.goal is not None and self.ratio <= self.goal:
            return "goal"
        if self.gate is None:
            return "reported"
        return "gate" if self.ratio <= self.gate else "ABOVE"

    def cells(self) -> tuple[str, ...]:
        """What stands under HEAD."""
        bounds = ("" if bound is None else f"{bound:.2f}" for bound in (self.gate, self.goal))
        times = (f"{us:.2f}" if us < 1000 else f"{us:.0f}" for us in (self.found.candidate_us, self.found.reference_us))
        return (self.path, self.reference, *times, f"{self.ratio:.3f}", *bounds, self.verdict)


def judged(path: str, reference: str, measure: Measure, gate: float | None = None, goal: float | None = None) -> Row:
    """Measure; a ratio above its gate is measured once more, with three times the quartets."""
    row = Row(path, reference, measure(1), gate, goal)
    return Row(path, reference, measure(MORE), gate, goal) if row.verdict == "ABOVE" else row


def ordered(rows: list[Row]) -> list[Row]:
    """Those with a goal first, in ORDER."""

    def place(row: Row) -> tuple[bool, int]:
        word = row.path.replace(",", " ").split()[0]
        return row.goal is None, ORDER.index(word) if word in ORDER else len(ORDER)

    return sorted(rows, key=place)


def text(rows: list[Row]) -> list[str]:
    """The table for a terminal, names to the left and numbers to the right."""
    table = [HEAD, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    layout = "  ".join(f"{{:{'>' if 2 <= place <= 6 else '<'}{width}}}" for place, width in enumerate(widths))
    return [layout.format(*cells).rstrip() for cells in table]


def markdown(rows: list[Row]) -> str:
    """The table for a document, under a line that says where and with what it was measured."""
    lines = [f"{machine()}:", "", f"| {' | '.join(HEAD)} |", "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"]
    return "\n".join([*lines, *(f"| {' | '.join(row.cells())} |" for row in rows)]) + "\n"


def machine() -> str:
    """Processor, cores, load, and the versions of what is measured with."""
    about = Path("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.+)$", about.read_text(), re.MULTILINE) if about.exists() else None
    versions = ", ".join(f"{name} {version(name)}" for name in REFERENCES)
    return (
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores (load {os.getloadavg()[0]:.1f}), {platform.system()}, "
        f"CPython {platform.python_version()}, {versions}"
    )
