"""Relays that misbehave, and relays that are not there: the job ends as it must, nothing is paid to anybody who was not asked."""

from __future__ import annotations

import asyncio

import msgspec

from pylon import _native
from pylon.nostr.event import Draft, VerifiedEvent, sign
from pylon.nostr.nip90 import write_feedback, write_result
from tests.e2e.world import Done, World
from tests.forge import encode
from tests.relay.relays import BlackHole, MuteRelay, Peer, Relay, SpeakingRelay, running, signer

NOWHERE = "ws://127.0.0.1:1"
GARBAGE = [
    b"", b"{}", b"[]", b"not json", b"\x00\x01\x02", b'["EVENT"]', b'["EVENT","answers",{"id":1}]', b'["EVENT","answers",[]]', b"[" * 5000,
    b'["OK"]', b'["OK",1,2,3]', b'["EOSE"]', b'["CLOSED"]', b'["NOTICE",{}]', b'["AUTH"]', b'["AUTH",null]', b'["HELLO","you"]',
    '["NOTICE","\u202e\\u0000\\ud800 😀"]'.encode(), b'["COUNT","answers",{"count":-1e400}]',
]


class ForgingRelay(Relay):
    """Answers a request by itself: with events that the asked provider never signed, that strangers signed, and that nobody asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.forged = 0

    def on_event(self, peer: Peer, event: VerifiedEvent) -> None:
        super().on_event(peer, event)
        if event.kind != 5050:
            return
        provider = event.values("p")[0]
        now = event.created_at
        invoice = _native.bolt11_encode((8).to_bytes(32, "big"), "bcrt", 1000, bytes(32), bytes(32), f"pylon:{event.id}", now, 600, 18)
        quote = write_feedback(event, "payment-required", created_at=now, amount=None, bolt11=invoice)
        result = write_result(event, "You have been paid for.", created_at=now, model="forged")
        for draft in (quote, result):
            theirs = sign(draft, signer(8))
            peer.deliver("answers", theirs)  # well signed, by a stranger
            raw = msgspec.json.decode(encode(theirs), type=dict[str, object])
            for change in ({"pubkey": provider}, {"sig": "00" * 64}, {"content": "changed"}, {"id": "00" * 32}, {"created_at": 0}):
                peer.send(msgspec.json.encode(["EVENT", "answers", {**raw, **change}]))
        peer.deliver("answers", sign(Draft(1, now, "nobody asked for this", ()), signer(8)))
        peer.deliver("no such subscription", sign(quote, signer(8)))
        self.forged += 1


async def _submit(world: World, *words: str) -> Done:
    return await asyncio.to_thread(world.run, "buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--json", *words)


def _nothing_paid(world: World) -> None:
    assert world.spendable("buyer") == 100_000
    assert world.payments("buyer") == []


async def test_forged_answers(world: World) -> None:
    """Offers and results that the provider has not signed are no offers and no results (ancestor: defect 7)."""
    relay = ForgingRelay()
    async with running(relay) as (url,):
        made = await asyncio.to_thread(world.home, "buyer", url, sats=100)
        done = await _submit(world, "--provider", str(made["pubkey"]), "--timeout", "3")
        assert relay.forged == 1
        assert (done.status, done.error["code"]) == (8, "timed_out"), done
        assert (done.document["answer"], done.document["quote_msat"], done.document["refusals"]) == (None, None, [])
        _nothing_paid(world)


async def test_garbage(world: World) -> None:
    """A relay that talks nonsense beside a good one: the job is answered; alone: exit 8 or 5 in time, never a crash."""
    relay = SpeakingRelay(lambda sub: [*GARBAGE, b'["EOSE","' + sub.encode() + b'"]'])
    async with running(relay) as (url,):
        _, good = await asyncio.to_thread(world.nexus)
        await asyncio.to_thread(world.home, "provider", good, url, script='default = "It is 4."\n')
        await asyncio.to_thread(world.home, "buyer", good, url, sats=100)
        await asyncio.to_thread(world.provider, "provider")
        done = await _submit(world)
        assert (done.status, done.document["answer"]) == (0, "It is 4."), done
        assert len(world.payments("buyer")) == 1
        alone = await _submit(world, "--relay", url, "--timeout", "2", "--provider", "ab" * 32)
        assert alone.status in (2, 5, 8), alone
        assert world.spendable("buyer") == 99_000


async def test_silence(world: World) -> None:
    """Relays that open and say nothing, or swallow the connection: exit 5, nothing paid."""
    mute, hole = MuteRelay(), BlackHole()
    async with running(mute, hole) as urls:
        await asyncio.to_thread(world.home, "buyer", *urls, sats=100)
        done = await _submit(world, "--timeout", "2")
        assert (done.status, done.error["code"]) == (5, "no_relay"), done
        _nothing_paid(world)


def test_no_relay(world: World) -> None:
    """Nobody listens there: exit 5, naming doctor; the wallet works all the same."""
    world.home("buyer", NOWHERE, sats=100)
    done = world.run("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--json")
    assert (done.status, done.error["code"]) == (5, "no_relay"), done
    assert "doctor" in done.error["hint"]
    assert done.document["status"] == "withdrawn"
    short = world.run("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--timeout", "0.5")
    assert short.status == 5
    assert short.err.startswith("Error: ")
    _nothing_paid(world)
    looked = world.run("buyer", "doctor")
    assert looked.status == 1
    assert f"fail relay: {NOWHERE}" in looked.out


def test_no_relay_is_configured(world: World) -> None:
    """An empty list: exit 5, at once."""
    world.home("buyer", sats=100)
    done = world.run("buyer", "job", "submit", "What is 2+2?", "--auto-pay", "--json")
    assert (done.status, done.error["code"]) == (5, "no_relay"), done
    _nothing_paid(world)
