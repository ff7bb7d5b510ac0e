"""A user's hold on the one embedded engine of this user: find it running, or start it, and know when it is gone.

The engine's Unix socket (in the shared state folder) is the meeting place: who can connect has an engine; who cannot takes the lock,
looks again, binds the socket and hands it to a new process (`pylon.backends.engine`). Connections made while the model loads wait in
the socket's queue, and end by themselves if the process dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

import pylon
from pylon.backends.base import BackendBroken
from pylon.backends.engine import LOAD_LIMIT_S, Hello, Spec
from pylon.backends.models import Weights
from pylon.config import short_socket, state_dir
from pylon.errors import ConfigError

SLOTS = 2
CONTEXT = 4096
"""Tokens of one slot. Two of them take about 340 MB with SmolLM2-135M."""

GRACE_S = 10.0
KILL_AFTER_S = 10.0
HELLO_LIMIT = 4096
ROUNDS = 3
LOG_KEEP = 1 << 20


class Paths:
    """The engine's files in the shared state folder."""

    def __init__(self) -> None:
        folder = state_dir() / "engine"
        folder.mkdir(mode=0o700, exist_ok=True)
        self.folder = folder
        self.socket = short_socket(folder / "engine.sock")
        self.record = folder / "engine.json"
        self.lock = folder / "start.lock"
        self.log = folder / "engine.log"


class Link:
    """One connection to the running engine. While it is open the engine stays; `gone` says that the engine has ended."""

    def __init__(self, hello: Hello, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hello = hello
        self._writer = writer
        self._watch = asyncio.create_task(_until_end(reader), name="engine link")

    @property
    def gone(self) -> bool:
        """Whether the engine has closed the connection, which it does only by ending."""
        return self._watch.done()

    async def ended(self) -> None:
        """Wait until the engine is gone."""
        await asyncio.shield(self._watch)

    async def aclose(self) -> None:
        """Let go of the engine; it ends by itself when nobody holds it."""
        self._watch.cancel()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


async def _until_end(reader: asyncio.StreamReader) -> None:
    """Read (there is nothing to read) until the other side is gone."""
    with contextlib.suppress(ConnectionError):
        while await reader.read(HELLO_LIMIT):
            pass


async def open_link(weights: Weights) -> Link:
    """Connect to the engine, starting it where none runs. Raises BackendBroken, naming the log."""
    try:
        return await _open(Paths(), weights)
    except OSError as error:
        raise BackendBroken(f"the embedded engine cannot be started: {error}") from error


async def _open(paths: Paths, weights: Weights) -> Link:
    """`open_link`, for what the operating system allows."""
    for _ in range(ROUNDS):
        started = None
        connection = await _connect(paths.socket)
        if connection is None:
            async with _alone(paths.lock):
                connection = await _connect(paths.socket)
                if connection is None:
                    started = _start(paths, weights)
                    connection = await _connect(paths.socket)
        if connection is not None:
            link = await _greeting(connection, paths, started)
            if link is not None:
                return link
        if started is not None:
            raise BackendBroken(f"the embedded engine ended while it started: see {paths.log}", hint=_last_words(paths.log))
        # An engine that was just ending cut us off: its name is gone by now, and the next round starts a new one.
    raise BackendBroken(f"the embedded engine keeps ending: see {paths.log}", hint=_last_words(paths.log))


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _connect(path: Path) -> Connection | None:
    """A connection to the engine's socket, or None where no process listens. Raises BackendBroken for someone else's socket."""
    try:
        if os.stat(path).st_uid != os.getuid():  # noqa: PTH116  # one look at a name in a local folder
            raise BackendBroken(f"{path} belongs to another user")
        return await asyncio.open_unix_connection(path, limit=HELLO_LIMIT)
    except (FileNotFoundError, ConnectionError):
        return None


async def _greeting(connection: Connection, paths: Paths, started: subprocess.Popen[bytes] | None) -> Link | None:
    """Wait for the model to be loaded; None where the engine ended instead. Raises BackendBroken after the limit."""
    reader, writer = connection
    link = None
    try:
        async with asyncio.timeout(LOAD_LIMIT_S + 5):
            link = Link(msgspec.json.decode(await reader.readuntil(b"\n"), type=Hello), reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except (asyncio.LimitOverrunError, msgspec.DecodeError) as error:
        raise BackendBroken(f"what listens on {paths.socket} is not Pylon's engine") from error
    except TimeoutError as error:
        if started is not None:
            await end(started.pid)
        raise BackendBroken(f"the embedded engine did not load its model in {LOAD_LIMIT_S} s: see {paths.log}") from error
    finally:
        if link is None:
            writer.close()
    return link


def _start(paths: Paths, weights: Weights) -> subprocess.Popen[bytes]:
    """Start the engine's process with a listening socket. The caller holds the lock and found nobody listening."""
    with contextlib.suppress(FileNotFoundError):
        paths.socket.unlink()  # left by an engine that was killed
    with contextlib.suppress(FileNotFoundError):
        if paths.log.stat().st_size > LOG_KEEP:
            paths.log.replace(paths.log.with_suffix(".log.1"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, paths.log.open("ab") as log:
        listener.bind(str(paths.socket))
        paths.socket.chmod(0o600)
        listener.listen(128)
        spec = Spec(
            listener=listener.fileno(),
            socket=str(paths.socket),
            record=str(paths.record),
            name=weights.name,
            path=str(weights.path),
            slots=SLOTS,
            context=CONTEXT,
            threads=max(1, len(os.sched_getaffinity(0)) - 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 2) - 1),
            grace_s=_grace(),
        )
        process = subprocess.Popen(
            # -P: nothing is imported from the folder in which the user happens to stand.
            [sys.executable, "-P", "-m", "pylon.backends.engine", msgspec.json.encode(spec).decode()],
            cwd=paths.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno()],
            start_new_session=True,  # Ctrl-C and a closing terminal are not meant for it
        )
    # It outlives us; while we live, somebody must collect its exit status.
    threading.Thread(target=process.wait, name=f"engine {process.pid}", daemon=True).start()
    return process


def _grace() -> float:
    """Seconds that the engine stays after its last user. Raises ConfigError."""
    given = os.environ.get("PYLON_ENGINE_GRACE")
    try:
        return min(max(float(given), 0.0), 86_400.0) if given else GRACE_S
    except ValueError as error:
        raise ConfigError(f"PYLON_ENGINE_GRACE is {given!r}, not a number of seconds") from error


def _environment() -> dict[str, str]:
    """The engine's environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LLAMA_", "GGML_"))}
    root = str(Path(pylon.__file__).parent.parent)
    # Threads of OpenMP that spin while they wait take the cores away from everybody, themselves included: 3 tokens/s instead of 48.
    return {**kept, "OMP_WAIT_POLICY": "passive", "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}


async def end(pid: int) -> None:
    """End an engine that must go: SIGTERM, and SIGKILL to its process group when that has not helped."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KILL_AFTER_S):
                while True:
                    os.killpg(pid, 0)
                    await asyncio.sleep(0.05)
        os.killpg(pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def _alone(path: Path) -> AsyncIterator[None]:
    """Hold the start lock, which is held for the moment of starting a process; the kernel frees it when its holder dies."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            async with asyncio.timeout(KILL_AFTER_S):
                while True:
                    try:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        await asyncio.sleep(0.01)
        except TimeoutError as error:
            raise BackendBroken(f"another process has held {path} for {KILL_AFTER_S:.0f} s") from error
        yield
    finally:
        os.close(lock)


def _last_words(log: Path) -> str:
    """The last line of the log, which is usually the reason."""
    lines = log.read_text("utf-8", "replace")[-4096:].strip().splitlines()
    return lines[-1][:300] if lines else ""
