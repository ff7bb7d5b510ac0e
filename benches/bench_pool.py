"""What a client pays for an event that a second relay brings: the session and the inbox, beside parsing it and beside verifying it.

The unit is a frame of some 800 bytes with a delivered event, from the bytes of the websocket to `on_repeat`; sockets are not in it.
"""

from __future__ import annotations

import asyncio

import orjson

from benches.conftest import Against
from pylon._native import Signer, check_events
from pylon.nostr.event import Draft, VerifiedEvent, sign
from pylon.nostr.filter import Filter
from pylon.nostr.happening import EventArrived
from pylon.nostr.message import deliver, deliver_head
from pylon.nostr.session import Session
from pylon.relay.inbox import Inbox

FRAMES = 64
ALICE = Signer(b"\x01" * 32)
PROMPT = ("i", "what is the capital of France? " * 14, "text")
RAWS = [sign(Draft(5050, 1_800_000_000 + number, "", (PROMPT,)), ALICE).raw for number in range(FRAMES)]
TEXTS = [deliver(deliver_head("jobs"), raw) for raw in RAWS]


class Client:
    """A session with an open connection, and the inbox behind it; everything of `TEXTS` was delivered."""

    def __init__(self) -> None:
        self.url = "ws://127.0.0.1:7777"
        self.events = self.repeats = 0
        self.session = Session(self.url, (ALICE,))
        self.session.subscribe("jobs", [Filter(kinds=(5050,))])
        self.session.opened(1_800_000_000)
        self.session.data_to_send()
        self.inbox = Inbox(self.event, self.repeat)
        self.inbox.open("jobs")

    @classmethod
    async def ready(cls) -> Client:
        """A client that has every event."""
        client = cls()
        client.receive()
        await client.inbox.aclose()
        return client

    def receive(self) -> None:
        """One read with all the frames."""
        self.session.receive(TEXTS, 1_800_000_000)
        for happening in self.session.happenings():
            if isinstance(happening, EventArrived):
                wanted = self.session.wanted(happening.sub)
                assert wanted is not None
                self.inbox.arrived(happening, wanted, self)

    def event(self, sub: str, event: VerifiedEvent, url: str) -> None:
        """Delivered."""
        self.events += 1

    def repeat(self, event_id: str, url: str) -> None:
        """Seen before."""
        self.repeats += 1

    def strike(self) -> None:
        """The frames are good."""
        raise AssertionError("a good frame was refused")

    def pause_reading(self) -> None:
        """There are few frames."""

    def resume_reading(self) -> None:
        """There are few frames."""


def test_duplicate_beside_parsing(against: Against) -> None:
    """Dropping a duplicate costs about two bare decodings of its JSON in C."""
    client = asyncio.run(Client.ready())
    against(
        "pool: a duplicate", client.receive, "orjson.loads of the frame", lambda: [orjson.loads(text) for text in TEXTS],
        units=(FRAMES, FRAMES), agree=lambda ours, theirs: client.repeats > 0,
    )
    assert client.events == FRAMES
    assert client.repeats > 0


def test_duplicate_beside_verifying(against: Against) -> None:
    """Dropping a duplicate costs a small part of verifying it."""
    client = asyncio.run(Client.ready())
    against(
        "pool: a duplicate", client.receive, "check_events, a batch of 64", lambda: check_events(RAWS), units=(FRAMES, FRAMES),
        agree=lambda ours, theirs: client.repeats > 0,
    )
    assert client.events == FRAMES
