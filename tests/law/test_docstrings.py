"""What is public says what it is for, and every test says in one sentence what must hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.law.source import PACKAGE, TESTS, files, module, tree

Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
PROTOCOLS = {"Protocol"}
FEWEST_WORDS = 3


def public(body: list[ast.stmt], *, in_protocol: bool = False) -> Iterator[Named]:
    """Public functions, classes and methods; the methods of a protocol may be told by its own docstring."""
    for node in body:
        if not isinstance(node, Named) or node.name.startswith("_"):
            continue
        if not in_protocol:
            yield node
        if isinstance(node, ast.ClassDef):
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
            yield from public(node.body, in_protocol=bool(bases & PROTOCOLS))


@pytest.mark.parametrize("path", files(PACKAGE, ".py"), ids=module)
def test_public_names_are_documented(path: Path) -> None:
    """Every public function, class and method of pylon has a docstring."""
    missing = [f"{path.name}:{node.lineno} {node.name}" for node in public(tree(path).body) if not ast.get_docstring(node)]
    assert not missing


def cases(path: Path) -> list[Named]:
    """The tests of a file, in classes too."""
    return [
        node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


@pytest.mark.parametrize("path", [path for path in files(TESTS, ".py") if cases(path)], ids=module)
def test_every_test_says_what_must_hold(path: Path) -> None:
    """A sentence of its own, or the words of a specification."""
    wrong = [
        f"{path.name}:{node.lineno} {node.name}"
        for node in cases(path)
        if len((ast.get_docstring(node) or "").split()) < FEWEST_WORDS
    ]
    assert not wrong
