"""Mutation by hand: for each guard of Pylon the small patch that removes it, and the test that must then fail (docs/architecture.md).

The patches stand in the `*.toml` files beside this one, one file a room, as tables `[[mutant]]`: `name`, `guards` (the clause, in words),
`file`, `old` (the text to replace, which occurs exactly once in the file), `new`, and `test`, the pytest node id that catches it.

    python tests/mutants/run.py [--list] [--jobs N] [NAME or room ...]

The tree is copied to temporary folders, one for each job. There every named test must pass first; then each patch is applied alone, its
test must fail (by an assertion or an exception in the test, not by an error of collection), and the patch is taken back. Exit status 1
where a patch survives, breaks the program instead of the guard, or does not fit the code any more.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import msgspec

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent.parent
LIMIT_S: Final = 60.0
"""Seconds that one test may take; a mutant that hangs is not caught."""
COPIED: Final = ("pylon", "tests", "benches", "pyproject.toml")


class Mutant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One guard, the patch that removes it, and the test that fails without it."""

    name: str
    guards: str
    file: str
    old: str
    new: str
    test: str
    room: str = ""

    def fault(self, root: Path) -> str:
        """What is wrong with the patch itself, or nothing."""
        path = root / self.file
        if not path.is_file():
            return f"there is no {self.file}"
        text = path.read_text("utf-8")
        if (found := text.count(self.old)) != 1:
            return f"its text stands {found} times in {self.file}, not once"
        try:
            compile(text.replace(self.old, self.new), self.file, "exec")
        except SyntaxError as error:
            return f"the patched file is no Python: {error}"
        return "" if self.old != self.new else "it changes nothing"


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of patches."""

    mutant: list[Mutant]


class Outcome(msgspec.Struct, frozen=True):
    """What became of one run of pytest: its exit status (None: over the limit), the tests that failed, its output, and seconds."""

    status: int | None
    failed: tuple[str, ...]
    text: str
    seconds: float

    @property
    def caught(self) -> bool:
        """Some test was collected, ran, and failed; an error of collection or in a fixture is not that."""
        return self.status == 1 and bool(self.failed)


def load(folder: Path = HERE) -> list[Mutant]:
    """All patches, in the order of the files and of their lines."""
    mutants = []
    for path in sorted(folder.glob("*.toml")):
        table = msgspec.toml.decode(path.read_bytes(), type=Table)
        mutants += [msgspec.structs.replace(mutant, room=path.stem) for mutant in table.mutant]
    return mutants


def choose(mutants: Sequence[Mutant], names: Sequence[str]) -> list[Mutant]:
    """Those that are called so, or whose room is; all without names. Raises SystemExit for a name that nothing has."""
    for name in names:
        if not any(name in (mutant.name, mutant.room) for mutant in mutants):
            raise SystemExit(f"there is no mutant and no room called {name!r}")
    return [mutant for mutant in mutants if not names or mutant.name in names or mutant.room in names]


def copy(target: Path) -> None:
    """The tree with its compiled modules, so that nothing here is ever changed."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target / name)
    # Compiled files that are checked by content: a patch and its removal may fall into one second and have one length.
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "pylon", "tests"],
        cwd=target, check=True, env=environment(target),
    )  # fmt: skip
    for folder in (target, Path("/")):
        asked = [sys.executable, "-c", "import pylon, pylon._native; print(pylon.__file__)"]
        found = subprocess.run(asked, cwd=folder, check=True, env=environment(target), capture_output=True, text=True).stdout.strip()
        if Path(found).resolve() != (target / "pylon" / "__init__.py").resolve():
            raise SystemExit(f"the copy in {target} is not what is imported there, but {found}")


def environment(target: Path) -> dict[str, str]:
    """The children of the tests, wherever they stand, import the copy too."""
    return {**os.environ, "PYTHONPATH": str(target), "PYTHONDONTWRITEBYTECODE": "1"}


def pytest(target: Path, tests: Iterable[str], limit_s: float, *options: str) -> Outcome:
    """Run tests of the copy."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp=tmp", "--tb=short", "-rfE", *options, *tests],
        cwd=target, env=environment(target), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8", errors="replace", start_new_session=True,
    )  # fmt: skip
    status: int | None
    try:
        text, _ = process.communicate(timeout=limit_s)
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        text, _ = process.communicate()
        status = None
    failed = tuple(re.findall(r"^FAILED (\S+)", text, re.MULTILINE))
    return Outcome(status, failed, text, time.monotonic() - began)


def attack(target: Path, mutant: Mutant) -> tuple[str, Outcome | None]:
    """Apply one patch, run its test, take the patch back. Returns a word and the run."""
    if fault := mutant.fault(target):
        return f"ROTTEN: {fault}", None
    path = target / mutant.file
    sound = path.read_bytes()
    path.write_bytes(sound.replace(mutant.old.encode(), mutant.new.encode()))
    try:
        outcome = pytest(target, [mutant.test], LIMIT_S, "-x")
    finally:
        path.write_bytes(sound)
    if outcome.caught:
        return "caught", outcome
    words = {0: "SURVIVED", 1: "BROKEN: an error outside the test", None: f"HUNG for more than {LIMIT_S:.0f} s"}
    return words.get(outcome.status, f"BROKEN: pytest ended with {outcome.status}"), outcome


def main(arguments: list[str]) -> int:
    """Run what was asked for; the exit status."""
    parser = argparse.ArgumentParser(description="apply each mutant alone and see that its test fails")
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants, or rooms (the names of the .toml files); default: all")
    parser.add_argument("--jobs", type=int, default=3, help="how many are tried at a time (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="say what there is and run nothing")
    asked = parser.parse_args(arguments)
    mutants = choose(load(), asked.names)
    if asked.list:
        for mutant in mutants:
            print(f"{mutant.room}: {mutant.name}: {mutant.guards}")
        return 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pylon-mutants-") as folder, ThreadPoolExecutor(max(1, asked.jobs)) as pool:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(max(1, asked.jobs)):
            target = Path(folder) / str(number)
            target.mkdir()
            copy(target)
            trees.put(target)

        def attempt(mutant: Mutant) -> tuple[str, Outcome | None]:
            tree = trees.get()
            try:
                return attack(tree, mutant)
            finally:
                trees.put(tree)

        sound = pytest(target, dict.fromkeys(mutant.test for mutant in mutants), LIMIT_S * 10)
        if sound.status != 0:
            print(sound.text)
            print("the tests do not pass without any mutant")
            return 1
        print("| mutant | caught by | seconds |\n|---|---|---|")
        print(f"| none: the tests of all {len(mutants)} pass | | {sound.seconds:.1f} |", flush=True)
        bad = []
        for mutant, (word, outcome) in zip(mutants, pool.map(attempt, mutants), strict=True):
            seconds = outcome.seconds if outcome else 0.0
            if word == "caught":
                print(f"| {mutant.name}: {mutant.guards} | {mutant.test.removeprefix('tests/')} | {seconds:.1f} |", flush=True)
            else:
                bad.append(f"{mutant.name}: {word}\n{outcome.text[-3000:] if outcome else ''}")
                print(f"| {mutant.name}: {mutant.guards} | **{word}** | {seconds:.1f} |", flush=True)
    print(f"\n{len(mutants) - len(bad)} of {len(mutants)} mutants were caught in {time.monotonic() - began:.0f} s")
    for report in bad:
        print(f"\n--- {report}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
