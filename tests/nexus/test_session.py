"""One connection's conversation, without a socket."""

from __future__ import annotations

import json as stdlib_json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.nexus import session as module
from pylon.nexus.session import AUTH_REQUIRED, Action, End, Open, Say, Session, Take
from pylon.nostr.event import Draft, VerifiedEvent, sign
from pylon.nostr.filter import Filter
from tests.forge import encode
from tests.nexus.client import ALICE, BOB, NOW, hex_key, key, note

CHALLENGE = "c" * 64
URL = "ws://127.0.0.1:7777"
ID = "ab" * 32


def auth_event(
    *, challenge: str | None = CHALLENGE, relay: str | None = URL, kind: int = 22242, created_at: int = NOW, number: int = 1
) -> VerifiedEvent:
    """An AUTH event whose fields can be wrong one by one; None leaves a tag out."""
    tags = tuple((name, value) for name, value in (("relay", relay), ("challenge", challenge)) if value is not None)
    return sign(Draft(kind, created_at, "", tags), key(number))


def session(*, authenticated: bool = True) -> Session:
    """A session that knows two names of its relay."""
    one = Session(CHALLENGE, frozenset({URL, "wss://relay.example.org"}))
    if authenticated:
        assert said(one.receive(b'["AUTH",' + encode(auth_event()) + b"]", NOW))[2] is True
    return one


def said(action: Action) -> list[object]:
    """The message of an action that says something."""
    assert isinstance(action, Say)
    message = orjson.loads(action.text)
    assert isinstance(message, list)
    return message


def ask(one: Session, *message: object) -> Action:
    """Tell the session one message."""
    return one.receive(orjson.dumps(message), NOW)


def test_the_challenge_comes_first() -> None:
    """NIP-42: the relay sends `["AUTH", challenge]`."""
    assert orjson.loads(session(authenticated=False).hello()) == ["AUTH", CHALLENGE]


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (auth_event(kind=22241), "kind"),
        (auth_event(challenge="d" * 64), "challenge"),
        (auth_event(challenge=CHALLENGE.upper()), "challenge"),
        (auth_event(challenge=""), "challenge"),
        (auth_event(challenge=None), "challenge"),
        (auth_event(relay=None), "relay"),
        (auth_event(relay=""), "relay"),
        (auth_event(relay="ws://127.0.0.1:7778"), "relay"),
        (auth_event(relay="ws://127.0.0.1"), "relay"),
        (auth_event(relay="ws://evil.example.org"), "relay"),
        (auth_event(relay="wss://relay.example.org.evil.org"), "relay"),
        (auth_event(created_at=NOW - 601), "created_at"),
        (auth_event(created_at=NOW + 601), "created_at"),
    ],
)
def test_each_field_of_an_auth_is_checked(event: VerifiedEvent, why: str) -> None:
    """Kind, challenge, relay and time: one that is wrong is answered by an OK that says so, and authenticates nobody."""
    one = session(authenticated=False)
    answer = said(ask(one, "AUTH", orjson.loads(encode(event))))
    assert answer[:3] == ["OK", event.id, False]
    assert str(answer[3]).startswith("auth-required: ")
    assert why in str(answer[3])
    assert one.authenticated == set()


@pytest.mark.parametrize("field", ["id", "pubkey", "sig", "created_at", "content"])
def test_an_auth_must_be_signed(field: str) -> None:
    """An AUTH whose id or signature does not hold, or that was changed in any field, authenticates nobody."""
    one = session(authenticated=False)
    forged = orjson.loads(encode(auth_event()))
    other = orjson.loads(encode(auth_event(number=2)))
    forged[field] = {"created_at": NOW + 1, "content": "x"}.get(field) or other[field]
    answer = said(ask(one, "AUTH", forged))
    assert answer[:3] == ["OK", forged["id"], False]
    assert str(answer[3]).startswith("auth-required: ")
    assert one.authenticated == set()


def test_a_malformed_auth_gets_an_ok_too() -> None:
    """Every AUTH gets an OK, as far as it has an id."""
    one = session(authenticated=False)
    assert said(ask(one, "AUTH", {"id": ID}))[:3] == ["OK", ID, False]
    assert said(ask(one, "AUTH", {}))[0] == "OK"
    assert said(ask(one, "AUTH", "challenge"))[0] == "NOTICE"
    assert said(ask(one, "AUTH"))[0] == "NOTICE"


@pytest.mark.parametrize("relay", [URL, URL + "/", "WS://127.0.0.1:7777", "wss://relay.example.org", "wss://RELAY.example.org:443/"])
def test_spellings_of_our_names_are_one(relay: str) -> None:
    """NIP-42: "URL normalization techniques can be applied"."""
    one = session(authenticated=False)
    event = auth_event(relay=relay)
    assert said(ask(one, "AUTH", orjson.loads(encode(event)))) == ["OK", event.id, True, f"auth accepted for {event.pubkey}"]


@pytest.mark.parametrize("created_at", [NOW - 600, NOW, NOW + 600])
def test_ten_minutes_are_close_enough(created_at: int) -> None:
    """NIP-42: "the event created_at is close (e.g. within ~10 minutes) of the current time"."""
    assert said(ask(session(authenticated=False), "AUTH", orjson.loads(encode(auth_event(created_at=created_at)))))[2] is True


def test_several_keys_authenticate() -> None:
    """NIP-42: relays "MUST accept multiple pubkeys"; a failed AUTH takes nothing away."""
    one = session(authenticated=False)
    for number in (1, 2, 1):
        assert said(ask(one, "AUTH", orjson.loads(encode(auth_event(number=number)))))[2] is True
    assert said(ask(one, "AUTH", orjson.loads(encode(auth_event(challenge="no", number=3)))))[2] is False
    assert one.authenticated == {hex_key(ALICE), hex_key(BOB)}


def test_keys_of_one_connection_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One key more than MAX_KEYS is refused; those that are known may come again."""
    monkeypatch.setattr(module, "MAX_KEYS", 2)
    one = session()
    assert said(ask(one, "AUTH", orjson.loads(encode(auth_event(number=2)))))[2] is True
    assert said(ask(one, "AUTH", orjson.loads(encode(auth_event(number=3)))))[2] is False
    assert said(ask(one, "AUTH", orjson.loads(encode(auth_event(number=1)))))[2] is True


def test_nothing_before_auth() -> None:
    """Before AUTH: EVENT gets OK false, REQ and COUNT get CLOSED, NEG-OPEN gets NEG-ERR, each with `auth-required:`."""
    one = session(authenticated=False)
    event = note()
    assert said(ask(one, "EVENT", orjson.loads(encode(event)))) == ["OK", event.id, False, AUTH_REQUIRED]
    assert said(ask(one, "REQ", "a", {})) == ["CLOSED", "a", AUTH_REQUIRED]
    assert said(ask(one, "REQ", "a", {"bad": 1})) == ["CLOSED", "a", AUTH_REQUIRED]
    assert said(ask(one, "COUNT", "a", {})) == ["CLOSED", "a", AUTH_REQUIRED]
    assert said(ask(one, "NEG-OPEN", "a", {}, "61")) == ["NEG-ERR", "a", AUTH_REQUIRED]
    assert said(ask(one, "EVENT", {"id": ID})) == ["OK", ID, False, AUTH_REQUIRED]
    assert said(ask(one, "EVENT", {"id": ID}, "too", "many")) == ["OK", ID, False, AUTH_REQUIRED]
    assert said(one.receive(b'["EVENT",{"\\u0069d":"' + ID.encode() + b'"}]', NOW)) == ["OK", ID, False, AUTH_REQUIRED]
    assert said(ask(one, "EVENT", {"id": "A" * 64})) == ["OK", "A" * 64, False, AUTH_REQUIRED]
    assert said(ask(one, "EVENT", {"id": "long" * 1000}))[:2] == ["OK", "long" * 32]
    assert said(ask(one, "EVENT", {})) == ["NOTICE", AUTH_REQUIRED]
    assert ask(one, "CLOSE", "a") == End("a")


def test_event_is_taken_with_its_bytes() -> None:
    """An EVENT is taken unread, however it is spelled."""
    raw = b"  " + encode(note()).replace(b",", b" , ")
    for head in (b'["EVENT",', b' [ "EVENT" , ', b'["\\u0045VENT",'):
        assert session().receive(head + raw + b"]", NOW) == Take()


@pytest.mark.parametrize("name", ["a", "x" * 64, "\u20bf" * 64, 'quote " and \\', "\x00", "\u202e"])
def test_subscription_ids(name: str) -> None:
    """ "<subscription_id> is an arbitrary, non-empty string of max length 64 chars": characters, not bytes."""
    assert ask(session(), "REQ", name, {"kinds": [1]}) == Open(name, (Filter(kinds=(1,)),))


@pytest.mark.parametrize("name", ["", "x" * 65, "\u20bf" * 65, 1, None, ["a"], {}])
def test_bad_subscription_ids(name: object) -> None:
    """Any other is answered by a NOTICE, since there is no name to close."""
    assert said(ask(session(), "REQ", name, {}))[0] == "NOTICE"
    assert said(ask(session(), "CLOSE", name))[0] == "NOTICE"
    assert said(ask(session(), "COUNT", name, {}))[0] == "NOTICE"


@pytest.mark.parametrize(
    "wanted",
    [
        [], [1], [None], ["x"], [[]], [{"ids": "x"}], [{"ids": ["x"]}], [{"ids": ["AB" * 32]}], [{"authors": [1]}], [{"kinds": ["1"]}],
        [{"kinds": [1.5]}], [{"kinds": [-1]}], [{"kinds": [65536]}], [{"since": "x"}], [{"until": -1}], [{"limit": -1}], [{"limit": 1.5}],
        [{"#e": ["x"]}], [{"#p": [None]}], [{"#t": "x"}], [{"search": "x"}], [{"kinds": [1]}, {"limit": []}], [{"since": 2**63}],
    ],
)  # fmt: skip
def test_bad_filters_are_closed(wanted: list[object]) -> None:
    """A REQ that cannot be answered as it was meant is answered by CLOSED with a reason."""
    one = session()
    answer = said(ask(one, "REQ", "a", *wanted))
    assert answer[:2] == ["CLOSED", "a"]
    assert str(answer[2]).split(": ")[0] in ("invalid", "unsupported")


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"{}", b"null", b"1", b'"REQ"', b"[]", b"[1]", b"[null]", b'["REQ"]', b'["NOPE"]', b'["NOPE","a"]', b'["EVENT"]',
        b'["EVENT",1]', b'["EVENT",[]]', b'["REQ","a",{}', b'["REQ","a",{}]]', b"\xff\xfe", b'["REQ","\xff",{}]', b'["REQ","\\ud800",{}]',
        b'["CLOSE"]', b'["CLOSE",1]', b'["AUTH"]', b"[" * 20000, b'["REQ","a"' + b',{"limit":' * 3000, b'["' + b"x" * 70000 + b'"]',
        b'["COUNT"]', b'["COUNT",1]', b'["NEG-OPEN","\\ud800"]',
    ],
)  # fmt: skip
def test_garbage_gets_a_notice(text: bytes) -> None:
    """What is no message of NIP-01 is answered by a NOTICE, whatever it is."""
    assert said(session().receive(text, NOW))[0] == "NOTICE"


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes(text: bytes) -> None:
    """Whatever is sent, there is one action and no exception."""
    assert isinstance(session(authenticated=False).receive(text, NOW), Say | Take | Open | End)


NAMES = ["ids", "kinds", "#p", "limit", "id", "x"]
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([ID, "kinds", "#e", "limit"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
)


@given(st.sampled_from(["EVENT", "REQ", "CLOSE", "AUTH", "COUNT", "NEG-OPEN", "x"]), st.lists(json, max_size=4), st.booleans())
def test_any_message(verb: str, rest: list[object], authenticated: bool) -> None:
    """Any JSON in the form of a message is answered, before and after AUTH; before it, nothing is taken and nothing opened."""
    one = session(authenticated=authenticated)
    action = one.receive(stdlib_json.dumps([verb, *rest]).encode(), NOW)
    assert isinstance(action, Say | Take | Open | End if authenticated else Say | End)


def test_numbers_without_bound() -> None:
    """1e400 and integers of any length in a filter are refused, not computed with."""
    for number in (b"1e400", b"1" * 5000, b"-0.0", b"1e2", b"NaN", b"Infinity"):
        answer = said(session().receive(b'["REQ","a",{"since":' + number + b"}]", NOW))
        assert answer[0] in ("CLOSED", "NOTICE")


def test_duplicate_keys_of_a_filter() -> None:
    """The last of two equal keys counts, as in every JSON library that a client may use."""
    assert session().receive(b'["REQ","a",{"kinds":[1],"kinds":[2]}]', NOW) == Open("a", (Filter(kinds=(2,)),))


def test_verbs_that_are_not_spoken() -> None:
    """COUNT is refused by CLOSED (NIP-45), negentropy by NEG-ERR (NIP-77)."""
    assert said(ask(session(), "COUNT", "a", {}))[:2] == ["CLOSED", "a"]
    assert said(ask(session(), "NEG-OPEN", "a", {}, "61"))[:2] == ["NEG-ERR", "a"]


def test_limits_of_a_req(monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters of a REQ, their values, and subscriptions are bounded; a REQ in the place of another counts once."""
    one = session()
    assert isinstance(ask(one, "REQ", "a", *[{}] * module.MAX_FILTERS), Open)
    assert said(ask(one, "REQ", "b", *[{}] * (module.MAX_FILTERS + 1)))[:2] == ["CLOSED", "b"]
    many = [f"{number:064x}" for number in range(module.MAX_VALUES + 1)]
    assert isinstance(ask(one, "REQ", "c", {"ids": many[:-1]}), Open)
    assert said(ask(one, "REQ", "d", {"#e": many}))[:2] == ["CLOSED", "d"]
    assert said(ask(one, "REQ", "d", {"#e": many[: len(many) // 2]}, {"ids": many[len(many) // 2 :]}))[:2] == ["CLOSED", "d"]
    for number in range(module.MAX_SUBSCRIPTIONS - 2):
        assert isinstance(ask(one, "REQ", f"s{number}", {}), Open)
    assert str(said(ask(one, "REQ", "one more", {}))[2]).startswith("blocked: ")
    assert isinstance(ask(one, "REQ", "a", {}), Open)
    ask(one, "CLOSE", "a")
    assert isinstance(ask(one, "REQ", "one more", {}), Open)


def test_values_of_a_connection_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """All subscriptions of a connection together have a bounded number of values; replacing one frees its own."""
    monkeypatch.setattr(module, "MAX_CONNECTION_VALUES", 10)
    one = session()
    assert isinstance(ask(one, "REQ", "a", {"kinds": [*range(8)]}), Open)
    assert said(ask(one, "REQ", "b", {"kinds": [1, 2, 3]}))[0] == "CLOSED"
    assert isinstance(ask(one, "REQ", "a", {"kinds": [1]}), Open)
    assert isinstance(ask(one, "REQ", "b", {"kinds": [*range(9)]}), Open)
