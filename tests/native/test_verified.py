"""Verified events: what they say, that nobody else makes them, and when `check_events` gives one."""

from __future__ import annotations

import json
import threading
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon import _native
from pylon._native import FilterIndex, Seen, Signer, VerifiedEvent, check_events, load_event
from pylon.nostr.filter import Filter

ALICE, BOB = Signer(b"\x01" * 32), Signer(b"\x02" * 32)
FIELDS = ("id", "pubkey", "created_at", "kind", "tags", "content", "sig")

characters = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text('\\"/\n\r\t\b\f\x01\x7f \u2028é😀', max_size=200)
tag_lists = st.lists(st.lists(characters, max_size=4).map(tuple), max_size=5).map(tuple)


def spelled(event: VerifiedEvent, spelling: int) -> bytes:
    """The event as JSON in another way: with escapes, with white space, in another order, in a frame."""
    fields = json.loads(event.raw)
    match spelling:
        case 0:
            return event.raw
        case 1:
            return json.dumps(dict(reversed(fields.items())), indent=1).encode()
        case 2:
            return json.dumps(["EVENT", "sub", fields]).replace("/", "\\/").encode()
        case _:
            return b'["EVENT",' + json.dumps(fields, ensure_ascii=False).encode() + b"]"


@given(content=characters, tags=tag_lists, kind=st.integers(0, 65535), at=st.integers(0, 2**53), spelling=st.integers(0, 3))
def test_fields(content: str, tags: tuple[tuple[str, ...], ...], kind: int, at: int, spelling: int) -> None:
    """However an event is spelled, its fields are those that were signed, and `raw` is its object as it came."""
    signed = ALICE.sign_event(at, kind, tags, content)
    text = spelled(signed, spelling)
    (event,) = cast(list[VerifiedEvent], check_events([text]))
    assert (event.created_at, event.kind, event.tags, event.content) == (at, kind, tags, content)
    assert (event.id, event.pubkey, event.sig) == (signed.id, ALICE.pubkey.hex(), signed.sig)
    assert event == signed == load_event(text)
    assert event.raw in text
    assert load_event(event.raw) == event
    assert json.loads(event.raw) == {name: json.loads(json.dumps(getattr(event, name))) for name in FIELDS}


@pytest.mark.parametrize("size", [0, 1, 62, 63, 64, 65, 127, 128, 129, 5000])
@pytest.mark.parametrize("mark", ["a", "\n", '"', "\\", "\x01", "é", "\U0001f600"])
def test_content_of_every_length(size: int, mark: str) -> None:
    """Escapes at every place of a block come out as what they stand for, in ASCII and beyond."""
    for content in (mark * size, "x" * size + mark, mark + "x" * size, ("x" * 30 + mark) * (size // 30)):
        for spelling in range(4):
            assert load_event(spelled(ALICE.sign_event(1, 1, [[content]], content), spelling)).content == content


def test_the_same_object_each_time() -> None:
    """A value is made once; what two events of a batch have in common is shared."""
    first, second = ALICE.sign_event(1, 5050, [["e", "x"]], "long " * 100), ALICE.sign_event(1, 5050, [], "b")
    for name in ("id", "pubkey", "kind", "tags", "content", "raw"):
        assert getattr(first, name) is getattr(first, name)
    one, two = cast(list[VerifiedEvent], check_events([first.raw, second.raw]))
    assert one.pubkey is two.pubkey
    assert one.kind is two.kind
    (other,) = cast(list[VerifiedEvent], check_events([BOB.sign_event(1, 1, [], "").raw]))
    assert (other.pubkey, other.kind) == (BOB.pubkey.hex(), 1)


def test_strings_of_one_character_are_shared() -> None:
    """The names of tags take no room of their own, however many a stranger sends, nor do other values of one character."""
    event = load_event(ALICE.sign_event(1, 1, [["e", "x"], ["p", "é", ""], ["e"]], "").raw)
    values = [value for tag in event.tags for value in tag]
    assert values == ["e", "x", "p", "é", "", "e"]
    assert all(value is chr(ord(value)) for value in values if value)


def test_tags_by_name() -> None:
    """`first` is the first tag of the name, `values` the second element of all that have one."""
    event = ALICE.sign_event(1, 1, [["e"], ["p", "1", "2"], [], ["e", "x", "y"], ["e", "z"]], "")
    assert event.first("e") == ("e",)
    assert event.first("p") == ("p", "1", "2")
    assert event.first("q") is None
    assert event.values("e") == ("x", "z")
    assert event.values("q") == ()


def test_nobody_else_makes_one() -> None:
    """The class makes none, takes no other value for a field, and cannot be inherited from."""
    event = ALICE.sign_event(1, 1, [], "")
    with pytest.raises(TypeError):
        cast(Any, VerifiedEvent)()
    with pytest.raises(TypeError):
        type(event).__new__(VerifiedEvent)
    for name in (*FIELDS, "raw", "new"):
        with pytest.raises(AttributeError):
            setattr(event, name, "x")
    with pytest.raises(TypeError):
        type("Mine", (VerifiedEvent,), {})


def test_equality() -> None:
    """Equal are two of one id and one signature, whatever their spelling; nothing else equals one."""
    event, other = ALICE.sign_event(1, 1, [], "a"), ALICE.sign_event(1, 1, [], "a")
    assert event.id == other.id
    assert event != other
    assert len({event, load_event(spelled(event, 1)), other}) == 2
    assert event != event.id
    assert event.id in repr(event)
    with pytest.raises(TypeError):
        assert cast(Any, event) < other


def test_load_checks_the_form_alone() -> None:
    """What we kept ourselves is not verified again; what is no event is refused."""
    event = ALICE.sign_event(1, 1, [], "a")
    assert load_event(event.raw.replace(b'"a"', b'"b"')).content == "b"
    for raw in (b"", b"{}", b"\xff", event.raw[:-1]):
        with pytest.raises(ValueError, match="not an event"):
            load_event(raw)


def test_threads_share_a_cache() -> None:
    """Several threads bring the same events for one subscription: each event comes out once in all."""
    seen, notes = Seen(10_000), FilterIndex()
    notes.add(0, Filter(kinds=(1,)))
    raws = [ALICE.sign_event(1, 1, [], f"{number}").raw for number in range(300)]
    found: list[VerifiedEvent | int] = []

    def bring() -> None:
        for start in range(0, len(raws), 50):
            part = raws[start : start + 50]
            found.extend(check_events(part, seen, [1] * len(part), [notes] * len(part)))

    threads = [threading.Thread(target=bring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = [one for one in found if not isinstance(one, int)]
    assert sorted(event.content for event in events) == sorted(f"{number}" for number in range(300))
    assert found.count(_native.DUPLICATE) == 900
