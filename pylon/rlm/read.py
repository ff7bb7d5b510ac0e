"""A file becomes a document: text, source code, or the text of a PDF. Files are untrusted, and every failure is one sentence.

UTF-8 is read strictly, UTF-16 by its byte order mark, Latin-1 where it can be nothing else. Nothing is changed in a text file but its
byte order mark, so that what a model quotes from it can be found there. The name of a document is the name of the file without its
folder: providers see it.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from pathlib import Path
from typing import IO, Final

from pylon.errors import UsageError
from pylon.rlm.chunk import Document
from pylon.rlm.extract import MIB, Limits, extract

MAX_BYTES: Final = 64 * MIB
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
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UsageError(f"{shown} is bigger than {MAX_BYTES // MIB} MiB")
    if not data:
        raise UsageError(f"{shown} is empty")
    if path.suffix.lower() == ".pdf" or data.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"%PDF-"):
        del data  # the child reads the file itself
        file.seek(0)
        return extract(file, path.name, shown, limits)
    text, note = _text(data, shown)
    if not text.strip():
        raise UsageError(f"{shown} holds nothing but white space")
    return Document(path.name, text, note=note)


def _text(data: bytes, shown: str) -> tuple[str, str]:
    """The characters, and how they were read where that is not certain."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            text = data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise UsageError(f"{shown} is not valid UTF-16") from error
        _refuse_binary(text.encode(), shown)
        return text, ""
    _refuse_binary(data, shown)
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode(), ""
    except UnicodeDecodeError as error:
        if _is_latin1(data):
            return data.decode("latin-1"), "read as Latin-1, since it is not UTF-8"
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{shown} is not UTF-8 text: line {line} holds other bytes", hint="convert it, for example with iconv") from error


def _refuse_binary(data: bytes, shown: str) -> None:
    """A NUL, or more than one control character in a hundred, stands in no text."""
    if b"\0" in data or (len(data) - len(data.translate(None, CONTROLS))) * 100 > len(data):
        raise UsageError(f"{shown} is a binary file, not text", hint="text, source code and PDF files can be read")


def _is_latin1(data: bytes) -> bool:
    """Clearly Latin-1: letters with accents among many without, no C1 control, and not UTF-8 that was damaged."""
    high = len(data) - len(data.translate(None, HIGH))
    if high * 3 > len(data) or len(data) != len(data.translate(None, C1)):
        return False
    return sum(len(found) for found in UTF8_PAIR.findall(data)) * 2 <= high
