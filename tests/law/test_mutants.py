"""The list of mutants fits the code: `make mutants` itself runs apart, because it takes minutes."""

from __future__ import annotations

import ast
from collections import Counter

from tests.mutants.run import ROOT, load

MUTANTS = load()


def test_every_patch_still_fits() -> None:
    """The text that a patch replaces stands exactly once in its file, and what it becomes is still Python."""
    assert len(MUTANTS) > 90
    assert {mutant.name: fault for mutant in MUTANTS if (fault := mutant.fault(ROOT))} == {}


def test_every_name_stands_once() -> None:
    """A mutant can be run by its name."""
    names = Counter(mutant.name for mutant in MUTANTS) + Counter({mutant.room for mutant in MUTANTS})
    assert [name for name, count in names.items() if count > 1] == []


def test_every_named_test_exists() -> None:
    """A node id that names nothing would look like a caught mutant to nobody: pytest ends with another status."""
    missing = []
    for test in {mutant.test for mutant in MUTANTS}:
        path, *inside = test.split("::")
        file = ROOT / path
        tree = ast.parse(file.read_text("utf-8")) if file.is_file() else ast.Module([], [])
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        if not (len(inside) == 1 and inside[0].partition("[")[0] in functions):
            missing.append(test)
    assert missing == []
