"""The session as tables: what is heard, what is said then, what was learned. No socket, no clock."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon._native import Signer
from pylon.nostr.event import Draft, VerifiedEvent, check, load, sign
from pylon.nostr.filter import Filter
from pylon.nostr.happening import (
    Accepted,
    Authenticated,
    AuthFailed,
    EventsArrived,
    Happening,
    Rejected,
    SubscriptionClosed,
)
from pylon.nostr.message import Eose, Notice, deliver, deliver_head
from pylon.nostr.nip42 import check_auth
from pylon.nostr.outbox import MAX_OUTBOX
from pylon.nostr.said import MAX_REASON, OVERLAP
from pylon.nostr.session import Session
from tests.forge import Forged, encode

NOW = 1_800_000_000
URL = "ws://127.0.0.1:7777"
ALICE = Signer((1).to_bytes(32, "big"))
BOB = Signer((2).to_bytes(32, "big"))
NOTES = Filter(kinds=(1,))
REFUSED = "auth-required: who are you?"


def note(text: str, at: int = NOW) -> VerifiedEvent:
    """A signed note."""
    return sign(Draft(1, at, text), ALICE)


class Talk:
    """A session with an open connection, in the words of the wire."""

    def __init__(self, *signers: Signer, opened: bool = True) -> None:
        self.session = Session(URL, signers or (ALICE,))
        self.now = NOW
        self.auths: list[str] = []
        if opened:
            self.session.opened(NOW)

    def said(self) -> list[object]:
        """What the session says now; of an AUTH, which is checked, only the name, of an EVENT the name and the content."""
        texts: list[object] = []
        while data := self.session.data_to_send():
            for text in data:
                name, *rest = json.loads(text)
                if name == "AUTH":
                    self.auths.append(check(json.dumps(rest[0]).encode()).id)
                    texts.append("AUTH")
                elif name == "EVENT":
                    texts.append(["EVENT", rest[0]["content"]])
                else:
                    texts.append([name, *rest])
        return texts

    def hear(self, *messages: object) -> list[object]:
        """The relay says `messages` (bytes go as they are); what is said then."""
        self.session.receive([one if isinstance(one, bytes) else json.dumps(one).encode() for one in messages], self.now)
        return self.said()

    def accept_auth(self) -> list[object]:
        """The relay accepts the last AUTH."""
        return self.hear(["OK", self.auths[-1], True, ""])

    def learned(self) -> list[Happening]:
        """What was learned since the last time."""
        return self.session.happenings()

    def reconnect(self, after: int = 60) -> list[object]:
        """The connection ends and another one opens `after` seconds later; what is said then."""
        self.session.closed()
        self.now += after
        self.session.opened(self.now)
        return self.said()


# NIP-01


def test_nothing_is_said_without_a_connection() -> None:
    """What is asked before the connection is there waits for it."""
    talk = Talk(opened=False)
    talk.session.subscribe("s", [NOTES])
    talk.session.publish(note("hello"))
    assert talk.said() == []
    talk.session.opened(NOW)
    assert talk.said() == [["REQ", "s", {"kinds": [1]}], ["EVENT", "hello"]]
    assert talk.said() == []


@pytest.mark.parametrize("extra", [[], [["finish"]], [["more", "never heard of"]], [7]])
def test_eose_with_two_or_three_elements(extra: list[object]) -> None:
    """EOSE is understood with and without the hints of NIP-67, once for each REQ, and only for what was asked."""
    talk = Talk()
    talk.session.subscribe("s", [NOTES])
    talk.said()
    talk.hear(["EOSE", "other"], ["EOSE", "s", *extra], ["EOSE", "s"])
    assert [one.sub for one in talk.learned() if isinstance(one, Eose)] == ["s"]
    assert talk.session.live("s")


def came(learned: list[Happening]) -> list[object]:
    """What was learned; of events that came the subscription and the texts."""
    return [(one.sub, one.texts) if isinstance(one, EventsArrived) else one for one in learned]


def test_events_arrive_in_order() -> None:
    """EVENT is passed on as bytes, unchecked, before the EOSE that follows it: as the whole message, or alone where it is oddly spelled."""
    talk = Talk()
    talk.session.subscribe("s", [NOTES])
    talk.said()
    raw = encode(note("hello"))
    odd = b' [ "EVENT" , "s" , ' + raw + b" ] "
    talk.hear(deliver(deliver_head("s"), raw), odd, b'["EVENT","s",' + raw + b',"more"]', ["EOSE", "s"])
    assert came(talk.learned()) == [("s", [deliver(deliver_head("s"), raw)]), ("s", [raw]), ("s", [raw]), Eose("s")]


def test_events_of_one_subscription_arrive_together() -> None:
    """What follows each other for one subscription is told at once; anything between ends the run, and a later read begins a new one."""
    talk = Talk()
    one, two = (deliver(deliver_head(sub), encode(note("hello"))) for sub in ("one", "two"))
    for sub in ("one", "two"):
        talk.session.subscribe(sub, [NOTES])
    talk.said()
    talk.hear(one, one, two, one, ["NOTICE", "x"], one)
    assert came(talk.learned()) == [("one", [one, one]), ("two", [two]), ("one", [one]), Notice("x"), ("one", [one])]
    talk.hear(one)
    assert came(talk.learned()) == [("one", [one])]


def test_what_was_asked_for_when_an_event_came() -> None:
    """Events of the filters that are replaced cross the new REQ on their way: they are none that nobody asked for."""
    talk = Talk()
    talk.session.subscribe("s", [NOTES])
    talk.said()
    talk.hear(["EOSE", "s"])
    talk.session.subscribe("s", [Filter(kinds=(7,))])
    talk.said()
    talk.learned()
    frame = deliver(deliver_head("s"), encode(note("hello")))
    talk.hear(frame, ["EOSE", "s"], frame)
    crossed, _, late = talk.learned()
    assert isinstance(crossed, EventsArrived)
    assert isinstance(late, EventsArrived)
    assert [bool(one.wanted.match(note("hello"))) for one in (crossed, late)] == [True, False]


@pytest.mark.parametrize(
    ("answer", "learned"),
    [
        ([True, ""], Accepted),
        ([True], Accepted),
        ([True, "duplicate: have it"], Accepted),
        ([False, "duplicate: have it"], Accepted),
        ([False, "blocked: not here"], Rejected),
        ([False, "restricted: not you"], Rejected),
        ([False, "error: out of disk"], Rejected),
        ([False, ""], Rejected),
    ],
)
def test_ok(answer: list[object], learned: type[Accepted | Rejected]) -> None:
    """The first OK for an event counts; a second one and one for an unknown id do not."""
    talk = Talk()
    event = note("hello")
    talk.session.publish(event)
    assert talk.said() == [["EVENT", "hello"]]
    talk.hear(["OK", "0" * 64, True, ""], ["OK", event.id, *answer], ["OK", event.id, True, ""], ["OK", event.id, False, "blocked: no"])
    reason = answer[1] if len(answer) > 1 else ""
    assert [(type(one), one.event_id, one.reason) for one in talk.learned() if isinstance(one, (Accepted, Rejected))] == [
        (learned, event.id, reason)
    ]
    assert talk.reconnect() == []


def test_ok_before_it_was_sent_is_ignored() -> None:
    """A relay cannot answer what it has not been told."""
    talk = Talk(opened=False)
    event = note("hello")
    talk.session.publish(event)
    talk.session.opened(NOW)
    talk.session.receive([json.dumps(["OK", event.id, True, ""]).encode()], NOW)
    assert talk.learned() == []
    assert talk.said() == [["EVENT", "hello"]]


def test_events_are_sent_again_until_they_are_answered() -> None:
    """After a reconnect, what has no answer is sent again and what has one is not; a forgotten event is not sent any more."""
    talk = Talk()
    for text in ("one", "two", "three"):
        talk.session.publish(note(text))
    talk.said()
    talk.hear(["OK", note("two").id, True, ""])
    assert talk.reconnect() == [["EVENT", "one"], ["EVENT", "three"]]
    talk.session.forget(note("three").id)
    assert talk.reconnect() == [["EVENT", "one"]]


def test_an_event_that_is_too_big_does_not_end_every_connection() -> None:
    """Close code 1009 is the answer to the longest event that was sent; the others go out again."""
    talk = Talk()
    for text in ("short", "long " * 100, "another"):
        talk.session.publish(note(text))
    talk.said()
    talk.session.closed(1009)
    talk.session.publish(note("longer, not sent yet " * 100))
    assert talk.learned() == [Rejected(note("long " * 100).id, "invalid: too big for this relay")]
    talk.session.opened(NOW)
    assert [said[1][:8] for said in talk.said() if isinstance(said, list)] == ["short", "another", "longer, "]


def test_publish_after_eose() -> None:
    """With `after`, an event goes out after the EOSE of that subscription, on every connection anew."""
    talk = Talk()
    talk.session.subscribe("s", [NOTES])
    talk.session.publish(note("job"), after="s")
    talk.session.publish(note("other"))
    assert talk.said() == [["REQ", "s", {"kinds": [1]}], ["EVENT", "other"]]
    assert talk.hear(["EOSE", "s"]) == [["EVENT", "job"]]
    assert talk.reconnect()[1:] == [["EVENT", "other"]]
    assert talk.hear(["EOSE", "s"]) == [["EVENT", "job"]]


@pytest.mark.parametrize("reason", ["restricted: not you", "blocked: no", "invalid: filter", "unsupported: this", "auth-required: no key"])
def test_a_final_closed_rejects_what_waits_for_it(reason: str) -> None:
    """Where a subscription can never come alive, an event that waits for its EOSE is rejected, now and later."""
    talk = Talk()
    talk.session = Session(URL, ())
    talk.session.opened(NOW)
    talk.session.subscribe("s", [NOTES])
    talk.session.publish(note("job"), after="s")
    talk.said()
    assert talk.hear(["CLOSED", "s", reason], ["CLOSED", "s", reason], ["CLOSED", "other", reason]) == []
    talk.session.publish(note("second job"), after="s")
    talk.session.publish(note("third job"), after="unknown")
    assert talk.learned() == [
        SubscriptionClosed("s", reason, True),
        Rejected(note("job").id, reason),
        Rejected(note("second job").id, reason),
        Rejected(note("third job").id, "error: there is no such subscription to wait for"),
    ]


@pytest.mark.parametrize("reason", ["error: shutting down", "rate-limited: slow down", "closed", ""])
def test_another_closed_can_be_tried_again(reason: str) -> None:
    """A CLOSED for a passing reason leaves the subscription in the table: asked again when told to, and on the next connection."""
    talk = Talk()
    talk.session.subscribe("s", [NOTES])
    talk.session.publish(note("job"), after="s")
    talk.said()
    assert talk.hear(["CLOSED", "s", reason]) == []
    assert talk.learned() == [SubscriptionClosed("s", reason, False)]
    talk.session.retry("s")
    assert talk.said() == [["REQ", "s", {"kinds": [1]}]]
    assert talk.hear(["EOSE", "s"]) == [["EVENT", "job"]]


def test_unsubscribe() -> None:
    """CLOSE is sent for what is open; events that were on their way then are no offence, and are not passed on."""
    talk = Talk()
    talk.session.subscribe("s", [NOTES])
    talk.session.publish(note("job"), after="s")
    talk.said()
    talk.session.unsubscribe("s")
    talk.session.unsubscribe("s")
    assert talk.said() == [["CLOSE", "s"]]
    talk.hear(*[["EVENT", "s", json.loads(encode(note("late")))]] * 200, ["EOSE", "s"])
    assert [type(one) for one in talk.learned()] == [Rejected]
    assert not talk.session.abusive
    assert talk.reconnect() == []


def test_replaced_filters_are_asked_when_the_first_are_answered() -> None:
    """One REQ of a subscription at a time: the EOSE of the old filters must not pass for that of the new ones."""
    talk = Talk()
    talk.session.subscribe("s", [NOTES])
    talk.said()
    talk.session.subscribe("s", [Filter(kinds=(7,))])
    assert talk.said() == []
    talk.hear(deliver(deliver_head("s"), encode(note("hello"))))
    (arrived,) = talk.learned()
    assert isinstance(arrived, EventsArrived)
    assert [bool(arrived.wanted.match(sign(Draft(kind, NOW), ALICE))) for kind in (1, 7, 8)] == [True, True, False]
    assert talk.hear(["EOSE", "s"]) == [["REQ", "s", {"kinds": [7]}]]
    assert talk.learned() == []
    talk.hear(["EOSE", "s"])
    assert talk.learned() == [Eose("s")]
    talk.session.subscribe("s", [Filter(kinds=(7,))])
    assert talk.said() == [], "the same filters are no news"


def test_replaced_filters_survive_a_closed_of_the_old_ones() -> None:
    """A relay that refuses the old filters has said nothing about the new ones."""
    talk = Talk()
    talk.session.subscribe("s", [NOTES])
    talk.said()
    talk.session.subscribe("s", [Filter(kinds=(7,))])
    assert talk.hear(["CLOSED", "s", "unsupported: kind 1"]) == [["REQ", "s", {"kinds": [7]}]]


# Reconnect


@pytest.mark.parametrize(
    ("asked", "again"),
    [
        ({}, {"since": NOW + 500 - OVERLAP}),
        ({"since": 5}, {"since": NOW + 500 - OVERLAP}),
        ({"limit": 10}, {"limit": 10, "since": NOW + 500 - OVERLAP}),
        ({"since": NOW + 400}, {"since": NOW + 400}),
        ({"until": NOW + 900}, {"until": NOW + 900}),
        ({"ids": ["0" * 64]}, {"ids": ["0" * 64]}),
    ],
)
def test_resubscribe_moves_since_forward(asked: dict[str, object], again: dict[str, object]) -> None:
    """After an EOSE nothing older than what was last heard is asked again, but for an overlap; some filters stay as they are."""
    talk = Talk()
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in asked.items()}
    talk.session.subscribe("s", [Filter(**fields)])  # type: ignore[arg-type] # the table mixes the types of several fields
    assert talk.said() == [["REQ", "s", asked]]
    talk.hear(["EOSE", "s"])
    talk.now = NOW + 500
    talk.hear(["NOTICE", "still here"])
    assert talk.reconnect(5000) == [["REQ", "s", again]]


def test_since_stays_without_eose() -> None:
    """Where the stored events had not all come, they are asked for again."""
    talk = Talk()
    talk.session.subscribe("s", [NOTES])
    talk.said()
    assert talk.reconnect(5000) == [["REQ", "s", {"kinds": [1]}]]
    talk.hear(["EOSE", "s"])
    assert talk.reconnect(5000) == [["REQ", "s", {"kinds": [1], "since": NOW + 5000 - OVERLAP}]]
    assert talk.reconnect(5000) == [["REQ", "s", {"kinds": [1], "since": NOW + 5000 - OVERLAP}]], "no EOSE in between"


def test_since_moves_only_for_filters_that_were_covered() -> None:
    """Of a replaced list, a filter that is new, or reaches back farther, is asked in full."""
    talk = Talk()
    talk.session.subscribe("s", [Filter(kinds=(1,), since=100), Filter(kinds=(2,), since=100)])
    talk.said()
    talk.hear(["EOSE", "s"])
    talk.session.subscribe("s", [Filter(kinds=(1,), since=200), Filter(kinds=(2,), since=50), Filter(kinds=(3,))])
    assert talk.said() == [["REQ", "s", {"kinds": [1], "since": NOW - OVERLAP}, {"kinds": [2], "since": 50}, {"kinds": [3]}]]


def test_a_future_date_does_not_move_since() -> None:
    """`since` follows our clock, never the dates of strangers."""
    talk = Talk()
    talk.session.subscribe("s", [NOTES])
    talk.said()
    talk.hear(["EOSE", "s"], ["EVENT", "s", json.loads(encode(note("from the future", NOW + 10**9)))])
    assert talk.reconnect() == [["REQ", "s", {"kinds": [1], "since": NOW - OVERLAP}]]


# NIP-42: hold and replay


def test_auth_before_anything_was_said() -> None:
    """A challenge that comes first holds everything until its answer has its OK; the AUTH is genuine."""
    talk = Talk(opened=False)
    talk.session.subscribe("s", [NOTES])
    talk.session.opened(NOW)
    talk.session.receive([b'["AUTH","abc"]'], NOW)
    data = talk.session.data_to_send()
    assert len(data) == 1
    name, answer = json.loads(data[0])
    assert name == "AUTH"
    check_auth(check(json.dumps(answer).encode()), "abc", [URL], NOW)
    talk.session.publish(note("hello"))
    assert talk.said() == []
    assert talk.session.authenticating
    assert not talk.session.usable
    assert talk.hear(["OK", answer["id"], True, ""]) == [["REQ", "s", {"kinds": [1]}], ["EVENT", "hello"]]
    assert talk.learned() == [Authenticated(ALICE.pubkey.hex())]
    assert talk.session.authenticated == {ALICE.pubkey.hex()}
    assert talk.session.usable


@pytest.mark.parametrize("order", ["challenge first", "refusal first", "refusal after the OK"])
def test_refused_for_want_of_auth_is_replayed_once(order: str) -> None:
    """Whatever the order of challenge, refusals and OK: REQ and EVENT are said again once, after the OK."""
    talk = Talk()
    talk.session.subscribe("s", [NOTES])
    talk.session.publish(note("hello"))
    both = talk.said()
    refusals: list[object] = [["CLOSED", "s", REFUSED], ["OK", note("hello").id, False, REFUSED]]
    challenge: list[object] = ["AUTH", "abc"]
    if order == "challenge first":
        assert talk.hear(challenge) == ["AUTH"]
        assert talk.hear(*refusals) == []
        assert talk.accept_auth() == both
    elif order == "refusal first":
        assert talk.hear(*refusals) == []
        assert not talk.session.usable
        assert talk.hear(challenge) == ["AUTH"]
        assert talk.accept_auth() == both
    else:
        assert talk.hear(challenge) == ["AUTH"]
        assert talk.accept_auth() == []
        assert talk.hear(*refusals) == both
    assert talk.learned() == [Authenticated(ALICE.pubkey.hex())]
    talk.hear(["EOSE", "s"], ["OK", note("hello").id, True, ""])
    assert talk.learned() == [Eose("s"), Accepted(note("hello").id, "")]


def test_refused_again_after_auth_is_final() -> None:
    """Once for each message and challenge: a relay that goes on refusing gets no third try, whatever it repeats."""
    talk = Talk()
    talk.session.subscribe("s", [NOTES])
    talk.session.publish(note("hello"))
    both = talk.said()
    refusals: list[object] = [["CLOSED", "s", REFUSED], ["OK", note("hello").id, False, REFUSED]]
    talk.hear(["AUTH", "abc"], *refusals)
    assert talk.accept_auth() == both
    assert talk.hear(*refusals, ["AUTH", "abc"], *refusals) == []
    assert talk.learned()[1:] == [SubscriptionClosed("s", REFUSED, True), Rejected(note("hello").id, REFUSED)]
    assert talk.hear(["AUTH", "new challenge"]) == ["AUTH"], "a new challenge signs again"
    assert talk.accept_auth() == [["REQ", "s", {"kinds": [1]}]]


@pytest.mark.parametrize("when", ["before the refusals", "after the refusals"])
def test_failed_auth_ends_what_is_held(when: str) -> None:
    """A failed AUTH is told and ends what was refused; what was never said is said, since the relay may not mind."""
    talk = Talk()
    talk.session.publish(note("early"))
    talk.said()
    refusal: list[object] = ["OK", note("early").id, False, REFUSED]
    talk.hear(["AUTH", "abc"], *([refusal] if when == "after the refusals" else []))
    talk.session.publish(note("late"))
    answer = ["OK", talk.auths[-1], False, "restricted: not on the list"]
    assert talk.hear(answer, *([refusal] if when == "before the refusals" else [])) == [["EVENT", "late"]]
    why = f"{REFUSED} (AUTH was refused: restricted: not on the list)"
    assert talk.learned() == [AuthFailed(ALICE.pubkey.hex(), "restricted: not on the list"), Rejected(note("early").id, why)]
    assert talk.hear(["AUTH", "abc"]) == [], "the same challenge is not answered twice"
    assert not talk.session.usable


def test_restricted_is_no_reason_to_authenticate() -> None:
    """NIP-42: `restricted:` is for clients that have authenticated and are still not allowed."""
    talk = Talk()
    talk.session.publish(note("hello"))
    talk.said()
    talk.hear(["AUTH", "abc"], ["OK", note("hello").id, False, "restricted: not you"])
    assert talk.accept_auth() == []
    assert talk.learned()[0] == Rejected(note("hello").id, "restricted: not you")


def test_every_key_answers() -> None:
    """One AUTH for each key; the replay waits for all their answers, and one accepted key is enough."""
    talk = Talk(ALICE, BOB)
    talk.session.subscribe("s", [NOTES])
    talk.said()
    assert talk.hear(["CLOSED", "s", REFUSED], ["AUTH", "abc"]) == ["AUTH", "AUTH"]
    assert talk.hear(["OK", talk.auths[0], False, "restricted: one key only"]) == []
    assert talk.hear(["OK", talk.auths[1], True, ""]) == [["REQ", "s", {"kinds": [1]}]]
    assert talk.session.authenticated == {BOB.pubkey.hex()}


def test_without_keys() -> None:
    """Without a key there is nothing to answer a challenge with, and a refusal is final."""
    talk = Talk()
    talk.session = Session(URL, ())
    talk.session.opened(NOW)
    talk.session.publish(note("hello"))
    talk.said()
    assert talk.hear(["AUTH", "abc"], ["AUTH", "abc"], ["OK", note("hello").id, False, REFUSED]) == []
    assert talk.learned() == [AuthFailed("", "there is no key to sign with"), Rejected(note("hello").id, REFUSED)]


def test_auth_without_answer() -> None:
    """A relay that never answers AUTH does not hold us for ever: all is said once, and its refusal is final then."""
    talk = Talk()
    talk.session.publish(note("hello"))
    talk.said()
    talk.hear(["AUTH", "abc"], ["OK", note("hello").id, False, REFUSED])
    talk.session.auth_timed_out()
    assert talk.said() == [["EVENT", "hello"]]
    assert talk.hear(["OK", note("hello").id, False, REFUSED]) == []
    assert talk.learned() == [Rejected(note("hello").id, REFUSED)]
    talk.hear(["OK", talk.auths[0], True, ""])
    assert talk.session.authenticated, "the answer may still come"


def test_auth_belongs_to_one_connection() -> None:
    """After a reconnect even the same challenge is answered again, and what was refused under it may be replayed again."""
    talk = Talk()
    talk.session.subscribe("s", [NOTES])
    talk.said()
    talk.hear(["AUTH", "abc"])
    talk.accept_auth()
    assert talk.reconnect() == [["REQ", "s", {"kinds": [1]}]]
    assert talk.session.authenticated == frozenset()
    assert talk.hear(["CLOSED", "s", REFUSED], ["AUTH", "abc"]) == ["AUTH"]
    assert talk.accept_auth() == [["REQ", "s", {"kinds": [1]}]]


def test_a_newer_challenge_replaces_one_without_answer() -> None:
    """"The challenge is valid for the duration of the connection or until another challenge is sent by the relay." """
    talk = Talk()
    talk.session.publish(note("hello"))
    talk.said()
    talk.hear(["OK", note("hello").id, False, REFUSED], ["AUTH", "one"])
    first = talk.auths[-1]
    talk.hear(["AUTH", "two"])
    assert talk.hear(["OK", first, True, ""]) == []
    assert talk.accept_auth() == [["EVENT", "hello"]]


# Hostile relays


def test_a_flood_of_challenges_does_not_make_us_sign_without_end() -> None:
    """A few challenges are answered at once, then one a minute; the others are offences."""
    talk = Talk()
    talk.hear(*(["AUTH", f"challenge {number}"] for number in range(500)))
    assert len(talk.auths) == 8
    assert talk.session.abusive
    talk.now += 60
    talk.hear(*(["AUTH", f"later {number}"] for number in range(500)))
    assert len(talk.auths) == 9


@pytest.mark.parametrize("challenge", ["", "x" * 1025, "x" * 1_000_000])
def test_challenge_length_is_bounded(challenge: str) -> None:
    """A challenge that is empty or huge is not signed."""
    talk = Talk()
    assert talk.hear(["AUTH", challenge]) == []


@pytest.mark.parametrize("challenge", ["\x00", "a\u202eb", "🦊" * 200, "\"\\\n"])
def test_odd_challenges_are_signed(challenge: str) -> None:
    """Any short text is a challenge."""
    assert Talk().hear(["AUTH", challenge]) == ["AUTH"]


def test_notices_are_bounded() -> None:
    """Notices are short, without control characters, and a flood of them is an offence."""
    talk = Talk()
    talk.hear(["NOTICE", "\x1b[31m" + "x" * 10_000])
    (notice,) = talk.learned()
    assert isinstance(notice, Notice)
    assert len(notice.message) == MAX_REASON
    assert notice.message.startswith("\ufffd[31m")
    talk.hear(*[["NOTICE", "again"]] * 1000)
    assert len(talk.learned()) == 15
    assert talk.session.abusive


GARBAGE = [
    b"", b"[]", b"{}", b"null", b"[", b"\xff\xfe", b'["EVENT"]', b'["EVENT","s"]', b'["EVENT","s",1]', b'["EVENT",1,{}]', b'["OK"]', 
    b'["OK","x",true]',
    b'["OK",null,true,""]', b'["EOSE"]', b'["EOSE",{}]', b'["CLOSED"]', b'["NOTICE",7]', b'["AUTH",{}]', b'["AUTH"]', b'["HELLO","s"]', 
    b"[" * 5000,
    b'["EVENT","not ours",{}]', b'["NOTICE","\\ud800"]', b'["AUTH","\\ud800"]', b'"EVENT"', b'[["EVENT","s",{}]]',
]


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_is_counted(text: bytes) -> None:
    """Bytes that mean nothing are never an exception; too many of them make the relay abusive."""
    talk = Talk()
    talk.session.subscribe("s", [NOTES])
    talk.said()
    verdicts = []
    for texts in ([text] * 100, [text]):
        talk.hear(*texts)
        verdicts.append(talk.session.abusive)
    assert talk.learned() == []
    talk.reconnect()
    assert [*verdicts, talk.session.abusive] == [False, True, False], "a new connection, a new chance"


def test_a_little_garbage_is_forgiven_with_time() -> None:
    """One offence in ten seconds is no abuse, for ever."""
    talk = Talk()
    for _ in range(1000):
        talk.now += 10
        talk.hear(b"garbage")
    assert not talk.session.abusive


@given(st.lists(st.binary(max_size=80) | st.sampled_from(GARBAGE) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_any_bytes(texts: list[bytes]) -> None:
    """Whatever a relay says, the session goes on."""
    talk = Talk()
    talk.session.subscribe("s", [NOTES])
    talk.session.publish(note("hello"))
    talk.said()
    talk.hear(*texts)
    talk.learned()
    talk.session.closed()


def test_the_outbox_is_bounded() -> None:
    """A relay that answers nothing does not fill the memory: too many waiting events are refused, and said so."""
    talk = Talk(opened=False)
    for number in range(MAX_OUTBOX + 1):
        talk.session.publish(load(encode(Forged(f"{number:064x}"))))
    assert talk.learned() == [Rejected(f"{MAX_OUTBOX:064x}", "error: too many events wait for this relay")]


def test_data_comes_in_portions() -> None:
    """A long queue is handed out in portions, so that the socket's back-pressure is heard in between."""
    talk = Talk(opened=False)
    for number in range(10):
        talk.session.publish(note(f"{number}" * 30_000))
    talk.session.opened(NOW)
    portions = []
    while data := talk.session.data_to_send():
        portions.append(len(data))
    assert portions == [3, 3, 3, 1]


def test_filters_are_needed() -> None:
    """A REQ without a filter does not exist."""
    with pytest.raises(ValueError, match="one filter"):
        Talk().session.subscribe("s", [])
