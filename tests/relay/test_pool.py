"""The pool against scripted relays over real connections."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from pylon.config import NexusConfig
from pylon.errors import NoRelay, UsageError
from pylon.nexus.server import serve
from pylon.nostr.event import Event
from pylon.nostr.filter import Filter
from pylon.relay.pool import Options, PublishAnswer, State
from tests.forge import Forged, encode, forged
from tests.relay.desk import NOTES, Desk, desk, until
from tests.relay.relays import (
    NOW,
    AuthRelay,
    BlackHole,
    ClosingRelay,
    DenyingRelay,
    LateAuthRelay,
    MuteRelay,
    RefusingRelay,
    Relay,
    SmallRelay,
    SpeakingRelay,
    note,
    running,
    signer,
)


def frame(sub: str, event: Event) -> bytes:
    """An EVENT as a relay sends it."""
    return b'["EVENT",' + json.dumps(sub).encode() + b"," + encode(event) + b"]"


def eose(sub: str) -> bytes:
    """The end of what is stored."""
    return json.dumps(["EOSE", sub]).encode()


# Asking and publishing


async def test_subscribe_and_publish() -> None:
    """What is stored and what comes later is delivered, a published event gets its OK, and the end is a closing handshake."""
    relay = Relay()
    relay.stored.append(note("stored"))
    async with running(relay) as urls:
        async with desk(urls) as here:
            here.pool.subscribe("s", [NOTES])
            assert await here.pool.wait_eose("s", 5)
            assert here.contents() == ["stored"]
            publication = here.pool.publish(note("new", by=9), after="s")
            assert await publication.accepted(5) == relay.url
            assert publication.answers == {relay.url: PublishAnswer(True, "")}
            await until(lambda: here.contents() == ["stored", "new"])
            assert here.state() is State.OPEN
            assert here.eose == [("s", relay.url)]
            await until(lambda: here.pool.states()[0].rtt_ms is not None)
        assert here.state() is State.CLOSED
        await until(lambda: relay.close_codes == [1000])


@pytest.mark.parametrize("count", [1, 60])
async def test_eose_is_told_after_its_events(count: int) -> None:
    """EOSE comes in the same read as the events before it, which are still to be verified: it is told when they were delivered."""
    relay = MuteRelay()
    async with running(relay) as urls, desk(urls) as here:
        here.pool.subscribe("s", [NOTES])
        await until(lambda: relay.said("REQ"))
        (link,) = here.pool._links.values()
        link.messages([*(frame("s", note(f"{number}")) for number in range(count)), eose("s")])
        assert here.eose == []
        assert await here.pool.wait_eose("s", 5)
        assert len(here.events) == count
        assert here.eose == [("s", relay.url)]


@pytest.mark.parametrize("relay", [AuthRelay(), LateAuthRelay()], ids=["asks at once", "asks when it refuses"])
async def test_auth(relay: AuthRelay) -> None:
    """REQ and EVENT come through to a relay that wants AUTH, whenever it asks for it, and nothing is said more than twice."""
    async with running(relay) as urls, desk(urls, signers=(signer(8), signer(9))) as here:
        here.pool.subscribe("s", [NOTES])
        publication = here.pool.publish(note("new", by=9), after="s")
        assert await publication.accepted(5) == relay.url
        await until(lambda: here.contents() == ["new"])
        assert here.state() is State.AUTHENTICATED
        assert here.pool.states()[0].authenticated
        assert len(relay.said("AUTH")) == 2
        assert len(relay.said("REQ")) <= 2
        assert len(relay.said("EVENT")) == 1


async def test_denied() -> None:
    """A relay that takes nobody's AUTH is an answer with a reason, not a loop; and it is not one to wait for."""
    relay = DenyingRelay()
    async with running(relay) as urls, desk(urls) as here:
        here.pool.subscribe("s", [NOTES])
        with pytest.raises(NoRelay, match="auth-required: who are you"):
            await here.pool.publish(note("new", by=9), after="s").accepted(5)
        assert not await here.pool.wait_connected(0.05)
        assert len(relay.said("AUTH")) == 1
        assert relay.connections == 1


async def test_wait_connected() -> None:
    """Connected means: one relay is usable. Without any it is False at the end of the time."""
    relay, hole = AuthRelay(), BlackHole()
    async with running(relay, hole) as urls:
        async with desk(urls) as here:
            assert await here.pool.wait_connected(5)
        async with desk([hole.url]) as here:
            assert not await here.pool.wait_connected(0.05)
            here.pool.subscribe("s", [NOTES])
            assert not await here.pool.wait_eose("s", 0.05)


async def test_addresses() -> None:
    """One relay has one line, however it is spelled; what is no address is refused with a hint; a relay can be added later."""
    relay, other = Relay(), Relay()
    relay.stored.append(note("here"))
    other.stored.append(note("there"))
    async with running(relay, other) as urls, desk([urls[0], urls[0].upper().replace("WS", "ws") + "/"]) as here:
        here.pool.subscribe("s", [NOTES])
        assert await here.pool.wait_eose("s", 5)
        await here.pool.ensure([urls[1], urls[0] + "/"])
        await until(lambda: here.contents() == ["here", "there"])
        assert [state.url for state in here.pool.states()] == urls
        with pytest.raises(UsageError, match="not the address"):
            await here.pool.ensure(["https://example.com"])
        only = here.pool.publish(note("only there", by=9), urls=[urls[1] + "/"])
        assert await only.accepted(5) == urls[1]
        assert relay.said("EVENT") == []
    with pytest.raises(UsageError, match="not the address"):
        Desk(["nonsense"])


async def test_no_relay_at_all() -> None:
    """A pool without relays says so at once."""
    async with desk([]) as here:
        with pytest.raises(NoRelay, match="there is no relay to publish to"):
            await here.pool.publish(note("new", by=9)).accepted(5)


async def test_subscriptions_that_do_not_exist() -> None:
    """Waiting for what was never asked is a mistake of the caller."""
    async with desk([]) as here:
        with pytest.raises(ValueError, match="no subscription 's'"):
            here.pool.publish(note("new", by=9), after="s")
        with pytest.raises(ValueError, match="no subscription 's'"):
            await here.pool.wait_eose("s", 5)
        with pytest.raises(ValueError, match="at least one filter"):
            here.pool.subscribe("s", [])
        here.pool.unsubscribe("s")


async def test_unsubscribe() -> None:
    """After it nothing is delivered, CLOSE is said, and the same id can be used for something else, from the beginning."""
    relay = Relay()
    relay.stored.append(note("stored"))
    async with running(relay) as urls, desk(urls) as here:
        here.pool.subscribe("s", [NOTES])
        assert await here.pool.wait_eose("s", 5)
        here.pool.unsubscribe("s")
        here.pool.subscribe("s", [NOTES])
        assert await here.pool.wait_eose("s", 5)
        assert here.contents() == ["stored", "stored"]
        assert [message[0] for message in relay.heard] == ["REQ", "CLOSE", "REQ"]


async def test_replaced_filters() -> None:
    """The same id with other filters asks for those; what was delivered is not delivered again."""
    relay = Relay()
    relay.stored += [note("one"), note("seven", kind=7)]
    async with running(relay) as urls, desk(urls) as here:
        here.pool.subscribe("s", [NOTES])
        assert await here.pool.wait_eose("s", 5)
        here.pool.subscribe("s", [NOTES, Filter(kinds=(7,))])
        assert await here.pool.wait_eose("s", 5)
        assert here.contents() == ["one", "seven"]


# Dead and lazy relays


async def test_black_hole_delays_nothing() -> None:
    """With one of three relays dead, EOSE and publishing do not wait for it: an hour of patience is not used."""
    one, two, hole = Relay(), Relay(), BlackHole()
    patient = Options(connect_timeout=3600.0, close_timeout=0.5)
    async with running(one, two, hole) as urls, desk(urls, patient) as here, asyncio.timeout(10):
        here.pool.subscribe("s", [NOTES])
        assert await here.pool.wait_eose("s", 3600)
        publication = here.pool.publish(note("new", by=9), after="s")
        assert await publication.accepted(3600) in (one.url, two.url)
        await until(lambda: len(here.repeats) == 1)
        assert here.contents() == ["new"]
        assert here.state(2) is State.CONNECTING
        assert publication.answers[hole.url] == PublishAnswer(None, "")


async def test_mute_relay_delays_nothing() -> None:
    """A relay that opens and never says a word holds up nobody, and is named where nobody else took the event."""
    one, mute = Relay(), MuteRelay()
    async with running(one, mute) as urls, desk(urls) as here, asyncio.timeout(10):
        here.pool.subscribe("s", [NOTES])
        assert await here.pool.wait_eose("s", 3600)
        assert await here.pool.publish(note("new", by=9), after="s").accepted(3600) == one.url
        await until(lambda: here.state(1) is State.OPEN)
        publication = here.pool.publish(note("only there", by=9), urls=[mute.url])
        with pytest.raises(NoRelay, match="no answer"):
            await publication.accepted(0.05)


async def test_everyone_has_a_reason() -> None:
    """Where no relay takes an event, the error names the reason of each; a refusal by all is known at once."""
    refusing, gone = RefusingRelay(), Relay()
    async with running(gone):
        pass
    async with running(refusing) as urls:
        async with desk([*urls, gone.url]) as here:
            await until(lambda: here.pool.states()[1].reason)
            publication = here.pool.publish(note("new", by=9))
            await until(lambda: publication.answers[refusing.url].ok is False)
            with pytest.raises(NoRelay) as failure:
                await publication.accepted(0.05)
            assert f"{refusing.url}: blocked: not here" in failure.value.message
            assert f"{gone.url}: connection refused" in failure.value.message
        async with desk(urls) as here:
            with pytest.raises(NoRelay, match="blocked: not here"):
                await here.pool.publish(note("new", by=9)).accepted(3600)


async def test_one_relay_is_enough() -> None:
    """When two of three relays go away in the middle, the third carries on, and what comes back is used again."""
    relays = [Relay(), Relay(), Relay()]
    async with running(*relays) as urls, desk(urls) as here:
        here.pool.subscribe("s", [NOTES])
        assert await here.pool.wait_eose("s", 5)
        await relays[0].stop()
        await relays[1].stop()
        await until(lambda: here.state(0) not in (State.OPEN, State.AUTHENTICATED))
        publication = here.pool.publish(note("on one", by=9), after="s")
        assert await publication.accepted(5) == relays[2].url
        await relays[0].start()
        await relays[1].start()
        await until(lambda: publication.complete)
        assert all(answer.ok for answer in publication.answers.values())
        await until(lambda: here.contents() == ["on one"] and len(here.repeats) == 2)


async def test_restart_on_the_same_port() -> None:
    """After a restart the subscription is asked again and delivers; an event published in between arrives after that EOSE."""
    relay = AuthRelay()
    async with running(relay) as urls, desk(urls) as here:
        here.pool.subscribe("s", [NOTES])
        assert await here.pool.wait_eose("s", 5)
        await relay.stop()
        await until(lambda: here.state() is not State.AUTHENTICATED)
        publication = here.pool.publish(note("while it was away", by=9), after="s")
        relay.heard.clear()
        await relay.start()
        assert await publication.accepted(10) == relay.url
        await until(lambda: here.contents() == ["while it was away"])
        relay.broadcast(note("live again"))
        await until(lambda: here.contents() == ["while it was away", "live again"])
        assert [message[0] for message in relay.heard][-2:] == ["REQ", "EVENT"]


async def test_closed_in_the_middle_of_the_stored_events() -> None:
    """A relay that hangs up after the first stored event is asked again for all of them; nothing is lost, nothing comes twice."""
    relay = ClosingRelay(times=2)
    relay.stored += [note("one"), note("two"), note("three")]
    async with running(relay) as urls, desk(urls) as here:
        here.pool.subscribe("s", [NOTES])
        assert await here.pool.wait_eose("s", 10)
        assert here.contents() == ["one", "two", "three"]
        assert relay.connections == 3


async def test_filters_of_the_moment() -> None:
    """A function is asked for the filters anew for every connection."""
    relay = Relay()
    kinds = [(1,), (7,)]
    async with running(relay) as urls, desk(urls) as here:
        here.pool.subscribe("s", lambda: [Filter(kinds=kinds[min(relay.connections, 2) // 2])])
        assert await here.pool.wait_eose("s", 5)
        relay.peers[0].hang_up()
        await until(lambda: len(relay.said("REQ")) == 2)
        assert [message[2] for message in relay.said("REQ")] == [{"kinds": [1]}, {"kinds": [7]}]


async def test_an_event_that_is_too_big_for_a_relay() -> None:
    """A relay that closes with 1009 has answered; the connection after that is used for the rest."""
    relay = SmallRelay()
    async with running(relay) as urls, desk(urls) as here:
        with pytest.raises(NoRelay, match="too big for this relay"):
            await here.pool.publish(note("x" * 10_000, by=9)).accepted(10)
        assert await here.pool.publish(note("small", by=9)).accepted(10) == relay.url


async def test_forget() -> None:
    """What nobody waits for any more is not sent again; another publication of the same event keeps it."""
    relay = MuteRelay()
    async with running(relay) as urls, desk(urls) as here:
        first, second = here.pool.publish(note("new", by=9)), here.pool.publish(note("new", by=9))
        await until(lambda: len(relay.said("EVENT")) == 1)
        here.pool.forget(first)
        relay.peers[0].hang_up()
        await until(lambda: len(relay.said("EVENT")) == 2)
        here.pool.forget(second)
        here.pool.forget(second)
        relay.peers[0].hang_up()
        await until(lambda: relay.connections == 3)
        last = note("last", by=9)
        here.pool.publish(last)
        await until(lambda: len(relay.said("EVENT")) == 3)
        assert relay.said("EVENT")[-1][1] == json.loads(encode(last))


# Duplicates, forgeries, garbage


async def test_three_relays_one_delivery() -> None:
    """What three relays have is delivered once; each further copy is told as a repetition."""
    relays = [Relay(), Relay(), Relay()]
    stored = [note(f"stored {number}") for number in range(50)]
    for relay in relays:
        relay.stored += stored
    async with running(*relays) as urls, desk(urls) as here:
        here.pool.subscribe("s", [NOTES])
        await until(lambda: len(here.eose) == 3)
        assert sorted(here.contents()) == sorted(event.content for event in stored)
        assert sorted(event_id for event_id, _ in here.repeats) == sorted([event.id for event in stored] * 2)


async def test_two_subscriptions_both_get_an_event() -> None:
    """*Delivered* is the pair of subscription and event."""
    relay = Relay()
    relay.stored.append(note("both"))
    async with running(relay) as urls, desk(urls) as here:
        here.pool.subscribe("a", [NOTES])
        here.pool.subscribe("b", [Filter(authors=(signer(1).pubkey.hex(),))])
        await until(lambda: len(here.eose) == 2)
        assert sorted((sub, content) for sub, content, _ in here.events) == [("a", "both"), ("b", "both")]


async def test_a_forgery_does_not_hide_the_genuine_event() -> None:
    """A relay that sends another text under a true id cannot make us ignore the event itself, before or after it."""
    true = note("genuine")
    liar = SpeakingRelay(lambda sub: [frame(sub, forged(true, "forged")), eose(sub), frame(sub, forged(true, "forged again"))])
    honest = Relay()
    async with running(liar, honest) as urls, desk(urls) as here:
        here.pool.subscribe("s", [NOTES])
        await until(lambda: len(here.eose) == 2)
        honest.broadcast(true)
        await until(lambda: here.contents() == ["genuine"])
        assert here.events[0][2] == honest.url


async def test_an_id_inside_the_text_hides_nothing() -> None:
    """An event that quotes the id of a delivered one, in any spelling, is delivered itself."""
    known = note("known")
    quote = note('{"id":"' + known.id + '"} "id":"' + known.id + '"', tags=(("id", known.id), ("e", known.id)))
    odd = encode(note("odd")).replace(b'"id"', b'"\\u0069d"')
    texts = [frame("s", known), frame("s", quote), b'["EVENT","s",' + odd + b"]", eose("s")]
    relay = SpeakingRelay(lambda sub: texts)
    async with running(relay) as urls, desk(urls) as here:
        here.pool.subscribe("s", [NOTES])
        assert await here.pool.wait_eose("s", 5)
        assert here.contents() == ["known", quote.content, "odd"]


async def test_what_matches_no_filter_is_dropped() -> None:
    """A genuine event that was not asked for is not delivered."""
    sent = (note("seven", kind=7), note("old", at=5), note("good"))
    relay = SpeakingRelay(lambda sub: [*(frame(sub, event) for event in sent), eose(sub)])
    async with running(relay) as urls, desk(urls) as here:
        here.pool.subscribe("s", [Filter(kinds=(1,), since=NOW)])
        assert await here.pool.wait_eose("s", 5)
        assert here.contents() == ["good"]


FLOODS = {
    "garbage": lambda sub: [b"\xff\x00 garbage"] * 200,
    "forgeries": lambda sub: [frame(sub, forged(note("true"), f"forged {number}")) for number in range(200)],
    "bad ids": lambda sub: [frame(sub, Forged(f"{number:064x}", created_at=NOW)) for number in range(200)],
    "no events": lambda sub: [f'["EVENT","{sub}",{{"id":{number}}}]'.encode() for number in range(200)],
    "unasked": lambda sub: [frame(sub, note(f"{number}", kind=7)) for number in range(200)],
    "other subscriptions": lambda sub: [frame("theirs", note("same"))] * 200,
    "notices": lambda sub: [b'["NOTICE","buy now"]'] * 200,
    "challenges": lambda sub: [json.dumps(["AUTH", f"{number}"]).encode() for number in range(200)],
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_ends_the_connection(flood: str) -> None:
    """A relay that floods us with what nobody asked for is cut off with a reason and tried again later; the others go on."""
    bad, good = SpeakingRelay(lambda sub: [*FLOODS[flood](sub), eose(sub)]), Relay()
    async with running(bad, good) as urls, desk(urls, Options(backoff_base=1000.0, backoff_cap=1000.0, close_timeout=0.5)) as here:
        here.pool.subscribe("s", [NOTES])
        await until(lambda: here.state(0) is State.WAITING and ("s", good.url) in here.eose)
        assert "garbage or events that nobody asked for" in here.pool.states()[0].reason
        assert bad.connections == 1
        assert len(bad.said("AUTH")) <= 8
        good.broadcast(note("good"))
        await until(lambda: here.contents() == ["good"])


async def test_a_receiver_that_fails() -> None:
    """An exception of the receiver is reported to the loop, and the next event is delivered."""
    relay = Relay()
    relay.stored += [note("one"), note("two")]
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["exception"]))
    async with running(relay) as urls, desk(urls) as here:
        failure = RuntimeError("the receiver's fault")
        here.failures.append(failure)
        here.pool.subscribe("s", [NOTES])
        assert await here.pool.wait_eose("s", 5)
        assert here.contents() == ["two"]
        assert reported == [failure]


# The real relay


async def test_nexus(tmp_path: Path) -> None:
    """Two people meet on a real Nexus, which wants AUTH for everything: a targeted event goes from one to the other."""
    server = await serve(NexusConfig(port=0), tmp_path)
    now = int(time.time())
    try:
        async with desk([server.url], clock=now) as alice, desk([server.url], signers=(signer(2),), clock=now) as bob:
            me = signer(2).pubkey.hex()
            bob.pool.subscribe("mine", [Filter(kinds=(5050,), tags={"p": (me,)})])
            assert await bob.pool.wait_eose("mine", 10)
            sent = alice.pool.publish(note("what is 2+2?", by=9, kind=5050, at=now, tags=(("p", me),)))
            assert await sent.accepted(10) == server.url
            await until(lambda: bob.contents() == ["what is 2+2?"])
            assert (alice.state(), bob.state()) == (State.AUTHENTICATED, State.AUTHENTICATED)
    finally:
        await server.aclose()
