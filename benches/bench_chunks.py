"""Chunk spans beside chonkie-core, which looks for four delimiters. The unit of work is one text of 1 MB, or one file of 50 MB."""

from __future__ import annotations

import mmap
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from benches import references
from benches.conftest import Against
from benches.inputs import TEXTS
from pylon import _native
from pylon._native import plain

Spans = list[tuple[int, int]]
LIMITS = {1024: (1.5, 0.8), 4096: (1.0, 0.5), 40_960: (0.30, 0.1)}
"""Gate and goal of each limit in bytes."""


@pytest.mark.parametrize("most", LIMITS)
@pytest.mark.parametrize("name", TEXTS)
def test_chunk_spans(against: Against, name: str, most: int) -> None:
    """Boundaries of all kinds found, in windows: spans that cover the text, none longer than the limit, none ending in a character."""
    text = TEXTS[name].encode()
    gate, goal = LIMITS[most]

    def agree(ours: Spans, theirs: Spans) -> bool:
        """Both cover the text; ours also cuts between characters."""
        whole = all(before[1] == after[0] for spans in (ours, theirs) for before, after in pairwise(spans))
        ends = all(spans[0][0] == 0 and spans[-1][1] == len(text) for spans in (ours, theirs))
        return whole and ends and all(end - start <= most for start, end in ours) and all(text[start:end].decode() for start, end in ours)

    against(
        f"chunk spans, {most // 1024} KB, {name}", partial(_native.chunk_spans, text, most), "chonkie_core.chunk_offsets",
        partial(references.chunk_offsets, text, most), gate=gate, goal=goal, agree=agree,
    )


@pytest.mark.parametrize("name", ["English", "CJK"])
def test_chunk_spans_of_the_twin(against: Against, name: str) -> None:
    """The same spans as the twin finds."""
    text = TEXTS[name][:30_000].encode()
    against(
        f"chunk spans, 4 KB, {name}", partial(_native.chunk_spans, text, 4096), "the twin in Python", partial(plain.chunk_spans, text, 4096)
    )


def test_content_defined(against: Against) -> None:
    """Boundaries that depend on what stands around them alone, so that an edit moves only those near it."""
    text = TEXTS["English"].encode()
    against(
        "chunk spans, 4 KB, English, content-defined", partial(_native.chunk_spans, text, 4096, True), "the same, as large as may be",
        partial(_native.chunk_spans, text, 4096), agree=lambda ours, theirs: ours[-1][1] == theirs[-1][1] == len(text),
    )


@pytest.mark.parametrize("most", LIMITS)
def test_floor_of_chunk_spans(against: Against, most: int) -> None:
    """What is left where every boundary is known: as many pairs of numbers in a list, made without a line of Python in between."""
    text = TEXTS["English"].encode()
    count = len(_native.chunk_spans(text, most))
    size = len(text) // count
    against(
        f"floor: a list of as many spans, {most // 1024} KB",
        lambda: list(zip(range(0, size * count, size), range(size, size * count + 1, size), strict=True)),
        "chonkie_core.chunk_offsets", partial(references.chunk_offsets, text, most), agree=lambda ours, theirs: len(ours) == count,
    )


def test_mapped_file(against: Against, tmp_path: Path) -> None:
    """A file cut where it is mapped, without reading it into memory."""
    place = tmp_path / "book.txt"
    place.write_bytes(TEXTS["English"].encode() * 50)
    with place.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        against(
            "chunk spans, 40 KB, a mapped file of 50 MB", partial(_native.chunk_spans, mapped, 40_960),
            "validating it as UTF-8 (simdutf8)", partial(references.is_utf8, mapped), gate=1.3, goal=1.1,
            agree=lambda spans, valid: valid and spans[-1][1] == len(mapped),
        )
