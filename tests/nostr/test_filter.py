"""Filters (NIP-01): strict in decoding, exact in matching."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import WireError
from pylon.nostr.filter import Filter, decode_filter, encode_filter
from tests.nostr.people import ALICE, BOB, NOW, event

ID = "0f" * 32
ids = st.binary(min_size=32, max_size=32).map(bytes.hex)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
letters = st.sampled_from([letter for letter in "abcdfghijklmnoqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"])


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...] | None]:
    """None, or up to three different values."""
    return st.none() | st.lists(values, max_size=3, unique=True).map(tuple)


numbers = st.none() | st.integers(0, 2**63 - 1)
tags = st.dictionaries(letters, st.lists(texts, max_size=3, unique=True).map(tuple), max_size=3)
hex_tags = st.dictionaries(st.sampled_from("ep"), st.lists(ids, max_size=3, unique=True).map(tuple), max_size=2)
filters = st.builds(
    Filter,
    ids=some(ids),
    authors=some(ids),
    kinds=st.none() | st.lists(st.integers(0, 65535), max_size=3, unique=True).map(tuple),
    tags=st.builds(lambda one, two: {**one, **two}, tags, hex_tags),
    since=numbers,
    until=numbers,
    limit=numbers,
)


@given(wanted=filters)
def test_round_trip(wanted: Filter) -> None:
    """Every filter survives encoding and decoding."""
    assert decode_filter(encode_filter(wanted)) == wanted


def test_empty_filter() -> None:
    """A filter without conditions matches everything."""
    assert decode_filter(b"{}") == Filter()
    assert Filter().matches(event())


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (Filter(kinds=(1,)), True),
        (Filter(kinds=(2, 3)), False),
        (Filter(kinds=()), False),
        (Filter(ids=()), False),
        (Filter(authors=()), False),
        (Filter(tags={"t": ()}), False),
        (Filter(authors=(BOB.pubkey_hex, ALICE.pubkey_hex)), True),
        (Filter(authors=(BOB.pubkey_hex,)), False),
        (Filter(authors=(ALICE.pubkey_hex[:32],)), False),
        (Filter(ids=(ID,)), False),
        (Filter(since=NOW), True),
        (Filter(since=NOW + 1), False),
        (Filter(until=NOW), True),
        (Filter(until=NOW - 1), False),
        (Filter(since=NOW, until=NOW), True),
        (Filter(since=NOW + 1, until=NOW - 1), False),
        (Filter(limit=0), True),
        (Filter(tags={"t": ("b", "z")}), True),
        (Filter(tags={"t": ("z",)}), False),
        (Filter(tags={"T": ("a",)}), False),
        (Filter(tags={"t": ("a",), "p": (BOB.pubkey_hex,)}), True),
        (Filter(tags={"t": ("a",), "e": (ID,)}), False),
        (Filter(tags={"t": ("second",)}), False),
        (Filter(tags={"x": ("",)}), False),
        (Filter(kinds=(1,), authors=(BOB.pubkey_hex,)), False),
    ],
)
def test_matching(wanted: Filter, matches: bool) -> None:
    """NIP-01: conditions are joined by AND, values of a list by OR, times are inclusive, only a tag's second element counts."""
    note = event(tags=(("t", "a", "second"), ("t", "b"), ("p", BOB.pubkey_hex), ("x",), ()))
    assert wanted.matches(note) is matches


@given(wanted=filters)
def test_limit_is_no_condition(wanted: Filter) -> None:
    """ "The limit property of a filter is only valid for the initial query and MUST be ignored afterwards." """
    note = event()
    unlimited = Filter(wanted.ids, wanted.authors, wanted.kinds, wanted.tags, wanted.since, wanted.until, None)
    assert wanted.matches(note) is unlimited.matches(note)


BAD = [
    (f'{{"ids":["{ID.upper()}"]}}', "invalid: ids"),
    (f'{{"ids":["{ID[:-1]}"]}}', "invalid: ids"),
    (f'{{"ids":["{ID}0"]}}', "invalid: ids"),
    (f'{{"ids":["{ID}\\n"]}}', "invalid: ids"),
    (f'{{"ids":"{ID}"}}', "invalid: ids"),
    ('{"ids":[1]}', "invalid: ids"),
    ('{"ids":null}', "invalid: ids"),
    ('{"authors":["npub1"]}', "invalid: authors"),
    ('{"authors":["%s"]}' % ("g" * 64), "invalid: authors"),
    ('{"authors":["%s"]}' % ("\uff10" * 64), "invalid: authors"),
    ('{"#e":["x"]}', "invalid: #e"),
    (f'{{"#p":["{ID.upper()}"]}}', "invalid: #p"),
    ('{"#t":[1]}', "invalid: #t"),
    ('{"#t":"a"}', "invalid: #t"),
    ('{"#t":["\\ud800"]}', "invalid: "),
    ('{"kinds":[65536]}', "invalid: a kind"),
    ('{"kinds":[-1]}', "invalid: a kind"),
    ('{"kinds":[1.0]}', "invalid: kinds"),
    ('{"kinds":[1e2]}', "invalid: kinds"),
    ('{"kinds":[1e400]}', "invalid: kinds"),
    ('{"kinds":[true]}', "invalid: kinds"),
    ('{"kinds":["1"]}', "invalid: kinds"),
    ('{"kinds":1}', "invalid: kinds"),
    ('{"kinds":[%s]}' % ("9" * 5000), "invalid: kinds"),
    ('{"since":-1}', "invalid: since"),
    ('{"since":1.5}', "invalid: since"),
    ('{"since":"1"}', "invalid: since"),
    ('{"since":null}', "invalid: since"),
    ('{"since":NaN}', "invalid: a filter"),
    ('{"until":1e400}', "invalid: until"),
    ('{"until":9223372036854775808}', "invalid: until"),
    ('{"limit":-1}', "invalid: limit"),
    ('{"limit":false}', "invalid: limit"),
    ('{"limit":%s}' % ("9" * 400), "invalid: limit"),
    ('{"search":"x"}', "unsupported: "),
    ('{"#":["x"]}', "unsupported: "),
    ('{"#ab":["x"]}', "unsupported: "),
    ('{"#1":["x"]}', "unsupported: "),
    ('{"#\u00e9":["x"]}', "unsupported: "),
    ('{"":1}', "unsupported: "),
    ("[]", "invalid: a filter"),
    ("null", "invalid: a filter"),
    ("", "invalid: a filter"),
    ('{"kinds":[1]', "invalid: a filter"),
    ('{"kinds":' + "[" * 100_000 + "]" * 100_000 + "}", "invalid: "),
    ('{"\\ud800":[]}', "invalid: a filter"),
]


@pytest.mark.parametrize(("text", "reason"), BAD, ids=range(len(BAD)))
def test_hostile_filters(text: str, reason: str) -> None:
    """ "The ids, authors, #e and #p filter lists MUST contain exact 64-character lowercase hex values", and so on: else a reason."""
    with pytest.raises(WireError, match=f"^{reason}"):
        decode_filter(text.encode())


def test_not_utf8() -> None:
    """Bytes that are not UTF-8 are refused, in keys and in values."""
    for raw in (b'{"#t":["\xff"]}', b'{"#t\xff":["a"]}', b"\xff"):
        with pytest.raises(WireError, match=r"^invalid: "):
            decode_filter(raw)


def test_values_count_once() -> None:
    """Repeated values are one value; of a repeated key the last counts; NUL and RTL are characters like others."""
    assert decode_filter(b'{"kinds":[1,1,2,1],"#t":["a","a"]}') == Filter(kinds=(1, 2), tags={"t": ("a",)})
    assert decode_filter(b'{"kinds":[1],"kinds":[2]}') == Filter(kinds=(2,))
    assert decode_filter('{"#t":["\\u0000","\u202e"]}'.encode()).tags == {"t": ("\x00", "\u202e")}


@given(
    text=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["ids", "authors", "kinds", "#e", "#t", "since", "until", "limit", "x"]), inner)
        ),
    )
)
def test_any_json(text: object) -> None:
    """Any JSON gives a filter or a WireError."""
    reason = "invalid: "
    try:
        decode_filter(json.dumps(text).encode())
    except WireError as error:
        reason = str(error)
    assert reason.startswith(("invalid: ", "unsupported: "))
