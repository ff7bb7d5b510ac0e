"""Spans that the content defines: an edit changes those around it and no others."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon import _native
from pylon._native import plain

WORDS = ["the", "mill", "turned", "while", "tide", "was", "out", "and", "stood", "still", "when", "water", "rose", "again", "over"]
SENTENCES = [". ", ". ", "! ", ".\n", ".\n\n", "\n# A title\n\n", "\r\n\r\n"]


def prose(source: random.Random, size: int) -> bytes:
    """Sentences, paragraphs, a heading now and then."""
    text = ""
    while len(text) < size:
        text += " ".join(source.choices(WORDS, k=source.randrange(3, 15))) + source.choice(SENTENCES)
    return text.encode()


def code(source: random.Random, size: int) -> bytes:
    """Functions with lines and empty lines in them."""
    text = ""
    while len(text) < size:
        lines = [f"    {source.choice(WORDS)} = {source.randrange(10**6)}\n" for _ in range(source.randrange(2, 20))]
        text += f"def {source.choice(WORDS)}{source.randrange(10**4)}():\n" + source.choice(["", "\n"]).join(lines) + "\n"
    return text.encode()


def letters(source: random.Random, size: int) -> bytes:
    """No boundary at all."""
    return bytes(source.choices(b"abcdefghijklmnopqrstuvwxyz0123456789+/", k=size))


def ideographs(source: random.Random, size: int) -> bytes:
    """No boundary at all, and three bytes a character."""
    return "".join(map(chr, (source.randrange(0x4E00, 0x9FA0) for _ in range(size // 3)))).encode()


KINDS = [prose, code, letters, ideographs]


def cuts(raw: bytes, most: int) -> set[int]:
    """Where spans end."""
    return {end for _, end in _native.chunk_spans(raw, most, True)}


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32), most=st.sampled_from([64, 100, 256, 1000]))
def test_an_edit_changes_the_spans_around_it(kind: object, seed: int, most: int) -> None:
    """Bytes put in, taken out or changed: cuts further away than two bounds and the look back for a heading stay where they were."""
    source = random.Random(seed)
    raw = kind(source, 12_000)  # type: ignore[operator]  # one of KINDS
    at = source.randrange(len(raw))
    if raw[at] & 0xC0 == 0x80:
        at -= at % 3  # ideographs have three bytes each
    gone, put = source.choice([0, 3, 30, 900]), letters(source, source.choice([0, 1, 2, 40, 1500]))
    edited = raw[:at] + put + raw[at + gone :]
    near, shift = 2 * most + 600, len(edited) - len(raw)
    before, after = cuts(raw, most), cuts(edited, most)
    assert {cut for cut in before if cut < at - near} == {cut for cut in after if cut < at - near}
    behind = {cut + shift for cut in before if cut > at + gone + near}
    assert behind == {cut for cut in after if cut > at + gone + shift + near}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("most", [64, 1000, 4096])
def test_spans_are_neither_tiny_nor_huge(kind: object, most: int) -> None:
    """None is longer than the bound, few are shorter than a quarter of it, and half of it is their mean, more or less."""
    raw = kind(random.Random(1), 100_000)  # type: ignore[operator]  # one of KINDS
    sizes = [end - start for start, end in _native.chunk_spans(raw, most, True)]
    assert max(sizes) <= most
    assert sum(size < most // 4 for size in sizes) * 20 <= len(sizes)
    assert most * 0.3 < len(raw) / len(sizes) < most * 0.65


@pytest.mark.parametrize("kind", KINDS)
def test_the_twin_cuts_the_same(kind: object) -> None:
    """Native code and the twin agree on texts of every kind."""
    raw = kind(random.Random(2), 6000)  # type: ignore[operator]  # one of KINDS
    for most in (64, 99, 400, 1000, 8000):
        assert _native.chunk_spans(raw, most, True) == plain.chunk_spans(raw, most, True)


def test_the_best_kind_within_reach_is_taken() -> None:
    """Prose is cut before its headings and behind its paragraphs: a cut stands at a lesser kind only where no better one is near."""
    raw = b"".join(b"# Part %d\n\n" % number + prose(random.Random(number), 300).replace(b"#", b"") + b"\n\n" for number in range(50))
    spans = _native.chunk_spans(raw, 2000, True)
    assert all(raw.startswith(b"# Part ", start) for start, _ in spans)


def test_a_text_shorter_than_half_the_bound_is_whole() -> None:
    """Only a place with its whole reach in the text is a summit."""
    raw = prose(random.Random(3), 2000)
    for most in (4 * len(raw), 2**40, 2**63 - 1):
        assert _native.chunk_spans(raw, most, True) == plain.chunk_spans(raw, most, True) == [(0, len(raw))]


def test_what_repeats_itself_is_cut_as_always() -> None:
    """A text of one line without end has one summit at most, and is cut within the bound and at its line ends."""
    raw = b"the same line again\n" * 5000
    spans = _native.chunk_spans(raw, 1000, True)
    assert all(end % 20 == 0 and end - start <= 1000 for start, end in spans)
    assert len(spans) < 150
