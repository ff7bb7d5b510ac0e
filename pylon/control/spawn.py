"""A process in the background: started, waited for until it says that it is ready, and left to live on."""

from __future__ import annotations

import logging
import os
import select
import subprocess
from pathlib import Path

import msgspec
import orjson

from pylon.control.client import ErrorDocument, Line, remote_error
from pylon.errors import PylonError

log = logging.getLogger("pylon.control")

READY_FD = "PYLON_READY_FD"
_processes: list[subprocess.Popen[bytes]] = []
"""Processes that this one has started: they outlive it, and are reaped here where they do not."""


def spawn(command: list[str], log: Path, seconds: float, *, name: str) -> bytes:
    """Start a process of its own and wait at most so long for the one thing that it says (`tell_parent`): its result as JSON.

    Its output goes to the file `log`. Raises what it could not start for; where it says nothing in time, it is ended.
    """
    read, write = os.pipe()
    try:
        try:
            out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True, close_fds=True,
                    pass_fds=(write,), env={**os.environ, READY_FD: str(write)},
                )
            finally:
                os.close(out)
        finally:
            os.close(write)
        with os.fdopen(read, "rb") as pipe:
            read = -1
            if not select.select([pipe], [], [], seconds)[0]:
                process.kill()
                process.wait()
                raise PylonError(f"{name} was not ready within {seconds:g} s and is ended", hint=f"see {log}")
            said = pipe.readline()
    finally:
        if read >= 0:
            os.close(read)
    if not said:
        status = process.wait(seconds)
        raise PylonError(f"{name} ended while it started (status {status})", hint=f"see {log}")
    line = msgspec.json.decode(said, type=Line)
    if line.error is not msgspec.UNSET:
        process.wait(seconds)
        raise remote_error(line.error)
    _processes[:] = [one for one in (*_processes, process) if one.poll() is None]
    return b"" if line.result is msgspec.UNSET else bytes(line.result)


def tell_parent(message: dict[str, object]) -> None:
    """The other side of `spawn`: say one thing through the pipe, once."""
    fd = os.environ.pop(READY_FD, "")
    if fd:
        with os.fdopen(int(fd), "wb") as pipe:
            pipe.write(orjson.dumps(msgspec.to_builtins(message)) + b"\n")


def tell_failure(error: PylonError) -> int:
    """Say what one could not start for, to the parent and in the log: the exit status."""
    log.error("%s (%s)", error.message, error.hint)
    tell_parent({"error": ErrorDocument(error.code, error.message, error.hint, error.exit_status)})
    return error.exit_status
