"""NIP-42 over real sockets: who may do what before and after AUTH (market catalogue N2-N5)."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from pylon.config import NexusConfig
from pylon.nexus.server import Server, serve
from pylon.nostr.event import Draft, sign
from pylon.nostr.nip42 import auth_draft
from tests.forge import encode
from tests.nexus.client import ALICE, BOB, CAROL, NOW, Client, connected, hex_key, key, note
from tests.nexus.conftest import Clock

REQUIRED = "auth-required: authentication required"


async def test_every_connection_has_its_own_challenge(relay: Server) -> None:
    """The challenge is the relay's first word, random and long."""
    async with connected(relay.url) as one, connected(relay.url) as other:
        assert len(one.challenge) == 64
        assert one.challenge != other.challenge


async def test_nothing_happens_before_auth(relay: Server) -> None:
    """EVENT: OK false; REQ and COUNT: CLOSED; NEG-OPEN: NEG-ERR; each `auth-required:`. The event is not stored, the REQ not open."""
    event = note()
    async with connected(relay.url) as client, connected(relay.url, BOB) as bob:
        client.say("EVENT", event)
        client.say("REQ", "a", {})
        client.say("COUNT", "b", {})
        client.say("NEG-OPEN", "c", {}, "61")
        assert [await client.receive() for _ in range(4)] == [
            ["OK", event.id, False, REQUIRED], ["CLOSED", "a", REQUIRED], ["CLOSED", "b", REQUIRED], ["NEG-ERR", "c", REQUIRED],
        ]  # fmt: skip
        await bob.accept(note(BOB))
        assert await bob.ids({"ids": [event.id]}) == []
        assert client.pending() == []
        assert (await client.auth(ALICE))[2] is True
        await client.accept(event)


async def test_the_text_of_success(relay: Server) -> None:
    """The OK of a good AUTH names the key, as the first release did."""
    async with connected(relay.url) as client:
        answer = await client.auth(ALICE)
        assert answer[2:] == [True, f"auth accepted for {hex_key(ALICE)}"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
async def test_loopback_names_are_one(relay: Server, host: str) -> None:
    """127.0.0.1, localhost and [::1] with the actual port are the same relay."""
    async with connected(relay.url) as client:
        assert (await client.auth(ALICE, url=f"ws://{host}:{relay.port}/"))[2] is True


async def test_configured_names(relay: Server) -> None:
    """Names from config.toml are accepted."""
    async with connected(relay.url) as client:
        assert (await client.auth(ALICE, url="wss://relay.example.org"))[2] is True


@pytest.mark.parametrize(
    "url", ["ws://127.0.0.1", "ws://127.0.0.1:1", "wss://127.0.0.1:{port}", "ws://127.0.0.2:{port}", "ws://evil.org:{port}", ""]
)
async def test_other_names_are_refused(relay: Server, url: str) -> None:
    """An AUTH made for another relay is worth nothing here, and the connection stays unauthenticated."""
    async with connected(relay.url) as client:
        event = sign(auth_draft(url.format(port=relay.port), client.challenge, NOW), ALICE)
        client.say("AUTH", event)
        answer = await client.receive()
        assert answer[:3] == ["OK", event.id, False]
        assert str(answer[3]).startswith("auth-required: ")
        assert (await client.publish(note()))[2:] == [False, REQUIRED]


async def test_the_host_header_is_not_believed(relay: Server) -> None:
    """Whoever connects under another name cannot make the relay accept AUTH events for that name."""
    client = await Client.open(relay.url, headers={"Host": "evil.example.org"})
    assert (await client.auth(ALICE, url="ws://evil.example.org"))[2] is False
    assert (await client.auth(ALICE))[2] is True
    await client.aclose()


async def test_an_auth_of_another_connection_is_refused(relay: Server) -> None:
    """A replayed AUTH event does not carry this connection's challenge."""
    async with connected(relay.url) as one, connected(relay.url) as other:
        event = sign(auth_draft(relay.url, one.challenge, NOW), ALICE)
        other.say("AUTH", event)
        assert (await other.receive())[2] is False
        one.say("AUTH", event)
        assert (await one.receive())[2] is True
        one.say("AUTH", event)
        assert (await one.receive())[2] is True


@pytest.mark.parametrize(("created_at", "good"), [(NOW - 601, False), (NOW - 600, True), (NOW + 600, True), (NOW + 601, False)])
async def test_ten_minutes(relay: Server, created_at: int, good: bool) -> None:
    """The time window of NIP-42, by the relay's clock."""
    async with connected(relay.url) as client:
        assert (await client.auth(ALICE, created_at=created_at))[2] is good


async def test_forged_signature(relay: Server) -> None:
    """An AUTH that Alice did not sign does not authenticate Alice."""
    async with connected(relay.url) as client:
        forged = orjson.loads(encode(sign(auth_draft(relay.url, client.challenge, NOW), ALICE)))
        forged["sig"] = sign(auth_draft(relay.url, client.challenge, NOW), BOB).sig
        client.say("AUTH", forged)
        assert (await client.receive())[:3] == ["OK", forged["id"], False]
        assert (await client.publish(note()))[2] is False


async def test_a_second_key_and_a_second_chance(relay: Server) -> None:
    """Several keys count at once, and a failed AUTH may be followed by a good one."""
    wrap = note(CAROL, kind=1059, tags=[["p", hex_key(ALICE)]])
    other = note(CAROL, kind=1059, tags=[["p", hex_key(BOB)]])
    async with connected(relay.url) as client, connected(relay.url, CAROL) as carol:
        await carol.accept(wrap, other)
        assert (await client.auth(ALICE, challenge="x"))[2] is False
        assert (await client.auth(ALICE))[2] is True
        assert await client.ids({"kinds": [1059]}) == [wrap.id]
        assert (await client.auth(BOB))[2] is True
        assert set(await client.ids({"kinds": [1059]})) == {wrap.id, other.id}


async def test_auth_and_request_in_one_breath(relay: Server) -> None:
    """A client need not wait for the OK: AUTH, REQ and EVENT are taken in the order in which they were said."""
    async with connected(relay.url) as client:
        client.say("AUTH", sign(auth_draft(relay.url, client.challenge, NOW), ALICE))
        client.say("REQ", "a", {})
        event = note()
        client.say("EVENT", event)
        kinds = [(await client.receive())[0] for _ in range(4)]
        assert kinds[:2] == ["OK", "EOSE"]
        assert sorted(map(str, kinds[2:])) == ["EVENT", "OK"]


async def test_22242_is_neither_stored_nor_sent_on(relay: Server) -> None:
    """NIP-42: kind 22242 is not broadcast, by AUTH or by EVENT."""
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        bob.say("REQ", "all", {})
        assert await bob.receive() == ["EOSE", "all"]
        event = sign(auth_draft(relay.url, alice.challenge, NOW), ALICE)
        answer = await alice.publish(event)
        assert answer[2] is False
        assert str(answer[3]).startswith("invalid: ")
        await alice.auth(CAROL)
        assert await bob.settled() == []
        assert await bob.ids({"kinds": [22242]}) == []


async def test_anybody_may_publish_anybodys_event(relay: Server) -> None:
    """Authentication says who is there, not whose events may come by."""
    event = note(BOB)
    async with connected(relay.url, ALICE) as alice:
        await alice.accept(event)
        assert await alice.ids({"authors": [hex_key(BOB)]}) == [event.id]


async def test_protected_events(relay: Server) -> None:
    """NIP-70: only the authenticated author may publish `["-"]`; afterwards anybody may read it."""
    event = note(BOB, tags=[["-"]])
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob:
        answer = await alice.publish(event)
        assert answer[2] is False
        assert str(answer[3]).startswith("restricted: ")
        await bob.accept(event)
        assert await alice.ids({"ids": [event.id]}) == [event.id]
        assert (await alice.publish(note(kind=6, content=encode(event).decode())))[2] is False


@pytest.mark.parametrize("kind", [4, 1059])
async def test_private_kinds_reach_those_they_concern(relay: Server, kind: int) -> None:
    """Kinds 4 and 1059 are served, stored or live, to the author and the receiver and to nobody else."""
    old, new = (note(kind=kind, tags=[["p", hex_key(BOB)]]) for _ in range(2))
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob, connected(relay.url, CAROL) as carol:
        await alice.accept(old)
        for client in (alice, bob, carol):
            client.say("REQ", "live", {"kinds": [kind]})
        for client in (alice, bob):
            assert (await client.receive())[2]["id"] == old.id  # type: ignore[index]  # an event
            assert await client.receive() == ["EOSE", "live"]
        assert await carol.receive() == ["EOSE", "live"]
        alice.say("EVENT", new)
        assert (await bob.receive())[2]["id"] == new.id  # type: ignore[index]  # an event
        assert {str(message[0]) for message in (await alice.receive(), await alice.receive())} == {"EVENT", "OK"}
        assert await carol.settled() == []
        assert await carol.ids({"ids": [old.id]}, {"#p": [hex_key(BOB)]}, {"authors": [hex_key(ALICE)]}) == []


async def test_ephemeral_gift_wraps_are_private_too(relay: Server) -> None:
    """Kind 21059 is delivered live to its receiver alone."""
    async with connected(relay.url, ALICE) as alice, connected(relay.url, BOB) as bob, connected(relay.url, CAROL) as carol:
        for client in (bob, carol):
            client.say("REQ", "live", {"kinds": [21059]})
            await client.receive()
        await alice.accept(note(key(9), kind=21059, tags=[["p", hex_key(BOB)]]))
        assert (await bob.receive())[0] == "EVENT"
        assert await carol.settled() == []


async def test_any_address_of_a_wildcard_listener(tmp_path: Path, clock: Clock) -> None:
    """Listening on all interfaces, the relay accepts the address that the connection came to."""
    server = await serve(NexusConfig(host="0.0.0.0", port=0), tmp_path / "nexus", clock=clock)
    assert server.url == f"ws://127.0.0.1:{server.port}"
    async with connected(f"ws://127.0.0.3:{server.port}") as client:
        assert (await client.auth(ALICE))[2] is True
        assert (await client.auth(BOB, url=f"ws://localhost:{server.port}"))[2] is True
        assert (await client.auth(CAROL, url=f"ws://127.0.0.4:{server.port}"))[2] is False
    await server.aclose()


async def test_an_auth_of_the_wrong_kind(relay: Server) -> None:
    """Only kind 22242 authenticates."""
    async with connected(relay.url) as client:
        event = sign(Draft(1, NOW, "", (("relay", relay.url), ("challenge", client.challenge))), ALICE)
        client.say("AUTH", event)
        assert (await client.receive())[:3] == ["OK", event.id, False]
