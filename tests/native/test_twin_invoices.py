"""Invoices, native code against the twin: fields that are right in themselves, in any number and order, and texts in any case."""

from __future__ import annotations

import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon._native.plain_bolt11 import words_of
from tests.native.invoices import DESCRIPTION, HASH, PAYEE, PAYMENT_SECRET, Field, build
from tests.native.test_bolt11 import EXAMPLES, both

KEYS = [PrivateKey(bytes(31) + bytes([n])).public_key.format() for n in range(1, 6)]
HOPS = st.builds(lambda key, rest: key + rest, st.sampled_from(KEYS), st.binary(min_size=18, max_size=18))
NO_HOPS = st.sampled_from([b"\2" + b"\xff" * 32 + bytes(18), b"\4" + KEYS[0][1:] + bytes(18), KEYS[0], bytes(50)])
ROUTES = st.lists(HOPS, min_size=1, max_size=3).map(b"".join) | st.lists(HOPS | NO_HOPS, max_size=3).map(b"".join)
PROGRAMS = st.tuples(st.integers(0, 18), st.sampled_from([20, 32, 2, 40, 1, 41, 33])).map(lambda pair: [pair[0], *words_of(bytes(pair[1]))])
BITS = st.sets(st.sampled_from([*range(0, 24), 48, 49, 56, 57, 99, 100, 101, 149, 150]), max_size=5)


def number(value: int) -> list[int]:
    """A big-endian number without leading zeros."""
    return [value >> 5 * i & 31 for i in reversed(range(-(-value.bit_length() // 5)))]


OTHERS: st.SearchStrategy[Field] = st.one_of(
    ROUTES.map(lambda data: ("r", words_of(data))),
    PROGRAMS.map(lambda words: ("f", words)),
    BITS.map(lambda bits: ("9", number(sum(1 << bit for bit in bits)))),
    st.integers(0, 2**70).map(lambda value: ("x", number(value))),
    st.integers(0, 2**70).map(lambda value: ("c", number(value))),
    st.binary(max_size=60).map(lambda data: ("m", words_of(data))),
    st.just(("n", words_of(PAYEE))),
    st.sampled_from(KEYS).map(lambda key: ("n", words_of(key))),
    st.tuples(st.sampled_from("zqyglvwjk0246t7eu38x5"), st.lists(st.integers(0, 31), max_size=5)),
)
DESCRIPTIONS: st.SearchStrategy[Field] = (
    st.text(max_size=30).map(lambda text: ("d", words_of(text.encode())))
    | st.binary(min_size=32, max_size=32).map(lambda data: ("h", words_of(data)))
)
CURRENCIES = st.sampled_from(["bc", "tb", "tbs", "bcrt", "sb"])
MULTIPLES = st.sampled_from(["", "m", "u", "n", "p", "0p"])
AMOUNTS = st.just("") | st.tuples(st.integers(1, 10**9) | st.integers(1, 2**64), MULTIPLES).map(lambda pair: f"{pair[0]}{pair[1]}")


@settings(max_examples=300)
@given(CURRENCIES, AMOUNTS, DESCRIPTIONS, st.lists(OTHERS, max_size=4), st.integers(0, 2**35 - 1), st.data())
def test_fields_that_are_right(
    currency: str, amount: str, description: Field, others: list[Field], timestamp: int, data: st.DataObject
) -> None:
    """Routes, addresses, features, keys and numbers beside what an invoice needs are read alike, or refused by both."""
    fields = data.draw(st.permutations([HASH, PAYMENT_SECRET, description, *others]))
    both(build(f"ln{currency}{amount}", fields, timestamp))


@pytest.mark.parametrize(("name", "count"), [("f", 60), ("r", 60), ("z", 500), ("q", 700)])
def test_many_fields(name: str, count: int) -> None:
    """Fields that may come more than once may come as often as there is room."""
    value = {"f": [17, *words_of(bytes(20))], "r": words_of(KEYS[0] + bytes(18)), "z": [1], "q": []}[name]
    found = both(build(fields=[HASH, PAYMENT_SECRET, DESCRIPTION, *[(name, value)] * count]))
    assert found is not None
    addresses = found["fallback_addresses"]
    assert isinstance(addresses, list)
    assert (len(addresses), found["route_hints"]) == (count * (name == "f"), count * (name == "r"))


@given(st.sampled_from(EXAMPLES), st.lists(st.integers(0, 400), max_size=3))
def test_cases(invoice: str, places: list[int]) -> None:
    """Bech32 is all of one case; a text in both is refused."""
    text = invoice.upper()
    assert both(text) == both(invoice.lower())
    for at in places:
        at %= len(text)
        text = text[:at] + text[at].lower() + text[at + 1 :]
    assert (both(text) is None) == (text != invoice.upper())


@given(st.sampled_from(EXAMPLES), st.integers(0, 400), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l1b "))
def test_one_character_changed(invoice: str, at: int, character: str) -> None:
    """The checksum finds every single change."""
    text = invoice.lower()
    at %= len(text)
    changed = text[:at] + character + text[at + 1 :]
    assert (both(changed) is not None) == (changed == text)
