"""The append log: the truth of the store. An event counts as stored when `fdatasync` has returned after its bytes were written.

A file begins with MAGIC; then follow records of length (4 bytes, little-endian), CRC-32 of the payload (4 bytes) and payload (an
event's JSON). A writer thread takes all that waits, writes it at once and syncs once (group commit). What a crash left unfinished at
the end was never acknowledged, and is cut off when the log is opened.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from pylon.errors import PylonError

MAGIC: Final = b"pylon nexus log 1\n"
_HEAD: Final = struct.Struct("<II")

Done = Callable[[OSError | None], None]
"""Called on the loop's thread when the bytes are on disk (None), or could not be written."""

log = logging.getLogger(__name__)


class LogError(PylonError):
    """The log cannot be opened; the message says why."""

    code = "nexus_log"


def record(payload: bytes) -> bytes:
    """One payload as it stands in the file."""
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def read(path: Path) -> Iterator[bytes]:
    """The payloads of a log that exists, in order. A damaged place is jumped over where whole records follow it, else cut off."""
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        if MAGIC.startswith(data):
            # Killed while the file was made: nothing was ever written to it.
            path.write_bytes(MAGIC)
            return
        raise LogError(f"{path} is not a log of this relay", hint="move it away, or choose another folder with --data")
    at = len(MAGIC)
    while at < len(data):
        payload = _whole(data, at)
        if payload is not None:
            yield payload
            at += _HEAD.size + len(payload)
            continue
        following = _next_whole(data, at + 1)
        if following is None:
            log.warning("%s: the last %d bytes are no whole record and were never acknowledged; cut off", path, len(data) - at)
            os.truncate(path, at)
            return
        log.warning("%s: %d damaged bytes at %d", path, following - at, at)
        at = following


def _whole(data: bytes, at: int) -> bytes | None:
    """The payload of the record at `at`, if it is whole."""
    if at + _HEAD.size > len(data):
        return None
    length, checksum = _HEAD.unpack_from(data, at)
    start = at + _HEAD.size
    payload = data[start : start + length]
    return payload if length and len(payload) == length and zlib.crc32(payload) == checksum else None


def _next_whole(data: bytes, at: int) -> int | None:
    """Where the next whole record starts. Every payload is a JSON object, so only a `{` can be the first byte of one."""
    while (brace := data.find(b"{", at + _HEAD.size)) >= 0:
        if _whole(data, brace - _HEAD.size) is not None:
            return brace - _HEAD.size
        at = brace + 1 - _HEAD.size
    return None


def write_new(path: Path, payloads: Iterable[bytes]) -> None:
    """Replace the log by one that holds `payloads`, so that at every moment one of the two is whole on disk."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(MAGIC)
        for payload in payloads:
            file.write(record(payload))
        file.flush()
        os.fdatasync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Log:
    """An open log. Must be made where an event loop runs; `append` is called on its thread."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            write_new(path, ())
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._size = os.fstat(self._file).st_size
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[bytes, Done]] = []
        self._wake = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="nexus-log", daemon=True)
        self._thread.start()

    def append(self, payload: bytes, done: Done) -> None:
        """Write one payload; `done` is called when it is on disk, in the order of the calls. An empty payload only waits its turn."""
        with self._wake:
            if self._ending:
                raise RuntimeError("append to a log that is closed")
            self._waiting.append((record(payload) if payload else b"", done))
            self._wake.notify()

    async def aclose(self) -> None:
        """Write what waits, then close the file. Every `done` has been called when this returns."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        await self._loop.run_in_executor(None, self._thread.join)
        # The thread's last calls stand in the loop's queue before this continuation.
        os.close(self._file)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._ending:
                    self._wake.wait()
                batch, self._waiting = self._waiting, []
            if not batch:
                return
            error = self._commit(b"".join(data for data, _ in batch))
            self._loop.call_soon_threadsafe(_call_all, [done for _, done in batch], error)

    def _commit(self, data: bytes) -> OSError | None:
        """Write and sync. What was half written is taken back, so that a later batch does not stand behind it."""
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            if data:
                os.fdatasync(self._file)
        except OSError as error:
            log.error("%s cannot be written: %s", self.path, error)
            try:
                os.ftruncate(self._file, self._size)
            except OSError:
                log.exception("%s cannot be cut back to %d bytes", self.path, self._size)
            return error
        self._size += len(data)
        return None


def _call_all(dones: list[Done], error: OSError | None) -> None:
    for done in dones:
        done(error)
