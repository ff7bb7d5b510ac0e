"""One idea a file, at most 300 lines: of the program; a file of tests may list more cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.law.source import PACKAGE, ROOT, files

MOST_LINES = 300
ALL = [*files(PACKAGE, ".py", ".pyx", ".pyi"), *files(ROOT / "native", ".rs"), *files(ROOT / "benches", ".py")]


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_small(path: Path) -> None:
    """A file that grows past 300 lines is split by idea."""
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= MOST_LINES, f"{path.relative_to(ROOT)} has {lines} lines"
