"""The twin of `chunk_spans`: spans of bounded size, cut where `bytes.rfind` finds the best boundary; graphemes by `regex` (UAX #29)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import regex

MIN_BYTES: Final = 64
DEFINITIONS: Final = (
    b"def ", b"class ", b"async ", b"fn ", b"pub ", b"pub(", b"impl ", b"impl<", b"func ", b"function ", b"struct ", b"enum ", b"trait ",
    b"mod ", b"type ", b"interface ", b"export ", b"const ", b"static ", b"unsafe ", b"extern ", b"public ", b"private ", b"protected ",
    b"namespace ", b"template",
)
GRAPHEME: Final = regex.compile(r"\X")


def chunk_spans(text: bytes, max_bytes: int) -> list[tuple[int, int]]:
    """Spans (start, end) of at most `max_bytes` bytes that follow each other without a gap. ValueError below 64, or not UTF-8."""
    if not MIN_BYTES <= max_bytes < 2**63:
        raise ValueError("a span has 64 bytes at least and 2^63-1 at most")
    text.decode()
    spans = []
    start = 0
    while len(text) - start > max_bytes:
        end = _cut(text, start, max_bytes)
        spans.append((start, end))
        start = end
    return [*spans, (start, len(text))] if start < len(text) else spans


def _ends(text: bytes, mark: bytes, low: int, high: int) -> Iterator[int]:
    """Where `mark` ends between `low` and `high`, the last first."""
    while (found := text.rfind(mark, low, high)) >= 0:
        yield found + len(mark)
        high = found + len(mark) - 1


def _cut(text: bytes, start: int, most: int) -> int:
    """Where the span from `start` on ends."""
    low, high = start + most // 2, start + most

    def best(*marks: bytes) -> int:
        return max((next((end for end in _ends(text, mark, low, high) if _whole(text, start, end)), 0) for mark in marks), default=0)

    empty = 0
    for end in _ends(text, b"\n", low, high):
        if text[max(start, end - 3) : end - 1].removesuffix(b"\r").endswith(b"\n"):
            empty = empty or end
            if text[end : end + 1] not in b" \t\r\n})]":
                return end
    for end in _ends(text, b"\n", low, high):
        if text.startswith(DEFINITIONS, end):
            return end
    if empty:
        return empty
    if line := text.rfind(b"\n", low, high) + 1:
        return line
    sentence = next((end for end in _ends(text, b" ", low, high) if text[end - 2] in b".!?" and _whole(text, start, end)), 0)
    return max(sentence, best("。".encode(), "！".encode(), "？".encode())) or best(b" ", b"\t", b"\r") or _anywhere(text, start, high)


def _inside(text: bytes, at: int) -> bool:
    """Whether a character goes on at `at`."""
    return at < len(text) and text[at] & 0xC0 == 0x80


def _graphemes(text: bytes, start: int, end: int) -> set[int]:
    """Where graphemes begin, from `start` up to the character at `end`."""
    end += 1
    while _inside(text, end):
        end += 1
    found = {start}
    for match in GRAPHEME.finditer(text[start:end].decode()):
        start += len(match[0].encode())
        found.add(start)
    return found


def _whole(text: bytes, start: int, at: int) -> bool:
    """Whether a grapheme begins at `at`."""
    if text[at - 1] < 128 and text[at] < 128:
        return text[at - 1 : at + 1] != b"\r\n"
    return not _inside(text, at) and at in _graphemes(text, start, at)


def _anywhere(text: bytes, start: int, high: int) -> int:
    """Before the grapheme that does not fit any more; inside it only if it is longer than the whole window."""
    while _inside(text, high):
        high -= 1
    if _whole(text, start, high):
        return high
    return max((at for at in _graphemes(text, start, high) if start < at < high), default=high)
