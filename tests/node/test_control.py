"""The control socket and its client, over a real socket; and nodes that are started in the background."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from pylon.config import Home
from pylon.errors import AnswerOwed, NotSetUp, PylonError, UsageError
from pylon.node import client, lock
from pylon.node.control import LIMIT, Args, ControlServer, Update
from pylon.nostr.keys import Identity
from tests.relay.desk import until

STRANGE = "nul \x00 🙂 שלום \u202e \ufffd"


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
def home(tmp_path: Path) -> Home:
    """A home with an identity, and no relay."""
    made = Home(tmp_path / "home")
    made.create()
    made.config.write_text("relays = []\n", "utf-8")
    Identity.generate(12).save(made.identity, None)
    return made


@pytest_asyncio.fixture
async def desk() -> Desk:
    """The calls."""
    return Desk()


@pytest_asyncio.fixture
async def server(home: Home, desk: Desk) -> AsyncIterator[ControlServer]:
    """Serves the calls."""
    calls = {"echo": desk.echo, "owe": desk.owe, "break": desk.break_, "wait": desk.wait, "job.watch": desk.wait}
    made = ControlServer(home.control, calls)
    await made.start()
    yield made
    await made.aclose()


async def _raw(home: Home, line: bytes) -> bytes:
    """What the server says to these bytes, until it hangs up."""
    reader, writer = await asyncio.open_unix_connection(home.control)
    try:
        writer.write(line)
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.usefixtures("server")
async def test_a_call(home: Home) -> None:
    """Updates in order, then the result; any text comes through; only the owner may speak."""
    seen: list[bytes] = []
    result = await client.call(home, "echo", {"text": STRANGE}, seen.append)
    assert msgspec.json.decode(result) == {"text": STRANGE}
    assert [msgspec.json.decode(raw)["n"] for raw in seen] == [1, 2]
    assert home.control.stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("server")
async def test_errors_keep_their_code_and_exit_status(home: Home) -> None:
    """An error of the node is raised by the client as it was."""
    with pytest.raises(PylonError) as owed:
        await client.call(home, "owe")
    assert (owed.value.code, owed.value.exit_status, owed.value.message, owed.value.hint) == ("answer_owed", 9, "it is owed", "wait")
    with pytest.raises(PylonError) as unknown:
        await client.call(home, "nope")
    assert (unknown.value.code, unknown.value.exit_status) == ("usage", 2)


@pytest.mark.usefixtures("server")
async def test_a_bug_is_a_sentence_here_and_a_traceback_in_the_log(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """The client is told; the node goes on."""
    with caplog.at_level(logging.ERROR), pytest.raises(PylonError, match="ZeroDivisionError: a bug"):
        await client.call(home, "break")
    assert "Traceback" in caplog.text
    assert await client.call(home, "echo") == b"{}"


@pytest.mark.usefixtures("server")
async def test_lines_that_are_no_calls(home: Home) -> None:
    """Garbage gets an error, a line without end is cut off, and the next client is served."""
    lines = (b"{}", b"[]", b"garbage", b'{"call": 1}', b'{"call": "echo", "args": []}', b"\xff\x00", b"[" * 100_000)
    for line in lines:
        document = msgspec.json.decode(await _raw(home, line + b"\n"), type=dict[str, dict[str, object]])
        assert (document["error"]["code"], document["error"]["exit"]) == ("usage", 2), line[:40]
    assert await _raw(home, b"x" * (LIMIT + 10) + b"\n") == b""
    assert await client.call(home, "echo") == b"{}"


async def test_half_a_character_is_a_usage_error(home: Home) -> None:
    """What cannot be written in UTF-8 is refused before anything is asked."""
    with pytest.raises(UsageError, match="Unicode"):
        await client.call(home, "echo", {"text": "\ud800"})


@pytest.mark.parametrize(("call", "ended"), [("job.watch", ["cancelled"]), ("wait", ["done"])])
async def test_a_client_that_leaves(home: Home, desk: Desk, server: ControlServer, call: str, ended: list[str]) -> None:
    """A call that only watches ends with its client; one that was begun for him goes on."""
    asking = asyncio.ensure_future(client.call(home, call))
    await desk.begun.wait()
    assert server.clients == 1
    asking.cancel()
    await asyncio.wait([asking])
    if call == "wait":
        desk.go_on.set()
    await until(lambda: not server.clients)
    assert desk.ended == ended


async def test_a_node_that_goes_in_the_middle(home: Home, desk: Desk, server: ControlServer) -> None:
    """The client hears that it is gone; nothing was answered."""
    asking = asyncio.ensure_future(client.call(home, "wait"))
    await desk.begun.wait()
    await server.aclose()
    with pytest.raises(client.Gone):
        await asking
    with pytest.raises(client.Gone):
        await client.call(home, "echo")
    assert not home.control.exists()


async def test_a_node_that_is_killed_while_it_answers(home: Home) -> None:
    """Half a line is no answer."""
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"result": {"status": "do')
        writer.close()

    async with await asyncio.start_unix_server(half, home.control):
        with pytest.raises(client.Gone):
            await client.call(home, "echo")


async def test_a_stale_socket(home: Home) -> None:
    """A socket that nobody serves any more: nobody is there; the next server replaces it."""
    old = await asyncio.start_unix_server(lambda reader, writer: None, home.control)
    old.close()
    await old.wait_closed()
    home.control.touch()
    with pytest.raises(client.Gone):
        await client.call(home, "echo")


async def test_a_home_with_a_long_path(tmp_path: Path, desk: Desk) -> None:
    """A path that is too long for a socket is served under a short name."""
    home = Home(tmp_path / ("deep/" * 40))
    home.create()
    server = ControlServer(home.control, {"echo": desk.echo})
    await server.start()
    try:
        assert await client.call(home, "echo") == b"{}"
    finally:
        await server.aclose()


# Nodes in the background.


async def _end(home: Home) -> None:
    """End the home's node, and wait until it has gone."""
    pid = lock.running_pid(home)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
    await until(lambda: not lock.is_running(home))


async def test_nodes_that_start_at_once(home: Home) -> None:
    """Three callers that all find no node: one node runs, and all three are answered by it."""
    answers = await asyncio.gather(*(client.ensure_call(home, "ping") for _ in range(3)))
    try:
        pids = {msgspec.json.decode(answer)["pid"] for answer in answers}
        assert pids == {lock.running_pid(home)}
    finally:
        await _end(home)
    assert not home.pid.exists()


async def test_a_node_that_is_killed_is_replaced(home: Home) -> None:
    """kill -9: the next call starts another one."""
    first = msgspec.json.decode(await client.ensure_call(home, "ping"))["pid"]
    os.kill(first, signal.SIGKILL)
    try:
        second = msgspec.json.decode(await client.ensure_call(home, "ping"))["pid"]
        assert second != first
    finally:
        await _end(home)


async def test_a_node_that_is_never_ready(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, and the caller is told; the next one may start."""
    with monkeypatch.context() as patch:
        patch.setattr(client, "START_SECONDS", 0.0)
        with pytest.raises(PylonError, match="not ready"):
            await asyncio.to_thread(client.spawn, home, "idle")
    assert not lock.is_running(home)
    assert await asyncio.to_thread(client.spawn, home, "idle") == lock.running_pid(home)
    await _end(home)


async def test_a_node_that_cannot_start(home: Home) -> None:
    """What keeps it from starting is raised here, with code and exit status."""
    home.config.write_text("relais = []\n", "utf-8")
    with pytest.raises(PylonError, match=r"line 1.*`relais`") as wrong:
        await asyncio.to_thread(client.spawn, home, "idle")
    assert (wrong.value.code, wrong.value.exit_status) == ("config", 3)
    home.config.write_text("relays = []\n", "utf-8")
    home.ledger.write_bytes(b"this is no database, and long enough to be read as one" * 100)
    with pytest.raises(PylonError, match=r"ledger\.sqlite3"):
        await asyncio.to_thread(client.spawn, home, "idle")
    home.identity.write_text("{}", "utf-8")
    with pytest.raises(PylonError) as broken:
        await asyncio.to_thread(client.spawn, home, "idle")
    assert broken.value.exit_status == 3
    home.identity.unlink()
    with pytest.raises(NotSetUp):
        client.spawn(home, "idle")
