"""Words that belong into no file: places of one machine, addresses of registries, and notes about work that is not done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.law.source import PACKAGE, ROOT, TESTS, files

FORBIDDEN = {
    "a place of one machine": r"(?<![\w.$}])/(?:work|root|home/(?!you/)\w+|Users/\w+|mnt/\w+)(?:/|\b(?![\w-]))",
    "the address of a registry": r"\b(?:pypi\.org|pythonhosted\.org|crates\.io|registry\.npmjs\.org|proxy\.golang\.org)",
    "work that is not done": r"\b(?:TODO|FIXME|XXX|HACK)\b",
}
SUFFIXES = (".py", ".pyx", ".pyi", ".rs", ".md", ".toml", ".cfg", ".in", ".yml", ".sh")
TOP = [path for path in ROOT.iterdir() if path.suffix in SUFFIXES or path.name in ("Makefile", "MANIFEST.in")]
ALL = sorted(
    path
    for path in (
        *files(PACKAGE, *SUFFIXES), *files(TESTS, *SUFFIXES), *files(ROOT / "native", *SUFFIXES), *files(ROOT / "docs", *SUFFIXES),
        *files(ROOT / "benches", *SUFFIXES), *TOP,
    )
    if path != Path(__file__) and "vectors" not in path.parts and "target" not in path.parts
)


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_forbidden_words(path: Path) -> None:
    """Nothing in the project depends on one machine or one registry, and nothing is promised in a comment."""
    text = path.read_text("utf-8")
    found = [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1} {what}: {match.group()}"
        for what, pattern in FORBIDDEN.items()
        for match in re.finditer(pattern, text)
    ]
    assert not found


def test_the_patterns_find_what_they_are_for() -> None:
    """A law that finds nothing is no law."""
    for text in ("/work/main", "see /root for it", "cd /home/jane/x", "https://pypi.org/simple", "# TODO: later"):
        assert any(re.search(pattern, text) for pattern in FORBIDDEN.values()), text
    for text in ("/network/x", "https://example.com/work-items", "$HOME/work", "rooted", "mastodon"):
        assert not any(re.search(pattern, text) for pattern in FORBIDDEN.values()), text
