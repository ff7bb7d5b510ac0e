"""Our own signatures are verified before they leave."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from pylon.config import NexusConfig
from pylon.errors import NoRelay
from pylon.nexus.server import serve
from pylon.nostr.event import load
from pylon.relay.recheck import Recheck
from tests.forge import encode, forged
from tests.relay.desk import desk, until
from tests.relay.relays import Relay, note, running


async def test_what_does_not_hold_is_not_sent() -> None:
    """An event of ours that a fault has spoiled stays here and says so; those beside it, of the same turn, go out."""
    relay = Relay()
    spoiled, sound = load(encode(forged(note("meant"), "spoiled"))), note("sound")
    async with running(relay) as urls, desk(urls) as here:
        bad, good = here.pool.publish(spoiled), here.pool.publish(sound)
        assert await good.accepted(5) == relay.url
        with pytest.raises(NoRelay, match="does not hold"):
            await bad.accepted(5)
        assert [event.content for event in relay.stored] == ["sound"]


async def test_without_the_recheck(tmp_path: Path) -> None:
    """Where the operator does not want it, an event leaves as it is, and the relay is the one to refuse it."""
    server = await serve(NexusConfig(port=0), tmp_path)
    async with desk([server.url], clock=time.time(), recheck=False) as here:
        with pytest.raises(NoRelay, match="the id is not the hash"):
            await here.pool.publish(load(encode(forged(note("meant"), "spoiled")))).accepted(5)
    await server.aclose()


async def test_one_that_fails_holds_up_no_other() -> None:
    """Whatever goes wrong with the sending of one event is reported; those of the same batch go out."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["exception"]))
    failure, told = RuntimeError("cannot be sent"), asyncio.Event()

    def fail(holds: bool) -> None:
        raise failure

    recheck = Recheck()
    recheck.put(note("one"), fail)
    recheck.put(note("two"), lambda holds: told.set())
    async with asyncio.timeout(5):
        await told.wait()
    assert reported == [failure]


async def test_what_is_forgotten_at_once_is_not_sent() -> None:
    """Published and given up in the same turn: nothing leaves."""
    relay = Relay()
    async with running(relay) as urls, desk(urls) as here:
        here.pool.forget(here.pool.publish(note("never")))
        assert await here.pool.publish(note("sound")).accepted(5) == relay.url
        await until(lambda: [event.content for event in relay.stored] == ["sound"])
