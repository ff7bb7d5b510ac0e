"""The inbox: once for each event and subscription, verified, whatever several relays send at the same moment."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pylon import ingest
from pylon._native import FilterIndex
from pylon.ingest import INLINE, Checked, Ingest
from pylon.nostr.event import Event, VerifiedEvent
from pylon.nostr.filter import Filter
from pylon.nostr.happening import EventsArrived
from pylon.nostr.message import deliver, deliver_head
from pylon.relay import inbox
from pylon.relay.inbox import Inbox
from tests.forge import encode, forged
from tests.relay.relays import note

NOTES = FilterIndex()
NOTES.add(0, Filter(kinds=(1,)))


class Place:
    """A relay as the inbox knows it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.strikes = 0
        self.paused = 0

    def strike(self) -> None:
        self.strikes += 1

    def pause_reading(self) -> None:
        self.paused += 1

    def resume_reading(self) -> None:
        self.paused = 0


class Hall:
    """An inbox and what it delivers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.repeats: list[tuple[str, str]] = []
        self.delivered = asyncio.Event()
        self.inbox = Inbox(self.event, lambda event_id, url: self.repeats.append((event_id, url)))
        self.inbox.open("s")

    def event(self, sub: str, event: VerifiedEvent, url: str) -> None:
        self.events.append((sub, event.content, url))
        self.delivered.set()

    def arrive(self, event: Event, place: Place, *, peeked: bool = True, sub: str = "s") -> None:
        """A relay sends an event."""
        self.inbox.arrived(EventsArrived(sub, [encode(event)], NOTES), place)


@pytest.mark.parametrize("count", [1, 10])
@pytest.mark.parametrize("peeked", [True, False])
async def test_copies_that_come_while_the_first_is_verified(count: int, peeked: bool) -> None:
    """Three relays send the same events before the first copy is verified: one delivery, two repetitions, one verification."""
    hall = Hall()
    one, two, three = Place("one"), Place("two"), Place("three")
    events = [note(f"{number}") for number in range(count)]
    for place in (one, two, three):
        for event in events:
            hall.arrive(event, place, peeked=peeked)
    await hall.inbox.aclose()
    assert hall.events == [("s", event.content, "one") for event in events]
    assert sorted(hall.repeats) == sorted((event.id, url) for event in events for url in ("two", "three"))
    assert [place.strikes for place in (one, two, three)] == [0, 0, 0]


async def test_a_copy_that_waited_replaces_a_forgery() -> None:
    """The first copy is forged, the second too, the third is the event: it is delivered, and both liars are blamed."""
    hall = Hall()
    liar, other, honest = Place("liar"), Place("other"), Place("honest")
    hall.arrive(forged(note("true"), "forged"), liar)
    hall.arrive(forged(note("true"), "also forged"), other)
    hall.arrive(note("true"), honest)
    told: list[int] = []
    hall.inbox.after(lambda: told.append(len(hall.events)))
    await hall.inbox.aclose()
    assert hall.events == [("s", "true", "honest")]
    assert (liar.strikes, other.strikes, honest.strikes) == (1, 1, 0)
    assert told == [1], "delivered before the EOSE that came behind it"


async def test_forged_copies_do_not_crowd_out_the_genuine_one() -> None:
    """However many forgeries of its id one relay sends, the event of another is delivered."""
    hall = Hall()
    liar, honest = Place("liar"), Place("honest")
    for number in range(100):
        hall.arrive(forged(note("true"), f"forged {number}"), liar)
    hall.arrive(note("true"), honest)
    await hall.inbox.aclose()
    assert hall.events == [("s", "true", "honest")]
    assert liar.strikes == 100


async def test_seen_only_after_verified() -> None:
    """After any number of verified forgeries of its id, the genuine event is still new; after its delivery it is not."""
    hall = Hall()
    liar = Place("liar")
    for number in range(3):
        hall.arrive(forged(note("true"), f"forged {number}"), liar)
    hall.inbox.after(lambda: hall.arrive(note("true"), liar))
    async with asyncio.timeout(10):
        await hall.delivered.wait()
    hall.arrive(note("true"), liar)
    hall.arrive(forged(note("true"), "forged"), liar)
    await hall.inbox.aclose()
    assert hall.events == [("s", "true", "liar")]
    assert hall.repeats == [(note("true").id, "liar")]
    assert liar.strikes == 4


def first_batch_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three batches at once, of which those that are checked in a thread wait for the first that is checked on the loop."""
    overtaken = threading.Event()
    check = Ingest._check

    def checked(ingest: Ingest[object], batch: ingest._Batch[object]) -> list[Checked]:
        if len(batch.texts) > INLINE:
            assert overtaken.wait(10)
            return check(ingest, batch)
        result = check(ingest, batch)
        overtaken.set()
        return result

    monkeypatch.setattr(ingest, "WORKERS", 3)
    monkeypatch.setattr(Ingest, "_check", checked)


async def test_a_copy_that_is_checked_sooner_comes_no_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two copies the one that came first is delivered, before the EOSE of its relay, whichever was checked first."""
    first_batch_last(monkeypatch)
    hall = Hall()
    one, two = Place("one"), Place("two")
    events = [note(f"{number}") for number in range(INLINE + 1)]
    hall.inbox.arrived(EventsArrived("s", [encode(event) for event in events], NOTES), one)
    told: list[int] = []
    hall.inbox.after(lambda: told.append(len(hall.events)))
    hall.arrive(events[-1], two)
    await hall.inbox.aclose()
    assert told == [len(events)]
    assert hall.events == [("s", event.content, "one") for event in events]
    assert hall.repeats == [(events[-1].id, "two")]
    assert (one.strikes, two.strikes) == (0, 0)


async def test_a_forgery_that_waited_while_the_genuine_one_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad signature before the event, looked at when the event has been checked: the liar is blamed, the event delivered once."""
    first_batch_last(monkeypatch)
    hall = Hall()
    liar, honest = Place("liar"), Place("honest")
    events = [note(f"{number}") for number in range(INLINE + 1)]
    texts = [encode(event) for event in events]
    texts[-1] = texts[-1].replace(events[-1].sig.encode(), events[0].sig.encode())
    hall.inbox.arrived(EventsArrived("s", texts, NOTES), liar)
    hall.inbox.after(lambda: None)
    hall.arrive(events[-1], honest)
    await hall.inbox.aclose()
    assert hall.events == [*(("s", event.content, "liar") for event in events[:-1]), ("s", events[-1].content, "honest")]
    assert hall.repeats == []
    assert (liar.strikes, honest.strikes) == (1, 0)


async def test_what_was_delivered_is_known_to_the_listeners() -> None:
    """A frame that brings a delivered event again is one that they drop; before its delivery it is not."""
    hall = Hall()
    frame = deliver(deliver_head("s"), encode(note("true")))
    assert not hall.inbox.delivered.repeats(frame)
    hall.arrive(note("true"), Place("one"))
    await hall.inbox.aclose()
    assert hall.inbox.delivered.repeats(frame)


async def test_what_the_check_has_forgotten_is_not_delivered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check remembers less than the listeners do; a copy that they let through for its spelling is a repetition all the same."""
    monkeypatch.setattr(inbox, "IN_FLIGHT", 1)
    hall = Hall()
    place = Place("one")
    for text in ("first", "second", "third", "first"):
        hall.arrive(note(text), place)
    await hall.inbox.aclose()
    assert [content for _, content, _ in hall.events] == ["first", "second", "third"]
    assert hall.repeats == [(note("first").id, "one")]
    assert place.strikes == 0


async def test_unsubscribed_while_it_is_verified() -> None:
    """What was verified too late is not delivered, not even to a new subscription of the same name; so no copy of it is a repetition."""
    hall = Hall()
    hall.arrive(note("late"), Place("one"))
    hall.arrive(note("late"), Place("two"))
    hall.inbox.close("s")
    hall.inbox.open("s")
    hall.arrive(note("other"), Place("one"))
    await hall.inbox.aclose()
    assert hall.events == [("s", "other", "one")]
    assert hall.repeats == []


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{}", b"[]", b"null", b"\\xff", b'{"id":1}', b"[" * 3000,
        encode(note("x"))[:-1], encode(note("x")).replace(b'"kind":1', b'"kind":"1"'), encode(note("x", kind=7)),
        b'{"id":"","pubkey":"","created_at":1,"kind":1,"tags":[],"content":"","sig":""}',
        b'{"id":"' + b"x" * 100_000 + b'","pubkey":"","created_at":1,"kind":1,"tags":[],"content":"","sig":""}',
    ],
)
async def test_what_is_no_event_that_was_asked_for(raw: bytes) -> None:
    """It is an offence of the relay."""
    hall = Hall()
    place = Place("one")
    hall.inbox.arrived(EventsArrived("s", [raw], NOTES), place)
    await hall.inbox.aclose()
    assert place.strikes == 1
    assert hall.events == []


async def test_back_pressure() -> None:
    """A relay that sends faster than events are verified is not read any more until there is room; nothing is lost."""
    hall = Hall()
    place = Place("one")
    event = note("x" * 200_000)
    raw = encode(event)
    sent = 0
    while not place.paused and sent < 200:
        hall.inbox.arrived(EventsArrived("s", [raw.replace(event.id.encode(), f"{sent:064x}".encode())], NOTES), place)
        sent += 1
    assert sent * len(raw) < 20_000_000
    await hall.inbox.aclose()
    assert place.paused == 0
    assert place.strikes == sent
