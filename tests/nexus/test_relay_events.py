"""NIP-01, 09 and 40 over real sockets: what is taken, kept, served and in which order (market catalogue N1, N6, N7, N10, N13)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pylon.nexus.server import Server
from pylon.nostr.event import VerifiedEvent
from tests.forge import encode
from tests.nexus.client import ALICE, BOB, NOW, Client, connected, hex_key, note
from tests.nexus.conftest import Clock

ME, YOU = hex_key(ALICE), hex_key(BOB)


def fields(event: VerifiedEvent) -> dict[str, Any]:
    """An event as a JSON object, to be spoiled."""
    document: dict[str, Any] = orjson.loads(encode(event))
    return document


async def send(client: Client, document: object) -> list[object]:
    """Publish anything and return the answer."""
    client.say("EVENT", document)
    return await client.receive()


async def test_an_event_is_served_as_it_was_published(relay: Server) -> None:
    """Stored and live, every field comes back; unknown order and spacing of the JSON do not matter."""
    event = note(content='tab\t "quote" \\ \b\f\n\r \u2028 é \U0001f600 \u202eRTL', tags=[["t", "a\\b"], ["x"], [], ["e", "not an id"]])
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        bob.say("REQ", "live", {"authors": [ME]})
        assert await bob.receive() == ["EOSE", "live"]
        alice.raw(b' [ "EVENT" ,\n' + orjson.dumps(dict(reversed(fields(event).items())), option=orjson.OPT_INDENT_2) + b" ] ")
        assert await alice.receive() == ["OK", event.id, True, ""]
        assert await bob.receive() == ["EVENT", "live", fields(event)]
        assert await alice.stored({"ids": [event.id]}) == [fields(event)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "0" * 64), ("pubkey", YOU), ("created_at", NOW - 1), ("kind", 2), ("tags", [["t", "x"]]), ("content", "other"),
        ("sig", "0" * 128), ("sig", "f" * 128),
    ],
)  # fmt: skip
async def test_forged_events_are_refused(relay: Server, field: str, value: object) -> None:
    """An event of which any field was changed is answered with `invalid:`, not stored and not sent on (N1)."""
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        bob.say("REQ", "all", {})
        await bob.receive()
        forged = fields(note()) | {field: value}
        answer = await send(alice, forged)
        assert answer[:3] == ["OK", forged["id"], False]
        assert str(answer[3]).startswith("invalid: ")
        assert await bob.settled() == []
        assert await alice.stored({}) == []


async def test_a_known_id_does_not_vouch_for_other_content(relay: Server) -> None:
    """A forged event with the id of a stored one is refused, and the stored one stays as it is (N1)."""
    event = note()
    async with connected(relay.url, ALICE) as alice:
        await alice.accept(event)
        assert (await send(alice, fields(event) | {"content": "other"}))[2] is False
        assert (await send(alice, fields(event) | {"sig": "0" * 128}))[2] is False
        assert await alice.stored({}) == [fields(event)]


@pytest.mark.parametrize("spoil", ["missing", "extra", "twice"])
@pytest.mark.parametrize("field", ["id", "pubkey", "created_at", "kind", "tags", "content", "sig"])
async def test_exactly_seven_fields(relay: Server, field: str, spoil: str) -> None:
    """An event with a field less, more or twice is refused, by OK where its id can be read."""
    event = note()
    async with connected(relay.url, ALICE) as alice:
        document = fields(event)
        text = encode(event)
        if spoil == "missing":
            del document[field]
            text = orjson.dumps(document)
        elif spoil == "extra":
            text = orjson.dumps(document | {field + "x": 1})
        else:
            text = text[:-1] + b"," + orjson.dumps({field: document[field]})[1:]
        alice.raw(b'["EVENT",' + text + b"]")
        answer = await alice.receive()
        assert answer[:3] == ["OK", event.id, False] or (answer[0] == "NOTICE" and field == "id")
        assert await alice.stored({}) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "A" * 64), ("id", 1), ("id", None), ("pubkey", "z" * 64), ("created_at", -1), ("created_at", 1.5), ("created_at", "1"),
        ("created_at", 10**30), ("kind", -1), ("kind", 65536), ("kind", "1"), ("kind", None), ("tags", None), ("tags", {}), ("tags", ["x"]),
        ("tags", [[1]]), ("tags", [["x", None]]), ("content", 1), ("content", None), ("sig", "x"), ("sig", 1),
    ],
)  # fmt: skip
async def test_fields_of_the_wrong_type(relay: Server, field: str, value: object) -> None:
    """Every malformed EVENT gets an answer: OK false with the id that it claims, or a NOTICE where it claims none."""
    async with connected(relay.url, ALICE) as alice:
        document = fields(note()) | {field: value}
        answer = await send(alice, document)
        if isinstance(document["id"], str):
            assert answer[:3] == ["OK", document["id"], False]
        else:
            assert answer[0] == "NOTICE"
            assert str(answer[1]).startswith("invalid: ")


@pytest.mark.parametrize(
    "content", ["", "\x00", "\u0001\u007f", "\ufffe\uffff", "\u202e\u2066", "\U0010ffff", "a" * 200_000, "\\ud800", "😀" * 1000]
)
async def test_all_text_is_taken(relay: Server, content: str) -> None:
    """Multi-byte characters, NUL, control characters and non-characters are content like any other."""
    event = note(content=content)
    async with connected(relay.url, ALICE) as alice:
        await alice.accept(event)
        assert (await alice.stored({"ids": [event.id]}))[0]["content"] == content


async def test_lone_surrogates_are_refused(relay: Server) -> None:
    """A string that is no Unicode text has no canonical form, so its event has no id."""
    async with connected(relay.url, ALICE) as alice:
        event = note(content="mark")
        alice.raw(b'["EVENT",' + encode(event).replace(b'"mark"', b'"\\ud800"') + b"]")
        assert (await alice.receive())[:3] == ["OK", event.id, False]


async def test_duplicates(relay: Server) -> None:
    """ "duplicate:" with OK true, from any connection and in any spelling; delivered once (N13)."""
    event = note()
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        bob.say("REQ", "all", {})
        await bob.receive()
        await alice.accept(event)
        assert (await bob.receive())[0] == "EVENT"
        for client in (alice, bob):
            assert await client.publish(event) == ["OK", event.id, True, "duplicate: already have this event"]
        alice.raw(b'["EVENT",' + orjson.dumps(fields(event), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"]")
        assert (await alice.receive())[2:] == [True, "duplicate: already have this event"]
        assert await bob.settled() == []


async def test_duplicates_in_flight(relay: Server) -> None:
    """Many copies in one breath: each gets OK true, one is stored and delivered."""
    event = note()
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        bob.say("REQ", "all", {})
        await bob.receive()
        for _ in range(50):
            alice.say("EVENT", event)
        answers = [await alice.receive() for _ in range(50)]
        assert all(answer[:3] == ["OK", event.id, True] for answer in answers)
        assert [str(answer[3]) for answer in answers].count("") == 1
        assert [message[0] for message in await bob.settled()] == ["EVENT"]


async def test_order_and_limit(relay: Server) -> None:
    """Newest first, in ties the lowest id first; `limit` keeps the newest."""
    events = [note(created_at=NOW - age) for age in (5, 3, 3, 3, 9, 1, 3)]
    expected = [event.id for event in sorted(events, key=lambda event: (-event.created_at, event.id))]
    async with connected(relay.url, ALICE) as alice:
        await alice.accept(*events)
        assert await alice.ids({}) == expected
        for limit in (1, 3, 6, 7, 8, 5000, 10**15):
            assert await alice.ids({"limit": limit}) == expected[:limit]
        assert await alice.ids({"limit": 0}) == []


async def test_limit_zero_is_live_only(relay: Server) -> None:
    """`limit` 0: EOSE at once, then live events."""
    async with connected(relay.url, ALICE) as alice:
        await alice.accept(note())
        alice.say("REQ", "a", {"limit": 0})
        assert await alice.receive() == ["EOSE", "a"]
        event = note()
        alice.say("EVENT", event)
        assert (await alice.receive())[0] == "EVENT"
        assert (await alice.receive())[0] == "OK"


async def test_since_and_until_are_inclusive(relay: Server) -> None:
    """ "since <= created_at <= until" """
    events = [note(created_at=NOW - age) for age in range(4)]
    async with connected(relay.url, ALICE) as alice:
        await alice.accept(*events)
        ids = [event.id for event in events]
        assert await alice.ids({"since": NOW - 2}) == ids[:3]
        assert await alice.ids({"until": NOW - 2}) == ids[2:]
        assert await alice.ids({"since": NOW - 2, "until": NOW - 1}) == ids[1:3]
        assert await alice.ids({"since": NOW - 1, "until": NOW - 2}) == []
        assert await alice.ids({"until": NOW, "limit": 1}) == ids[:1]


async def test_filters_are_ored_and_conditions_anded(relay: Server) -> None:
    """Several filters give their union without duplicates; all conditions of one must hold; an empty list matches nothing."""
    one, two, three = note(kind=1), note(BOB, kind=1), note(kind=7)
    async with connected(relay.url, ALICE) as alice:
        await alice.accept(one, two, three)
        assert set(await alice.ids({"kinds": [1]}, {"authors": [ME]})) == {one.id, two.id, three.id}
        assert await alice.ids({"kinds": [1], "authors": [ME]}) == [one.id]
        assert await alice.ids({"ids": [one.id], "kinds": [7]}) == []
        assert await alice.ids({"ids": [one.id]}, {"ids": [one.id, one.id]}) == [one.id]
        for empty in ("ids", "authors", "kinds", "#t"):
            assert await alice.ids({empty: []}) == []


@pytest.mark.parametrize("letter", [*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"])
async def test_every_letter_is_indexed(relay: Server, letter: str) -> None:
    """ "all single-letter (only english alphabet letters: a-z, A-Z) key tags", by the first value, in both cases apart; stored and live."""
    wanted, second = "ab" * 32, "cd" * 32
    hit = note(tags=[[letter, second], [letter, wanted, "more"]])
    miss = [note(tags=[[letter, second, wanted]]), note(tags=[[letter.swapcase(), wanted]]), note(tags=[[letter + letter, wanted]])]
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        bob.say("REQ", "live", {f"#{letter}": [wanted, "ef" * 32]})
        await bob.receive()
        await alice.accept(hit, *miss)
        assert await alice.ids({f"#{letter}": [wanted]}) == [hit.id]
        assert [message[2]["id"] for message in await bob.settled()] == [hit.id]  # type: ignore[index]  # an event


async def test_tag_values_are_whole(relay: Server) -> None:
    """A value matches only the whole value: no prefix, no other case, no trimming; the empty one is a value."""
    async with connected(relay.url, ALICE) as alice:
        event = note(tags=[["t", "Nostr"], ["d", ""]])
        await alice.accept(event)
        for value in ("nostr", "Nost", "Nostr ", "", "Nostr\x00"):
            assert await alice.ids({"#t": [value]}) == []
        assert await alice.ids({"#d": [""], "#t": ["Nostr", "x"]}) == [event.id]


async def test_replaceable_and_addressable(relay: Server) -> None:
    """The newest version is served, older ones are refused, ties keep the lowest id (N6)."""
    async with connected(relay.url, ALICE) as alice:
        for kind, tags in ((0, []), (3, []), (10002, []), (31990, [["d", "x"]])):
            old, new = note(kind=kind, tags=tags, created_at=NOW - 10), note(kind=kind, tags=tags, created_at=NOW - 5)
            low, high = sorted((note(kind=kind, tags=tags) for _ in range(2)), key=lambda event: event.id)
            await alice.accept(new)
            assert (await alice.publish(old))[2] is False
            assert await alice.ids({"kinds": [kind]}) == [new.id]
            await alice.accept(high, low)
            assert (await alice.publish(high))[2] is False
            assert await alice.ids({"kinds": [kind]}) == [low.id]
            assert await alice.ids({"ids": [old.id, new.id, high.id]}) == []


async def test_ephemeral_events_are_live_only(relay: Server) -> None:
    """Kinds 20000-29999 reach those who listen, the author included, once, and are never stored (N7)."""
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        for client in (alice, bob):
            client.say("REQ", "live", {"kinds": [20000, 25000, 29999]})
            await client.receive()
        for kind in (20000, 25000, 29999):
            event = note(kind=kind)
            alice.say("EVENT", event)
            alice.say("EVENT", event)
            answers = [await alice.receive() for _ in range(3)]
            assert [message[0] for message in answers].count("EVENT") == 1
            assert [message[2] for message in answers if message[0] == "OK"] == [True, True]
            assert (await bob.receive())[2] == fields(event)
        alice.say("CLOSE", "live")
        assert await alice.ids({"kinds": [20000, 25000, 29999]}) == []
        assert await bob.settled() == []


async def test_deletion(relay: Server) -> None:
    """NIP-09 on the wire: own events by id and address, others' never, no second life, no deletion of deletions (N6)."""
    mine, yours, heart = note(), note(BOB), note(kind=30000, tags=[["d", "x"]], created_at=NOW - 1)
    request = note(kind=5, tags=[["e", mine.id], ["e", yours.id], ["a", f"30000:{ME}:x"]])
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        bob.say("REQ", "deletions", {"kinds": [5]})
        await bob.receive()
        await alice.accept(mine, yours, heart, request)
        assert (await bob.receive())[2] == fields(request)
        assert set(await alice.ids({})) == {yours.id, request.id}
        for gone in (mine, heart):
            answer = await alice.publish(gone)
            assert answer[2] is False
            assert str(answer[3]).startswith("blocked: ")
        await alice.accept(note(kind=5, tags=[["e", request.id]]))
        assert (await alice.publish(mine))[2] is False
        assert request.id in await alice.ids({"kinds": [5]})
        later = note(kind=30000, tags=[["d", "x"]], created_at=NOW + 1)
        await alice.accept(later)
        assert await alice.ids({"kinds": [30000]}) == [later.id]


async def test_a_deletion_before_its_event(relay: Server) -> None:
    """A request that overtakes the event keeps it out; the same request of another author does not."""
    mine, yours = note(), note(BOB)
    async with connected(relay.url, ALICE) as alice:
        await alice.accept(note(kind=5, tags=[["e", mine.id], ["e", yours.id]]))
        assert (await alice.publish(mine))[2] is False
        await alice.accept(yours)


async def test_expiration(relay: Server, clock: Clock) -> None:
    """NIP-40: expired events are not taken; stored ones are not served from the second on at which they expire (N10)."""
    event = note(tags=[["expiration", str(NOW + 5)]])
    async with connected(relay.url, ALICE) as alice:
        await alice.accept(event)
        late = await alice.publish(note(tags=[["expiration", str(NOW)]]))
        assert late[2] is False
        assert str(late[3]).startswith("invalid: ")
        clock.now = NOW + 4.9
        assert await alice.ids({}) == [event.id]
        clock.now = NOW + 5
        assert await alice.ids({"ids": [event.id]}) == []
        assert await alice.ids({}) == []


async def test_created_at(relay: Server) -> None:
    """Any past is welcome, the future by a quarter of an hour (N10)."""
    async with connected(relay.url, ALICE) as alice:
        await alice.accept(note(created_at=0), note(created_at=1), note(created_at=NOW + 900))
        for created_at in (NOW + 901, 2**40, 2**53):
            answer = await alice.publish(note(created_at=created_at))
            assert answer[2] is False
            assert str(answer[3]).startswith("invalid: ")


async def test_a_req_in_the_place_of_another(relay: Server) -> None:
    """ "a new REQ is sent using the same subscription_id … overwrite": the old filters are forgotten."""
    async with connected(relay.url, ALICE) as alice:
        for kinds in ([1], [7]):
            alice.say("REQ", "a", {"kinds": kinds})
            assert await alice.receive() == ["EOSE", "a"]
        await alice.accept(note(kind=1))
        event = note(kind=7)
        alice.say("EVENT", event)
        assert {str(message[0]) for message in (await alice.receive(), await alice.receive())} == {"EVENT", "OK"}
        alice.say("CLOSE", "a")
        await alice.accept(note(kind=7))
        alice.say("CLOSE", "a")
        assert await alice.settled() == []


async def test_an_event_reaches_each_subscription(relay: Server) -> None:
    """Two subscriptions of one connection that match are two deliveries; two filters of one are one."""
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        bob.say("REQ", "a", {"kinds": [1]}, {"authors": [ME]})
        bob.say("REQ", 'b"\\é', {})
        assert [await bob.receive() for _ in range(2)] == [["EOSE", "a"], ["EOSE", 'b"\\é']]
        await alice.accept(note())
        assert sorted([str((await bob.receive())[1]) for _ in range(2)]) == ["a", 'b"\\é']
        assert await bob.settled() == []


async def test_big_kinds(relay: Server) -> None:
    """Kinds up to 65535 are kinds."""
    async with connected(relay.url, ALICE) as alice:
        event = note(kind=65535)
        await alice.accept(event)
        assert await alice.ids({"kinds": [65535]}) == [event.id]
