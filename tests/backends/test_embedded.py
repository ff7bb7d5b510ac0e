"""The embedded engine as a process: one for all, replaced when it dies, gone when nobody needs it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from pylon.backends import embedded as embedded_module
from pylon.backends import link as link_module
from pylon.backends.base import BackendBroken, Prompt
from pylon.backends.embedded import Embedded, EmbeddedSource
from pylon.backends.engine import Record
from pylon.backends.link import Paths, end, open_link
from pylon.backends.models import SMOLLM2
from pylon.config import BackendsConfig, models_dir
from pylon.errors import ConfigError, NoModel
from tests.backends.conftest import ROOT
from tests.conformance.backend import PATIENCE, answer, soon, text_of

pytestmark = pytest.mark.usefixtures("model_file")

HELLO = Prompt("Hello", max_tokens=2)

USER = """
import asyncio, sys
from pylon.backends.base import Prompt
from pylon.backends.embedded import Embedded

async def main():
    backend = Embedded()
    await backend.count(Prompt("Hello"))
    print(backend.pid, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await backend.aclose()

asyncio.run(main())
"""
"""A process that uses the engine until its standard input is closed; it prints the engine's pid."""


@pytest.fixture
async def backend() -> AsyncIterator[Embedded]:
    """The engine's user."""
    backend = Embedded()
    yield backend
    await backend.aclose()


def user(home: Path) -> subprocess.Popen[str]:
    """Another process of this user, with another home."""
    environment = {**os.environ, "PYLON_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-c", USER], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def pid_of(process: subprocess.Popen[str]) -> int:
    """What a user printed."""
    assert process.stdout is not None
    return int(process.stdout.readline())


def leave(process: subprocess.Popen[str]) -> None:
    """Let a user end by itself."""
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def record() -> Record:
    """The engine's record."""
    return msgspec.json.decode(Paths().record.read_bytes(), type=Record)


async def until_gone(pid: int) -> None:
    """Wait until the process has ended (a zombie that nobody collects has ended too)."""
    async with asyncio.timeout(PATIENCE):
        while alive(pid):  # noqa: ASYNC110  # the engine is another process
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_asking_for_models_starts_nothing(backend: Embedded) -> None:
    """The model is offered before the engine runs, and is `loaded` afterwards."""
    (model,) = await backend.models()
    assert (model.name, model.loaded) == ("smollm2-135m", False)
    assert not Paths().record.exists()
    await answer(backend, HELLO)
    assert (await backend.models())[0].loaded


async def test_the_answer_of_the_real_model(backend: Embedded) -> None:
    """What is 2+2?"""
    chunks = await answer(backend, Prompt("What is 2+2?", temperature=0))
    assert "4" in text_of(chunks)


async def test_the_record(backend: Embedded) -> None:
    """The record names the process, its port and its model, and holds no key; only the owner can read the folder."""
    await answer(backend, HELLO)
    paths = Paths()
    assert record().pid == backend.pid
    assert record().model == "smollm2-135m"
    assert backend._link is not None
    assert backend._link.hello.url == f"http://127.0.0.1:{record().port}"
    assert backend._link.hello.key not in paths.record.read_text("utf-8")
    assert paths.folder.stat().st_mode & 0o777 == 0o700
    assert paths.socket.stat().st_mode & 0o777 == 0o600


async def test_many_users_start_one_engine(tmp_path: Path) -> None:
    """Processes of several homes, and several users of one process, that all begin at once share one engine."""
    others = [user(tmp_path / str(number)) for number in range(2)]
    ours = [Embedded() for _ in range(4)]
    await soon(asyncio.gather(*(backend.count(HELLO) for backend in ours)))
    pids = {backend.pid for backend in ours} | {await asyncio.to_thread(pid_of, other) for other in others}
    assert pids == {record().pid}
    for backend in ours:
        await backend.aclose()
    assert alive(record().pid)
    for other in others:
        await asyncio.to_thread(leave, other)
    await until_gone(pids.pop() or 0)
    assert not Paths().record.exists()
    assert not Paths().socket.exists()


async def test_the_engine_survives_its_starter(backend: Embedded, tmp_path: Path) -> None:
    """A starter that is killed takes nothing with it; the last user's end is the engine's end."""
    starter = user(tmp_path)
    pid = await asyncio.to_thread(pid_of, starter)
    assert await soon(backend.count(HELLO)) > 0
    assert backend.pid == pid
    starter.kill()
    await asyncio.to_thread(starter.communicate)
    assert await answer(backend, HELLO)
    assert backend.pid == pid
    await backend.aclose()
    await until_gone(pid)


async def test_an_engine_whose_only_user_is_killed_ends(tmp_path: Path) -> None:
    """No orphan stays: the kernel tells the engine that its user is gone."""
    only = user(tmp_path)
    pid = await asyncio.to_thread(pid_of, only)
    only.kill()
    await asyncio.to_thread(only.communicate)
    await until_gone(pid)


async def test_a_killed_engine_is_replaced(backend: Embedded) -> None:
    """kill -9 in mid-stream is BackendBroken; the next question gets a new engine."""
    async with aclosing(backend.generate(Prompt("Tell a long story.", max_tokens=1000, temperature=0))) as chunks:
        await soon(anext(chunks))
        first = backend.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        with pytest.raises(BackendBroken):
            await soon(_rest(chunks))
    assert await answer(backend, HELLO)
    assert backend.pid not in (None, first)


async def _rest(chunks: AsyncIterator[object]) -> None:
    async for _ in chunks:
        pass


async def test_an_engine_that_is_found_dead_is_replaced(backend: Embedded) -> None:
    """An engine that died between two questions costs nothing but its start."""
    await answer(backend, HELLO)
    assert backend.pid is not None
    assert backend._link is not None
    os.kill(backend.pid, signal.SIGKILL)
    await soon(backend._link.ended())
    assert not (await backend.models())[0].loaded
    assert await answer(backend, HELLO)


async def test_sigterm_ends_the_engine_with_clients_connected(backend: Embedded) -> None:
    """`end` does not wait for a client that is in the middle of an answer."""
    async with aclosing(backend.generate(Prompt("Tell a long story.", max_tokens=1000, temperature=0))) as chunks:
        await soon(anext(chunks))
        assert backend.pid is not None
        assert backend._link is not None
        await soon(end(backend.pid))
        await soon(backend._link.ended())
    assert not Paths().record.exists()


async def test_an_engine_that_hangs_is_ended(backend: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that lives and does not even list its models is killed, and replaced at the next question."""
    await answer(backend, HELLO)
    hanging, held = backend.pid, backend._link
    assert hanging is not None
    assert held is not None
    monkeypatch.setattr(embedded_module, "HEALTH_S", 0.3)
    monkeypatch.setattr(link_module, "KILL_AFTER_S", 0.3)
    os.kill(hanging, signal.SIGSTOP)
    assert not (await soon(backend.models()))[0].loaded
    await soon(held.ended())
    assert await answer(backend, HELLO)
    assert backend.pid != hanging


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


async def test_without_the_model_it_is_not_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model file: the source finds nothing and says what to do; one that vanishes later is NoModel."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = EmbeddedSource(BackendsConfig())
    assert await source.find() == []
    assert "pylon models pull" in source.remarks()[0]
    with pytest.raises(NoModel):
        await Embedded().count(HELLO)


async def test_a_grace_that_is_no_number(backend: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """PYLON_ENGINE_GRACE must be a number."""
    monkeypatch.setenv("PYLON_ENGINE_GRACE", "soon")
    with pytest.raises(ConfigError, match="PYLON_ENGINE_GRACE"):
        await soon(backend.count(HELLO))
