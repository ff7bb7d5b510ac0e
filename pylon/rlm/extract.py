"""Runs the reader of PDF files (`pdf.py`) in a child with limits, and turns every end that it can come to into a text or a sentence.

The file is hostile and so, after it was opened, is the child: its time, its memory and what it writes are bounded, and it gets no
secret by its environment. `-P` keeps the folder where the person works off the child's module path.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

import msgspec

from pylon.errors import PylonError, UsageError
from pylon.rlm import pdf
from pylon.rlm.chunk import Document

MIB: Final = 1 << 20
SENTENCES: Final = {
    pdf.ENCRYPTED: "is encrypted: it opens only with a password",
    pdf.DAMAGED: "is damaged: no PDF reader can open it",
    pdf.TOO_MUCH: "takes too much memory to read",
}
"""What the exit status of the child means."""


class Limits(msgspec.Struct, frozen=True):
    """What reading one file may take: bytes of memory, seconds of the processor, seconds by the clock, bytes of text."""

    memory: int = 1024 * MIB
    processor: int = 60
    seconds: float = 90.0
    text: int = 64 * MIB


class Overrun(Exception):
    """The child took or gave more than it may; the text ends the sentence that begins with the name of the file."""


def extract(file: IO[bytes], name: str, shown: str, limits: Limits) -> Document:
    """The text of a PDF file, read from where `file` stands. UsageError with a sentence about `shown` where there is none."""
    command = [sys.executable, "-P", str(Path(pdf.__file__)), str(limits.memory), str(limits.processor)]
    try:
        status, output = bounded(command, file, limits.seconds, limits.text)
    except Overrun as error:
        raise UsageError(f"{shown} {error}") from error
    if status == pdf.NO_READER:
        raise PylonError("PDF files cannot be read: the package pypdfium2 does not load", hint="pip install pypdfium2")
    if status in SENTENCES:
        raise UsageError(f"{shown} {SENTENCES[status]}")
    if status < 0:
        raise UsageError(f"{shown} cannot be read: it takes too much time or memory, or breaks the reader of PDF files (signal {-status})")
    head, _, text = output.partition(b"\n")
    try:
        pages, blank = map(int, head.split())
        found = text.decode()
    except ValueError:
        status = status or 1
    if status:
        raise UsageError(f"{shown} cannot be read: it breaks the reader of PDF files (status {status})")
    if blank == pages:
        raise UsageError(f"{shown} holds no text: its pages are pictures", hint="a program for text recognition (OCR) makes text of them")
    return Document(name, found, pages, f"{blank} of {pages} pages hold no text" if blank else "")


def bounded(command: Sequence[str], stdin: IO[bytes], seconds: float, most: int) -> tuple[int, bytes]:
    """Run `command` to its end: exit status (negative: the signal) and stdout. Overrun, and the child killed, beyond the limits."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYLON_")}
    end = time.monotonic() + seconds
    child = subprocess.Popen(
        command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
    )
    try:
        output = _drain(child, end, seconds, most)
        try:
            return child.wait(max(0.0, end - time.monotonic())), output
        except subprocess.TimeoutExpired as error:
            raise _late(seconds) from error
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _drain(child: subprocess.Popen[bytes], end: float, seconds: float, most: int) -> bytes:
    """What the child writes until it closes its stdout."""
    if child.stdout is None:
        raise AssertionError("the output is piped")
    output = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while selector.select(max(0.0, end - time.monotonic())):
            read = os.read(child.stdout.fileno(), MIB)
            if not read:
                return bytes(output)
            output += read
            if len(output) > most:
                raise Overrun(f"holds more than {most // MIB} MiB of text")
    raise _late(seconds)


def _late(seconds: float) -> Overrun:
    return Overrun(f"takes too long to read: more than {seconds:g} s")
