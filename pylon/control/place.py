"""The files of a process that works in a folder of its own: its lock, who holds it, its log, its socket."""

from __future__ import annotations

from pathlib import Path

from pylon.config import short_socket
from pylon.errors import file_error


class Place:
    """Where a process of this user works, found by all that need it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = folder / "daemon.lock"
        self.starting = folder / "starting.lock"
        """Held by whoever starts the process, so that of many that need it at once only one does."""
        self.pid = folder / "daemon.pid"
        self.log = folder / "daemon.log"
        self.control = short_socket(folder / "control.sock")

    def create(self) -> None:
        """Make the folder, readable by its owner alone. Raises PylonError where that cannot be."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise file_error(error) from error
