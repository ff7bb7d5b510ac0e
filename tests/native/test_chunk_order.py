"""Which boundary a span ends at: the kinds in their order, the last of the best, and what is taken for one of them."""

from __future__ import annotations

import pytest

from pylon import _native
from pylon._native import plain

FAMILY = "👨‍👩‍👧‍👦"
KINDS = {
    "heading": ("\n", "## H\n"),
    "empty line before column 0": ("\n\n", "p"),
    "empty line": ("\n\n", "  p"),
    "definition": ("\n", "def f():"),
    "fence": ("\n", "```py"),
    "line": ("\n", "l"),
    "sentence": (". ", "S"),
    "space": (" ", "w"),
}
"""What stands before the cut and behind it, the best first; a definition is as good as a fence."""


def window(most: int) -> int:
    """In how many bytes before the bound a boundary is looked for."""
    return min(most // 2, max(256, min(most // 4, 2048)))


def first(text: str, most: int = 64) -> str:
    """The first span of native code and the twin."""
    raw = text.encode()
    spans = _native.chunk_spans(raw, most)
    assert spans == plain.chunk_spans(raw, most)
    return raw[slice(*spans[0])].decode()


@pytest.mark.parametrize("most", [128, 1000, 9000, 40960])
@pytest.mark.parametrize("better", KINDS)
@pytest.mark.parametrize("worse", KINDS)
def test_the_better_kind_is_taken_wherever_it_stands(better: str, worse: str, most: int) -> None:
    """A better boundary far before the bound is taken rather than a worse one close to it; of two equals, the last."""
    order = list(KINDS)
    if order.index(better) > order.index(worse) or {better, worse} == {"definition", "fence"}:
        return
    (before, after), (low, behind) = KINDS[better], KINDS[worse]
    far, near = most - window(most) + 24, most - 14
    text = "x" * (far - len(before)) + before + after
    expected = len(text) - len(after)
    text += "y" * (near - len(text) - len(low)) + low
    expected = len(text) if better == worse else expected
    assert len(first(text + behind + "z" * most, most)) == expected


@pytest.mark.parametrize("most", [64, 100, 511, 1024, 1030, 8191, 8192, 40960])
@pytest.mark.parametrize("kind", KINDS)
def test_the_edges_of_the_window(kind: str, most: int) -> None:
    """What makes a boundary is looked for from the window's begin up to the bound, and no further."""
    before, after = KINDS[kind]
    low = most - window(most)

    def cut(at: int) -> int:
        return len(first("x" * (at - len(before)) + before + after + "y" * (2 * most - at), most))

    assert cut(low + len(before)) == low + len(before)
    assert cut(low) != low
    assert cut(most) == most
    assert cut(most + 1) != most + 1


@pytest.mark.parametrize(
    ("line", "cut"),
    [
        ("# H", True), ("###### H", True), ("#\tH", True), ("####### H", False), ("#H", False), ("#", False), (" # H", False),
        ("```py", True), ("~~~~py", True), ("`" * 16 + "py", True), ("`" * 17 + "py", False), ("```", False), ("``` py", False),
        ("``py", False), ("~~~", False), ("def f", True), ("define", False), ("template<", True), ("pub(crate)", True), ("impl<T>", True),
        (" def f", False), ("fn", False),
    ],
)  # fmt: skip
def test_what_begins_a_block(line: str, cut: bool) -> None:
    """A line is cut before a heading, a fence that names a language, a definition at column 0; not before what looks like it."""
    text = "x" * 40 + "\n" + line + "\n" + "y" * 5 + "\n" + "z" * 80
    assert (first(text) == "x" * 40 + "\n") is cut


def test_of_lines_of_a_comment_the_first() -> None:
    """A comment of a script is kept together: it is cut before its first line, as before a title and its subtitle."""
    head = "x" * 40 + "\n"
    assert first(head + "# a\n# b\n## c\n" + "y" * 80) == head
    assert first(head + "#!a\n# b\ncd\n" + "y" * 80) == head + "#!a\n# b\ncd\n"
    assert first("\n#" + "x" * 254 + "\n# H\n" + "y" * 300, 310) == "\n#" + "x" * 254 + "\n# H\n"
    assert first("\n#" + "x" * 255 + "\n# H\n" + "y" * 300, 310) == "\n#" + "x" * 255 + "\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 40 + "\n\n" + "b" * 8 + "\nc. d " + "e" * 60, "a" * 40 + "\n\n"),
        ("a" * 40 + "\r\n\r\n" + "b" * 8 + "\r\nc" + "e" * 60, "a" * 40 + "\r\n\r\n"),
        ("a" * 40 + "\n" + "b. c " + "d" * 60, "a" * 40 + "\n"),
        ("a" * 40 + ". " + "b c " + "d" * 60, "a" * 40 + ". "),
        ("字" * 13 + "。" + "字 字" + "字" * 30, "字" * 13 + "。"),
        ("a" * 40 + " " + "d" * 60, "a" * 40 + " "),
        ("a" * 100, "a" * 64),
        ("字" * 40, "字" * 21),
        ("a" * 10 + "\n\n" + "b" * 100, "a" * 10 + "\n\n" + "b" * 52),  # a boundary in the first half would make a small piece
        ("    x = 1\n" * 4 + "def f():\n    pass\n    a\n\n    b\n" + "    x\n" * 9, "    x = 1\n" * 4),  # before a definition
        ("use x;\n" * 6 + "\n/// It.\npub fn f() {\n    a\n}\n" * 3, "use x;\n" * 6 + "\n"),  # its comment stays with it
        ("a" * 63 + "e\u0301" + "b" * 60, "a" * 63),
        ("a" * 60 + FAMILY + "b" * 60, "a" * 60),
        ("🇩🇪" * 20, "🇩🇪" * 8),
    ],
)
def test_texts_and_their_first_span(text: str, expected: str) -> None:
    """Prose, source code, Chinese, emoji."""
    assert first(text) == expected
