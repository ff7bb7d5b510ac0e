"""The process of the private network: the lock, the loop, signals, readiness. It ends when it is told to, and not before.

`python -m pylon.regtest.main STATE` is how whoever needs it first starts it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path

from pylon.control import client
from pylon.control.client import Gone
from pylon.control.lock import ProcessLock
from pylon.control.place import Place
from pylon.control.spawn import tell_failure, tell_parent
from pylon.errors import PylonError, file_error

OTHER_SECONDS = 50.0
"""How long another process that has the lock may take to serve, or to end."""
LOOK_SECONDS = 0.05

log = logging.getLogger("pylon.regtest")


class NetworkNotBuilt(PylonError):
    """A part of the private network is not in this installation."""

    code = "network_not_built"


async def run_network(place: Place) -> bool:
    """Run the network until it is told to end; False where another process serves it already. Raises what it cannot start for."""
    place.create()
    lock = ProcessLock(place.lock, place.pid)
    if not await _acquire(place, lock):
        return False
    try:
        try:
            from pylon.regtest.daemon import Daemon
        except ImportError as error:
            raise NetworkNotBuilt(
                f"the private network is not in this installation: {error}",
                hint="build the Lightning module (`make native`); the wallet `sim` works without it",
            ) from error
        async with Daemon(place) as daemon:
            asked = 0

            def on_signal() -> None:
                nonlocal asked
                asked += 1
                if asked > 1:
                    log.warning("asked twice to end")
                    os._exit(1)
                daemon.stop()

            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, on_signal)
            log.info("ready")
            tell_parent({"result": {"started": True, "pid": os.getpid()}})
            await daemon.run()
            log.info("ends")
    finally:
        lock.release()
    return True


async def _acquire(place: Place, lock: ProcessLock) -> bool:
    """Take the lock. Where another process has it: False as soon as it serves; where it was just ending, the lock is ours."""
    deadline = time.monotonic() + OTHER_SECONDS
    while not lock.acquire():
        try:
            await client.call(place.control, "ping")
            return False
        except Gone:
            log.debug("the other process is starting, or ending")
        if time.monotonic() > deadline:
            raise PylonError("another process has the private network and neither serves nor ends", hint=f"see {place.log}")
        await asyncio.sleep(LOOK_SECONDS)
    return True


def main(arguments: list[str]) -> int:
    """STATE: the folder that all homes of the user share."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    place = Place(Path(arguments[0]) / "regtest")
    try:
        if not asyncio.run(run_network(place)):
            tell_parent({"result": {"started": False}})
    except PylonError as error:
        return tell_failure(error)
    except OSError as error:
        return tell_failure(file_error(error))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
