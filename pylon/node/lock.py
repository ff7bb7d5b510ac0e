"""One process per home performs effects: whoever holds `node.lock`."""

from __future__ import annotations

from pylon.config import Home
from pylon.control.lock import ProcessLock, holder, is_held


class HomeLock(ProcessLock):
    """The lock of a home."""

    def __init__(self, home: Home) -> None:
        super().__init__(home.lock, home.pid)


def is_running(home: Home) -> bool:
    """Whether some process holds the home's lock now."""
    return is_held(home.lock)


def running_pid(home: Home) -> int | None:
    """The process that runs this home, or None."""
    return holder(home.lock, home.pid)
