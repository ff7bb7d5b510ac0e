"""The client of a running node, and how a node is started in the background."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
from collections.abc import Callable

import msgspec
import orjson

from pylon.config import Home
from pylon.errors import NotSetUp, PylonError, UsageError
from pylon.node.control import LIMIT

START_SECONDS = 180.0
"""How long a node may take to say that it is ready: an idle one leaves, an embedded engine loads its model in that time."""
READY_FD = "PYLON_READY_FD"
TRIES = 5
CROWD_SECONDS = 0.02
_nodes: list[subprocess.Popen[bytes]] = []
"""Nodes that this process has started: they outlive it, and are reaped here where they do not."""


class ErrorDocument(msgspec.Struct, frozen=True):
    """An error as it crosses a socket or a pipe."""

    code: str
    message: str
    hint: str = ""
    exit: int = 1


class Line(msgspec.Struct, frozen=True):
    """One line of the node's answer."""

    update: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: ErrorDocument | msgspec.UnsetType = msgspec.UNSET


class Gone(Exception):
    """The node went away before it answered."""


class NotThere(Gone):
    """No node runs: nothing was asked of it."""


def remote_error(document: ErrorDocument) -> PylonError:
    """The error of a node, as one of ours: same code, sentence, hint and exit status."""
    error = PylonError(document.message, hint=document.hint)
    error.code = document.code
    error.exit_status = document.exit
    return error


async def call(home: Home, name: str, args: dict[str, object] | None = None, on_update: Callable[[bytes], None] | None = None) -> bytes:
    """One call to the running node: its result as JSON. Raises Gone where there is none, or it went away; PylonError else."""
    try:
        asked = orjson.dumps({"call": name, "args": args or {}}) + b"\n"
    except orjson.JSONEncodeError as error:  # half a character, from a command line in another encoding
        raise UsageError("an argument is not valid Unicode") from error
    reader, writer = await _connect(home)
    try:
        writer.write(asked)
        while (raw := await reader.readline()).endswith(b"\n"):  # half a line: it was killed while it wrote
            line = msgspec.json.decode(raw, type=Line)
            if line.error is not msgspec.UNSET:
                raise remote_error(line.error)
            if line.result is not msgspec.UNSET:
                return bytes(line.result)
            if line.update is not msgspec.UNSET and on_update is not None:
                on_update(bytes(line.update))
    except ConnectionError as error:
        raise Gone("the node went away") from error
    finally:
        writer.close()
    raise Gone("the node went away")


async def _connect(home: Home) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        try:
            return await asyncio.open_unix_connection(home.control, limit=LIMIT)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotThere("no node is running") from error
        except BlockingIOError:
            await asyncio.sleep(CROWD_SECONDS)  # connect(2), EAGAIN: as many wait to be accepted as the system lets wait


async def ensure_call(
    home: Home, name: str, args: dict[str, object] | None = None, on_update: Callable[[bytes], None] | None = None
) -> bytes:
    """Like `call`, but starts a node in the background where none runs. Only for calls that may be asked twice."""
    for _ in range(TRIES):
        try:
            return await call(home, name, args, on_update)
        except Gone:
            await asyncio.to_thread(spawn, home, "idle")
    raise PylonError("the node in the background does not stay up", hint=f"see {home.log}")


def lost(home: Home) -> PylonError:
    """A call that must not be repeated got no answer."""
    return PylonError(
        "the node went away in the middle, so what came of this is not known yet",
        hint=f"look at `pylon job list` and `pylon wallet history` before you try again; {home.log} says why",
    )


def spawn(home: Home, role: str, extra: tuple[str, ...] = ()) -> int:
    """Start a node as a process of its own and wait until it is ready: its process id. Raises what the node could not start for.

    Two that start at once: one gets the lock, the other ends quietly, and both callers find the winner.
    """
    if not home.identity.exists():
        raise NotSetUp("there is no identity in this home yet", hint="run `pylon init`")
    home.create()
    read, write = os.pipe()
    try:
        log = os.open(home.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "pylon.node.main", str(home.path), role, *extra],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True, close_fds=True, pass_fds=(write,),
                env={**os.environ, READY_FD: str(write)},
            )
        finally:
            os.close(log)
            os.close(write)
        with os.fdopen(read, "rb") as pipe:
            read = -1
            if not select.select([pipe], [], [], START_SECONDS)[0]:
                process.kill()
                process.wait()
                raise PylonError(f"the node was not ready within {START_SECONDS:g} s and is ended", hint=f"see {home.log}")
            said = pipe.readline()
    finally:
        if read >= 0:
            os.close(read)
    if not said:
        status = process.wait(START_SECONDS)
        raise PylonError(f"the node ended while it started (status {status})", hint=f"see {home.log}")
    line = msgspec.json.decode(said, type=Line)
    if line.error is not msgspec.UNSET:
        process.wait(START_SECONDS)
        raise remote_error(line.error)
    _nodes[:] = [node for node in (*_nodes, process) if node.poll() is None]
    return process.pid


def tell_parent(message: dict[str, object]) -> None:
    """The node's side of `spawn`: say one thing through the pipe, once."""
    fd = os.environ.pop(READY_FD, "")
    if fd:
        with os.fdopen(int(fd), "wb") as pipe:
            pipe.write(orjson.dumps(msgspec.to_builtins(message)) + b"\n")

