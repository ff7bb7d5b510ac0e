"""The control socket and its client, over a real socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from pylon.config import short_socket
from pylon.control import client
from pylon.control.server import LIMIT, Args, ControlServer, Update
from pylon.errors import AnswerOwed, PylonError, UsageError
from tests.relay.desk import until

STRANGE = "nul \x00 🙂 שלום \u202e \ufffd"


def mode(path: Path) -> int | None:
    """The permissions of a file, None where there is none."""
    return path.stat().st_mode & 0o777 if path.exists() else None


class Desk:
    """Calls for the tests, and what became of them."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended: list[str] = []
        self.go_on = asyncio.Event()

    async def echo(self, args: Args, update: Update) -> object:
        """Say what was said."""
        update({"n": 1})
        update({"n": 2})
        return dict(args)

    async def owe(self, args: Args, update: Update) -> object:
        """An error of Pylon."""
        raise AnswerOwed("it is owed", hint="wait")

    async def break_(self, args: Args, update: Update) -> object:
        """A bug."""
        raise ZeroDivisionError("a bug")

    async def wait(self, args: Args, update: Update) -> object:
        """Takes its time."""
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("done")
        return {}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the socket is."""
    return tmp_path / "control.sock"


@pytest_asyncio.fixture
async def desk() -> Desk:
    """The calls."""
    return Desk()


@pytest_asyncio.fixture
async def server(path: Path, desk: Desk) -> AsyncIterator[ControlServer]:
    """Serves the calls."""
    calls = {"echo": desk.echo, "owe": desk.owe, "break": desk.break_, "wait": desk.wait, "job.watch": desk.wait}
    made = ControlServer(path, calls)
    await made.start()
    yield made
    await made.aclose()


async def _raw(path: Path, line: bytes) -> bytes:
    """What the server says to these bytes, until it hangs up."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(line)
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.usefixtures("server")
async def test_a_call(path: Path) -> None:
    """Updates in order, then the result; any text comes through; only the owner may speak."""
    seen: list[bytes] = []
    result = await client.call(path, "echo", {"text": STRANGE}, seen.append)
    assert msgspec.json.decode(result) == {"text": STRANGE}
    assert [msgspec.json.decode(raw)["n"] for raw in seen] == [1, 2]
    assert mode(path) == 0o600


@pytest.mark.usefixtures("server")
async def test_errors_keep_their_code_and_exit_status(path: Path) -> None:
    """An error of the node is raised by the client as it was."""
    with pytest.raises(PylonError) as owed:
        await client.call(path, "owe")
    assert (owed.value.code, owed.value.exit_status, owed.value.message, owed.value.hint) == ("answer_owed", 9, "it is owed", "wait")
    with pytest.raises(PylonError) as unknown:
        await client.call(path, "nope")
    assert (unknown.value.code, unknown.value.exit_status) == ("usage", 2)


@pytest.mark.usefixtures("server")
async def test_a_bug_is_a_sentence_here_and_a_traceback_in_the_log(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The client is told; the node goes on."""
    with caplog.at_level(logging.ERROR), pytest.raises(PylonError, match="ZeroDivisionError: a bug"):
        await client.call(path, "break")
    assert "Traceback" in caplog.text
    assert await client.call(path, "echo") == b"{}"


@pytest.mark.usefixtures("server")
async def test_lines_that_are_no_calls(path: Path) -> None:
    """Garbage gets an error, a line without end is cut off, and the next client is served."""
    lines = (b"{}", b"[]", b"garbage", b'{"call": 1}', b'{"call": "echo", "args": []}', b"\xff\x00", b"[" * 100_000)
    for line in lines:
        document = msgspec.json.decode(await _raw(path, line + b"\n"), type=dict[str, dict[str, object]])
        assert (document["error"]["code"], document["error"]["exit"]) == ("usage", 2), line[:40]
    assert await _raw(path, b"x" * (LIMIT + 10) + b"\n") == b""
    assert await client.call(path, "echo") == b"{}"


async def test_half_a_character_is_a_usage_error(path: Path) -> None:
    """What cannot be written in UTF-8 is refused before anything is asked."""
    with pytest.raises(UsageError, match="Unicode"):
        await client.call(path, "echo", {"text": "\ud800"})


@pytest.mark.parametrize(("call", "ended"), [("job.watch", ["cancelled"]), ("wait", ["done"])])
async def test_a_client_that_leaves(path: Path, desk: Desk, server: ControlServer, call: str, ended: list[str]) -> None:
    """A call that only watches ends with its client; one that was begun for him goes on."""
    asking = asyncio.ensure_future(client.call(path, call))
    await desk.begun.wait()
    assert server.clients == 1
    asking.cancel()
    await asyncio.wait([asking])
    if call == "wait":
        desk.go_on.set()
    await until(lambda: not server.clients)
    assert desk.ended == ended


async def test_a_node_that_goes_in_the_middle(path: Path, desk: Desk, server: ControlServer) -> None:
    """The client hears that it is gone; nothing was answered."""
    asking = asyncio.ensure_future(client.call(path, "wait"))
    await desk.begun.wait()
    await server.aclose()
    with pytest.raises(client.Gone):
        await asking
    with pytest.raises(client.Gone):
        await client.call(path, "echo")
    assert mode(path) is None


async def test_a_node_that_is_killed_while_it_answers(path: Path) -> None:
    """Half a line is no answer."""
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"result": {"status": "do')
        writer.close()

    async with await asyncio.start_unix_server(half, path):
        with pytest.raises(client.Gone):
            await client.call(path, "echo")


async def test_a_stale_socket(path: Path) -> None:
    """A socket that nobody serves any more: nobody is there; the next server replaces it."""
    old = await asyncio.start_unix_server(lambda reader, writer: None, path)
    old.close()
    await old.wait_closed()
    Path.touch(path)
    with pytest.raises(client.Gone):
        await client.call(path, "echo")


async def test_a_long_path(tmp_path: Path, desk: Desk) -> None:
    """A path that is too long for a socket is served under a short name."""
    path = short_socket(tmp_path / ("deep/" * 40) / "control.sock")
    server = ControlServer(path, {"echo": desk.echo})
    await server.start()
    try:
        assert await client.call(path, "echo") == b"{}"
    finally:
        await server.aclose()
