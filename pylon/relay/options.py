"""The states of a line to a relay, and the numbers that rule it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

MAX_CLOSE_REASON: Final = 120
"""Bytes: a control frame carries 125, two of them the code (RFC 6455, 5.5)."""


class State(StrEnum):
    """Of a line, for people."""

    CONNECTING = "connecting"
    OPEN = "open"
    AUTHENTICATED = "authenticated"
    WAITING = "waiting"
    CLOSED = "closed"


class RelayState(msgspec.Struct, frozen=True):
    """How one relay stands; `reason` says why it is not open."""

    url: str
    state: State
    authenticated: bool
    rtt_ms: float | None
    reason: str


class Options(msgspec.Struct, frozen=True):
    """Seconds and bytes."""

    connect_timeout: float = 10.0
    max_message: int = 2 * 1024 * 1024
    ping_interval: float = 30.0
    pong_timeout: float = 10.0
    auth_timeout: float = 5.0
    close_timeout: float = 2.0
    backoff_base: float = 0.5
    backoff_cap: float = 60.0
    steady_after: float = 30.0
    """A connection that lived so long starts the waiting times afresh."""
