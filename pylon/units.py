"""Units are types. Money is in millisatoshi everywhere inside; sats only where a person reads or types."""

from __future__ import annotations

from typing import NewType

Msat = NewType("Msat", int)
"""Millisatoshi, never negative where it names a price or a payment."""

MAX_MSAT = 21_000_000 * 100_000_000 * 1000
"""No amount can be larger than all bitcoin (in msat)."""


def msat_of_sats(sats: int) -> Msat:
    """Whole sats as msat."""
    return Msat(sats * 1000)


def ceil_sat(amount: Msat) -> Msat:
    """`amount` rounded up to a whole sat, in msat: what a wallet without msat precision must ask."""
    return Msat(-(-amount // 1000) * 1000)


def count_of(number: int, thing: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def show_sats(amount: Msat) -> str:
    """An amount for people: `1 sat`, `1.5 sats`, `0.001 sats`."""
    whole, rest = divmod(amount, 1000)
    text = f"{whole:,}" + (f".{rest:03d}".rstrip("0") if rest else "")
    return f"{text} sat" if amount == 1000 else f"{text} sats"
