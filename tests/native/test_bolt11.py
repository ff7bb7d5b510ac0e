"""BOLT11 (lightning/bolts a3772650): every example of the specification, and what a payer must refuse."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon import _native
from pylon._native import plain
from pylon._native.plain_bolt11 import CHARSET, words_of

from .invoices import BASIC, DESCRIPTION, FEATURES, HASH, PAYEE, PAYMENT_SECRET, SECRET, Field, build, checked

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "bolt11.json").read_text())
P2TR = (
    "lnbc20m1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqhp58yjmdan79s6"
    "qqdhdzgynm4zwqd5d7xmw5fk98klysy043l2ahrqsfp4pptdvg0d2nj99568qn6ssdy4cygnwuxgw2ukmnwgwz7jpqjz2kszs9qrsgqy606dznq28exnydt2r4c29y56xjtn3sk4mhgj"
    "tl4pg2y4ar3249rq4ajlmj9jy8zvlzw7cr8mggqzm842xfr0v72rswzq9xvr4hknfsqwmn6xd"
)
EXAMPLES = [case["invoice"] for case in VECTORS["valid"]] + [P2TR]
FORGED = [case["invoice"] for case in VECTORS["invalid"]]


def both(invoice: str) -> dict[str, object] | None:
    """What native code and twin say of an invoice: the same, or None if both refuse."""
    try:
        expected: dict[str, object] | None = asdict(plain.bolt11_decode(invoice))
    except ValueError:
        expected = None
    try:
        decoded = _native.bolt11_decode(invoice)
    except ValueError:
        found = None
    else:
        found = {name: getattr(decoded, name) for name in plain.Invoice.__dataclass_fields__}
    assert found == expected
    return found


def refusal(invoice: str) -> str:
    """Why native code refuses; the twin must too."""
    assert both(invoice) is None
    with pytest.raises(ValueError, match=r"^not a payable BOLT11 invoice: ") as caught:
        _native.bolt11_decode(invoice)
    return str(caught.value).removeprefix("not a payable BOLT11 invoice: ")


@pytest.mark.parametrize("invoice", EXAMPLES, ids=[case["title"][:40] for case in VECTORS["valid"]] + ["P2TR"])
def test_valid_examples(invoice: str) -> None:
    """Every valid example is read, by native code and twin alike, and was signed by the key of the examples."""
    found = both(invoice)
    assert found is not None
    assert found["payee"] == PAYEE or "high-S" in next(case["title"] for case in VECTORS["valid"] if case["invoice"] == invoice)
    assert found["payment_secret"] == b"\x11" * 32


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["title"][:40])
def test_invalid_examples(case: dict[str, str]) -> None:
    """Every invalid example is refused."""
    assert both(case["invoice"]) is None


def test_fields_of_the_examples() -> None:
    """Amounts, texts, hashes, times, fallbacks and routes are those that the specification states."""
    read = [_native.bolt11_decode(invoice) for invoice in EXAMPLES]
    assert [invoice.amount_msat for invoice in read[:5]] == [None, 250_000_000, 250_000_000, 2_000_000_000, 2_000_000_000]
    assert {invoice.timestamp for invoice in read[:5]} == {1496314658}
    assert [invoice.currency for invoice in read[3:6]] == ["bc", "tb", "bc"]
    assert [invoice.expiry for invoice in read[:3]] == [3600, 60, 60]
    assert [invoice.description for invoice in read[:4]] == [
        "Please consider supporting this project", "1 cup coffee", "ナンセンス 1杯", None,
    ]
    assert read[3].description_hash is not None
    assert read[3].description_hash.hex() == "3925b6f67e2c340036ed12093dd44e0368df1b6ea26c53dbe4811f58fd5db8c1"
    assert read[0].payment_hash.hex() == "0001020304050607080900010203040506070809000102030405060708090102"
    assert [address for invoice in read[4:9] for address in invoice.fallback_addresses] == [
        "mk2QpYatsKicvFVuTAQLBryyccRXMUaGHP",
        "1RustyRX2oai4EYYDpQGWvEL62BBGqN9T",
        "3EktnHQD7RiAE6uzMj2ZifT9YgRrkSgzQX",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3",
    ]
    assert read[-1].fallback_addresses == ["bc1pptdvg0d2nj99568qn6ssdy4cygnwuxgw2ukmnwgwz7jpqjz2kszse2s3lm"]
    assert read[5].route_hints == 1
    assert (read[9].amount_msat, read[9].expiry, read[9].min_final_cltv_expiry) == (967_878_534, 604_800, 10)


def test_a_built_invoice() -> None:
    """The builder of these tests makes invoices that both decoders read, so that a refusal below has the reason it names."""
    found = both(build("lnbcrt2500u"))
    assert found is not None
    assert (found["currency"], found["amount_msat"], found["payee"]) == ("bcrt", 250_000_000, PAYEE)
    assert (found["expiry"], found["min_final_cltv_expiry"]) == (3600, 18)


NODE: Field = ("n", words_of(PAYEE))


@pytest.mark.parametrize(
    ("invoice", "why"),
    [
        (build("lnbc18446744073709551615"), "amount is too large"),
        (build("lnbc99999999"), "amount is too large"),
        (build("lnbc18446744073709551616p"), "too large"),
        (build("lnbc18446744073709551615m"), "doesn't fit"),
        (build("lnbc0"), "amount is zero"),
        (build("lnbc0u"), "amount is zero"),
        (build("lnbc02500u"), "shortest form"),
        (build("lnbc15p"), "below a millisatoshi"),
        (build("lnxy"), "currency"),
        (build("lnbc10k"), "SI prefix"),
        (build(fields=[PAYMENT_SECRET, DESCRIPTION, FEATURES]), "no payment hash"),
        (build(fields=[HASH, DESCRIPTION, FEATURES]), "no payment secret"),
        (build(fields=[HASH, PAYMENT_SECRET, FEATURES]), "no description"),
        (build(fields=[*BASIC, HASH]), "more than one payment hash"),
        (build(fields=[*BASIC, PAYMENT_SECRET]), "more than one payment secret"),
        (build(fields=[*BASIC, DESCRIPTION]), "more than one description"),
        (build(fields=[*BASIC, ("h", words_of(bytes(32)))]), "more than one description"),
        (build(fields=[*BASIC, ("x", [1]), ("x", [2])]), "twice"),
        (build(fields=[HASH, PAYMENT_SECRET, DESCRIPTION, ("9", [4, 0, 16, 8, 0])]), "feature"),
        (build(fields=[HASH, PAYMENT_SECRET, DESCRIPTION, ("9", [0, 16, 8, 0])]), "shortest form"),
        (build(fields=[*BASIC, ("x", [0, 1])]), "shortest form"),
        (build(fields=[*BASIC, ("c", [0, 18])]), "shortest form"),
        (build(fields=[*BASIC, ("x", [31] * 13)]), "doesn't fit"),
        (build(fields=[HASH, PAYMENT_SECRET, ("d", words_of(b"\xff")), FEATURES]), "utf-8"),
        (build(fields=[("p", [*HASH[1][:-1], HASH[1][-1] | 1]), *BASIC[1:]]), "shortest form"),
        (build(fields=[*BASIC, NODE], high_s=True), "signature"),
        (build(fields=[*BASIC, ("n", words_of(b"\2" + b"\xff" * 32))]), "public key"),
        (build(fields=[*BASIC, ("n", words_of(b"\3" + PAYEE[1:] if PAYEE[0] == 2 else b"\2" + PAYEE[1:]))]), "signature"),
        (build(fields=[*BASIC, ("f", [])]), "tagged fields"),
        (build(fields=[*BASIC, ("f", [17, *words_of(bytes(19))])]), "public key hash"),
        (build(fields=[*BASIC, ("r", words_of(bytes(50)))]), "tagged fields"),
        (build(fields=BASIC).replace("lnbc1", "LNBC1"), "bech32"),
        ("", "bech32"),
        ("lnbc1", "bech32"),
        ("🦊", "character"),
        ("lnbc1" + "q" * 8000, "too long"),
        ("\0" + build(), "bech32"),
        (build() + "\n", "bech32"),
    ],
)
def test_refused(invoice: str, why: str) -> None:
    """What the specification forbids is refused, with a sentence that says why."""
    assert why in refusal(invoice)


def test_assumed_features() -> None:
    """Bits 8 and 14 are ASSUMED (BOLT 9): an invoice without a `9` field is payable."""
    assert both(build(fields=BASIC[:3])) is not None


def test_high_s_is_recovered_only_without_n() -> None:
    """With an `n` field the signature must have a low S; without, both are accepted."""
    assert both(build(high_s=True)) is not None
    assert both(build(fields=[*BASIC, NODE])) is not None


ENCODED = st.tuples(
    st.sampled_from(["bc", "tb", "tbs", "bcrt", "sb"]),
    st.none() | st.integers(1, 1_800_000_000_000_000_000),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
    st.text(max_size=639).filter(lambda text: len(text.encode()) <= 639),
    st.integers(0, 2**35 - 1),
    st.integers(0, 2**63),
    st.integers(0, 2**63),
)


@given(ENCODED)
def test_what_we_write_is_read(draft: tuple[str, int | None, bytes, bytes, str, int, int, int]) -> None:
    """Any invoice of ours is read back field by field, by native code and twin."""
    currency, amount, payment_hash, secret, description, timestamp, expiry, cltv = draft
    found = both(_native.bolt11_encode(SECRET, currency, amount, payment_hash, secret, description, timestamp, expiry, cltv))
    assert found == {
        "currency": currency, "amount_msat": amount, "payment_hash": payment_hash, "payment_secret": secret, "payee": PAYEE,
        "description": description, "description_hash": None, "timestamp": timestamp, "expiry": expiry, "min_final_cltv_expiry": cltv,
        "fallback_addresses": [], "route_hints": 0,
    }


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"secret": bytes(32)}, "secret key"),
        ({"secret": b"1"}, "32 bytes"),
        ({"currency": "btc"}, "currency"),
        ({"amount": 0}, "zero"),
        ({"amount": 2**63}, "too large"),
        ({"payment_hash": b""}, "32 bytes"),
        ({"payment_secret": bytes(33)}, "32 bytes"),
        ({"description": "é" * 320}, "description"),
        ({"timestamp": 2**35}, "timestamp"),
    ],
)
def test_what_is_not_written(changed: dict[str, object], why: str) -> None:
    """An invoice that nobody may pay is not made."""
    draft: dict[str, object] = {
        "secret": SECRET, "currency": "bcrt", "amount": 1000, "payment_hash": bytes(32), "payment_secret": bytes(32), "description": "x",
        "timestamp": 1, "expiry": 1, "cltv": 18,
    }
    with pytest.raises(ValueError, match=why):
        _native.bolt11_encode(*(draft | changed).values())  # type: ignore[arg-type]  # the point is to pass what is wrong


WORDS = st.lists(st.integers(0, 31), max_size=60)
VERSIONS, SIZES = st.integers(0, 20), st.sampled_from([2, 19, 20, 32, 40, 41])
FIELDS = st.lists(
    st.sampled_from([HASH, PAYMENT_SECRET, DESCRIPTION, FEATURES, NODE])
    | st.tuples(st.sampled_from("xc9fmrtzq"), WORDS)
    | st.tuples(st.just("f"), st.builds(lambda version, size: [version, *words_of(bytes(size))], VERSIONS, SIZES))
    | st.tuples(st.sampled_from("phsn"), st.sampled_from([0, 51, 52, 53]).map(lambda size: [0] * size))
    | st.tuples(st.just("d"), st.binary(max_size=40).map(words_of)),
    max_size=5,
)
PREFIXES = st.from_regex(r"ln(bcrt|bc|tbs|tb|sb|x)?([0-9]{1,21}[munpx]?)?", fullmatch=True)


@given(PREFIXES | st.just("lnbc"), FIELDS, st.integers(0, 2**35 - 1), st.booleans())
def test_random_fields(hrp: str, extra: list[Field], timestamp: int, high_s: bool) -> None:
    """Native code and twin agree on any prefix and any fields around those that an invoice needs, all properly signed."""
    both(build(hrp, BASIC[:3] + extra, timestamp, high_s=high_s))


@given(st.sampled_from(EXAMPLES + FORGED), st.integers(0, 400), st.integers(0, 31))
def test_random_damage(invoice: str, at: int, word: int) -> None:
    """An invoice with one character changed and a checksum that is right again is read alike by both."""




    lowered = invoice.lower()
    hrp, _, data = lowered.rpartition("1")
    if not hrp or not set(data) <= set(CHARSET):
        return
    words = [CHARSET.index(c) for c in data[:-6]]
    words[at % len(words)] = word
    both(checked(hrp, words))


@given(st.text(max_size=200) | st.text("lnbctrs1qpzry9x8gf2tvdw0s3jn54khce6mua7l", max_size=300))
def test_garbage(text: str) -> None:
    """Text that is no invoice is refused by both, and nothing else happens."""
    assert both(text) is None
