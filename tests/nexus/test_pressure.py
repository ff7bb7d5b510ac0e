"""What the relay does where more comes than it wants to hold, and where live events overtake stored ones."""

from __future__ import annotations

import asyncio

import pytest

from pylon.nexus.peer import Peer
from pylon.nexus.server import Server
from tests.nexus.client import ALICE, BOB, NOW, Closed, connected, note


async def test_a_frame_that_announces_too_much_is_not_waited_for(relay: Server) -> None:
    """A head that announces a gigabyte ends the connection with 1009 at once: its bytes are neither awaited nor given memory."""
    async with connected(relay.url, ALICE) as alice:
        # RFC 6455 5.2: FIN and text, masked, a length of 64 bits, the mask, and the first bytes.
        alice.transport.underlying_transport.write(bytes((0x81, 0xFF)) + (1 << 30).to_bytes(8, "big") + b"\0" * 4 + b"[" * 10)
        with pytest.raises(Closed):
            async with asyncio.timeout(5):
                await alice.receive()
        assert alice.close_code == 1009


async def test_who_fills_the_queue_is_not_read(relay: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the queue of unchecked events full, its sender's socket is not read until there is room; then it is, and all is answered."""
    told: list[tuple[bool, bool]] = []
    real = Peer.crowded

    def crowded(peer: Peer, yes: bool) -> None:
        real(peer, yes)
        told.append((yes, peer._transport.underlying_transport.is_reading()))

    monkeypatch.setattr(Peer, "crowded", crowded)
    relay._relay._ingest._high = 20
    async with connected(relay.url, ALICE) as alice:
        events = [note() for _ in range(300)]
        for event in events:
            alice.say("EVENT", event)
        assert {str((await alice.receive())[1]) for _ in events} == {event.id for event in events}
    assert (True, False) in told
    assert told[-1] == (False, True)


async def test_live_events_wait_for_eose(relay: Server) -> None:
    """An event that is published while a scan rests comes after the EOSE: NIP-01, "the end of *stored events*"."""
    old = [note(created_at=NOW - number) for number in range(2000)]
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        for event in old:
            alice.say("EVENT", event)
        for _ in old:
            assert (await alice.receive())[2] is True
        live = [note(created_at=NOW + 1) for _ in range(3)]
        bob.say("REQ", "all", {"kinds": [1]})
        for event in live:  # in one read with the REQ, so that the relay takes them between two slices of the scan
            bob.say("EVENT", event)
        words: list[str] = []
        async with asyncio.timeout(10):
            while words.count("OK") < len(live) or "EOSE" not in words or words.count("EVENT") < len(old) + len(live):
                words.append(str((await bob.receive())[0]))
        assert words[: words.index("EOSE")].count("EVENT") == len(old)
