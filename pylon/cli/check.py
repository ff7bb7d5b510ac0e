"""One line of what `pylon doctor` reports."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from pylon.errors import PylonError

OK, WARN, FAIL = "ok", "warn", "fail"
MARKS = {OK: "[green]ok  [/]", WARN: "[yellow]warn[/]", FAIL: "[red]fail[/]"}


class Check(msgspec.Struct, frozen=True):
    """`level` is ok, warn or fail; `hint` says what to do."""

    name: str
    level: str
    detail: str
    hint: str = ""


def tried(name: str, look: Callable[[], Check]) -> Check:
    """A check, or the error that it ended with."""
    try:
        return look()
    except PylonError as error:
        return Check(name, FAIL, error.message, error.hint)
