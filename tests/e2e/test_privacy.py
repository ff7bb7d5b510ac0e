"""What strangers on the relay can read of a job: nothing of an encrypted one."""

from __future__ import annotations

import asyncio
import base64
import time

import msgspec

from tests.e2e.world import World
from tests.nexus.client import connected, key

SECRET, ANSWER = "the-crown-jewels-are-in-cellar-seven", "nobody-must-read-this-answer"


async def _overheard(world: World, *words: str) -> list[str]:
    """All that a stranger, authenticated with a key of his own, gets while a job is bought."""
    _, relay = await asyncio.to_thread(world.nexus)
    seller = await asyncio.to_thread(world.home, "provider", relay, script=f'default = "{ANSWER}"\n')
    await asyncio.to_thread(world.home, "buyer", relay, sats=100)
    await asyncio.to_thread(world.provider, "provider")
    async with connected(relay, key(99), now=int(time.time())) as stranger:
        stranger.say("REQ", "all", {})
        words = tuple(str(seller["npub"]) if word == "NPUB" else word for word in words)
        job = await asyncio.to_thread(world.ask, "buyer", "job", "submit", SECRET, "--auto-pay", *words)
        assert job["answer"] == ANSWER
        events: list[dict[str, object]] = []
        while not any(event["kind"] == 6050 for event in events):
            message = await stranger.receive()
            if message[0] == "EVENT":
                events.append(msgspec.convert(message[2], dict[str, object]))
        return [msgspec.json.encode(event).decode() for event in events]


def _hidden(text: str) -> list[str]:
    """The ways in which a text might still stand there."""
    return [text, text.encode().hex(), base64.b64encode(text.encode()).decode()[:-4], text[::-1]]


async def test_an_encrypted_job(world: World) -> None:
    """Neither prompt nor answer are on the wire, in no event; the answer says that it is encrypted and shows no `i`."""
    heard = await _overheard(world, "--provider", "NPUB")
    for text in (SECRET, ANSWER):
        for spelling in _hidden(text):
            assert not any(spelling in event for event in heard)
    request = next(event for event in heard if '"kind":5050' in event)
    result = next(event for event in heard if '"kind":6050' in event)
    for event in (request, result):
        assert '["encrypted"]' in event
        assert '["i",' not in event


async def test_an_open_job(world: World) -> None:
    """The counterpart: without --provider everybody reads both, so the listener of these tests does listen."""
    heard = await _overheard(world)
    for text in (SECRET, ANSWER):
        assert any(text in event for event in heard)
