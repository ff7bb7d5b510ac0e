"""Instructions per call of the pure native functions, counted by callgrind on fixed inputs: what no noise of a machine can hide.

    python -m benches.counts            compares with counts.json
    python -m benches.counts --update   writes it

`native/core/examples/counts.rs` does each piece of work n and 3n times; a call costs (I(3n) - I(n)) / 2n instructions, so that making the
input does not count. The counts are kept for each toolchain that was used, since another compiler gives other counts. Valgrind hides
SHA-NI and AVX-512 from the program, so what is counted is the path of a machine without them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
KEPT = Path(__file__).parent / "counts.json"
TOLERANCE = 0.02
TIMES = 20
UPDATE = "make counts UPDATE=1"


class Line(NamedTuple):
    """One function: instructions a call, and those that are kept, if any."""

    name: str
    found: int
    kept: int | None

    @property
    def change(self) -> float:
        """0.03 where a call takes 3 % more instructions than it did."""
        return self.found / self.kept - 1 if self.kept else 0.0

    @property
    def verdict(self) -> str:
        """`MORE` than the tolerance allows, `fewer`, `same`, or `new`."""
        if self.kept is None:
            return "new"
        if self.change > TOLERANCE:
            return "MORE"
        return "fewer" if self.change < -TOLERANCE else "same"

    def __str__(self) -> str:
        kept = "" if self.kept is None else f"{self.kept:>12,}  {self.change:+8.2%}"
        return f"{self.name:24}{self.found:>12,}{kept:>24}  {self.verdict}"


def compared(kept: dict[str, int] | None, found: dict[str, int]) -> list[Line]:
    """Every function that was counted, beside what is kept of it."""
    return [Line(name, count, (kept or {}).get(name)) for name, count in found.items()]


def said_by(*command: str) -> str:
    """What a program writes."""
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def toolchain() -> str:
    """The compilers that decide the counts, and what they compile for."""
    rust = dict(line.split(": ", 1) for line in said_by("rustc", "-vV").splitlines() if ": " in line)
    compiler = shutil.which(os.environ.get("CC", "cc"))
    c = said_by(compiler, "-dumpfullversion").strip() if compiler else "none"
    return f"rustc {rust['release']}, cc {c}, {rust['host']}"


def build(folder: Path) -> Path:
    """The program, compiled as the extension is, copied to where no other build can replace it."""
    lines = said_by("cargo", "build", "--release", "--locked", "-p", "pylon-core", "--example", "counts", "--message-format=json")
    messages = [json.loads(line) for line in lines.splitlines()]
    (made,) = [message["executable"] for message in messages if message.get("executable")]
    return Path(shutil.copy(made, folder))


def instructions(program: Path, name: str, times: int) -> int:
    """How many the whole program executes."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program), name, str(times)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    collected = re.search(r"Collected : (\d+)", said)
    if collected is None:
        raise RuntimeError(f"callgrind counted nothing:\n{said}")
    return int(collected[1])


def count(program: Path) -> dict[str, int]:
    """Instructions a call, of every function."""
    names = said_by(str(program)).split()
    return {name: (instructions(program, name, 3 * TIMES) - instructions(program, name, TIMES)) // (2 * TIMES) for name in names}


def verdict(kept: dict[str, int] | None, found: dict[str, int], key: str) -> int:
    """Print the table; 1 where a function takes more than the tolerance allows."""
    lines = compared(kept, found)
    print(f"instructions a call, by callgrind (without SHA-NI and AVX-512), {key}")
    print(f"{'function':24}{'found':>12}{'kept':>14}{'change':>10}")
    print(*lines, sep="\n")
    if kept is None:
        print(f"{KEPT.name} has no counts of this toolchain, so there is nothing to compare with; `{UPDATE}` keeps these")
    more = [line.name for line in lines if line.verdict == "MORE"]
    if more:
        print(f"{', '.join(more)}: over {TOLERANCE:.0%} more than kept; where that is meant, `{UPDATE}` keeps it")
    elif any(line.verdict == "fewer" for line in lines):
        print(f"`{UPDATE}` keeps the better counts")
    return int(bool(more))


def main() -> int:
    """Count, then compare or keep."""
    if shutil.which("valgrind") is None:
        print("instructions are not counted: valgrind is not installed")
        return 0
    key = toolchain()
    with tempfile.TemporaryDirectory() as folder:
        found = count(build(Path(folder)))
    everything: dict[str, dict[str, int]] = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    failed = verdict(everything.get(key), found, key)
    if "--update" not in sys.argv[1:]:
        return failed
    everything[key] = found
    KEPT.write_text(json.dumps(everything, indent=2, sort_keys=True) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
