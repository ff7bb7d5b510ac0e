"""One process a wallet, and one folder a seed: two nodes with one seed would revoke each other's channels, and lose the money."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pylon.errors import PylonError, file_error

BOOK = "wallet.sqlite3"
"""The file of a wallet's folder that says that a wallet is there."""


class WalletLock:
    """A lock with a line that says who holds it. The kernel frees it, whatever happens to us."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def text(self) -> str:
        """The line that stands there."""
        return os.pread(self._fd, 4096, 0).decode("utf-8", "surrogateescape").strip()

    def note(self, holder: str) -> None:
        """Say who holds it."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, holder.encode("utf-8", "surrogateescape"), 0)

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._fd)


def lock_folder(folder: Path) -> WalletLock:
    """The lock of a wallet's folder (made when missing). Raises PylonError where another process uses it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise file_error(error) from error
    return _lock(
        folder / "lock", f"process {os.getpid()}", f"the wallet {folder} is in use by {{holder}}",
        "one process uses a wallet: stop the other",
    )


def lock_seed(state: Path, node_id: str, folder: Path) -> WalletLock:
    """The lock of a node id on this machine. Raises PylonError, with the other folder, where a wallet with the same seed runs, or one
    that used it last is still there: what that one knows of its channels, this one does not, and would give them up."""
    locks = state / "wallets"
    try:
        locks.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise file_error(error) from error
    lock = _lock(
        locks / f"{node_id}.lock", "", "the wallet with this seed runs already, from {holder}",
        "one installation a seed: two would lose the money in the channels",
    )
    last = Path(lock.text())
    if last != folder and last.is_absolute() and (last / BOOK).exists():
        lock.release()
        raise PylonError(
            f"the wallet of this seed is in {last}, with its channels; this home would lose them",
            hint="one installation a seed: use that home, or move its wallet folder away (`pylon wallet backup`, then `restore` here)",
        )
    lock.note(str(folder))
    return lock


def _lock(path: Path, holder: str, message: str, hint: str) -> WalletLock:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise file_error(error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if holder:
            WalletLock(fd).note(holder)
    except BlockingIOError as error:
        other = os.pread(fd, 4096, 0).decode("utf-8", "replace").strip()
        os.close(fd)
        raise PylonError(message.format(holder=other or "another process"), hint=hint) from error
    except OSError as error:
        os.close(fd)
        raise file_error(error) from error
    return WalletLock(fd)
