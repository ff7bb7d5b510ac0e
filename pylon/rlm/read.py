"""A file becomes a document: text, source code, or the text of a PDF. Files are untrusted, and every failure is one sentence.

UTF-8 is read strictly, UTF-16 by its byte order mark, Latin-1 where it can be nothing else. Nothing is changed in a text file but its
byte order mark, so that what a model quotes from it can be found there. The name of a document is the name of the file without its
folder: providers see it.

A text file is mapped, checked and cut where it lies; only pieces of it become text. What changes in it meanwhile is read as it then is.
(A file that another program makes shorter in that time ends this one, as it does all that map files: SIGBUS.)
"""

from __future__ import annotations

import codecs
import mmap
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from pylon import _native
from pylon.errors import UsageError
from pylon.rlm.chunk import Document
from pylon.rlm.extract import MIB, Limits, extract

MAX_BYTES: Final = 64 * MIB
PDF: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*%PDF-")
TEXT_CONTROLS: Final = b"\b\t\n\v\f\r\x1b"
CONTROLS: Final = bytes(code for code in (*range(32), 127) if code not in TEXT_CONTROLS)
UTF8_PAIR: Final = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
HIGH: Final = bytes(range(0x80, 0x100))
C1: Final = bytes(range(0x80, 0xA0))


def read(path: Path, limits: Limits | None = None) -> Document:
    """The document in the file at `path`. UsageError, with a sentence that names the file, where there is none."""
    shown = str(path) if str(path).isprintable() else ascii(str(path))
    try:
        # Without O_NONBLOCK the opening of a pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 -- a descriptor, not a path
            return _document(file, path, shown, limits or Limits())
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {shown}") from error
    except IsADirectoryError as error:
        raise UsageError(f"{shown} is a directory, not a file", hint="name its files, each with --file") from error
    except PermissionError as error:
        raise UsageError(f"{shown} may not be read: permission denied") from error
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL or a lone surrogate in the name
        raise UsageError(f"{shown} cannot be the name of a file") from error


def _document(file: IO[bytes], path: Path, shown: str, limits: Limits) -> Document:
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise UsageError(f"{shown} is a pipe or a device, not a file")
    data = _map(file)
    if len(data) > MAX_BYTES:
        raise UsageError(f"{shown} is bigger than {MAX_BYTES // MIB} MiB")
    if not data:
        raise UsageError(f"{shown} is empty")
    if path.suffix.lower() == ".pdf" or PDF.match(data):
        del data  # the child reads the file itself
        file.seek(0)
        return extract(file, path.name, shown, limits)
    text, note = _text(data, shown)
    document = Document(path.name, text, note=note)
    if _is_blank(document.raw):
        raise UsageError(f"{shown} holds nothing but white space")
    return document


def _map(file: IO[bytes]) -> memoryview:
    """The bytes of a file, in its pages: nothing is read until it is looked at, and nothing is copied.

    What cannot be mapped is read: a file that the system makes up, which has no size, or one on a file system that maps none.
    """
    if 0 < os.fstat(file.fileno()).st_size <= MAX_BYTES:
        with suppress(OSError):
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    return memoryview(file.read(MAX_BYTES + 1))


def _blocks(data: memoryview) -> Iterator[bytes]:
    """Copies of its bytes, little by little."""
    return (bytes(data[at : at + MIB]) for at in range(0, len(data), MIB))


def _is_blank(raw: memoryview) -> bool:
    return all(str(raw[start:end], "utf-8", "replace").isspace() for start, end in _native.chunk_spans(raw, MIB))


def _text(data: memoryview, shown: str) -> tuple[str | memoryview, str]:
    """The characters, or the bytes where they are UTF-8, and how they were read where that is not certain."""
    if bytes(data[:2]) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        try:
            text = str(data, "utf-16")
        except UnicodeDecodeError as error:
            raise UsageError(f"{shown} is not valid UTF-16") from error
        _refuse_binary(memoryview(text.encode()), shown)
        return text, ""
    _refuse_binary(data, shown)
    if _native.is_utf8(data):
        return data[3:] if bytes(data[:3]) == codecs.BOM_UTF8 else data, ""
    raw = bytes(data)
    if _is_latin1(raw):
        return raw.decode("latin-1"), "read as Latin-1, since it is not UTF-8"
    line = raw.count(b"\n", 0, _valid(raw)) + 1
    raise UsageError(f"{shown} is not UTF-8 text: line {line} holds other bytes", hint="convert it, for example with iconv")


def _valid(raw: bytes) -> int:
    """How many bytes from the begin on are UTF-8."""
    try:
        return len(raw.decode().encode())
    except UnicodeDecodeError as error:
        return error.start


def _refuse_binary(data: memoryview, shown: str) -> None:
    """A NUL, or more than one control character in a hundred, stands in no text."""
    controls = 0
    for block in _blocks(data):
        controls += len(data) if b"\0" in block else len(block) - len(block.translate(None, CONTROLS))
    if controls * 100 > len(data):
        raise UsageError(f"{shown} is a binary file, not text", hint="text, source code and PDF files can be read")


def _is_latin1(data: bytes) -> bool:
    """Clearly Latin-1: letters with accents among many without, no C1 control, and not UTF-8 that was damaged."""
    high = len(data) - len(data.translate(None, HIGH))
    if high * 3 > len(data) or len(data) != len(data.translate(None, C1)):
        return False
    return sum(len(found) for found in UTF8_PAIR.findall(data)) * 2 <= high
