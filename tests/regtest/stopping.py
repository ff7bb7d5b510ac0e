"""The private network's process, found and ended."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path

from pylon.control.lock import holder
from pylon.wallets import network


def pid_of(state: Path) -> int | None:
    """The process of the private network."""
    place = network.place(state)
    return holder(place.lock, place.pid)


def end(state: Path, number: signal.Signals = signal.SIGTERM) -> None:
    """End the process of the private network, and wait until it has gone."""
    pid = pid_of(state)
    if pid is not None:
        os.kill(pid, number)
    with network.place(state).lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
