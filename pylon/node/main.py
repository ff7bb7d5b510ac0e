"""The process of a node: the lock, the loop, signals, readiness.

`python -m pylon.node.main HOME ROLE [CONFIG]` is how it is started in the background.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from pylon.config import Config, Home, load
from pylon.control.client import Gone
from pylon.control.spawn import tell_failure, tell_parent
from pylon.errors import PylonError, file_error
from pylon.node.client import call
from pylon.node.lock import HomeLock
from pylon.node.service import Service
from pylon.nostr.keys import Identity

TAKE_OVER_SECONDS = 40.0
"""How long another process of the home may take to say what it is, or to leave."""
LOOK_SECONDS = 0.1
MOST_FILES = 10_240
"""What macOS allows a process at most, whatever it says; more than any fanout needs."""

log = logging.getLogger("pylon.node")


class AlreadyRunning(PylonError):
    """Another process runs this home."""

    code = "already_running"


def more_files() -> None:
    """As many open files as the system allows us: every question of a run is a connection of its own, to us and from there on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def run_node(home: Home, config: Config, identity: Identity, *, provides: bool, ready: Callable[[Service], None]) -> None:
    """Run the home's node until it is asked to end. Raises AlreadyRunning, and whatever it cannot start for."""
    home.create()
    more_files()
    lock = HomeLock(home)
    if not lock.acquire():
        await _take_over(home, lock, provides=provides)
    try:
        async with Service(home, config, identity, provides=provides) as service:
            loop = asyncio.get_running_loop()
            asked = 0

            def on_signal() -> None:
                nonlocal asked
                asked += 1
                if asked > 1:
                    log.warning("asked twice to end: what is unfinished stays for the next start")
                    os._exit(1)
                service.stop()

            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, on_signal)
            ready(service)
            await service.run()
    finally:
        lock.release()


async def _take_over(home: Home, lock: HomeLock, *, provides: bool) -> None:
    """Follow the process that has the lock: an idle node makes room for a provider; any other stays, which we say once it is ready."""
    deadline = time.monotonic() + TAKE_OVER_SECONDS
    asked = False
    while not lock.acquire():
        try:
            is_idle = b'"role":"idle"' in await call(home, "status")
            if not (provides and is_idle):
                raise AlreadyRunning("Pylon is already running for this home", hint="`pylon status` shows it, `pylon stop` ends it")
            if not asked:
                await call(home, "shutdown")
                asked = True
        except Gone:
            log.debug("the other process is starting, or leaving")
        if time.monotonic() > deadline:
            raise AlreadyRunning("another process of this home neither answers nor ends", hint="`pylon stop` ends it")
        await asyncio.sleep(LOOK_SECONDS)


def main(arguments: list[str]) -> int:
    """HOME ROLE [CONFIG]: what `client.spawn` starts."""
    path, role, *rest = arguments
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    home = Home(Path(path))
    try:
        config = load(Path(rest[0]) if rest else home.config)
        identity = Identity.load(home.identity, os.environ.get("PYLON_PASSPHRASE"))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_node(
                home, config, identity, provides=role == "provider",
                ready=lambda service: tell_parent({"result": {"pid": os.getpid(), "notice": service.notice}}),
            ))
    except AlreadyRunning as error:
        if role == "idle":
            tell_parent({"result": {"pid": 0}})  # somebody else was quicker: the caller finds him
            return 0
        return tell_failure(error)
    except PylonError as error:
        return tell_failure(error)
    except OSError as error:
        return tell_failure(file_error(error))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
