"""The client of a home's node, and how a node is started in the background."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import msgspec

from pylon.config import Home
from pylon.control import client
from pylon.control.client import Gone
from pylon.control.spawn import spawn as spawn_process
from pylon.errors import NotSetUp, PylonError

START_SECONDS = 180.0
"""How long a node may take to say that it is ready: an idle one leaves, an embedded engine loads its model in that time."""
TRIES = 5


class Started(msgspec.Struct, frozen=True):
    """What a node says when it is ready."""

    pid: int
    notice: str = ""
    """One sentence for a person, said once in the life of a home."""


async def call(home: Home, name: str, args: dict[str, object] | None = None, on_update: Callable[[bytes], None] | None = None) -> bytes:
    """One call to the running node: its result as JSON. Raises Gone where there is none, or it went away; PylonError else."""
    return await client.call(home.control, name, args, on_update)


async def ensure_call(
    home: Home, name: str, args: dict[str, object] | None = None, on_update: Callable[[bytes], None] | None = None
) -> bytes:
    """Like `call`, but starts a node in the background where none runs. Only for calls that may be asked twice."""
    for _ in range(TRIES):
        try:
            return await call(home, name, args, on_update)
        except Gone:
            await asyncio.to_thread(spawn, home, "idle")
    raise PylonError("the node in the background does not stay up", hint=f"see {home.log}")


def lost(home: Home) -> PylonError:
    """A call that must not be repeated got no answer."""
    return PylonError(
        "the node went away in the middle, so what came of this is not known yet",
        hint=f"look at `pylon job list` and `pylon wallet history` before you try again; {home.log} says why",
    )


def spawn(home: Home, role: str, extra: tuple[str, ...] = ()) -> int:
    """Start a node as a process of its own and wait until it is ready: its process id. Raises what the node could not start for.

    Two that start at once: one gets the lock, the other ends quietly (its process id is 0), and both callers find the winner.
    """
    if not home.identity.exists():
        raise NotSetUp("there is no identity in this home yet", hint="run `pylon init`")
    home.create()
    command = [sys.executable, "-m", "pylon.node.main", str(home.path), role, *extra]
    started = msgspec.json.decode(spawn_process(command, home.log, START_SECONDS, name="the node"), type=Started)
    if started.notice:
        sys.stderr.write(f"{started.notice}\n")
    return started.pid
