"""Messages between client and relay (NIP-01, NIP-42, NIP-67)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon._native import peek_id
from pylon.errors import InvalidEvent, WireError
from pylon.nostr.event import check
from pylon.nostr.filter import Filter
from pylon.nostr.message import (
    Auth,
    BadFilter,
    Challenge,
    ClientMessage,
    Close,
    Closed,
    Deliver,
    Eose,
    Notice,
    Ok,
    Publish,
    RelayMessage,
    Req,
    decode_client,
    decode_relay,
    deliver,
    deliver_head,
    encode,
)
from tests.forge import encode as encode_event
from tests.nostr.people import event
from tests.nostr.test_filter import filters

RAW = encode_event(event(content='"],["'))
ID = event().id
unicode = st.characters(exclude_categories=["Cs"])
texts = st.text(unicode, max_size=80)
subs = st.text(unicode, min_size=1, max_size=64)

client_messages = st.one_of(
    st.just(Publish(RAW)),
    st.just(Auth(RAW)),
    st.builds(Req, subs, st.lists(filters, min_size=1, max_size=3).map(tuple)),
    st.builds(Close, subs),
)
relay_messages = st.one_of(
    st.builds(Deliver, subs, st.just(RAW)),
    st.builds(Ok, st.just(ID), st.booleans(), texts),
    st.builds(Eose, subs, st.lists(texts, max_size=3).map(tuple)),
    st.builds(Closed, subs, texts),
    st.builds(Notice, texts),
    st.builds(Challenge, texts),
)


@given(message=client_messages)
def test_client_round_trip(message: ClientMessage) -> None:
    """What a client encodes a relay decodes."""
    assert decode_client(encode(message)) == message


@given(message=relay_messages)
def test_relay_round_trip(message: RelayMessage) -> None:
    """What a relay encodes a client decodes."""
    assert decode_relay(encode(message)) == message


def test_the_event_stays_as_it_came() -> None:
    """The bytes of an event pass through a message unchanged, white space and all."""
    odd = b'{ "id" :\t"x" , "a":[1e5] }'
    assert decode_client(b' [ "EVENT" , ' + odd + b" ] ") == Publish(odd)
    assert decode_relay(b'["EVENT","s",' + odd + b"]") == Deliver("s", odd)
    assert deliver(deliver_head('quote"'), odd) == b'["EVENT","quote\\"",' + odd + b"]"


@pytest.mark.parametrize(
    ("text", "hints"),
    [
        ('["EOSE","s"]', ()),
        ('["EOSE","s",["finish"]]', ("finish",)),
        ('["EOSE","s",["more","new"]]', ("more", "new")),
        ('["EOSE","s",[]]', ()),
        ('["EOSE","s",null]', ()),
        ('["EOSE","s","finish"]', ()),
        ('["EOSE","s",[1,"finish",{"a":[]}]]', ("finish",)),
        ('["EOSE","s",["finish"],"more to come"]', ("finish",)),
    ],
)
def test_eose_hints(text: str, hints: tuple[str, ...]) -> None:
    """NIP-67: "Clients MUST ignore unknown hint values without error"."""
    assert decode_relay(text.encode()) == Eose("s", hints)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'["OK","{ID}",false]', Ok(ID, False, "")),
        (f'["OK","{ID}",true,"",{{}}]', Ok(ID, True, "")),
        ('["CLOSED","s"]', Closed("s", "")),
        ('["NOTICE","a\\u0000\u202e",1]', Notice("a\x00\u202e")),
    ],
)
def test_relays_are_read_with_patience(text: str, message: RelayMessage) -> None:
    """A missing reason is an empty one, and elements behind the known ones are ignored."""
    assert decode_relay(text.encode()) == message


BAD_FRAMES = [
    b"",
    b"x",
    b"ping",
    b"null",
    b"{}",
    b"[]",
    b"[1]",
    b"[null]",
    b'["EVENT"',
    b'["EVENT"]',
    b'["EVENT",1]',
    b'["EVENT",[]]',
    b'["EVENT","s"]',
    b'["EVENT",{}]x',
    b'["event",{}]',
    b'["NOPE","s"]',
    b'["EVENT",{"a":NaN}]',
    b'["EVENT",{"a":01}]',
    b'["EVENT",{"a":"\n"}]',
    b"[" * 100_000,
    b'["EVENT",' + b"[" * 100_000 + b"]" * 100_001,
    b'["EVENT",' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"]",
    b"\xef\xbb\xbf[]",
    b"\xff\xfe",
    b'["\xff"]',
    b'["CLOSE","\xff"]',
    b'["CLOSE","\\ud800"]',
    b'["CLOSE",""]',
    b'["CLOSED",""]',
    b'["CLOSE","' + b"a" * 65 + b'"]',
    '["CLOSE","{}"]'.format("é" * 65).encode(),
    b'["EOSE",5]',
    b'["EOSE"]',
    b'["OK"]',
    b'["CLOSED","' + b"a" * 65 + b'","x"]',
    b'["CLOSE",1e400]',
    b'["AUTH"]',
    b'["AUTH",1]',
    b'["NOTICE"]',
    b'["NOTICE",{}]',
    b'["REQ"]',
    b'["OK","x",true,""]',
    b'["OK","' + b"A" * 64 + b'",true,""]',
    b'["OK","' + b"a" * 64 + b'","true",""]',
    b'["OK","' + b"a" * 64 + b'",1]',
    b'["OK","' + b"a" * 64 + b'",true,5]',
]


@pytest.mark.parametrize("text", BAD_FRAMES, ids=range(len(BAD_FRAMES)))
def test_hostile_frames(text: bytes) -> None:
    """N8: neither side is brought down, and each refuses with a reason."""
    for decode in (decode_client, decode_relay):
        with pytest.raises(WireError, match=r"^(invalid|unsupported): "):
            decode(text)


def test_clients_are_read_strictly() -> None:
    """What stands behind the known elements of EVENT, AUTH and CLOSE would be ambiguous, so it is refused."""
    for text in (b'["EVENT",{},{}]', b'["AUTH",{},1]', b'["CLOSE","a","b"]', b'["AUTH","challenge"]'):
        with pytest.raises(WireError):
            decode_client(text)


def test_subscription_ids() -> None:
    """NIP-01: "an arbitrary, non-empty string of max length 64 chars": characters, not bytes."""
    longest = "👩" * 64
    assert decode_client(encode(Close(longest))) == Close(longest)
    for bad in ("", "a" * 65):
        for message in (Close(bad), Req(bad, (Filter(),)), Closed(bad), Eose(bad), Deliver(bad, b"{}")):
            with pytest.raises(WireError):
                encode(message)
    with pytest.raises(ValueError, match="at least one filter"):
        encode(Req("s", ()))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('["REQ","s"]', "invalid: REQ needs a filter"),
        ('["REQ","s",{"kinds":[1]},{"search":"x"}]', "unsupported: "),
        ('["REQ","s",{"limit":1e400}]', "invalid: limit"),
        ('["REQ","s",[]]', "invalid: a filter"),
    ],
)
def test_bad_filters_know_their_subscription(text: str, reason: str) -> None:
    """ "CLOSED messages MUST be sent in response to a REQ when the relay refuses to fulfill it": so the id is kept."""
    with pytest.raises(BadFilter, match=f"^{reason}") as caught:
        decode_client(text.encode())
    assert caught.value.sub == "s"


@given(
    text=st.binary(max_size=200)
    | st.recursive(st.none() | st.floats() | st.text() | st.sampled_from(["EVENT", "REQ", "OK"]), st.lists).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_any_bytes(text: bytes) -> None:
    """Any bytes give a message or a WireError."""
    for decode in (decode_client, decode_relay):
        try:
            decode(text)
        except WireError:
            continue
    peek_id(text)


def test_bytes_that_are_not_utf8_inside_an_event() -> None:
    """An event passes through unread, so its broken UTF-8 is found by the check, with its reason."""
    raw = encode_event(event(content="a")).replace(b'"content":"a"', b'"content":"\xff"')
    got = decode_client(b'["EVENT",' + raw + b"]")
    assert got == Publish(raw)
    with pytest.raises(InvalidEvent, match="UTF-8"):
        check(raw)


FAKE = '"id":"' + "f" * 64 + '"'
traps = st.sampled_from(["", FAKE, "\\" + FAKE, f"{{{FAKE}}}", '\\\\",' + FAKE, '"id', '":"' + "f" * 64, '\x00"id"', '\\"id"'])


@given(
    sub=traps.map(lambda text: text[:40] or "s"),
    content=st.lists(traps | st.text(unicode, max_size=5), max_size=4).map("".join),
    tags=st.lists(st.lists(traps, min_size=1, max_size=3).map(tuple), max_size=3).map(tuple),
    order=st.permutations(["id", "pubkey", "created_at", "kind", "tags", "content", "sig"]),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 0, 2]),
)
def test_a_valid_event_is_peeked_right(
    sub: str, content: str, tags: tuple[tuple[str, ...], ...], order: list[str], ascii_only: bool, indent: int | None
) -> None:
    """For a frame whose event holds, the peeked id is the event's own, whatever stands in its texts, tags and subscription id."""
    signed = event(content=content, tags=tags)
    fields = json.loads(encode_event(signed))
    frame = json.dumps(["EVENT", sub, {key: fields[key] for key in order}], ensure_ascii=ascii_only, indent=indent).encode()
    got = decode_relay(frame)
    assert isinstance(got, Deliver)
    assert check(got.event) == signed
    assert peek_id(frame) == signed.id


def test_a_peek_is_only_a_claim() -> None:
    """A frame can claim any id: where its event would pass the check, the claim is right, and here the check refuses."""
    signed = event()
    raw = encode_event(signed)
    claims = [
        raw.replace(signed.id.encode(), b"f" * 64),
        b'{"id":"' + b"f" * 64 + b'",' + raw[1:],
        b'{"x":{"id":"' + b"f" * 64 + b'"},' + raw[1:],
    ]
    for claim in claims:
        assert peek_id(b'["EVENT","s",' + claim + b"]") == "f" * 64
        with pytest.raises(InvalidEvent):
            check(claim)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'["EOSE","s"]',
        b'["OK","' + b"f" * 64 + b'",true,""]',
        b'["EVENT","s",{"\\u0069d":"' + b"f" * 64 + b'"}]',
        b'["EVENT","s",{"id":"' + b"F" * 64 + b'"}]',
        b'["EVENT","s",{"id":"' + b"f" * 63 + b'"}]',
        b'["NOTICE","["EVENT","id":"' + b"f" * 64 + b'"]',
    ],
)
def test_nothing_to_peek(text: bytes) -> None:
    """Other messages, and ids that are written in another way, give None."""
    assert peek_id(text) is None
