"""The twin of `chunk_spans`: spans of bounded size, each boundary looked for by itself; graphemes by `regex` (UAX #29)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import suppress
from struct import unpack
from typing import Final

import regex
from typing_extensions import Buffer

MIN_BYTES: Final = 64
WINDOW: Final = (256, 2048)
LINE: Final = 256
DEFINITIONS: Final = (
    b"def ", b"class ", b"async ", b"fn ", b"pub ", b"pub(", b"impl ", b"impl<", b"func ", b"function ", b"struct ", b"enum ", b"trait ",
    b"mod ", b"type ", b"interface ", b"export ", b"const ", b"static ", b"unsafe ", b"extern ", b"public ", b"private ", b"protected ",
    b"namespace ", b"template",
)
HEADING: Final = regex.compile(rb"#{1,6}[ \t]")
FENCE: Final = regex.compile(rb"(?:`{3,16}+(?!`)|~{3,16}+(?!~))[^ \t\n\f\r]")
SENTENCES: Final = (b". ", b"! ", b"? ", "。".encode(), "！".encode(), "？".encode())
SPACES: Final = (b" ", b"\t", b"\r")
GRAPHEME: Final = regex.compile(r"\X")
LOOSE: Final = dict.fromkeys(range(0xDC80, 0xDD00), 0)
"""Bytes that are no UTF-8, as Python escapes them, stand alone as a control character does."""


def chunk_spans(text: Buffer, max_bytes: int, content_defined: bool = False) -> list[tuple[int, int]]:
    """Spans (start, end) of at most `max_bytes` bytes that follow each other without a gap. ValueError below 64."""
    if not MIN_BYTES <= max_bytes < 2**63:
        raise ValueError("a span has 64 bytes at least and 2^63-1 at most")
    raw = _bytes(text)
    spans = []
    start = 0
    for stop in [*(summits(raw, max_bytes // 4) if content_defined else ()), len(raw)]:
        while (left := stop - start) > max_bytes:
            most = min(max_bytes, max(left // 8 * 5, MIN_BYTES)) if content_defined else max_bytes
            end = _cut(raw, start, most)
            if most < max_bytes and not _whole(raw, start, end):
                end = _cut(raw, start, max_bytes)  # the grapheme is longer than the half, and may fit the bound
            spans.append((start, end))
            start = end
        if start < stop:
            spans.append((start, stop))
        start = stop
    return spans


def is_utf8(text: Buffer) -> bool:
    """Whether all bytes are UTF-8."""
    try:
        _bytes(text).decode()
    except UnicodeDecodeError:
        return False
    return True


def _bytes(text: Buffer) -> bytes:
    view = memoryview(text)
    if not view.c_contiguous:
        raise ValueError("a text is one piece of memory")
    return view.tobytes()


def _cut(text: bytes, start: int, most: int) -> int:
    """Where the span from `start` on ends: the best boundary in the window, the last of the best."""
    high = start + most
    low = high - min(most // 2, max(WINDOW[0], min(most // 4, WINDOW[1])))
    lines = list(_ends(text, b"\n", low, high))
    empty = [end for end in (_blank(text, line) for line in lines) if 0 < end <= high]
    boundaries: tuple[Iterator[int], ...] = (
        (line for line in lines if _heading(text, line)),
        (end for end in empty if text[end] not in b" \t\r\n})]"),
        iter(empty),
        (line for line in lines if FENCE.match(text, line) or text.startswith(DEFINITIONS, line)),
        iter(lines),
        _whole_ends(text, start, SENTENCES, low, high),
        _whole_ends(text, start, SPACES, low, high),
    )
    return next((cut for kind in boundaries for cut in kind), 0) or _anywhere(text, start, high)


def _ends(text: bytes, mark: bytes, low: int, high: int) -> Iterator[int]:
    """Where `mark` ends between `low` and `high`, the last first."""
    while (found := text.rfind(mark, low, high)) >= 0:
        yield found + len(mark)
        high = found + len(mark) - 1


def _whole_ends(text: bytes, start: int, marks: tuple[bytes, ...], low: int, high: int) -> Iterator[int]:
    """The last place where one of `marks` ends and a grapheme does."""
    lasts = (next((end for end in _ends(text, mark, low, high) if _whole(text, start, end)), 0) for mark in marks)
    if last := max(lasts):
        yield last


def _heading(text: bytes, line: int) -> bool:
    """Whether a heading begins at `line`, and the line before is none."""
    if not HEADING.match(text, line):
        return False
    before = text.rfind(b"\n", max(0, line - 1 - LINE), line - 1)
    return before < 0 or text[before + 1] != ord("#")


def _blank(text: bytes, line: int) -> int:
    """Where the empty line ends that begins at `line`, or 0."""
    return line + 1 if text[line : line + 1] == b"\n" else line + 2 if text[line : line + 2] == b"\r\n" else 0


def _graphemes(text: bytes, start: int, high: int) -> tuple[set[int], int]:
    """Where graphemes begin after `start`, up to the character that holds `high`, and where that begins."""
    graphemes, characters = set(), start
    for match in GRAPHEME.finditer(text[start : high + 4].decode(errors="surrogateescape").translate(LOOSE)):
        graphemes.add(start)
        for character in match[0]:
            characters = start if start <= high else characters
            start += len(character.encode())
    return {at for at in graphemes if at <= high}, characters


def _whole(text: bytes, start: int, at: int) -> bool:
    """Whether a grapheme begins at `at`."""
    if text[at - 1] < 128 and text[at] < 128:
        return text[at - 1 : at + 1] != b"\r\n"
    return at in _graphemes(text, start, at)[0]


def _anywhere(text: bytes, start: int, high: int) -> int:
    """Before the grapheme that does not fit any more; inside it only if it is longer than the whole span may be."""
    if _whole(text, start, high):
        return high
    graphemes, character = _graphemes(text, start, high)
    return max(graphemes - {start}, default=character)


def summits(text: bytes, reach: int) -> list[int]:
    """Where the content says that the text is cut: places that outrank all others within reach; of equals, the first."""
    ranks: dict[int, int] = {}
    if len(text) < 2 * reach:
        return []
    lines = [at for at in range(1, len(text)) if text[at - 1] == ord("\n")]
    sentences = [at for at in range(2, len(text)) if text[at - 2 : at] in SENTENCES or text[max(0, at - 3) : at] in SENTENCES]
    spaces = [at for at in range(1, len(text)) if text[at - 1] in b" \t\r"]
    for kind, places in enumerate((range(1, len(text)), spaces, sentences, lines)[::-1]):
        better = sorted(ranks)
        for at in places:
            found = bisect_left(better, at - reach)
            if (found == len(better) or better[found] > at + reach) and (kind == 0 or _parts(text, at)):
                ranks[at] = (3 - kind + (_line_kind(text, at) if kind == 0 else 0)) << 60 | _hash(text, at) >> 4
    order = sorted(ranks)
    found_summits = []
    for number, at in enumerate(order):
        before = order[bisect_left(order, at - reach) : number]
        behind = order[number + 1 : bisect_right(order, at + reach)]
        first = all(ranks[place] < ranks[at] for place in before)
        if first and all(ranks[place] <= ranks[at] for place in behind) and reach <= at <= len(text) - reach:
            found_summits.append(at)
    return found_summits


def _line_kind(text: bytes, line: int) -> int:
    """Of which kind the line end before `line` is: before a heading, behind an empty line, before a block, any."""
    if _heading(text, line):
        return 4
    if text[max(0, line - 3) : line - 1].removesuffix(b"\r").endswith(b"\n"):
        return 2 + (text[line] not in b" \t\r\n})]")
    return bool(FENCE.match(text, line) or text.startswith(DEFINITIONS, line))


def _parts(text: bytes, at: int) -> bool:
    """Whether a grapheme begins at `at` whatever stands before the character before it."""
    begin = _begin(text, at - 1)
    if _begin(text, at) != at:
        return False
    before, after = (
        text[start : start + _size(text, start)].decode(errors="surrogateescape").translate(LOOSE) for start in (begin, at)
    )
    return len(GRAPHEME.findall(before + after)) == len(GRAPHEME.findall("x" + before)) == 2


def _size(text: bytes, at: int) -> int:
    """How many bytes the character has that begins at `at`."""
    for size in range(1, 5):
        with suppress(UnicodeDecodeError):
            return len(text[at : at + size].decode()[0].encode())
    return 1


def _begin(text: bytes, at: int) -> int:
    """Where the character that holds the byte at `at` begins."""
    if text[at] & 0xC0 == 0x80:
        for begin in range(max(0, at - 3), at):
            if begin + _size(text, begin) > at:
                return begin
    return at


def _hash(text: bytes, at: int) -> int:
    """A hash of the 16 bytes before `at` and the 16 from there on."""
    around = text[max(0, at - 16) : at].rjust(16, b"\0") + text[at : at + 16].ljust(16, b"\0")
    mixed = 0
    for word in unpack("<4Q", around):
        mixed = (mixed ^ word) * 0x9E3779B97F4A7C15 % 2**64
        mixed ^= mixed >> 32
    return mixed
