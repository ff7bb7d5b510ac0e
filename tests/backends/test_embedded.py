"""The embedded engine as a process: one for all, replaced when it dies, gone when nobody needs it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
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
from pylon.backends.link import Paths, end
from pylon.backends.llama_server import LlamaServer
from pylon.config import BackendsConfig
from pylon.errors import NoBackend, NoModel
from tests.backends.conftest import ROOT, alive, until_gone
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


async def test_only_users_are_answered(backend: Embedded) -> None:
    """Another process of this machine, which has no key, gets no token out of the engine."""
    await answer(backend, HELLO)
    assert backend._link is not None
    stranger = LlamaServer(backend._link.hello.url)
    with pytest.raises(NoBackend, match="Invalid API Key"):
        await soon(stranger.models())
    await stranger.aclose()


async def test_the_threads_of_the_engine_wait_without_spinning(backend: Embedded) -> None:
    """OpenMP is told so before it is loaded; spinning threads make the engine, and everybody else, ten times slower."""
    await answer(backend, HELLO)
    assert backend.pid is not None
    shown = await asyncio.to_thread(subprocess.check_output, ["ps", "eww", "-o", "command=", "-p", str(backend.pid)], text=True)
    assert "OMP_WAIT_POLICY=passive" in shown


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


async def test_without_the_model_it_is_not_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model file: the source finds nothing and says what to do; one that vanishes later is NoModel."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = EmbeddedSource(BackendsConfig())
    assert await source.find() == []
    assert "pylon models pull" in source.remarks()[0]
    with pytest.raises(NoModel):
        await Embedded().count(HELLO)
