"""What is compiled: stubs that say what the binaries hold, one door, and files that say what they are for."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pylon.lightning import built
from tests.law.source import PACKAGE, ROOT, files, tree

NATIVE = PACKAGE / "_native"
CRATES = [ROOT / "native" / name for name in ("core", "py_core", "lightning", "py_lightning")]
COMPILED = sorted({"core", "lightning", *(path.stem for path in NATIVE.glob("*.pyx"))})
BUILT = [name for name in COMPILED if name != "lightning" or built()]
"""A build may leave the Lightning node out."""


def test_the_stubs_agree_with_the_binaries() -> None:
    """mypy's stubtest imports the extensions and compares every name and signature; an exception to it has its reason in the list."""
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy.stubtest", *(f"pylon._native.{name}" for name in BUILT),
            *([] if built() else ["--ignore-unused-allowlist"]),
            "--allowlist", str(ROOT / "native" / "stubtest.allow"), "--mypy-config-file", str(ROOT / "pyproject.toml"),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_compiled_module_has_a_stub() -> None:
    """Every extension that is there has a stub, and every stub an extension: nothing is compiled that nobody checks."""
    assert sorted(path.stem for path in NATIVE.glob("*.pyi")) == COMPILED
    assert sorted(path.name.partition(".")[0] for path in NATIVE.glob("*.so")) == BUILT
    assert [path for path in PACKAGE.rglob("*.so") if path.parent != NATIVE] == []


def test_no_compiled_module_is_named_in_a_string() -> None:
    """`import_module("pylon._native.core")` would be another door; test_imports.py reads the statements."""
    strings = [
        (path, node.value) for path in files(PACKAGE, ".py") for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert [(path, text) for path, text in strings if re.fullmatch(r"(pylon)?\._native(\.\w+)+", text)] == []


RUST = [path for crate in CRATES for path in files(crate, ".rs")] + files(ROOT / "native" / "fuzz", ".rs")


@pytest.mark.parametrize("path", [*RUST, *files(NATIVE, ".pyx", ".pxd")], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_compiled_file_says_what_it_is_for(path: Path) -> None:
    """It begins with the sentence, as every file of Python does."""
    first = next(line for line in path.read_text("utf-8").splitlines() if not line.startswith("# cython:"))
    assert re.match(r"//! \S+ \S+|\"\"\"\S+ \S+|# \S+ \S+", first), first


def test_the_listing_names_every_module_of_rust() -> None:
    """The listing in docs/architecture.md names the modules of every crate, a folder as one, and nothing that is not there."""
    listing = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("\nnative/core/")[2]
    for crate, text in zip(CRATES, re.split(r"\nnative/\w+/", listing.partition("\nnative/fuzz/")[0]), strict=True):
        source = crate / "src"
        folders = {path.name for path in source.iterdir() if path.is_dir()}
        named = set(re.findall(r"\b[a-z0-9_]+(?:\.rs|/)(?![\w./])", text))
        ours = {f"{name}/" for name in folders if (source / name / "mod.rs").exists()} | {path.name for path in source.glob("*.rs")}
        assert named == ours - {"lib.rs"}
