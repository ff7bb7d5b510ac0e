"""One process performs a home's effects."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from pylon.config import Home
from pylon.control.server import ControlServer
from pylon.node.client import call
from pylon.node.lock import HomeLock, is_running, running_pid


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    home = Home(tmp_path / "home")
    home.create()
    return home


def mode(path: Path) -> int:
    """The permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_one_holder(home: Home) -> None:
    """The second is turned away, whatever the pid file says; after a release the lock is free."""
    first, second = HomeLock(home), HomeLock(home)
    assert not is_running(home)
    assert first.acquire()
    home.pid.unlink()
    assert not second.acquire()
    assert is_running(home)
    first.release()
    assert not is_running(home)
    assert second.acquire()
    assert running_pid(home) == os.getpid()
    second.release()


def test_the_files_of_a_home_are_its_owners_alone(home: Home) -> None:
    """The folder, the lock and the pid file."""
    lock = HomeLock(home)
    assert lock.acquire()
    assert (mode(home.path), mode(home.lock), mode(home.pid)) == (0o700, 0o600, 0o600)
    lock.release()


async def test_the_control_socket_is_its_owners_alone(home: Home) -> None:
    """Who can open it can spend: mode 0600, and a stale one of a killed node is replaced."""

    async def hello(args: object, update: object) -> object:
        return {"hello": "you"}

    home.control.write_bytes(b"stale")
    server = ControlServer(home.control, {"hello": hello})
    await server.start()
    try:
        assert stat.S_ISSOCK(home.control.stat().st_mode)
        assert mode(home.control) == 0o600
        async with asyncio.timeout(10):
            assert await call(home, "hello") == b'{"hello":"you"}'
    finally:
        await server.aclose()
