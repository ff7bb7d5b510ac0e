"""The client of a control socket: one call, its updates, its result or its error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import orjson

from pylon.control.server import LIMIT
from pylon.errors import PylonError, UsageError

CROWD_SECONDS = 0.02


class ErrorDocument(msgspec.Struct, frozen=True):
    """An error as it crosses a socket or a pipe."""

    code: str
    message: str
    hint: str = ""
    exit: int = 1


class Line(msgspec.Struct, frozen=True):
    """One line of an answer."""

    update: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: ErrorDocument | msgspec.UnsetType = msgspec.UNSET


class Gone(Exception):
    """The process went away before it answered."""


class NotThere(Gone):
    """Nobody serves the socket: nothing was asked."""


def remote_error(document: ErrorDocument) -> PylonError:
    """The error of another process, as one of ours: same code, sentence, hint and exit status."""
    error = PylonError(document.message, hint=document.hint)
    error.code = document.code
    error.exit_status = document.exit
    return error


async def call(
    path: Path, name: str, args: dict[str, object] | None = None, on_update: Callable[[bytes], None] | None = None,
    *, whom: str = "the node",
) -> bytes:
    """One call to whoever serves the socket `path`: the result as JSON.

    Raises NotThere where nobody does, Gone where he went away before he answered, and the PylonError that he answered with.
    """
    try:
        asked = orjson.dumps({"call": name, "args": args or {}}) + b"\n"
    except orjson.JSONEncodeError as error:  # half a character, from a command line in another encoding
        raise UsageError("an argument is not valid Unicode") from error
    reader, writer = await _connect(path, whom)
    try:
        writer.write(asked)
        while (raw := await reader.readline()).endswith(b"\n"):  # half a line: he was killed while he wrote
            line = msgspec.json.decode(raw, type=Line)
            if line.error is not msgspec.UNSET:
                raise remote_error(line.error)
            if line.result is not msgspec.UNSET:
                return bytes(line.result)
            if line.update is not msgspec.UNSET and on_update is not None:
                on_update(bytes(line.update))
    except ConnectionError as error:
        raise Gone(f"{whom} went away") from error
    finally:
        writer.close()
    raise Gone(f"{whom} went away")


async def _connect(path: Path, whom: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        try:
            return await asyncio.open_unix_connection(path, limit=LIMIT)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise NotThere(f"{whom} is not running") from error
        except BlockingIOError:
            await asyncio.sleep(CROWD_SECONDS)  # connect(2), EAGAIN: as many wait to be accepted as the system lets wait
