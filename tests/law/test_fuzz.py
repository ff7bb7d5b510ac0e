"""The fuzz crate stands apart: it has a corpus for every target, knows what the core needs, and is skipped where it cannot run."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.law.source import ROOT

FUZZ = ROOT / "native" / "fuzz"
CRATE = tomllib.loads((FUZZ / "Cargo.toml").read_text("utf-8"))
TARGETS = sorted(target["name"] for target in CRATE["bin"])
MOST_BYTES = 300_000


def test_every_target_has_seeds() -> None:
    """Each target has its file, its folder of the corpus and its line in the README; nothing is left over."""
    assert sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs")) == TARGETS
    assert sorted(path.name for path in (FUZZ / "corpus").iterdir()) == TARGETS
    readme = (FUZZ / "README.md").read_text("utf-8")
    for target in TARGETS:
        assert any((FUZZ / "corpus" / target).iterdir()), target
        assert f"| `{target}` |" in readme


def test_the_corpus_is_small() -> None:
    """The corpus in git is what was chosen, not what a run of a night has gathered."""
    assert sum(path.stat().st_size for path in (FUZZ / "corpus").rglob("*") if path.is_file()) < MOST_BYTES


def test_the_crate_is_none_of_the_workspace() -> None:
    """It needs the nightly toolchain, so it is its own workspace; its Cargo.lock holds what the core depends on, in the same versions."""
    assert "workspace" in CRATE
    main = tomllib.loads((ROOT / "Cargo.toml").read_text("utf-8"))
    assert "native/fuzz" not in main["workspace"]["members"]
    core = tomllib.loads((ROOT / "native" / "core" / "Cargo.toml").read_text("utf-8"))

    def locked(path: Path) -> dict[str, set[str]]:
        versions: dict[str, set[str]] = {}
        for package in tomllib.loads(path.read_text("utf-8"))["package"]:
            versions.setdefault(package["name"], set()).add(package["version"])
        return versions

    ours, theirs = locked(ROOT / "Cargo.lock"), locked(FUZZ / "Cargo.lock")
    stale = {name for name in core["dependencies"] if not theirs.get(name, set()) & ours[name]}
    assert stale == set(), "`cargo metadata --manifest-path native/fuzz/Cargo.toml` writes native/fuzz/Cargo.lock anew"


@pytest.mark.parametrize(("refused", "said"), [("+nightly", "rustup toolchain install nightly"), ("fuzz", "cargo install cargo-fuzz")])
def test_fuzzing_is_skipped_with_a_message(tmp_path: Path, refused: str, said: str) -> None:
    """Where the toolchain or cargo-fuzz is missing, `make fuzz` says what to install and is no failure."""
    cargo = tmp_path / "cargo"
    cargo.write_text(f'#!/bin/sh\n[ "$1" != {refused} ]\n')
    cargo.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([ROOT / "scripts" / "fuzz"], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("fuzz: skipped: ")
    assert said in done.stdout
