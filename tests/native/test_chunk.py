"""Spans of texts: native code against the twin, and what every cut obeys whatever the text: lossless, bounded, whole, linear."""

from __future__ import annotations

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
    "def f():\n", "class A:\n", "pub fn f() {\n", "}\n", "    return 1\n", "\0", "x" * 40, "# ", "## a\n", "####### b\n", "#c\n", "\t# ",
    "```", "```rust\n", "~~~a\n", "`" * 17 + "a\n", "？", "\ufb01", "\u3099",
    "é", "e\u0301", "\u0301", "字", "字字字字字字字字", FAMILY, "🇩🇪", "🇫", "👍🏽", "\u200d", "각", "\u1100\u1161", "क्षि", "ไทย",
    "שלום", "\u202e", "\U0010ffff", "क्", "த்ரி", "\u200c", "\u0600",
]
texts = st.lists(st.sampled_from(WORDS), max_size=200).map("".join)
# Unicode is not settled everywhere: characters that this Python does not know, and viramas without a consonant, are read differently.
known = st.characters(exclude_categories=["Cs", "Cn"]).filter(lambda character: unicodedata.combining(character) != VIRAMA)


def cut(text: str | bytes, most: int = 64, *, twin: bool = True) -> list[bytes]:
    """The pieces of native code: those of the twin, lossless, bounded, and whole; so are those that the content defines."""
    raw = text.encode() if isinstance(text, str) else text
    for content_defined in (True, False):
        spans = _native.chunk_spans(raw, most, content_defined)
        if twin:
            assert spans == plain.chunk_spans(raw, most, content_defined)
        pieces = [raw[start:end] for start, end in spans]
        assert b"".join(pieces) == raw
        assert [end for _, end in spans[:-1]] == [start for start, _ in spans[1:]]
        assert all(0 < len(piece) <= most for piece in pieces)
        if _native.is_utf8(raw):
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
        for content_defined in (False, True):
            assert {start for start, _ in _native.chunk_spans(text.encode(), 64, content_defined)} <= starts


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


broken = st.sampled_from([*(word.encode() for word in WORDS), b"\xff", b"\xe5\xad", b"\x97", b"\xed\xa0\x80", b"\xf0\x9f\xa6"])


@given(st.lists(broken, max_size=200).map(b"".join))
def test_bytes_that_are_no_utf8_are_characters_of_their_own(raw: bytes) -> None:
    """Nothing is refused: whole characters stay whole among broken ones, and the twin agrees on every cut."""
    pieces = cut(raw, 65)
    whole = raw.decode(errors="replace").count("\ufffd")
    assert sum(piece.decode(errors="replace").count("\ufffd") for piece in pieces) >= whole
    assert b"".join(pieces).decode(errors="ignore") == "".join(piece.decode(errors="ignore") for piece in pieces)


@pytest.mark.parametrize(
    ("raw", "valid"),
    [
        (b"", True), (b"\0", True), ("字🦊é".encode(), True), (b"\xff", False), (b"ok \xc3", False), (b"\xed\xa0\x80", False),
        (b"\xc0\x80", False), ("é".encode("latin-1"), False), (b"a" * 1000 + b"\xf4\x90\x80\x80", False),
    ],
)
def test_what_is_utf8(raw: bytes, valid: bool) -> None:
    """Lone surrogates and overlong forms are none."""
    for module in (_native, plain):
        assert module.is_utf8(raw) is valid
        assert module.is_utf8(memoryview(bytearray(raw))) is valid


@pytest.mark.parametrize("unit", ["a", "字", "🇩", "\u0301", " \u0301", "\u200d🦊", "क्", "\n", "x\u0600"], ids=ascii)
def test_the_longest_line_is_linear(unit: str) -> None:
    """4 MB without a usable boundary, in windows of 64 KB, take no more windows than two a bound; quadratic code would never end."""
    raw = (unit * (4_000_000 // len(unit.encode()))).encode()
    spans = _native.chunk_spans(raw, 1 << 16)
    assert len(spans) <= 2 * len(raw) // (1 << 16) + 1
    assert spans[-1][1] == len(raw)
    assert _native.chunk_spans(raw, 1 << 16, True)[-1][1] == len(raw)
