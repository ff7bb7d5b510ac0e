"""How one process tells another that the simulated bank has changed: an empty message to a Unix datagram socket.

A `Doorbell` is one listener's socket; `knock` rings those of others, after the change is on disk. A knock carries nothing: whoever
hears it reads the bank. So a knock that is lost costs only the time until the next slow look (`POLL_SECONDS`), one too many a query.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path

from pylon.config import short_socket

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""The safety net: a process that was killed after its commit and before its knock is noticed this late."""


class Doorbell:
    """A bound socket and the waiters of one event loop. `path` is what others knock on; `close` removes it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = str(short_socket(folder / f"{secrets.token_hex(8)}.sock"))
        self._loop = asyncio.get_running_loop()
        self._ring = asyncio.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind(self.path)
            self._loop.add_reader(self._socket, self._heard)
        except BaseException:
            self._socket.close()
            raise

    @property
    def ring(self) -> asyncio.Event:
        """The next ring. Take it before reading the bank: then a change between the reading and the waiting is not missed."""
        return self._ring

    async def wait(self, ring: asyncio.Event) -> None:
        """Until that ring, or until it is time for a look of one's own."""
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await ring.wait()
        except TimeoutError:
            return

    def rouse(self) -> None:
        """Wake every waiter."""
        ring, self._ring = self._ring, asyncio.Event()
        ring.set()

    def _heard(self) -> None:
        try:
            while True:
                self._socket.recv(16)
        except BlockingIOError:
            self.rouse()

    def close(self) -> None:
        """Stop listening, remove the socket, wake the waiters."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        Path(self.path).unlink(missing_ok=True)
        self.rouse()


def knock(paths: Iterable[str]) -> list[str]:
    """Ring each of these doorbells; return those whose owner is gone (their sockets are removed). Never raises and never blocks."""
    gone: list[str] = []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            for path in paths:
                try:
                    sender.sendto(b"", path)
                except BlockingIOError:
                    continue  # its queue is full of knocks that it has not read yet: it will look
                except (FileNotFoundError, ConnectionRefusedError):
                    Path(path).unlink(missing_ok=True)
                    gone.append(path)
    except OSError as error:
        log.warning("a listener of the simulated bank could not be woken (%s); it looks by itself within %s s", error, POLL_SECONDS)
    return gone
