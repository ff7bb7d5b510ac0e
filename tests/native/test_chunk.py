"""Spans of texts: native code against the twin, and what every cut obeys whatever the text."""

from __future__ import annotations

import threading
import unicodedata
from itertools import pairwise

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from pylon import _native
from pylon._native import plain

VIRAMA = 9  # the canonical combining class
FAMILY = "👨‍👩‍👧‍👦"
WORDS = [
    "word", " ", "  ", "\n", "\n\n", "\r\n", "\r\n\r\n", "\r", "\t", ". ", "! ", "? ", "。", "！",
    "def f():\n", "class A:\n", "pub fn f() {\n", "}\n", "    return 1\n", "\0", "x" * 40,
    "é", "e\u0301", "\u0301", "字", "字字字字字字字字", FAMILY, "🇩🇪", "🇫", "👍🏽", "\u200d", "각", "\u1100\u1161", "क्षि", "ไทย",
    "שלום", "\u202e", "\U0010ffff", "क्", "த்ரி", "\u200c", "\u0600",
]
texts = st.lists(st.sampled_from(WORDS), max_size=200).map("".join)
# Unicode is not settled everywhere: characters that this Python does not know, and viramas without a consonant, are read differently.
known = st.characters(exclude_categories=["Cs", "Cn"]).filter(lambda character: unicodedata.combining(character) != VIRAMA)


def cut(text: str, most: int = 64, *, twin: bool = True) -> list[bytes]:
    """The pieces of native code: those of the twin, lossless, bounded, and whole."""
    raw = text.encode()
    spans = _native.chunk_spans(raw, most)
    if twin:
        assert spans == plain.chunk_spans(raw, most)
    pieces = [raw[start:end] for start, end in spans]
    assert b"".join(pieces) == raw
    assert [end for _, end in spans[:-1]] == [start for start, _ in spans[1:]]
    assert all(0 < len(piece) <= most for piece in pieces)
    for piece in pieces:
        piece.decode()
    assert not any(before.endswith(b"\r") and after.startswith(b"\n") for before, after in pairwise(pieces))
    return pieces


@given(texts, st.integers(64, 300))
def test_any_text_is_cut_as_by_the_twin(text: str, most: int) -> None:
    """Words, line ends, definitions, marks, emoji, flags, Hangul, Indic conjuncts: native code and the twin agree on every cut."""
    cut(text, most)


@given(st.text(known, max_size=400), st.integers(64, 100))
def test_any_characters_are_cut_as_by_the_twin(text: str, most: int) -> None:
    """So they do on characters of every kind."""
    cut(text, most)


@given(texts)
def test_a_grapheme_that_fits_is_never_cut(text: str) -> None:
    """Every boundary stands between two graphemes, as long as each is shorter than the bound."""
    graphemes = regex.findall(r"\X", text)
    starts, at = set(), 0
    for grapheme in graphemes:
        starts.add(at)
        at += len(grapheme.encode())
    if all(len(grapheme.encode()) <= 64 for grapheme in graphemes):
        assert {start for start, _ in _native.chunk_spans(text.encode(), 64)} <= starts


@pytest.mark.parametrize(
    ("text", "first"),
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
def test_the_best_boundary_of_the_last_half_is_taken(text: str, first: str) -> None:
    """Paragraph before line before sentence before word before grapheme; a definition before what stands inside one."""
    assert cut(text)[0].decode() == first


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "a" * 64, "\r\n" * 200, "\n" * 500, " " * 500, " \u0301" * 300, "\u0301" * 1000, "🇩" * 999, "\u200d🦊" * 300,
        "\u0600" * 300, ("a" + "\u0301" * 40) * 30, ". \u0301" * 200, "。\u0301" * 200, "\0" * 300, "\r" * 300, "\n\r" * 150,
    ],
    ids=lambda text: ascii(text[:6]),
)
@pytest.mark.parametrize("most", [64, 65, 99])
def test_texts_that_only_an_attacker_writes(text: str, most: int) -> None:
    """A text that is one grapheme, or has no boundary, or nothing but false ones, is cut within the bound and between characters."""
    cut(text, most)


def test_a_conjunct_longer_than_the_bound() -> None:
    """Conjuncts without end are cut within the bound. (`regex` joins a virama without a consonant to the next one, UAX #29 does not.)"""
    for most in (64, 65, 66):
        cut("क्" * 300, most, twin=most == 66)


@pytest.mark.parametrize("most", [63, 0, -1, 2**63, -(2**70)])
def test_a_bound_that_is_none(most: int) -> None:
    """Fewer than 64 bytes hold no text worth asking about."""
    for module in (_native, plain):
        with pytest.raises(ValueError, match="64 bytes at least"):
            module.chunk_spans(b"text", most)


@pytest.mark.parametrize("raw", [b"\xff", b"ok \xc3", b"\xed\xa0\x80", b"\xc0\x80", "é".encode("latin-1")])
def test_what_is_not_utf8(raw: bytes) -> None:
    """Bytes that are not UTF-8 (lone surrogates and overlong forms included) are refused."""
    for module in (_native, plain):
        with pytest.raises(ValueError):  # noqa: PT011 -- the twin says it in Python's words
            module.chunk_spans(raw, 64)


@pytest.mark.parametrize("unit", ["a", "字", "🇩", "\u0301", " \u0301", "\u200d🦊", "क्", "\n", "x\u0600"], ids=ascii)
def test_the_longest_line_is_linear(unit: str) -> None:
    """4 MB without a usable boundary, in windows of 64 KB, take no more windows than two a bound; quadratic code would never end."""
    raw = (unit * (4_000_000 // len(unit.encode()))).encode()
    spans = _native.chunk_spans(raw, 1 << 16)
    assert len(spans) <= 2 * len(raw) // (1 << 16) + 1
    assert spans[-1][1] == len(raw)


def test_several_threads_cut_one_text() -> None:
    """The GIL is released: threads may cut the same bytes at once, and find the same."""
    raw = ("a line of text. " * 20 + "\n\n").encode() * 2000
    expected, found = _native.chunk_spans(raw, 4096), []
    threads = [threading.Thread(target=lambda: found.append(_native.chunk_spans(raw, 4096))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
