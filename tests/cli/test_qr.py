"""QR codes on a terminal: the modules that the standard asks for, capitals, light around it; none where it does not fit."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from pylon.cli.qr import BLOCKS, QUIET, drawn

ROOT = Path(__file__).parents[2]
INVOICE = "lnbcrt10n1" + "qpzry9x8gf2tvdw0s3jn54khce6mua7l" * 9
PRINT = "import sys; from pylon.cli.qr import show_qr; show_qr(sys.argv[1], {'no': False, 'yes': True, 'auto': None}[sys.argv[2]])"
MODULES = {block: pair for pair, block in BLOCKS.items()}


def modules(lines: list[str]) -> list[list[bool]]:
    """What was drawn, True where dark, two rows a line."""
    rows = []
    for line in lines:
        upper, lower = zip(*(MODULES[block] for block in line), strict=True)
        rows += [list(upper), list(lower)]
    return rows


@given(st.text("qpzry9x8gf2tvdw0s3jn54khce6mua7l", min_size=1, max_size=1000))
def test_it_is_what_the_library_made(text: str) -> None:
    """Module by module: the symbol of the text in capitals in the middle, nothing dark in the four modules around it."""
    rows = modules(drawn(text))
    size = len(rows[0]) - 2 * QUIET
    symbol = [[bool(module) for module in row] for row in segno.make_qr(text.upper(), error="l").matrix]
    assert [row[QUIET:-QUIET] for row in rows[QUIET:QUIET + size]] == symbol
    around = rows[:QUIET] + rows[QUIET + size:] + [row[:QUIET] + row[-QUIET:] for row in rows]
    assert not any(any(row) for row in around)


def test_capitals_are_smaller() -> None:
    """An invoice with a route hint stands in 80 columns: its letters count as capitals (BIP-173)."""
    assert len(drawn(INVOICE)[0]) <= 80
    assert len(drawn(INVOICE)[0]) < len(segno.make_qr(INVOICE, error="l").matrix) + 2 * QUIET


def on_terminal(columns: int, wanted: str, text: str = INVOICE, **more: str) -> str:
    """What a terminal of that width is given."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 60, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "LANG", "LC_ALL")}
    environment |= {"TERM": "xterm-256color", "PYTHONUTF8": "1", **more}
    process = subprocess.Popen(
        [sys.executable, "-c", PRINT, text, wanted], cwd=ROOT, env=environment, stdout=slave, stderr=slave, stdin=subprocess.DEVNULL
    )
    os.close(slave)
    said = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not piece:
            break
        said += piece
    os.close(master)
    assert process.wait() == 0, said
    return said.decode()


def blocks_of(said: str) -> list[str]:
    """The lines that were drawn, without colours."""
    return [kept for line in said.splitlines() if (kept := "".join(c for c in line.partition("m")[2].partition("\x1b")[0] if c in MODULES))]


def test_on_a_terminal_that_is_wide_enough() -> None:
    """It is drawn without being asked for, white on black, whatever the colours of the terminal are."""
    said = on_terminal(100, "auto")
    assert blocks_of(said) == drawn(INVOICE)
    assert "\x1b[" in said


@pytest.mark.parametrize("over", [0, 1])
def test_the_width_that_fits(over: int) -> None:
    """Exactly its width is enough; one column less, and it is left out rather than broken."""
    width = len(drawn(INVOICE)[0])
    assert bool(blocks_of(on_terminal(width - over, "auto"))) is not bool(over)
    said = on_terminal(width - over, "yes")
    assert ("No QR code: it needs" in said) is bool(over)


def test_not_wanted() -> None:
    """With `--no-qr` a terminal gets none."""
    assert on_terminal(100, "no") == ""


def test_an_encoding_without_blocks() -> None:
    """A terminal that cannot show it gets none, and no rubbish."""
    assert on_terminal(100, "auto", PYTHONUTF8="0", PYTHONIOENCODING="ascii") == ""
    assert "No QR code: this terminal's encoding (ascii) has no blocks" in on_terminal(100, "yes", PYTHONUTF8="0", PYTHONIOENCODING="ascii")


def test_into_a_file() -> None:
    """Only where it is asked for, without colours."""
    environment = {**os.environ, "PYTHONUTF8": "1"}
    for wanted, lines in (("auto", []), ("yes", drawn(INVOICE))):
        done = subprocess.run([sys.executable, "-c", PRINT, INVOICE, wanted], cwd=ROOT, env=environment, capture_output=True, check=True)
        assert done.stdout.decode().splitlines() == lines
