"""Events, native code against the twin: every kind of character in every spelling, white space, orders and numbers that nobody writes."""

from __future__ import annotations

import unicodedata
from functools import cache
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon import _native
from pylon._native import BAD_ID, OK, SYNTAX, Signer, plain

SIGNER = Signer(bytes(31) + b"\x05")
PUBKEY = SIGNER.pubkey.hex()
SHORT = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@cache
def category(name: str) -> list[str]:
    """Characters of one general category of Unicode, a few hundred spread over all of them."""
    found = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == name]
    return found[:: max(1, len(found) // 200)] + found[-1:]


CATEGORIES = sorted({unicodedata.category(chr(code)) for code in range(0x110000)} - {"Cs"})
# What lies at the ends of what UTF-8 and UTF-16 write in one way, and what JSON escapes.
EDGES = list('\0\x01\x1f \x7f\x80\u07ff\u0800\u2028\u2029\ud7ff\ue000\ufeff\ufffd\ufffe\uffff\U00010000\U0010ffff"\\/\b\f\n\r\t')
CHARACTERS = st.sampled_from(EDGES) | st.characters(exclude_categories=["Cs"])
# Between 15 and 17, 31 and 33, 63 and 65 characters of ASCII lie the ends of what is read at once.
RUNS = st.builds(lambda c, n, tail: c * n + tail, st.sampled_from('a/"\\\n\x01é'), st.integers(0, 70), st.text(CHARACTERS, max_size=2))
TEXTS = st.lists(CHARACTERS, max_size=20).map("".join) | RUNS
TAGS = st.lists(st.lists(TEXTS, max_size=3), max_size=4)


def units(character: str) -> list[int]:
    """The UTF-16 code units of a character."""
    raw = character.encode("utf-16-be")
    return [int.from_bytes(raw[i : i + 2]) for i in range(0, len(raw), 2)]


def spellings(character: str) -> list[str]:
    """Every way of JSON to write one character."""
    found = ["".join(f"\\u{unit:{form}}" for unit in units(character)) for form in ("04x", "04X")]
    if character in SHORT:
        found.append(SHORT[character])
    if ord(character) >= 0x20 and character not in '"\\':
        found.append(character)
    return found


class Writer:
    """Writes JSON as nobody does: every character in a spelling of its own, white space around every mark."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)

    def string(self, text: str) -> str:
        """A string with its quotes."""
        return '"' + "".join(self.dice.choice(spellings(character)) for character in text) + '"'

    def space(self) -> str:
        """White space, or none."""
        return "".join(self.dice.choices(" \t\r\n", k=self.dice.choice((0, 0, 1, 2))))

    def array(self, items: list[str], left: str = "[", right: str = "]") -> str:
        """Values between brackets."""
        parts = [self.space() + item + self.space() for item in items]
        return left + (",".join(parts) if parts else self.space()) + right

    def value(self, value: object) -> str:
        """A string, a number, or tags."""
        if isinstance(value, list):
            return self.array([self.value(item) for item in value])
        return self.string(value) if isinstance(value, str) else str(value)

    def event(self, fields: dict[str, object]) -> str:
        """An event, its fields in any order."""
        names = self.dice.sample(list(fields), len(fields))
        members = [f"{self.string(name)}{self.space()}:{self.space()}{self.value(fields[name])}" for name in names]
        return self.array(members, "{", "}")


WRITERS = st.integers(0, 2**32).map(Writer)
TIMES, KINDS = st.integers(0, 2**53), st.integers(0, 65535)


@st.composite
def events(draw: st.DrawFn) -> dict[str, object]:
    """The fields of a signed event."""
    fields: dict[str, object] = {
        "pubkey": PUBKEY, "created_at": draw(TIMES), "kind": draw(KINDS), "tags": draw(TAGS), "content": draw(TEXTS),
    }
    identity = plain.event_id(*fields.values())  # type: ignore[arg-type]  # the five fields in their order
    return fields | {"id": identity.hex(), "sig": SIGNER.sign(identity, bytes(32)).hex()}


def verdict(raw: str | bytes) -> int:
    """The code of native code, which is that of the twin."""
    raw = raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")
    found = _native.check_codes([raw])[0]
    assert found == plain.check_event(raw)
    return found


def agrees(raw: str, fields: dict[str, object]) -> None:
    """The event is accepted, and says what its fields are."""
    assert verdict(raw) == OK
    (event,) = _native.check_events([raw.encode()])
    assert not isinstance(event, int)
    tags = fields["tags"]
    assert isinstance(tags, list)
    assert {name: getattr(event, name) for name in fields} == fields | {"tags": tuple(map(tuple, tags))}
    for name in ["", "a", *(tag[0] for tag in tags if tag)]:
        named = [tuple(tag) for tag in tags if tag[:1] == [name]]
        assert event.first(name) == (named[0] if named else None)
        assert event.values(name) == tuple(tag[1] for tag in named if len(tag) > 1)
    assert event.raw.decode() == raw.strip(" \t\r\n")
    again = _native.load_event(event.raw)
    assert again == event
    assert hash(again) == hash(event)


@given(events(), WRITERS)
def test_any_spelling(fields: dict[str, object], writer: Writer) -> None:
    """However an event is written, it is accepted, with the id of its values and with these values."""
    agrees(writer.space() + writer.event(fields) + writer.space(), fields)


@pytest.mark.parametrize("name", CATEGORIES)
def test_every_category(name: str) -> None:
    """Characters of every general category have the id of the twin, raw and escaped, in content and in tags."""
    text = "".join(category(name))
    identity = plain.event_id(PUBKEY, 1, 1, [[text, text]], text)
    assert _native.event_id(PUBKEY, 1, 1, [[text, text]], text) == identity
    signature = SIGNER.sign(identity, bytes(32)).hex()
    for i in (0, -1):
        string = '"' + "".join(spellings(character)[i] for character in text) + '"'
        raw = (
            f'{{"id":"{identity.hex()}","pubkey":"{PUBKEY}","created_at":1,"kind":1,"tags":[[{string},{string}]],"content":{string},'
            f'"sig":"{signature}"}}'
        )
        assert verdict(raw) == OK


@given(events(), WRITERS, st.none() | TEXTS)
def test_a_message_around_it(fields: dict[str, object], writer: Writer, subscription: str | None) -> None:
    """So is the event of a message, whatever the subscription is called and wherever white space stands."""
    raw = writer.event(fields)
    head = [writer.string("EVENT"), *([] if subscription is None else [writer.string(subscription)])]
    message = writer.space() + writer.array([*head, raw]) + writer.space()
    assert verdict(message) == OK
    (event,) = _native.check_events([message.encode()])
    assert not isinstance(event, int)
    assert (event.id, event.raw.decode()) == (fields["id"], raw)


@given(events(), WRITERS, st.data())
def test_a_name_twice(fields: dict[str, object], writer: Writer, data: st.DataObject) -> None:
    """A name that comes twice, spelled as it may be, with the same value or another, is no event."""
    raw, name = writer.event(fields), data.draw(st.sampled_from(sorted(fields)))
    value = data.draw(st.sampled_from([writer.value(fields[name]), '"x"', "1", "[]", "null"]))
    member = f"{writer.string(name)}:{value}"
    assert verdict("{" + member + "," + raw[1:]) == SYNTAX
    assert verdict(raw[:-1] + "," + member + "}") == SYNTAX


NUMBERS = [
    *["0", "-0", "00", "01", "1", "+1", "-1", "1.0", "1.", ".5", "1e0", "1E0", "1e-0", "0e0", "0x1", "0b1", "1_000", "1n", "１"],
    *["65535", "65536", "65535.0", "4294967296", "4294967297", "9007199254740992", "9007199254740993", "9223372036854775808"],
    *["18446744073709551615", "18446744073709551616", "18446744073709551617", "1" + "0" * 400, "NaN", "Infinity", "-Infinity"],
    *["null", "true", "false", '"1"', "[1]", "{}", "", "1 1", "1,", "1/*", "\\u0031"],
]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", ["kind", "created_at"])
def test_numbers(name: str, number: str) -> None:
    """A number is digits without a leading zero, in its range; the twin refuses and accepts the same."""
    numbers = {"kind": "1", "created_at": "1"} | {name: number}
    raw = (
        f'{{"id":"{"0" * 64}","pubkey":"{PUBKEY}","created_at":{numbers["created_at"]},"kind":{numbers["kind"]},"tags":[],"content":"",'
        f'"sig":"{"0" * 128}"}}'
    )
    fits = number.isascii() and number.isdigit() and str(int(number)) == number and int(number) <= (65535 if name == "kind" else 2**53)
    assert verdict(raw) == (BAD_ID if fits else SYNTAX)


HALVES = st.integers(0xD800, 0xDFFF).map(lambda unit: f"\\u{unit:04x}")
OTHERS = st.sampled_from(["\\ud83e\\udd8a", "a", "\\n", "\\\\", "\\u0041", "🦊", "\\u", "\\", "\\ud83", "\ud83e"])
PIECES = st.lists(HALVES | OTHERS, max_size=5)


@given(PIECES)
def test_halves_of_pairs(pieces: list[str]) -> None:
    """Halves of surrogate pairs are refused wherever they stand and whatever stands beside them, whole pairs are not."""
    text = "".join(pieces)
    verdict(f'{{"id":"{"0" * 64}","pubkey":"{PUBKEY}","created_at":1,"kind":1,"tags":[["{text}"]],"content":"{text}","sig":"{"0" * 128}"}}')
    verdict(f'{{"id":"{"0" * 64}","pubkey":"{PUBKEY}","created_at":1,"kind":1,"tags":[],"content":"{text}","sig":"{"0" * 128}"}}')
    verdict(f'["EVENT","{text}",{{}}]')


DEEP = ["[" * 200_000, '{"tags":' + "[" * 200_000, '{"a":' * 100_000, '["EVENT",' * 100_000, '["EVENT","s",{"tags":[' + "[]," * 100_000]


@pytest.mark.parametrize("raw", DEEP, ids=lambda raw: raw[:12])
def test_depth(raw: str) -> None:
    """No depth of brackets costs more than their number."""
    assert verdict(raw) == SYNTAX
    assert verdict(raw + "]" * 1000) == SYNTAX


def test_large_events() -> None:
    """Hundreds of thousands of tags, values and escapes in one event are read in one pass."""
    for tags, content in (
        ([["t"]] * 100_000, ""), ([["t", *["\n"] * 100_000]], ""), ([], "\\" * 1_000_000), ([], "\0" * 500_000), ([[]] * 200_000, "/"),
    ):
        event = SIGNER.sign_event(1, 1, tags, content)
        assert (event.tags, event.content) == (tuple(map(tuple, tags)), content)
        assert _native.check_codes([event.raw, event.raw.replace(b"/", b"\\/")]) == bytes(2)


@given(events(), WRITERS, st.sampled_from("0123456789abcdef"), st.integers(0, 127))
def test_one_digit_changed(fields: dict[str, object], writer: Writer, digit: str, at: int) -> None:
    """With one digit of its id, key or signature changed an event does not hold, and the twin says why in the same word."""
    for name in ("id", "pubkey", "sig"):
        value = str(fields[name])
        place = at % len(value)
        changed = value[:place] + digit + value[place + 1 :]
        assert (verdict(writer.event(fields | {name: changed})) == OK) == (changed == value)
