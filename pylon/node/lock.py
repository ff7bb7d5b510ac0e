"""One process per home performs effects: whoever holds `node.lock`."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pylon.config import Home


class HomeLock:
    """The lock of a home, held until `release` or the end of the process (the kernel frees it, whatever happens to us)."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._fd: int | None = None

    def acquire(self) -> bool:
        """Take the lock; False where another process has it."""
        fd = os.open(self._home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        _write(self._home.pid, f"{os.getpid()}\n")
        return True

    def release(self) -> None:
        """Let the next one in. The pid file goes first, so that nobody reads a stale one."""
        if self._fd is not None:
            self._home.pid.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None


def is_running(home: Home) -> bool:
    """Whether some process holds the home's lock now."""
    try:
        fd = os.open(home.lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def running_pid(home: Home) -> int | None:
    """The process that runs this home, or None."""
    if not is_running(home):
        return None
    try:
        return int(home.pid.read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return None


def _write(path: Path, text: str) -> None:
    path.write_text(text, "ascii")
    path.chmod(0o600)
