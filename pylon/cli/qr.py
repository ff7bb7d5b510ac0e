"""QR codes of invoices and addresses, drawn on a terminal with half blocks (ISO/IEC 18004)."""

from __future__ import annotations

import sys

import click
import segno

from pylon.cli.common import err, out
from pylon.errors import UsageError

QUIET = 4
"""Light modules on each side, as the standard wants."""
BLOCKS = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
"""Upper and lower module, True where dark. Light is drawn: a dark terminal shows the rest by itself."""
INK = "#ffffff on #000000"
"""So that a light terminal shows no negative."""

qr_option = click.option(
    "--qr/--no-qr", "qr", default=None, help="Draw a QR code, or none; without either, one is drawn on a terminal where it fits."
)


def drawn(text: str) -> list[str]:
    """The lines of the QR code of `text`, an invoice or an address, two modules to a character. In capitals: bech32 is the same in
    either case, and a QR code needs fewer modules for capitals (BIP-173)."""
    code = segno.make_qr(text.upper(), error="l")
    rows = [[bool(module) for module in row] for row in code.matrix_iter(border=QUIET)]
    rows.append([False] * len(rows[0]))  # their number is odd
    return ["".join(BLOCKS[pair] for pair in zip(upper, lower, strict=True)) for upper, lower in zip(rows[::2], rows[1::2], strict=True)]


def no_qr_in_json(wanted: bool | None, *, as_json: bool) -> None:
    """Before anything is asked of the node: a document has no picture. Raises UsageError."""
    if as_json and wanted:
        raise UsageError("--json prints a document and no QR code", hint="leave out --qr or --json")


def show_qr(text: str, wanted: bool | None) -> None:
    """Draw `text` where `wanted`, or where nothing was said and stdout is a terminal. What does not fit is not drawn."""
    if wanted is False or (wanted is None and not sys.stdout.isatty()):
        return
    lines = drawn(text)
    if trouble := _trouble(lines):
        if wanted:
            err.print(f"No QR code: {trouble}", markup=False)
        return
    for line in lines:
        out.print(line, style=INK, markup=False)


def _trouble(lines: list[str]) -> str:
    """Why the lines cannot be shown, or nothing."""
    try:
        "".join(BLOCKS.values()).encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return f"this terminal's encoding ({sys.stdout.encoding}) has no blocks."
    if sys.stdout.isatty() and len(lines[0]) > out.width:
        return f"it needs {len(lines[0])} columns, the terminal has {out.width}."
    return ""
