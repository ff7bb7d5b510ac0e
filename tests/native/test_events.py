"""Events (NIP-01): the checks of native code against the twin, on what people send and on what only an attacker sends."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon import _native
from pylon._native import BAD_ID, BAD_SIGNATURE, BAD_UTF8, OK, SYNTAX, plain

SECRET = bytes(range(1, 33))
SIGNER = _native.Signer(SECRET)
PUBKEY = SIGNER.pubkey.hex()
Json = dict[str, object]


def event(content: str = "hello", tags: list[list[str]] | None = None, kind: int = 1, created_at: int = 1_700_000_000) -> Json:
    """A signed event as JSON values."""
    tags = [["p", PUBKEY]] if tags is None else tags
    identity = plain.event_id(PUBKEY, created_at, kind, tags, content)
    return {
        "id": identity.hex(), "pubkey": PUBKEY, "created_at": created_at, "kind": kind, "tags": tags, "content": content,
        "sig": SIGNER.sign(identity, bytes(32)).hex(),
    }


def codes(*raws: bytes) -> list[int]:
    """The codes of native code; those of the twin are the same."""
    found = _native.check_codes(list(raws))
    assert found == plain.check_codes(list(raws))
    return list(found)


GOOD = event()
RAW = json.dumps(GOOD).encode()


def swap(old: str, new: str) -> bytes:
    """The good event with a piece of its text replaced."""
    assert old.encode() in RAW
    return RAW.replace(old.encode(), new.encode(), 1)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (RAW, OK),
        (b" \t\r\n" + RAW + b"\n ", OK),
        (json.dumps(GOOD, indent=2).encode(), OK),
        (json.dumps(dict(reversed(GOOD.items()))).encode(), OK),
        (swap('"id"', '"\\u0069d"'), OK),
        (swap('"hello"', '"\\u0068ello"'), OK),
        (b"", SYNTAX),
        (b"{}", SYNTAX),
        (b"[]", SYNTAX),
        (b"null", SYNTAX),
        (b'["EVENT",' + RAW + b"]", OK),
        (b'["EVENT","",' + RAW + b"]", OK),
        (b' [ "EVENT" , "sub" , ' + RAW + b"\n]\t", OK),
        (b'["\\u0045VENT","\\ud83e\\udd8a",' + RAW + b"]", OK),
        (b'["EVENT","\\ud83e",' + RAW + b"]", SYNTAX),
        (b'["EVENT","a","b",' + RAW + b"]", SYNTAX),
        (b'["EVENT",null,' + RAW + b"]", SYNTAX),
        (b'["EVENT","a",' + RAW + b',"b"]', SYNTAX),
        (b'["EVENT",' + RAW + b",]", SYNTAX),
        (b'["EVENT",' + RAW + b"}", SYNTAX),
        (b'["EVENT",' + RAW + b"]]", SYNTAX),
        (b'["EVENT",' + RAW, SYNTAX),
        (b'["AUTH",' + RAW + b"]", SYNTAX),
        (b'["EVENT"]', SYNTAX),
        (b"[" + RAW + b"]", SYNTAX),
        (b'["EVENT","\xff",' + RAW + b"]", BAD_UTF8),
        (RAW + b"x", SYNTAX),
        (RAW + RAW, SYNTAX),
        (b"\xef\xbb\xbf" + RAW, SYNTAX),
        (RAW[:-1] + b',"id":"' + b"0" * 64 + b'"}', SYNTAX),
        (RAW[:-1] + b',"extra":1}', SYNTAX),
        (RAW[:-1] + b",}", SYNTAX),
        (RAW[:-1] + b",", SYNTAX),
        (b"{" + b"[" * 100_000, SYNTAX),
        (swap('"content": "hello", ', ""), SYNTAX),
        (swap('"kind": 1', '"kind": 1.0'), SYNTAX),
        (swap('"kind": 1', '"kind": 1e0'), SYNTAX),
        (swap('"kind": 1', '"kind": -1'), SYNTAX),
        (swap('"kind": 1', '"kind": -0'), SYNTAX),
        (swap('"kind": 1', '"kind": 01'), SYNTAX),
        (swap('"kind": 1', '"kind": +1'), SYNTAX),
        (swap('"kind": 1', '"kind": "1"'), SYNTAX),
        (swap('"kind": 1', '"kind": true'), SYNTAX),
        (swap('"kind": 1', '"kind": null'), SYNTAX),
        (swap('"kind": 1', '"kind": 65536'), SYNTAX),
        (swap('"kind": 1', '"kind": 65535'), BAD_ID),
        (swap("1700000000", "9007199254740993"), SYNTAX),
        (swap("1700000000", "9007199254740992"), BAD_ID),
        (swap("1700000000", "18446744073709551616"), SYNTAX),
        (swap("1700000000", "9" * 5000), SYNTAX),
        (swap("1700000000", "NaN"), SYNTAX),
        (swap(f'"id": "{GOOD["id"]}"', f'"id": "{str(GOOD["id"]).upper()}"'), SYNTAX),
        (swap(f'"id": "{GOOD["id"]}"', f'"id": "{str(GOOD["id"])[:-1]}"'), SYNTAX),
        (swap(f'"pubkey": "{PUBKEY}"', '"pubkey": ""'), SYNTAX),
        (swap(f'"pubkey": "{PUBKEY}"', f'"pubkey": "{PUBKEY[:-1]}é"'), SYNTAX),
        (swap(str(GOOD["sig"]), "z" * 128), SYNTAX),
        (swap(str(GOOD["sig"]), "0" * 128), BAD_SIGNATURE),
        (swap("hello", "hallo"), BAD_ID),
        (swap("hello", "\\ud800"), SYNTAX),
        (swap("hello", "\\udc00\\ud800"), SYNTAX),
        (swap("hello", "\\ud800\\n"), SYNTAX),
        (swap("hello", "\\ud800\\ud800"), SYNTAX),
        (swap("hello", "\\x41"), SYNTAX),
        (swap("hello", "\\u00g0"), SYNTAX),
        (swap("hello", "a\nb"), SYNTAX),
        (swap("hello", "a\0b"), SYNTAX),
        (swap('[["p", ', '[["\\ud800", '), SYNTAX),
        (swap('[["p", ', '[[1, '), SYNTAX),
        (swap('[["p", ', '[["p",, '), SYNTAX),
        (swap('[["p", ', '[[["p"], '), SYNTAX),
        (swap('"tags": [[', '"tags": ["x", ['), SYNTAX),
        (swap('"tags": [[', '"tags": [,['), SYNTAX),
        (swap(']], "content"', '],], "content"'), SYNTAX),
        (swap(']], "content"', ',]], "content"'), SYNTAX),
        (RAW.replace(b"hello", b"\xff"), BAD_UTF8),
        (RAW.replace(b"hello", b"\xed\xa0\x80"), BAD_UTF8),
        (RAW.replace(b"hello", b"\xc0\x80"), BAD_UTF8),
        (RAW.replace(b"hello", b"\xf4\x90\x80\x80"), BAD_UTF8),
    ],
)
def test_form(raw: bytes, code: int) -> None:
    """What is an event and what is not, with the code for the first thing that is wrong."""
    assert codes(raw) == [code]


def test_many_at_once() -> None:
    """One code for each event, in order; none for none; only bytes are taken."""
    assert codes(RAW, b"", swap("hello", "hallo"), RAW) == [OK, SYNTAX, BAD_ID, OK]
    assert codes() == []
    with pytest.raises(TypeError):
        _native.check_codes([RAW, "text"])  # type: ignore[list-item]  # the point is to pass what is wrong


def test_a_key_that_is_not_on_the_curve() -> None:
    """An event whose pubkey is no key has a bad signature, whatever its id."""
    pubkey = "f" * 64
    identity = plain.event_id(pubkey, 1, 1, [], "")
    raw = orjson.dumps(
        {"id": identity.hex(), "pubkey": pubkey, "created_at": 1, "kind": 1, "tags": [], "content": "", "sig": "1" * 128}
    )
    assert codes(raw) == [BAD_SIGNATURE]


TEXTS = st.text(max_size=60) | st.text('"\\/\b\f\n\r\t\0\x01\x1f\x7f\u2028é☕🦊\ufeff\uffff ab', max_size=60)
TAGS = st.lists(st.lists(TEXTS, max_size=4), max_size=4)


def loose(text: str) -> str:
    """The same JSON with every `/` escaped."""
    return text.replace("/", "\\/")


@given(TEXTS, TAGS, st.integers(0, 65535), st.integers(0, 2**53))
def test_any_event_in_any_spelling(content: str, tags: list[list[str]], kind: int, created_at: int) -> None:
    """An event is accepted however its JSON is written, and its id is that of every other implementation."""
    values = event(content, tags, kind, created_at)
    identity = _native.event_id(PUBKEY, created_at, kind, tags, content)
    assert identity.hex() == values["id"]
    assert identity == hashlib.sha256(orjson.dumps([0, PUBKEY, created_at, kind, tags, content])).digest()
    spellings = [
        orjson.dumps(values),
        json.dumps(values).encode(),
        json.dumps(values, indent=1, ensure_ascii=False).encode(),
        loose(json.dumps(values, separators=(",", ":"))).encode(),
        json.dumps(dict(reversed(values.items())), separators=(" ,", " : ")).encode(),
    ]
    frames = [b'["EVENT","' + content.encode().hex().encode() + b'" , ' + spelling + b"]" for spelling in spellings]
    assert codes(*spellings, *frames) == [OK] * 2 * len(spellings)


BASES = [
    RAW, b'["EVENT","sub",' + orjson.dumps(GOOD) + b"]", json.dumps(event('a"\\/\n☕', [["e", "\u2028"], [], ["t", "x" * 40]])).encode(),
    orjson.dumps(event("🦊" * 20, [])),
]


CHANGES = st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(["set", "insert", "delete"]), st.binary(max_size=3)), max_size=4)
MARKS = st.sampled_from(['"', "\\", "\\u", "{", "}", "[", "]", ",", ":", "0", "-", ".", "e", " ", "\\ud83d"])


@given(st.sampled_from(BASES), CHANGES)
def test_damage(raw: bytes, changes: list[tuple[int, str, bytes]]) -> None:
    """Native code and twin give the same code for an event with a few bytes changed, added or taken out."""
    for at, what, new in changes:
        at %= len(raw) + 1
        raw = raw[:at] + (b"" if what == "delete" else new) + raw[at + (0 if what == "insert" else max(1, len(new))) :]
    codes(raw)


@given(st.sampled_from(BASES), st.integers(0, 10_000), MARKS)
def test_damage_by_marks(raw: bytes, at: int, mark: str) -> None:
    """The same with the characters that JSON is made of."""
    at %= len(raw) + 1
    codes(raw[:at] + mark.encode() + raw[at:], raw[:at] + mark.encode() + raw[at + 1 :], raw[:at])


@given(st.binary(max_size=200))
def test_garbage(raw: bytes) -> None:
    """Any bytes have a code."""
    codes(raw)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("created_at", -1), ("created_at", 2**53 + 1), ("created_at", 2**70), ("kind", -1), ("kind", 65536), ("kind", 2**70),
        ("content", "\ud800"), ("tags", [["\udfff"]]), ("pubkey", "\ud800" * 64), ("pubkey", PUBKEY.upper()), ("pubkey", PUBKEY[:-1]),
        ("pubkey", '",1,1,[],"' + "0" * 54),
    ],
)
def test_event_id_refuses_a_value(field: str, value: object) -> None:
    """A field outside its range is a ValueError."""
    fields: Json = {"pubkey": PUBKEY, "created_at": 1, "kind": 1, "tags": [], "content": ""}
    with pytest.raises(ValueError):  # noqa: PT011  # the words are Python's own for a lone surrogate
        _native.event_id(*(fields | {field: value}).values())  # type: ignore[arg-type]  # the point is to pass what is wrong


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tags", "abc"), ("tags", ["abc"]), ("tags", [[1]]), ("tags", [1]), ("tags", None), ("kind", "1"), ("kind", 1.0),
        ("created_at", None),
    ],
)
def test_event_id_refuses_a_type(field: str, value: object) -> None:
    """A field of a wrong type is a TypeError."""
    fields: Json = {"pubkey": PUBKEY, "created_at": 1, "kind": 1, "tags": [], "content": ""}
    with pytest.raises(TypeError):
        _native.event_id(*(fields | {field: value}).values())  # type: ignore[arg-type]  # the point is to pass what is wrong


def test_event_id_takes_any_sequence() -> None:
    """Lists, tuples and other sequences are alike; Python code that runs in between may call again."""

    class Calling:
        """A sequence that computes another id while it is read."""

        def __init__(self) -> None:
            self.inner: bytes = b""

        def __iter__(self) -> Iterator[list[str]]:
            self.inner = _native.event_id(PUBKEY, 2, 2, [["x"]], "inner")
            return iter([["p", "q"]])

    calling = Calling()
    expected = plain.event_id(PUBKEY, 1, 1, [["p", "q"]], "outer")
    assert _native.event_id(PUBKEY, 1, 1, (("p", "q"),), "outer") == expected
    assert _native.event_id(PUBKEY, 1, 1, calling, "outer") == expected  # type: ignore[arg-type]  # a sequence by its behaviour
    assert calling.inner == plain.event_id(PUBKEY, 2, 2, [["x"]], "inner")


def test_threads() -> None:
    """Checks run beside each other without the GIL and give the same codes as alone."""
    raws = [orjson.dumps(event(str(n))) for n in range(64)]
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(_native.check_codes(raws))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [bytes(64)] * 4
