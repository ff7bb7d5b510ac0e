"""Subscribe and publish at the same time: nothing lost, nothing twice (market catalogue N11)."""

from __future__ import annotations

import asyncio
import random

from pylon.nexus.server import Server
from tests.nexus.client import ALICE, BOB, NOW, Client, connected, note

EVENTS = 2000
SUBSCRIPTIONS = 40


async def test_stored_and_live_meet_without_a_gap(relay: Server) -> None:
    """While two thousand events are published, forty subscriptions are opened at random moments: each gets every event exactly
    once, stored ones newest first before its EOSE, live ones after it."""
    chance = random.Random(7)
    events = [note(created_at=NOW - chance.randrange(1000)) for _ in range(EVENTS)]
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        accepted = 0
        moments = sorted(chance.randrange(EVENTS) for _ in range(SUBSCRIPTIONS))
        for number, event in enumerate(events):
            while moments and moments[0] <= number:
                bob.say("REQ", f"s{len(moments)}", {"kinds": [1]})
                moments.pop(0)
            alice.say("EVENT", event)
            if number % 100 == 99:
                # Let the relay come to both while it is in the middle of the flood.
                await asyncio.sleep(0)
                accepted += len(alice.pending())
        while accepted < EVENTS:
            assert (await alice.receive())[:1] == ["OK"]
            accepted += 1
        await check(bob, {event.id: event.created_at for event in events})


async def check(reader: Client, published: dict[str, int]) -> None:
    """Whether every subscription got every event exactly once."""
    seen: dict[str, list[str]] = {}
    ended: dict[str, int] = {}
    while len(ended) < SUBSCRIPTIONS:  # a scan that waits for its reader is overtaken by the answer to a smaller question
        for message in await reader.settled():
            name = str(message[1])
            if message[0] == "EOSE":
                ended[name] = len(seen.setdefault(name, []))
            else:
                seen.setdefault(name, []).append(message[2]["id"])  # type: ignore[index]  # an event
    assert len(ended) == SUBSCRIPTIONS
    assert sum(0 < count < EVENTS for count in ended.values()) > SUBSCRIPTIONS // 4
    for name, ids in seen.items():
        assert len(ids) == len(set(ids)) == EVENTS
        assert set(ids) == set(published)
        stored = ids[: ended[name]]
        assert stored == sorted(stored, key=lambda one: (-published[one], one))


async def test_large_stored_answers_and_live_events(relay: Server) -> None:
    """A scan that takes many turns of the loop holds the live events of the meantime until its EOSE."""
    old = [note(created_at=NOW - number) for number in range(3000)]
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        for event in old:
            alice.say("EVENT", event)
        for _ in old:
            assert (await alice.receive())[2] is True
        bob.say("REQ", "all", {"kinds": [1]}, {"authors": [old[0].pubkey]})
        new = [note(created_at=NOW + 1) for _ in range(500)]
        for event in new:
            alice.say("EVENT", event)
        for _ in new:
            assert (await alice.receive())[2] is True
        ids: list[str] = []
        eose = -1
        for message in await bob.settled():
            if message[0] == "EOSE":
                eose = len(ids)
            else:
                ids.append(message[2]["id"])  # type: ignore[index]  # an event
        assert len(ids) == len(set(ids)) == 3500
        assert eose >= 3000
        assert set(ids) == {event.id for event in (*old, *new)}
