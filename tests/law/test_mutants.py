"""The list of mutants fits the code: `make mutants` itself runs apart, because it takes minutes."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from tests.law.source import ROOT, TESTS, files, tree
from tests.mutants.run import load

MUTANTS = load()


def test_every_patch_still_fits() -> None:
    """The text that a patch replaces stands exactly once in its file, and what it becomes is still Python."""
    assert len(MUTANTS) > 200
    assert {mutant.name: fault for mutant in MUTANTS if (fault := mutant.fault(ROOT))} == {}


def test_every_name_stands_once() -> None:
    """A mutant can be run by its name."""
    names = Counter(mutant.name for mutant in MUTANTS) + Counter({mutant.room for mutant in MUTANTS})
    assert [name for name, count in names.items() if count > 1] == []


def defined(path: Path) -> set[str]:
    """The functions, methods and classes of a file."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in ast.walk(tree(path)) if isinstance(node, kinds)} if path.is_file() else set()


def test_every_named_test_exists() -> None:
    """A node id that names nothing catches nothing. The methods of a class may be those of a suite that every adapter runs."""
    suites = {name for path in files(TESTS / "conformance", ".py") for name in defined(path)}
    missing = []
    for test in sorted({mutant.test for mutant in MUTANTS}):
        path, *inside = test.partition("[")[0].split("::")
        known = defined(ROOT / path)
        if not inside or inside[0] not in known or not all(name in known | suites for name in inside):
            missing.append(test)
    assert missing == []
