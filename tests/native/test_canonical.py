"""Canonical bytes: the ids of native code beside those that orjson and hashlib give, on every character and in every shape of JSON."""

from __future__ import annotations

import hashlib
import itertools
import json
import random

import orjson
import pytest

from pylon import _native
from pylon._native import BAD_ID, OK, SYNTAX, plain

PUBKEY = "d8a4962732ef09d16193252781c929f82d8e79cf67d8f3f7ce4c82f7c3807997"
EVERY = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
"""Every character that UTF-8 can hold."""
MANY = 100_000
Json = dict[str, object]


def reference(tags: list[list[str]], content: str, kind: int = 1) -> bytes:
    """The id by orjson and hashlib."""
    return hashlib.sha256(orjson.dumps([0, PUBKEY, 1, kind, tags, content])).digest()


def event(tags: list[list[str]], content: str) -> Json:
    """An event with the right id, whose signature nobody looks at."""
    identity = reference(tags, content).hex()
    return {"id": identity, "pubkey": PUBKEY, "created_at": 1, "kind": 1, "tags": tags, "content": content, "sig": "0" * 128}


def codes(*texts: bytes) -> list[int]:
    """The codes without signatures of native code, in one batch and one by one; those of the twin are the same."""
    found = _native.check_codes(list(texts), False)
    assert found == b"".join(_native.check_codes([text], False) for text in texts)
    assert found == plain.check_codes(list(texts), False)
    return list(found)


def test_every_character() -> None:
    """In a tag and in the content, as text, raw in JSON and as `\\uXXXX`; texts of 997 characters put each at another place."""
    for start in range(0, len(EVERY), 997):
        text = "".join(EVERY[start : start + 997])
        tags = [["t", text], [text]]
        assert _native.event_id(PUBKEY, 1, 1, tags, text) == reference(tags, text)
        fields = event(tags, text)
        raw, escaped = json.dumps(fields, ensure_ascii=False).encode(), json.dumps(fields).encode()
        frames = [b'["EVENT","sub",' + form + b"]" for form in (orjson.dumps(fields), raw, escaped)]
        assert codes(*frames) == [OK] * 3


@pytest.mark.parametrize("before", [0, 1, 15, 16, 31, 32, 62, 63, 64, 65, 126, 127, 128, 4094, 4095, 4096])
def test_special_characters_at_the_edges_of_blocks(before: int) -> None:
    """What has to be escaped is, wherever it stands and however much stands behind it."""
    for special, behind in itertools.product(['"', "\\", "\n", "\x00", "\x1f", '"\\"', "é", "🦊"], [0, 1, 63, 64, 127, 128]):
        text = "a" * before + special + "b" * behind
        assert _native.event_id(PUBKEY, 1, 1, [[text]], text) == reference([[text]], text)
        fields = event([[text]], text)
        assert codes(orjson.dumps(fields), json.dumps(fields).encode()) == [OK, OK]


def test_fields_in_any_order() -> None:
    """The order of the fields says nothing."""
    dice = random.Random(5)
    fields = list(event([["p", PUBKEY], []], "a\nb").items())
    texts = []
    for _ in range(300):
        dice.shuffle(fields)
        texts.append(json.dumps(dict(fields), separators=dice.choice([(",", ":"), (", ", ": "), ("\t,\r", " : \n")])).encode())
    assert codes(*texts) == [OK] * 300


@pytest.mark.parametrize("name", ["id", "pubkey", "created_at", "kind", "tags", "content", "sig"])
def test_a_field_twice(name: str) -> None:
    """A second one is refused, with the same value too, and when its name is written with escapes."""
    fields = event([["p"]], "text")
    raw = orjson.dumps(fields)
    value = orjson.dumps(fields[name]).decode()
    spelled = "".join(f"\\u{ord(letter):04x}" for letter in name)
    missing = orjson.dumps({other: value for other, value in fields.items() if other != name})
    again = [raw[:-1] + f',"{written}":{value}}}'.encode() for written in (name, spelled)]
    instead = missing[:-1] + f',"{spelled}":{value}}}'.encode()
    other = missing[:-1] + f',"{name.upper()}":{value}}}'.encode()
    assert codes(*again, missing, other, instead) == [SYNTAX, SYNTAX, SYNTAX, SYNTAX, OK]


def test_digits_in_unusual_places() -> None:
    """Hexadecimal fields may be written with escapes, and hold lower-case digits, as many as they have to."""
    fields = event([], "")
    identity, raw = str(fields["id"]), orjson.dumps(fields).decode()
    spellings = {
        "\\u00" + f"{ord(identity[0]):x}" + identity[1:]: OK, identity + "0": SYNTAX, identity[:-1]: SYNTAX, identity[:-1] + "g": SYNTAX,
        identity[:-1] + "\\u0067": SYNTAX, identity[:-1] + "/": SYNTAX, identity[:-1] + ":": SYNTAX, identity[:-1] + "`": SYNTAX,
        identity[:-1] + "A": SYNTAX, identity[:-1] + "é": SYNTAX, identity[:-1] + '"': SYNTAX, "0" * 64: BAD_ID, "": SYNTAX,
    }
    assert codes(*(raw.replace(identity, spelling).encode() for spelling in spellings)) == list(spellings.values())


def test_many_keys_in_a_batch() -> None:
    """A batch of events by few keys, in any order, gives the codes that each event has by itself."""
    dice = random.Random(7)
    keys = [hashlib.sha256(bytes([n])).hexdigest() for n in range(3)]
    texts, expected = [], []
    for n in range(200):
        key, content = dice.choice(keys), "x" * dice.choice([0, 1, 40, 100, 1000])
        identity = hashlib.sha256(orjson.dumps([0, key, n, 1, [], content])).hexdigest()
        good = dice.random() < 0.8
        fields = {"id": identity if good else keys[0], "pubkey": key, "created_at": n, "kind": 1, "tags": [], "content": content}
        texts.append(orjson.dumps(fields | {"sig": "0" * 128}))
        expected.append(OK if good else BAD_ID)
        assert _native.event_id(key, n, 1, [], content).hex() == identity
    assert codes(*texts) == expected


def test_deep_and_long_texts() -> None:
    """What is nested or repeated a hundred thousand times is refused or read, without a fault."""
    raw = orjson.dumps(event([["x"]], "")).decode()
    tags, content = '[["x"]]', '"content":""'
    refused = [
        "[" * MANY, '{"id":' * MANY, raw.replace(tags, "[" * MANY), raw.replace(tags, "[" * MANY + "]" * MANY),
        raw.replace(tags, "[" + "[]," * MANY + "]"), raw.replace(content, '"content":"' + "\\u" * MANY + '"'),
        raw.replace(content, '"content":"' + "\\ud83e" * MANY + '"'), raw.replace('"kind":1', '"kind":' + "1" * MANY),
        raw.replace('"kind":1', ",".join(['"kind":1'] * MANY)), raw.replace(content, '"content":"' + "\\" * (2 * MANY + 1) + '"'),
    ]
    read = [
        raw.replace(tags, "[" + "[]," * MANY + "[]]"), raw.replace(tags, "[[" + '"",' * MANY + '""]]'),
        raw.replace(tags, "[" + " " * MANY + "]"), raw.replace(content, '"content":"' + "\\\\" * MANY + '"'),
        raw.replace(content, '"content":"' + "\\/" * MANY + '"'),
    ]
    assert codes(*(text.encode() for text in [*refused, *read])) == [SYNTAX] * len(refused) + [BAD_ID] * len(read)
