"""Numbers and addresses that people type: each checked at the door, so that none is misunderstood further inside."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import click

from pylon.errors import UsageError
from pylon.units import MAX_MSAT

WEEK = 7 * 86_400

SATS = click.IntRange(min=1, max=MAX_MSAT // 1000)
MSAT = click.IntRange(min=0, max=MAX_MSAT)
COUNT = click.IntRange(min=1, max=1_000_000_000)
BLOCKS = click.IntRange(min=1, max=2000)


class Seconds(click.FloatRange):
    """A time from 0 seconds to a week; `nan`, which compares with nothing, is no number of seconds."""

    name = "number of seconds"

    def __init__(self, *, min_open: bool = False) -> None:
        super().__init__(min=0, max=WEEK, min_open=min_open)

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """`value` as seconds, or a usage error."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return seconds


def relay_urls(entries: Iterable[str]) -> list[str]:
    """The relays of `--relay`, which is repeated or holds commas. Raises UsageError."""
    urls = [url.strip() for entry in entries for url in entry.split(",") if url.strip()]
    for url in urls:
        if not re.fullmatch(r"wss?://[^\s/]+\S*", url):
            raise UsageError(f"{url!r} is no relay's address", hint="it begins with ws:// or wss://")
    return urls


def key_values(entries: Iterable[str]) -> list[tuple[str, str]]:
    """The parameters of `--param KEY=VALUE`. Raises UsageError."""
    pairs = []
    for entry in entries:
        key, equals, value = entry.partition("=")
        if not (key.strip() and equals):
            raise UsageError(f"{entry[:80]!r} is no parameter", hint="write it as KEY=VALUE, e.g. --param language=de")
        pairs.append((key.strip(), value))
    return pairs
