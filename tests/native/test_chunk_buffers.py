"""Texts that are no `bytes`: views, arrays that may be written to, and files that are mapped."""

from __future__ import annotations

import mmap
import threading
from array import array
from pathlib import Path

import pytest

from pylon import _native
from pylon._native import plain

TEXT = ("# Title\n\nA line of text. Another one.\n" * 20 + "字" * 300 + "\n\n").encode() * 20
SPANS = _native.chunk_spans(TEXT, 4096)


@pytest.mark.parametrize("module", [_native, plain])
def test_any_buffer_in_one_piece(module: object) -> None:
    """Views, arrays of bytes and of words, read only or not, are cut as their bytes are."""
    chunk_spans = module.chunk_spans  # type: ignore[attr-defined]  # both have it
    words = array("I", TEXT[: len(TEXT) // 4 * 4])
    for text in (bytearray(TEXT), memoryview(TEXT), memoryview(bytearray(TEXT)), memoryview(b"ab" + TEXT + b"c")[2:-1]):
        assert chunk_spans(text, 4096) == SPANS
    assert chunk_spans(words, 4096) == chunk_spans(words.tobytes(), 4096)
    for empty in (b"", bytearray(), memoryview(b"ab")[1:1], array("I")):
        assert chunk_spans(empty, 64) == []


@pytest.mark.parametrize("module", [_native, plain])
def test_what_is_no_text(module: object) -> None:
    """Memory in several pieces, text that is not bytes, and what is no buffer at all."""
    for function in (lambda text: module.chunk_spans(text, 64), module.is_utf8):  # type: ignore[attr-defined]  # both have them
        with pytest.raises(ValueError, match="one piece of memory"):
            function(memoryview(TEXT)[::2])
        for none in ("text", 5, None, [1, 2]):
            with pytest.raises(TypeError):
                function(none)


def test_a_buffer_is_given_back() -> None:
    """An array that was cut can grow again: nothing of it is held."""
    text = bytearray(TEXT)
    assert _native.chunk_spans(text, 4096) == SPANS
    assert _native.is_utf8(text)
    text += b"more"
    assert _native.chunk_spans(text, 4096)[-1][1] == len(TEXT) + 4


@pytest.mark.parametrize("access", [mmap.ACCESS_READ, mmap.ACCESS_WRITE, mmap.ACCESS_COPY])
def test_a_mapped_file(tmp_path: Path, access: int) -> None:
    """A file is cut where it is mapped, however it is."""
    path = tmp_path / "text"
    path.write_bytes(TEXT)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, access=access) as mapped:
        assert _native.chunk_spans(mapped, 4096) == SPANS
        assert _native.chunk_spans(memoryview(mapped)[5:], 4096) == _native.chunk_spans(TEXT[5:], 4096)
        assert _native.is_utf8(mapped)
    assert mapped.closed


def test_a_mapped_file_is_read_in_its_windows_only(tmp_path: Path) -> None:
    """A file of 1 TB that takes no place on the disk is cut in pieces of a third: no more than the windows of it is touched."""
    path = tmp_path / "huge"
    size = 1 << 40
    with path.open("w+b") as file:
        file.truncate(size)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            third = size // 3
            assert _native.chunk_spans(mapped, third) == [(0, third), (third, 2 * third), (2 * third, size - 1), (size - 1, size)]


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


def test_a_text_that_changes_while_it_is_cut() -> None:
    """A view that may only be read, of an array that another thread writes to: spans that are lossless and bounded all the same."""
    text = bytearray(TEXT * 20)
    view, done = memoryview(text).toreadonly(), threading.Event()

    def write() -> None:
        while not done.is_set():
            for byte in b"\n #.\xe3\xcc\x81\xf0\x9f":
                text[:] = bytes([byte]) * len(text)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            spans = _native.chunk_spans(view, 64)
            assert spans[0][0] == 0
            assert spans[-1][1] == len(text)
            assert all(0 < end - start <= 64 for start, end in spans)
    finally:
        done.set()
        writer.join()
