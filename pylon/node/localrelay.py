"""The local relay: a Nexus that the node starts as its child when 127.0.0.1:7700 is listed and nobody listens there.

Its events stand in the state folder that all homes share; so whichever node runs it, it is the same relay. A child dies with its node:
its standard input is a pipe that ends then.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from pathlib import Path

from pylon.config import LOCAL_RELAY, state_dir

log = logging.getLogger("pylon.node")

HOST, PORT = "127.0.0.1", 7700
PROBE_SECONDS = 2.0
STOP_SECONDS = 10.0


def is_wanted(relays: list[str]) -> bool:
    """Whether the configuration lists the local relay."""
    return any(url.rstrip("/") in (LOCAL_RELAY, f"ws://localhost:{PORT}") for url in relays)


class LocalRelay:
    """Keeps a relay listening there, ours or anybody's, until it is closed."""

    def __init__(self, port: int = PORT) -> None:
        self._port = port
        self._child: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_ours(self) -> bool:
        """Whether the relay that listens is our child."""
        return self._child is not None

    async def start(self) -> None:
        """Returns when something listens, or after the first attempt to make it so."""
        if not await self._listens():
            await self._spawn()
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def aclose(self) -> None:
        """End our child, if we have one."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if (child := self._child) is not None and child.returncode is None:
            child.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await child.wait()
            except TimeoutError:
                child.kill()
                await child.wait()

    async def _watch(self) -> None:
        while True:
            if self._child is not None:
                status = await self._child.wait()
                self._child = None
                log.warning("the local relay ended (status %d)", status)
            await asyncio.sleep(PROBE_SECONDS)
            if not await self._listens():
                await self._spawn()

    async def _spawn(self) -> None:
        data: Path = state_dir() / "nexus"
        with (state_dir() / "nexus.log").open("ab") as out:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "pylon", "nexus", "--host", HOST, "--port", str(self._port), "--data", str(data), "--until-eof",
                "--json",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, cwd="/",
            )
        if child.stdout is None:
            raise AssertionError("the child's output is piped")
        ready = await child.stdout.readline()
        if not ready:
            status = await child.wait()
            log.warning("a local relay could not be started (status %d); somebody else may be starting one", status)
            return
        self._child = child
        log.info("the local relay listens on ws://%s:%d", HOST, self._port)

    async def _listens(self) -> bool:
        try:
            async with asyncio.timeout(1.0):
                _, writer = await asyncio.open_connection(HOST, self._port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True
