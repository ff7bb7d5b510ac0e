"""The control socket of a process (a node, the private network): one JSON document a line, for programs of the same user.

A client sends `{"call": NAME, "args": {…}}`, once a connection, and gets `{"update": …}` lines and then one `{"result": …}` or
`{"error": …}`. The socket has mode 0600 in a folder of mode 0700; who can open it is the user himself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec
import orjson

from pylon.errors import PylonError, UsageError

log = logging.getLogger("pylon.control")

LIMIT = 4 * 1024 * 1024
"""Bytes of a line."""

BACKLOG = 1024
"""Clients that may wait to be accepted: a run over the swarm asks hundreds of questions at once, each by a connection of its own."""

Args = Mapping[str, object]
Update = Callable[[object], None]
Call = Callable[[Args, Update], Awaitable[object]]


class Request(msgspec.Struct, frozen=True):
    """One line of a client."""

    call: str
    args: dict[str, object] = {}


class ControlServer:
    """Serves calls until it is closed. `name` is what a person calls this process, `log_file` where it writes what went wrong."""

    def __init__(self, path: Path, calls: Mapping[str, Call], *, name: str = "the node", log_file: str = "node.log") -> None:
        self._path = path
        self._calls = calls
        self._name = name
        self._log_file = log_file
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def clients(self) -> int:
        """Connected clients."""
        return len(self._clients)

    async def start(self) -> None:
        """Listen. A stale socket is removed: the lock says that no other process serves it."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._accept, self._path, limit=LIMIT, backlog=BACKLOG)
        self._path.chmod(0o600)

    async def aclose(self) -> None:
        """Stop listening and end what is under way: a client asks again, elsewhere."""
        if self._server is not None:
            self._server.close()
        for task in list(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a connection is served by a task")
        self._clients.add(task)
        try:
            if line := await reader.readline():
                await self._until_gone(line, reader, writer)
        except (ConnectionError, ValueError) as error:  # ValueError: a line over the limit
            log.debug("a control client left: %s", error)
        except asyncio.CancelledError:
            log.debug("a control client is sent away: this process ends")  # by `aclose`; nobody else cancels this task
        finally:
            self._clients.discard(task)
            writer.close()

    async def _until_gone(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the call. A client that leaves ends a call that only watches; what was begun for him goes on."""
        work = asyncio.ensure_future(self._serve(line, writer))
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and b".watch" in line[:40]:
                work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        finally:
            work.cancel()
            gone.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def _serve(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        def send(kind: str, value: object) -> None:
            writer.write(orjson.dumps({kind: msgspec.to_builtins(value)}) + b"\n")

        try:
            request = msgspec.json.decode(line, type=Request)
            if request.call not in self._calls:
                raise UsageError(f"{self._name} knows no call {request.call!r}")
            result = await self._calls[request.call](request.args, lambda value: send("update", value))
        except msgspec.DecodeError as error:
            send("error", {"code": "usage", "message": f"not a call: {error}", "hint": "", "exit": 2})
        except PylonError as error:
            send("error", {"code": error.code, "message": error.message, "hint": error.hint, "exit": error.exit_status})
        except Exception as error:  # the last door: the client gets a sentence, the log gets the traceback
            log.exception("a call failed")
            message = f"unexpected {type(error).__name__}: {error}"
            send("error", {"code": "error", "message": message, "hint": f"see {self._log_file}", "exit": 1})
        else:
            send("result", result)
        await writer.drain()
