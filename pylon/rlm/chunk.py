"""Documents cut into pieces that a model can hold: whole paragraphs where they fit, of about one size, none of two documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from pylon import _native

MIN_BYTES: Final = 64
"""The smallest bound of a piece."""
SLACK: Final = 16
"""A piece may be larger than its even share by this part of it, so that it can end where a paragraph ends."""
TINY: Final = 3
"""A last piece smaller than this part of its share is shared with the one before."""

AHEAD: Final = 64
"""Bytes behind a span that say what it may end before: a heading, a definition, a grapheme that begins there."""


class Document(msgspec.Struct, frozen=True):
    """What a file says: text, or its bytes as UTF-8, such as those of a file that is mapped.

    `pages` where it has pages; `note` is what its reader should know, a sentence or nothing.
    """

    name: str
    content: str | memoryview
    pages: int | None = None
    note: str = ""

    @property
    def text(self) -> str:
        """All of it, as text."""
        return self.content if isinstance(self.content, str) else str(self.content, "utf-8", "replace")

    @property
    def raw(self) -> memoryview:
        """All of it, as UTF-8."""
        return memoryview(self.content.encode()) if isinstance(self.content, str) else self.content


class Piece(msgspec.Struct, frozen=True):
    """A part of one document: `number` counts from 1 over all documents, `start` and `end` are bytes of the text as UTF-8."""

    number: int
    text: str
    start: int
    end: int
    source: str


def cut(documents: Sequence[Document], max_bytes: int) -> list[Piece]:
    """The pieces of all documents, in order, without those that are white space. ValueError for `max_bytes` below 64."""
    pieces: list[Piece] = []
    for document in documents:
        raw = document.raw
        for start, end in _even(raw, max_bytes):
            text = str(raw[start:end], "utf-8", "replace")  # a mapped file may have changed since it was read
            if text and not text.isspace():
                pieces.append(Piece(len(pieces) + 1, text, start, end, document.name))
    return pieces


def _even(raw: memoryview, most: int) -> Iterator[tuple[int, int]]:
    """As many spans as `chunk_spans` makes, of about one size, none tiny."""
    left = len(_native.chunk_spans(raw, most))
    start = 0
    waiting: tuple[int, int] | None = None
    while start < len(raw):
        share = -(-(len(raw) - start) // max(left, 1))
        end = _end(raw, start, min(most, max(MIN_BYTES, share + share // SLACK)))
        if waiting is not None:
            if end == len(raw) and (end - start) * TINY < waiting[1] - waiting[0]:
                yield from _two(raw, waiting[0], start, most)
                return
            yield waiting
        waiting = (start, end)
        start, left = end, left - 1
    if waiting is not None:
        yield waiting


def _end(raw: memoryview, start: int, most: int) -> int:
    """Where the first span from `start` on ends. Only its window is looked at, so that all of them together stay linear."""
    if len(raw) - start <= most:
        return len(raw)
    return start + _native.chunk_spans(raw[start : start + most + AHEAD], most)[0][1]


def _two(raw: memoryview, start: int, middle: int, most: int) -> Iterator[tuple[int, int]]:
    """The rest, which was cut at `middle`: in two halves, or whole where it fits."""
    size = len(raw) - start
    if size <= most:
        yield start, len(raw)
        return
    half = _end(raw, start, max(MIN_BYTES, size * 5 // 8))
    if len(raw) - half <= most:  # else one grapheme fills the window
        middle = half
    yield start, middle
    yield middle, len(raw)
