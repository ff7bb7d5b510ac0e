"""What strangers can send and how much of it: sizes, frames, floods, slow readers (market catalogue N8, N9)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from picows import WSMsgType

from pylon.config import NexusConfig
from pylon.nexus import peer
from pylon.nexus.record import Record
from pylon.nexus.server import Server, serve
from pylon.nexus.session import MAX_SUBSCRIPTIONS
from tests.forge import encode
from tests.nexus.client import ALICE, BOB, NOW, TIMEOUT, Client, Closed, connected, hex_key, note
from tests.nexus.conftest import Clock

LIMIT = 1_048_576


async def test_the_largest_message(relay: Server) -> None:
    """A message of exactly the announced size is taken; one byte more ends the connection with 1009."""
    event = note(content="x" * (LIMIT - len(encode(note(content=""))) - len(b'["EVENT",]')))
    async with connected(relay.url, ALICE) as alice:
        text = b'["EVENT",' + encode(event) + b"]"
        assert len(text) == LIMIT
        alice.raw(text)
        assert await alice.receive() == ["OK", event.id, True, ""]
        alice.raw(text + b" ")
        with pytest.raises(Closed):
            await alice.receive()
        assert alice.close_code == 1009
    async with connected(relay.url, BOB) as bob:
        assert await bob.ids({}) == [event.id]


async def test_the_largest_message_in_pieces(relay: Server) -> None:
    """Fragments are joined, and bounded as a whole."""
    async with connected(relay.url, ALICE) as alice:
        event = note(content="é" * 1000)
        text = b'["EVENT",' + encode(event) + b"]"
        alice.transport.send(WSMsgType.TEXT, text[:700], False)
        alice.transport.send_ping(b"between")
        for at in range(700, len(text) - 1, 101):
            alice.transport.send(WSMsgType.CONTINUATION, text[at : min(at + 101, len(text) - 1)], False)
        alice.transport.send(WSMsgType.CONTINUATION, text[-1:], True)
        assert await alice.receive() == ["OK", event.id, True, ""]
        alice.transport.send(WSMsgType.TEXT, b" " * 700_000, False)
        alice.transport.send(WSMsgType.CONTINUATION, b" " * 700_000, False)
        with pytest.raises(Closed):
            await alice.receive()
        assert alice.close_code == 1009


async def test_a_smaller_configured_limit(tmp_path: Path, clock: Clock) -> None:
    """`max_message_bytes` is obeyed."""
    server = await serve(NexusConfig(port=0, max_message_bytes=2000), tmp_path / "nexus", clock=clock)
    async with connected(server.url, ALICE) as alice:
        await alice.accept(note(content="x" * 1500))
        alice.say("EVENT", note(content="x" * 2000))
        with pytest.raises(Closed):
            await alice.receive()
        assert alice.close_code == 1009
    await server.aclose()


async def test_binary_messages(relay: Server) -> None:
    """Nostr speaks text: a binary message ends the connection with 1003."""
    async with connected(relay.url, ALICE) as alice:
        alice.transport.send(WSMsgType.BINARY, b"[]")
        with pytest.raises(Closed):
            await alice.receive()
        assert alice.close_code == 1003


async def test_a_compressed_message(relay: Server) -> None:
    """No extension was agreed on, so a set RSV bit is a protocol error, and nothing is inflated."""
    async with connected(relay.url, ALICE) as alice:
        alice.transport.send(WSMsgType.TEXT, b"[]", True, True)
        with pytest.raises(Closed):
            await alice.receive()
        assert alice.close_code == 1002


async def test_garbage_does_not_end_the_conversation(relay: Server) -> None:
    """A message that is none gets a NOTICE, and the next one is answered as if nothing had been."""
    async with connected(relay.url, ALICE) as alice:
        for text in (b"", b"\x00", b"\xff\xff", b"[" * 100_000, b'{"a":1}', b'["EVENT",{}]', b'["REQ"]', b'["\xed\xa0\x80"]'):
            alice.raw(text)
            assert (await alice.receive())[0] == "NOTICE"
        await alice.accept(note())


async def test_invalid_utf8_in_an_event(relay: Server) -> None:
    """Bytes that are no text cannot be an event's content."""
    event = note(content="mark")
    async with connected(relay.url, ALICE) as alice:
        alice.raw(b'["EVENT",' + encode(event).replace(b"mark", b"m\xffrk") + b"]")
        answer = await alice.receive()
        assert answer[:3] == ["OK", event.id, False] or answer[0] == "NOTICE"
        await alice.accept(event)


async def test_pings_are_answered(relay: Server) -> None:
    """A thousand pings in one breath get their pongs, and the conversation goes on."""
    async with connected(relay.url, ALICE) as alice:
        for _ in range(1000):
            alice.transport.send_ping(b"x" * 100)
        await alice.transport.measure_roundtrip_time(1)
        await alice.accept(note())


async def test_subscriptions_of_a_connection(relay: Server) -> None:
    """MAX_SUBSCRIPTIONS are open at a time, and all of them get the event; one more is CLOSED; closing one makes room."""
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        for number in range(MAX_SUBSCRIPTIONS):
            alice.say("REQ", f"s{number}", {"kinds": [1, number + 10]})
            assert await alice.receive() == ["EOSE", f"s{number}"]
        alice.say("REQ", "more", {})
        answer = await alice.receive()
        assert answer[:2] == ["CLOSED", "more"]
        assert str(answer[2]).startswith("blocked: ")
        alice.say("CLOSE", "s0")
        alice.say("REQ", "more", {"kinds": [1]})
        assert await alice.receive() == ["EOSE", "more"]
        await bob.accept(note())
        names = {str((await alice.receive())[1]) for _ in range(MAX_SUBSCRIPTIONS)}
        assert names == {"more", *(f"s{number}" for number in range(1, MAX_SUBSCRIPTIONS))}


async def test_many_connections(relay: Server) -> None:
    """Three hundred clients at once, each with a subscription, each served."""
    async with connected(relay.url, ALICE) as alice:
        clients = [await Client.open(relay.url, BOB) for _ in range(300)]
        for client in clients:
            client.say("REQ", "a", {"kinds": [1]})
            assert await client.receive() == ["EOSE", "a"]
        event = note()
        await alice.accept(event)
        for client in clients:
            assert (await client.receive())[0] == "EVENT"
            await client.aclose()


async def test_a_bomb_of_values(relay: Server) -> None:
    """Ten thousand ids in a filter are answered, a hundred thousand are CLOSED, and the relay serves others meanwhile."""
    ids = [f"{number:064x}" for number in range(15_000)]
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        alice.say("REQ", "a", {"ids": ids[:10_000]})
        alice.say("REQ", "b", {"authors": ids})
        alice.say("REQ", "c", *[{"kinds": [number]} for number in range(1000)])
        await bob.accept(note())
        assert await alice.receive() == ["EOSE", "a"]
        assert [(await alice.receive())[:2] for _ in range(2)] == [["CLOSED", "b"], ["CLOSED", "c"]]


async def until_closed(client: Client) -> list[object]:
    """The ids of the events that come before the relay closes the connection."""
    received: list[object] = []
    try:
        while True:
            received.append((await client.receive())[2]["id"])  # type: ignore[index]  # an event
    except Closed:
        return received


async def test_a_slow_reader_is_closed_with_a_reason(relay: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscriber that stops reading gets everything up to a point, in order and without a gap, then a CLOSE that says why;
    the publisher and other readers are not held up."""
    monkeypatch.setattr(peer, "MAX_WAITING", 2_000_000)
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as slow, connected(relay.url, BOB) as quick:
        for reader in (slow, quick):
            reader.say("REQ", "all", {"kinds": [1]})
            assert await reader.receive() == ["EOSE", "all"]
        events = [note(content="x" * 200_000, created_at=NOW - number) for number in range(100)]
        slow.transport.underlying_transport.pause_reading()
        for event in events:
            await alice.accept(event)
            assert (await quick.receive())[2]["id"] == event.id  # type: ignore[index]  # an event
        slow.transport.underlying_transport.resume_reading()
        received = await until_closed(slow)
        assert received == [event.id for event in events[: len(received)]]
        assert len(received) < len(events)
        assert slow.close_code == 1008
        assert slow.close_reason.startswith("slow reader")


async def test_nothing_is_read_from_a_client_that_does_not_read(relay: Server) -> None:
    """What a client asks for cannot pile up: while it takes no answers, its questions stay in the socket; then they are answered."""
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        (reader,) = [one for one in relay._relay.peers if one.session.authenticated == {hex_key(BOB)}]
        await alice.accept(*(note(content="x" * 300_000) for _ in range(20)))
        transport = reader._transport.underlying_transport
        bob.transport.underlying_transport.pause_reading()
        asked = 0
        while transport.is_reading() and asked < MAX_SUBSCRIPTIONS:
            bob.say("REQ", f"s{asked}", {})
            asked += 1
            await alice.accept(note())
        assert asked < MAX_SUBSCRIPTIONS
        bob.transport.underlying_transport.resume_reading()
        eoses = 0
        while eoses < asked:
            eoses += (await bob.receive())[0] == "EOSE"
        assert transport.is_reading()


async def test_a_large_answer_waits_for_its_reader(relay: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored events are sent as the reader takes them: however large the answer, its reader is not too slow for it."""
    monkeypatch.setattr(peer, "MAX_WAITING", 3_000_000)
    events = [note(content="x" * 200_000, created_at=NOW - number) for number in range(100)]
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        await alice.accept(*events)
        bob.transport.underlying_transport.pause_reading()
        bob.say("REQ", "all", {})
        await alice.accept(late := note())
        bob.transport.underlying_transport.resume_reading()
        received = [(await bob.receive())[2]["id"] for _ in events]  # type: ignore[index]  # an event
        assert received == [event.id for event in events]
        rest = [await bob.receive(), await bob.receive()]
        assert rest[0] == ["EOSE", "all"]
        assert rest[1][2]["id"] == late.id  # type: ignore[index]  # an event


async def test_a_scan_that_is_closed_gives_back_what_it_held(relay: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """CLOSE, or a new REQ of the same name, in the middle of a long answer: what was held for it no longer counts against the reader,
    and neither its EOSE nor its events come any more."""
    monkeypatch.setattr("pylon.nexus.relay.SLICE", 1)
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        (reader,) = [one for one in relay._relay.peers if one.session.authenticated == {hex_key(BOB)}]
        await alice.accept(note(), note(), note())
        for end, eoses in ((b'["CLOSE","all"]', 0), (b'["REQ","all",{"ids":[]}]', 1)):
            # All in one turn of the loop, past the sockets, so that it happens in this order.
            relay._relay.said(reader, [b'["REQ","all",{}]'])
            late = note()
            relay._relay._deliver(late, Record(late))
            assert reader.held == len(encode(late))
            relay._relay.said(reader, [end])
            assert reader.held == 0
            messages = await bob.settled()
            assert messages.count(["EOSE", "all"]) == eoses
            assert not any(late.id in str(message) for message in messages)


async def test_a_full_ingest_stops_reading_and_goes_on(relay: Server) -> None:
    """When more events wait to be checked than the relay wants to hold, it stops reading from those who send them; all are answered."""
    relay._relay._ingest._high = 20
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        events = [note() for _ in range(600)]
        for event in events[::2]:
            alice.say("EVENT", event)
        for event in events[1::2]:
            bob.say("EVENT", event)
        for client, own in ((alice, events[::2]), (bob, events[1::2])):
            assert {str((await client.receive())[1]) for _ in own} == {event.id for event in own}


async def test_a_client_that_leaves_in_the_middle(relay: Server) -> None:
    """Cutting the connection during a flood, a scan and open subscriptions leaves a relay that serves the next one."""
    for number in range(5):
        async with connected(relay.url, ALICE) as alice:
            alice.say("REQ", "all", {})
            for _ in range(50):
                alice.say("EVENT", note())
            alice.say("REQ", "again", {"limit": 10})
            alice.transport.underlying_transport.abort()
        async with connected(relay.url, BOB) as bob:
            await bob.accept(note(content=f"round {number}"))
    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(*(one.gone for one in relay._relay.peers))
    assert not relay._relay.peers
    assert relay._relay._hub.count() == 0
