"""Events: only what holds becomes a VerifiedEvent (NIP-01)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon import _native
from pylon.errors import InvalidEvent
from pylon.nostr.event import Draft, check, sign
from tests.forge import encode
from tests.nostr.people import ALICE, BOB, NOW, event

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
tag_lists = st.lists(st.lists(texts, min_size=1, max_size=4).map(tuple), max_size=5).map(tuple)


@given(kind=st.integers(0, 65535), at=st.integers(0, 2**40), content=texts, tags=tag_lists)
def test_what_is_signed_is_checked(kind: int, at: int, content: str, tags: tuple[tuple[str, ...], ...]) -> None:
    """A signed event of any kind, time, text and tags survives encoding and the check unchanged."""
    signed = sign(Draft(kind=kind, created_at=at, content=content, tags=tags), ALICE)
    assert check(encode(signed)) == signed


@pytest.mark.parametrize(
    "content",
    ["", "\x00", "\x7f\x80\u2028\u2029", 'line\nquote"slash\\/\r\t\b\f', "\u202eright to left", "👩‍👩‍👧 é e\u0301 \ufffe", "a" * 100_000],
)
def test_awkward_texts(content: str) -> None:
    """NIP-01: "all other characters must be included verbatim"; NUL, RTL marks, emoji and long texts are texts like any other."""
    signed = event(content=content, tags=(("t", content),))
    assert check(encode(signed)).content == content
    assert check(json.dumps(json.loads(encode(signed)), ensure_ascii=True, indent=1).encode()) == signed


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("content", "changed"),
        ("kind", 2),
        ("created_at", NOW + 1),
        ("tags", [["p", "x"]]),
        ("pubkey", BOB.pubkey_hex),
        ("id", "0" * 64),
        ("sig", "0" * 128),
    ],
)
def test_every_field_is_covered(field: str, value: object) -> None:
    """A change in any field of a signed event is found by the id or by the signature."""
    fields = json.loads(encode(event(content="true")))
    fields[field] = value
    with pytest.raises(InvalidEvent, match=r"^invalid: "):
        check(json.dumps(fields).encode())


HOSTILE = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xff",
    b"{" * 100_000,
    b'{"id":' * 1000,
    b'{"id":"' + b"A" * 64 + b'"}',
    encode(event()).replace(b'"kind":1', b'"kind":1.0'),
    encode(event()).replace(b'"kind":1', b'"kind":1e400'),
    encode(event()).replace(b'"kind":1', b'"kind":NaN'),
    encode(event()).replace(b'"kind":1', b'"kind":-1'),
    encode(event()).replace(b'"kind":1', b'"kind":65537'),
    encode(event()).replace(b'"kind":1', b'"kind":1,"kind":1'),
    encode(event()).replace(b'"kind":1', b'"kind":1,"extra":1'),
    encode(event()).replace(b'"kind":1,', b""),
    encode(event()).replace(b'"tags":[]', b'"tags":[null]'),
    encode(event()).replace(b'"tags":[]', b'"tags":[["a",1]]'),
    encode(event()).replace(b'"content":""', b'"content":"\\ud800"'),
    encode(event()).replace(b'"content":""', b'"content":"\xed\xa0\x80"'),
    encode(event()).replace(event().id.encode(), event().id.upper().encode()),
    encode(event()) + b"x",
]


@pytest.mark.parametrize("raw", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_events(raw: bytes) -> None:
    """Bytes that are no event of NIP-01 are refused with a reason, and nothing else happens (J1, J10)."""
    with pytest.raises(InvalidEvent, match=r"^invalid: "):
        check(raw)


@given(raw=st.binary(max_size=300))
def test_any_bytes(raw: bytes) -> None:
    """No bytes crash the check."""
    with pytest.raises(InvalidEvent):
        check(raw)


def test_many_keep_their_order() -> None:
    """A bad event in a batch harms no other, and each answer stands at its event's place."""
    good, other = event(content="1"), event(content="2", by=BOB)
    answers = _native.check_events([encode(good), b"{}", encode(other), encode(good), b"{}", b"[]"])
    assert answers == [good, _native.SYNTAX, other, good, _native.SYNTAX, _native.SYNTAX]
    assert _native.check_events([]) == []


@pytest.mark.parametrize(
    "draft",
    [
        Draft(kind=65536, created_at=1),
        Draft(kind=-1, created_at=1),
        Draft(kind=1, created_at=-1),
        Draft(kind=1, created_at=1, content="\ud800"),
        Draft(kind=1, created_at=2**70),
    ],
)
def test_bad_drafts(draft: Draft) -> None:
    """What NIP-01 does not allow cannot be signed."""
    with pytest.raises(InvalidEvent, match=r"^invalid: "):
        sign(draft, ALICE)


def test_tags_are_read_by_name() -> None:
    """`first` and `values` skip empty tags and tags without a value."""
    some = event(tags=(("e",), ("p", "x", "y"), ("p", "z")))
    assert some.first("p") == ("p", "x", "y")
    assert some.first("e") == ("e",)
    assert some.first("q") is None
    assert some.values("p") == ("x", "z")
    assert some.values("e") == ()
