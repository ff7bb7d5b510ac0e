"""Documents become pieces: nothing is lost, none is too large, none is tiny, none holds two documents."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.cli.paper import essay
from pylon.rlm.chunk import Document, cut

ESSAY = "\n\n".join("\n".join(page) for page in essay())
parts = st.sampled_from(["a line of words. ", "\n", "\n\n", "\r\n", "字", "👨‍👩‍👧‍👦", "x" * 50, " ", "e\u0301", "def f():\n    pass\n"])
documents = st.lists(st.lists(parts, max_size=80).map("".join), max_size=4)


@given(documents, st.integers(64, 400))
def test_pieces_hold_everything_and_are_bounded(texts: list[str], most: int) -> None:
    """Each document is its pieces and the white space between them; bounds, numbers and places agree."""
    pieces = cut([Document(str(number), text) for number, text in enumerate(texts)], most)
    assert [piece.number for piece in pieces] == list(range(1, len(pieces) + 1))
    for number, text in enumerate(texts):
        raw = text.encode()
        own = [piece for piece in pieces if piece.source == str(number)]
        at = 0
        for piece in own:
            assert raw[at : piece.start].decode().strip() == ""
            assert raw[piece.start : piece.end].decode() == piece.text
            assert piece.end - piece.start <= most
            assert piece.text.strip()
            at = piece.end
        assert raw[at:].decode().strip() == ""
    assert [piece.source for piece in pieces] == sorted(piece.source for piece in pieces)


plain = st.lists(st.sampled_from(["a line of words. ", "\n\n", "\n", "字字。", "word "]), min_size=20, max_size=200).map("".join)


@given(plain, st.integers(128, 400))
def test_no_last_piece_is_tiny(text: str, most: int) -> None:
    """The last piece is a third of the one before at least, unless white space alone was dropped."""
    pieces = cut([Document("a", text)], most)
    if len(pieces) > 1 and pieces[-1].end == len(text.encode()):
        before, last = (piece.end - piece.start for piece in pieces[-2:])
        assert last * 3 >= before


@pytest.mark.parametrize("most", [600, 1000, 2000, 4000, 9000])
def test_pieces_of_prose_are_even(most: int) -> None:
    """Pieces of an essay are whole lines, each about as large as the others: the smallest is a third of the largest at least."""
    pieces = cut([Document("essay", ESSAY)], most)
    sizes = [len(piece.text.encode()) for piece in pieces]
    assert all(piece.text.endswith("\n") for piece in pieces[:-1])
    assert "".join(piece.text for piece in pieces) == ESSAY
    assert len(pieces) <= 2 * len(ESSAY) / most + 1
    assert min(sizes) * 3 >= max(sizes)


def test_a_text_just_over_the_bound_is_halved() -> None:
    """1010 bytes with room for 1000 are two pieces of about 500, not one of 1000 and one of 10."""
    sizes = [len(piece.text) for piece in cut([Document("a", "word " * 202)], 1000)]
    assert len(sizes) == 2
    assert min(sizes) > 450


def test_twenty_equal_parts() -> None:
    """A text of twenty equal sections becomes twenty pieces when a section just fits, each a section."""
    sections = [f"Section {number:02}\n" + "A sentence of the section. " * 30 + "\n\n" for number in range(20)]
    pieces = cut([Document("a", "".join(sections))], len(sections[0]) + 40)
    assert [piece.text for piece in pieces] == sections


def test_definitions_stay_whole() -> None:
    """Source code is cut before what begins at column 0."""
    code = "".join(f"/// Function {number}.\npub fn f{number}() {{\n    let a = {number};\n\n    a + 1\n}}\n\n" for number in range(40))
    pieces = cut([Document("main.rs", code)], 400)
    assert all(piece.text.startswith("/// Function") and piece.text.rstrip().endswith("\n}") for piece in pieces)


def test_documents_are_never_mixed_and_blank_ones_give_nothing() -> None:
    """Small documents are pieces of their own; white space is none."""
    documents = [Document("a", "one"), Document("b", ""), Document("c", " \n\t\u3000\n"), Document("d", "two")]
    assert [(piece.number, piece.text, piece.source) for piece in cut(documents, 1000)] == [(1, "one", "a"), (2, "two", "d")]


def test_a_long_blank_is_dropped_in_the_middle() -> None:
    """White space that fills pieces is not paid for."""
    pieces = cut([Document("a", "one\n" + " " * 5000 + "\ntwo")], 64)
    assert ["".join(piece.text.split()) for piece in pieces] == ["one", "two"]


def test_a_bound_that_is_none() -> None:
    """Pieces of fewer than 64 bytes are refused, as by the spans."""
    with pytest.raises(ValueError, match="64 bytes at least"):
        cut([Document("a", "text")], 63)


def test_the_same_every_time() -> None:
    """Two runs cut the same pieces: an answer that was paid for can be found again."""
    assert cut([Document("a", ESSAY)], 777) == cut([Document("a", ESSAY)], 777)
