"""The table of delivered events: native code and its twin on the same cases, and why a frame may be dropped by it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon import _native
from pylon._native import plain_frames
from pylon.errors import InvalidEvent
from pylon.nostr.event import check
from pylon.nostr.message import Deliver, decode_relay

Table = _native.Delivered | plain_frames.Delivered
TABLES: tuple[type[_native.Delivered], type[plain_frames.Delivered]] = (_native.Delivered, plain_frames.Delivered)
SIGNER = _native.Signer(bytes(range(1, 33)))
SIG = "ab" * 64


@pytest.fixture(params=TABLES, ids=["native", "twin"])
def kind(request: pytest.FixtureRequest) -> type[Table]:
    """Each implementation."""
    found: type[Table] = request.param
    return found


def identity(number: int) -> str:
    """An id that resembles the one before it in all digits but the last ones."""
    return f"{number:064x}"


def frame(sub: str, claimed: str, *, before: str = "", after: str = '"sig":"' + SIG + '"') -> bytes:
    """An EVENT as most relays write it."""
    return f'["EVENT",{json.dumps(sub, ensure_ascii=False)},{{{before}"id":"{claimed}",{after}}}]'.encode()


def test_what_was_added_is_found(kind: type[Table]) -> None:
    """A pair is found whole: the same id under another subscription, or one digit away, is another pair."""
    table = kind(100)
    one, two = table.open("one"), table.open("two")
    assert one != two
    assert table.open("one") == one
    assert len(table) == 0
    assert not table.holds(one, identity(1))
    for number in range(50):
        table.add(one, identity(number))
        table.add(one, identity(number))
    assert len(table) == 50
    assert [table.holds(one, identity(number)) for number in (0, 49, 50, 1 << 255)] == [True, True, False, False]
    assert not table.holds(two, identity(0))
    assert table.repeats(frame("one", identity(7)))
    assert not table.repeats(frame("two", identity(7)))
    assert not table.repeats(frame("one", identity(50)))
    assert not table.repeats(frame("three", identity(7)))


@pytest.mark.parametrize("capacity", [1, 2, 63, 64, 65, 1000])
def test_two_generations(kind: type[Table], capacity: int) -> None:
    """The last `capacity` pairs are always there, and never more than twice as many."""
    table = kind(capacity)
    scope = table.open("s")
    for number in range(3 * capacity + 1):
        table.add(scope, identity(number))
        oldest = max(0, number - capacity + 1)
        assert table.holds(scope, identity(number))
        assert table.holds(scope, identity(oldest))
        assert len(table) <= 2 * capacity
    assert all(table.holds(scope, identity(number)) for number in range(2 * capacity + 1, 3 * capacity + 1))
    assert not table.holds(scope, identity(0))


def test_a_closed_subscription_is_forgotten(kind: type[Table]) -> None:
    """What is opened again under the same name has a new number, and nothing was delivered to it."""
    table = kind(100)
    old = table.open("s")
    table.add(old, identity(1))
    table.close("s")
    assert not table.repeats(frame("s", identity(1)))
    new = table.open("s")
    assert new != old
    assert not table.repeats(frame("s", identity(1)))
    table.add(old, identity(2))  # verified too late
    assert not table.repeats(frame("s", identity(2)))
    table.add(new, identity(3))
    assert table.repeats(frame("s", identity(3)))
    table.close("s")
    table.close("s")
    table.close("never opened")


def test_many_subscriptions(kind: type[Table]) -> None:
    """Each of a thousand names has its own events, and closing the others changes nothing."""
    table = kind(10_000)
    names = [f"sub {number}" for number in range(1000)]
    for number, name in enumerate(names):
        table.add(table.open(name), identity(number))
    for name in names[::2]:
        table.close(name)
    assert [table.repeats(frame(name, identity(number))) for number, name in enumerate(names)] == [False, True] * 500
    assert not any(table.repeats(frame(name, identity(number + 1))) for number, name in enumerate(names))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[", b'["EVENT","', b'["EVENT","s"', b'["EVENT","s",', b'["EVENT","s",{', b'["EVENT","s",{}]', b'["EVENT","s",{"id":"',
        b'["EOSE","s"]', frame("s", identity(1))[1:], frame("s", identity(1)).replace(b"EVENT", b"event"),
        frame("s", identity(1)).replace(b",", b", "), frame("s", identity(1)).replace(b'"s"', b'"\\u0073"'),
        frame("s", identity(1)).replace(b'"id"', b'"\\u0069d"'),
        frame("s", identity(1)).replace(b",{", b",[{"), frame("s", identity(1)).replace(identity(1).encode(), identity(1).encode()[1:]),
        frame("s", identity(0xA)).replace(b"a", b"A"), frame("s", "g" * 64), frame("s", "\0" * 64), frame("", identity(1)),
        frame("s" * 257, identity(1)), b'["EVENT","s",{"id":"' + identity(1).encode(), b'["EVENT","s' + bytes(300),
        b'["EVENT","s",{"id":"' + identity(1).encode() + b'x"}]', b'["EVENT","s",{"id":' + b" " * 100 + b"1}]",
        b'["EVENT","s","id":"' + identity(1).encode() + b'"' + b" " * 100,
    ],
)
def test_what_is_not_in_plain_sight(kind: type[Table], text: bytes) -> None:
    """Any other spelling, a broken frame, no frame at all: not a repetition, as far as this table can say."""
    table = kind(100)
    scope = table.open("s")
    for number in (0, 1, 0xA):
        table.add(scope, identity(number))
    assert table.repeats(frame("s", identity(1)))
    assert not table.repeats(text)


@pytest.mark.parametrize("peek", [_native.peek_id, plain_frames.peek_id], ids=["native", "twin"])
@pytest.mark.parametrize(
    ("text", "found"),
    [
        (frame("s", identity(1)), identity(1)),
        (b'["EVENT",' + frame("s", identity(1))[13:], identity(1)),
        (b' [\t"EVENT"\r\n, "s", {"id" :\n "' + identity(1).encode() + b'"}]', identity(1)),
        (b'["EVENT","s",{"id":"f","id":1,"id","id":"' + identity(1).encode() + b'"}]', identity(1)),
        (b'["EVENT","s",{"id":"' + identity(1).encode() + b'0"}]', None),
        (b'["EVENT","s",{"id":"' + identity(1).encode(), None),
        (b'["EVENT","s",{"id"', None),
        (b'["EVENT","s",{"id":', None),
        (b'["EVENT","s",{"id":' + b" " * 100, None),
        (b'["EVENT"' + frame("s", identity(1))[13:], None),
        (b'["EVENTS",' + frame("s", identity(1))[13:], None),
        (b'["OK","' + identity(1).encode() + b'",true,""]', None),
        (b"[", None),
        (b'["EVENT"', None),
        (b"", None),
    ],
)
def test_peeking(peek: Callable[[bytes], str | None], text: bytes, found: str | None) -> None:
    """White space is no hindrance, nor are other things called `id`; what is no EVENT, or cut, or too long, has none."""
    assert peek(text) == found


@pytest.mark.parametrize("sub", ["s", "x" * 64, "\N{HOT BEVERAGE}" * 64, "a b/c", "\0"])
@pytest.mark.parametrize("size", [*range(0, 80), 1000])
def test_the_id_may_stand_anywhere(kind: type[Table], sub: str, size: int) -> None:
    """Before the key or behind it there may be anything, of any length."""
    table = kind(10)
    table.add(table.open(sub), identity(1))
    before = '"content":' + json.dumps('"id": \\"id"' + "x" * size) + ","
    text = f'["EVENT","{sub}",{{{before}"id":"{identity(1)}"}}]'.encode()
    assert table.repeats(text)
    assert not table.repeats(text.replace(identity(1).encode(), identity(2).encode()))


def test_a_name_with_escapes_is_left_to_others(kind: type[Table]) -> None:
    """The bytes of such a name stand for another name in a frame."""
    table = kind(10)
    for name in ("a\\b", 'a"b', "\\"):
        table.add(table.open(name), identity(1))
        assert not table.repeats(frame(name, identity(1)))
        assert not table.repeats(f'["EVENT","{name}",{{"id":"{identity(1)}","sig":"{SIG}"}}]'.encode())


@pytest.mark.parametrize("capacity", [0, -1, (1 << 30) + 1])
def test_capacities(kind: type[Table], capacity: int) -> None:
    """A table without room, or with more than it can count, is a mistake of the caller."""
    with pytest.raises(ValueError, match="between 1 and"):
        kind(capacity)


@pytest.mark.parametrize("event_id", ["", "f" * 63, "f" * 65, "F" * 64, "g" * 64, "\N{FULLWIDTH DIGIT ONE}" * 64, "é" * 32])
def test_only_whole_ids(kind: type[Table], event_id: str) -> None:
    """An id has 64 lower-case hexadecimal digits."""
    table = kind(10)
    for ask in (table.add, table.holds):
        with pytest.raises(ValueError, match="64 lower-case"):
            ask(table.open("s"), event_id)
    assert len(table) == 0


subs = st.sampled_from(["s", "t", "with space", "\N{HOT BEVERAGE}", "back\\slash"])
numbers = st.integers(0, 12)
steps = st.lists(st.tuples(st.sampled_from(["open", "close", "add", "late"]), subs, numbers), max_size=80)


@given(capacity=st.integers(1, 5), told=steps)
def test_native_and_twin_agree(capacity: int, told: list[tuple[str, str, int]]) -> None:
    """After every step of any history both tables hold the same and say the same of every frame."""
    tables: tuple[Table, Table] = (_native.Delivered(capacity), plain_frames.Delivered(capacity))
    opened: list[int] = []
    for step, sub, number in told:
        match step:
            case "open":
                numbers = {table.open(sub) for table in tables}
                assert len(numbers) == 1
                opened += numbers
            case "close":
                for table in tables:
                    table.close(sub)
            case "add":
                for table in tables:
                    table.add(table.open(sub), identity(number))
            case "late" if opened:
                for table in tables:
                    table.add(opened[0], identity(number))
        for asked in range(13):
            assert len({table.repeats(frame(sub, identity(asked))) for table in tables}) == 1
        assert len({len(table) for table in tables}) == 1


FAKE = '"id":"' + "f" * 64 + '"'
traps = st.sampled_from(["", FAKE, "\\" + FAKE, f"{{{FAKE}}}", '\\\\",' + FAKE, '"id', '":"' + "f" * 64, '\x00"id"', '\\"id"', "\\"])
fields = st.permutations(["id", "pubkey", "created_at", "kind", "tags", "content", "sig"])


@given(sub=traps.map(lambda text: text[:40] or "s"), texts=st.lists(traps, max_size=4), order=fields, ascii_only=st.booleans())
def test_a_frame_is_dropped_for_its_own_id_only(sub: str, texts: list[str], order: list[str], ascii_only: bool) -> None:
    """A frame whose event passes the check repeats nothing as long as its own id was not delivered, whatever its texts say."""
    content = "".join(texts)
    event_id = _native.event_id(SIGNER.pubkey.hex(), 1, 1, [texts], content)
    event: dict[str, object] = {
        "id": event_id.hex(), "pubkey": SIGNER.pubkey.hex(), "created_at": 1, "kind": 1, "tags": [texts], "content": content,
        "sig": SIGNER.sign(event_id, bytes(32)).hex(),
    }
    text = json.dumps(["EVENT", sub, {key: event[key] for key in order}], ensure_ascii=ascii_only, separators=(",", ":")).encode()
    assert _native.peek_id(text) == event_id.hex()
    said = decode_relay(text)
    assert isinstance(said, Deliver)
    assert check(said.event).id == event_id.hex()
    for made in TABLES:
        table = made(10)
        scope = table.open(sub)
        table.add(scope, "f" * 64)
        assert not table.repeats(text)
        table.add(scope, event_id.hex())
        plain_name = json.dumps(sub, ensure_ascii=ascii_only) == f'"{sub}"'
        assert table.repeats(text) == plain_name


def test_a_key_that_ends_like_id_is_no_event() -> None:
    """The one other place where `"id":"` can stand in JSON is refused by the check."""
    event_id = _native.event_id(SIGNER.pubkey.hex(), 1, 1, [], "")
    rest = f'"id":"{event_id.hex()}","pubkey":"{SIGNER.pubkey.hex()}","created_at":1,"kind":1,"tags":[],"content":""'
    sig = f',"sig":"{SIGNER.sign(event_id, bytes(32)).hex()}"'
    assert check(f"{{{rest}{sig}}}".encode()).id == event_id.hex()
    with pytest.raises(InvalidEvent, match="invalid"):
        check(f'{{"x\\"id":"{"f" * 64}",{rest}{sig}}}'.encode())


@given(text=st.binary(max_size=300) | st.text().map(str.encode), cut=st.integers(0, 300))
def test_any_bytes(text: bytes, cut: int) -> None:
    """Any bytes, and any piece of a frame, give the same answer from both."""
    tables: tuple[Table, Table] = (_native.Delivered(10), plain_frames.Delivered(10))
    for table in tables:
        table.add(table.open("s"), identity(1))
    for said in (text, frame("s", identity(1))[:cut], frame("s", identity(1))[:cut] + text, b'["EVENT","s",{"id":"' + text):
        assert len({table.repeats(said) for table in tables}) == 1
        assert _native.peek_id(said) == plain_frames.peek_id(said)


OUT_OF_MEMORY = """
import resource
from pylon._native import Delivered
table = Delivered(1 << 30)
scope = table.open("s")
resource.setrlimit(resource.RLIMIT_AS, (int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize() + (48 << 20),) * 2)
number = 0
try:
    while True:
        table.add(scope, f"{number:064x}")
        number += 1
except MemoryError:
    pass
assert len(table) == number > 1000
assert all(table.holds(scope, f"{at:064x}") for at in range(number))
assert not table.holds(scope, f"{number:064x}")
print("whole")
"""


def test_out_of_memory() -> None:
    """A table that cannot grow says so, and still holds what it held."""
    done = subprocess.run([sys.executable, "-c", OUT_OF_MEMORY], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "whole\n", done.stderr
