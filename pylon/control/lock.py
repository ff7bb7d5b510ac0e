"""One process does the work of a folder: whoever holds its lock. A pid file beside it says which one."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class ProcessLock:
    """A lock, held until `release` or the end of the process (the kernel frees it, whatever happens to us)."""

    def __init__(self, lock: Path, pid: Path) -> None:
        self._lock = lock
        self._pid = pid
        self._fd: int | None = None

    def acquire(self) -> bool:
        """Take the lock; False where another process has it."""
        fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        _write(self._pid, f"{os.getpid()}\n")
        return True

    def release(self) -> None:
        """Let the next one in. The pid file goes first, so that nobody reads a stale one."""
        if self._fd is not None:
            self._pid.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None


def is_held(lock: Path) -> bool:
    """Whether some process holds this lock now."""
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def holder(lock: Path, pid: Path) -> int | None:
    """The process that holds the lock, or None: nobody, or its pid file cannot be read."""
    if not is_held(lock):
        return None
    try:
        return int(pid.read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return None


def _write(path: Path, text: str) -> None:
    path.write_text(text, "ascii")
    path.chmod(0o600)
