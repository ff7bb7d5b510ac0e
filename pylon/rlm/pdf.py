"""The child that reads one PDF: a program of its own, since parsing is what a hostile file attacks. It imports nothing of Pylon.

    python pdf.py MEMORY_BYTES CPU_SECONDS < FILE > TEXT

It first takes away from itself what it does not need: memory, time, files, processes. Then PDFium (pypdfium2) reads the file from stdin.
stdout: one line with the number of pages and of those without text, then the text as UTF-8, pages parted by an empty line, lines by a
line feed. Exit status: 0, or one of the numbers below. Who calls it trusts neither (pylon/rlm/extract.py).
"""

from __future__ import annotations

import re
import resource
import sys
from typing import Final

ENCRYPTED: Final = 10
DAMAGED: Final = 11
TOO_MUCH: Final = 12
NO_READER: Final = 13

PASSWORD: Final = (4, 5)  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY
HYPHENS: Final = {0x02: "-\n", 0xFFFE: "-\n"}  # what PDFium writes for a hyphen at the end of a line, and for that end
CONTROLS: Final = dict.fromkeys([*range(9), *range(11, 32), 127, 0xFFFF])


def confine(memory: int, seconds: int) -> None:
    """Take from this process what a reader does not need. The system ends it where it takes more."""
    wanted = {
        resource.RLIMIT_CPU: seconds, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_NPROC: 0,
    }
    if sys.platform == "linux":  # elsewhere the kernel does not hold a process to it
        wanted[resource.RLIMIT_AS] = memory
    for what, limit in wanted.items():
        _, hard = resource.getrlimit(what)
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (limit, limit))


def tidy(text: str) -> str:
    """Lines by a line feed, words divided as they are printed, no control characters and no half of a pair."""
    text = re.sub(r"\r\n?", "\n", text).translate(HYPHENS).translate(CONTROLS)
    return text.encode("utf-8", "ignore").decode()


def main() -> int:
    """Read the file on stdin. The exit status says how it went."""
    confine(int(sys.argv[1]), int(sys.argv[2]))
    try:
        import pypdfium2  # type: ignore[import-untyped]  # the package ships no types
    except (ImportError, OSError):
        return NO_READER
    try:
        document = pypdfium2.PdfDocument(sys.stdin.buffer.read())
        count = len(document)
    except pypdfium2.PdfiumError as error:
        return ENCRYPTED if error.err_code in PASSWORD else DAMAGED
    except MemoryError:
        return TOO_MUCH
    texts = []
    broken = 0
    try:
        for number in range(count):
            try:
                page = document[number]
                found = page.get_textpage()
            except pypdfium2.PdfiumError:
                broken += 1
                continue
            texts.append(tidy(found.get_text_bounded()).strip())
            found.close()
            page.close()
    except MemoryError:
        return TOO_MUCH
    if broken == count:
        return DAMAGED
    full = [text for text in texts if text]
    sys.stdout.buffer.write(f"{count} {count - len(full)}\n".encode() + "\n\n".join(full).encode())
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.exit(status)
