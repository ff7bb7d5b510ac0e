"""The source of this project as trees: what the law tests read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pylon"
TESTS = ROOT / "tests"


def files(folder: Path, *suffixes: str) -> list[Path]:
    """All files below `folder` with one of these suffixes, caches and build folders aside."""
    return sorted(path for path in folder.rglob("*") if path.suffix in suffixes and "__pycache__" not in path.parts)


@cache
def tree(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text("utf-8"))


def module(path: Path) -> str:
    """The dotted name of a file of this project."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, wherever in it, as a dotted name with the line.

    `from a import b` counts as `a.b` where that is a module of this project, else as `a`. Imports for type checkers alone count too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise AssertionError(f"{path}:{node.lineno}: relative imports are not used here")
            source = node.module or ""
            for alias in node.names:
                inner = ROOT.joinpath(*source.split("."), alias.name)
                ours = inner.is_dir() or any(inner.with_suffix(suffix).exists() for suffix in (".py", ".pyi"))  # .pyi: it is compiled
                yield (f"{source}.{alias.name}" if ours else source), node.lineno
