"""Finding and starting the engine, and what can go wrong on the way."""

from __future__ import annotations

import asyncio
import fcntl
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest

from pylon.backends import link as link_module
from pylon.backends.base import BackendBroken, Prompt
from pylon.backends.embedded import Embedded
from pylon.backends.link import Paths, end, open_link
from pylon.backends.models import SMOLLM2
from pylon.config import models_dir
from pylon.errors import ConfigError
from tests.backends.conftest import until_gone
from tests.conformance.backend import answer, soon

pytestmark = pytest.mark.usefixtures("model_file")

HELLO = Prompt("Hello", max_tokens=2)


async def test_one_starter_at_a_time(backend: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process holds the start lock nothing is started; one that never lets go is reported."""
    monkeypatch.setattr(link_module, "KILL_AFTER_S", 0.2)
    with _opened(Paths().lock) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BackendBroken, match=r"start\.lock"):
            await soon(backend.count(HELLO))
    assert not Paths().log.exists()
    assert await soon(backend.count(HELLO))


def _opened(path: Path) -> BinaryIO:
    """A lock file."""
    return path.open("ab")


async def test_a_long_path_gets_a_short_socket(backend: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder whose path is too long for a Unix socket works like any other."""
    monkeypatch.setenv("PYLON_STATE_DIR", str(tmp_path / ("long" * 40)))
    with tempfile.TemporaryDirectory(prefix="p") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        assert await answer(backend, HELLO)
        assert Paths().socket.parent == Path(short)
        pid = backend.pid
        await backend.aclose()
        await until_gone(pid or 0)


async def test_a_state_folder_that_cannot_be_used(backend: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operating system refuses is BackendBroken with its reason."""
    monkeypatch.setenv("PYLON_STATE_DIR", str(tmp_path))
    _spoil(tmp_path / "engine")
    with pytest.raises(BackendBroken, match="cannot be started"):
        await soon(backend.count(HELLO))


def _spoil(path: Path) -> None:
    """A file where a folder should be."""
    path.write_bytes(b"")


async def test_a_process_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the grace time SIGKILL follows."""
    monkeypatch.setattr(link_module, "KILL_AFTER_S", 0.2)
    deaf = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); sys.stdin.read()"
    process = subprocess.Popen(  # noqa: ASYNC220  # it is the process that is tested
        [sys.executable, "-c", deaf], start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    await asyncio.to_thread(process.stdout.readline)
    await soon(end(process.pid))
    await asyncio.to_thread(process.communicate)
    assert process.returncode == -signal.SIGKILL


async def test_a_damaged_model_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that cannot start says so at once, and names its log."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    broken = msgspec.structs.replace(SMOLLM2, member="x/broken.gguf", size=4)
    models_dir().mkdir(parents=True)
    (models_dir() / "broken.gguf").write_bytes(b"GGUF")
    with pytest.raises(BackendBroken, match=r"engine\.log"):
        await soon(open_link(broken))
    assert Paths().log.stat().st_size


async def test_a_stranger_on_the_socket_is_not_believed() -> None:
    """What does not greet as the engine does is refused, and so is a greeting without end."""
    paths = Paths()
    for greeting in (b"hello\n", b"x" * 100_000, b'{"pid":"1"}\n'):

        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter, greeting: bytes = greeting) -> None:
            writer.write(greeting)
            await writer.drain()
            writer.close()

        async with await asyncio.start_unix_server(greet, paths.socket):
            with pytest.raises(BackendBroken, match="not Pylon's engine"):
                await soon(open_link(SMOLLM2))
        paths.socket.unlink(missing_ok=True)


async def test_a_grace_that_is_no_number(backend: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """PYLON_ENGINE_GRACE must be a number."""
    monkeypatch.setenv("PYLON_ENGINE_GRACE", "soon")
    with pytest.raises(ConfigError, match="PYLON_ENGINE_GRACE"):
        await soon(backend.count(HELLO))
