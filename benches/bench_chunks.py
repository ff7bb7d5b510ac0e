"""Chunk spans beside chonkie-core, which looks for four delimiters. The unit of work is one text of about 1 MB."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

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
    """UTF-8 checked and boundaries of all kinds found, between spans that cover the text, none longer than the limit."""
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
