"""The one door for money that leaves, against the catalogue of payment attacks: what is refused, why, and what passes exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon import _native
from pylon.errors import InvoiceRefused, OverBudget
from pylon.market import spend
from pylon.market.spend import FUTURE, LONGEST_LIFE, MARGIN, MOST_CHARACTERS, Payable, vet
from pylon.nostr import nip90
from pylon.units import MAX_MSAT, Msat
from tests.market.scene import CURRENCY, NOW, invoice, payment_hash


def ask(
    bolt11: str, *, tag: int | None = 1000, limit: int | None = 2000, currency: str = CURRENCY, now: float = NOW, spent: bool = False
) -> Payable:
    """`vet` with the terms of an ordinary job: a tag of 1 sat and a bid of 2."""
    return vet(
        bolt11, tag=None if tag is None else Msat(tag), limit=None if limit is None else Msat(limit), currency=currency, now=now,
        spent_before=spent,
    )


def test_a_good_invoice_passes_exactly_as_it_is() -> None:
    """The string, the amount, the hash and the end of an acceptable invoice come back unchanged."""
    payable = ask(invoice(description="pylon:x"))
    assert payable.bolt11 == invoice(description="pylon:x")
    assert (payable.amount, payable.payment_hash, payable.expires_at) == (1000, payment_hash(1), NOW + 600)
    assert (payable.payee, payable.description) == (_native.public_key(b"\x07" * 32), "pylon:x")


@pytest.mark.parametrize(
    ("asked", "tag", "good"),
    [
        (1000, 1000, True), (1001, 1000, False), (2000, 1000, False), (999, 1000, True), (1, 1, True), (1000, 1, True), (1001, 1, False),
        (2000, 1001, True), (2001, 1001, False), (1500, 1500, True), (1, 0, False), (1000, 0, False), (1999, None, True),
    ],
)
def test_more_than_the_tag_is_refused(asked: int, tag: int | None, good: bool) -> None:
    """P1: the invoice may ask the `amount` tag rounded up to a whole sat, never more; without a number, the bid alone counts (P4)."""
    if good:
        assert ask(invoice(amount=asked), tag=tag).amount == asked
    else:
        with pytest.raises(InvoiceRefused, match=f"asks {asked} msat and its event announced {tag}"):
            ask(invoice(amount=asked), tag=tag)


@pytest.mark.parametrize(("asked", "limit"), [(2001, 2000), (2000, 1999), (1, 0), (MAX_MSAT // 2, 2000)])
def test_more_than_the_bid_or_the_budget_is_refused(asked: int, limit: int) -> None:
    """P2: `OverBudget`, with both numbers; exactly the limit passes."""
    with pytest.raises(OverBudget, match=f"asks {asked} msat and the limit is {limit}"):
        ask(invoice(amount=asked), tag=None, limit=limit)
    assert ask(invoice(amount=asked), tag=None, limit=asked).amount == asked


def test_the_rounded_invoice_is_still_bound_by_the_bid() -> None:
    """P24: rounding up to a whole sat never goes over the bid."""
    with pytest.raises(OverBudget):
        ask(invoice(amount=2000), tag=1500, limit=1500)


def test_an_invoice_without_an_amount_is_refused() -> None:
    """P3: an amount of our own choosing is never supplied, not even where a person named the invoice."""
    for limit in (2000, None):
        with pytest.raises(InvoiceRefused, match="names no amount"):
            ask(invoice(amount=None), limit=limit)


@pytest.mark.parametrize("text", ["100_000", "-1", "1.5", str(2**64), "", "abc", "1e3", "٣", " 1", "1\x00", "9" * 400])
def test_a_tag_that_is_no_amount_counts_as_none(text: str) -> None:
    """P4: what is not a plain number up to all bitcoin is not read as one, and never crashes."""
    assert nip90.read_msat(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "lightning:", "alice@example.com", "LNURL1DP68GURN8GHJ7UM9WFMXJCM99E3K7MF0V9CXJ0M385EKVCENXC6R2C35XVUKXEFCV5MKVV34X5EKZ",
        "lnurl1dp68gurn8ghj7um9wfmxjcm99e3k7mf0v9cxj0m385ekvcenxc6r2c35xvukxefcv5mkvv34x5ekz", "sprt1pgss9kqzgfewn7yq",
        "sp1qqweplq6ylpfrzuq6hfznzmv28djsraupudz0s0dclyt8erh70pgwxkvz2jg", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "ln", "lnbcrt",
        "lnbcrt1", "LNBCRT1", "\x00", "lnbcrt\x00", "lnbcrt10n1\ud800", "\ud83d", "ln\u202ebcrt", "⚡", "null", "{}", "lni1qqg", "lno1qqg",
    ],
)
def test_what_is_no_bolt11_is_not_payable(text: str) -> None:
    """P5: Spark, LNURL, lightning addresses, offers and garbage are recognised and refused; nothing is fetched, nothing crashes."""
    with pytest.raises(InvoiceRefused):
        ask(text)


def test_a_lightning_address_is_named_as_such() -> None:
    """The person learns what stood in the tag, not only that it was wrong."""
    with pytest.raises(InvoiceRefused, match="a lightning address to pay here, only BOLT11"):
        ask("alice@example.com")
    with pytest.raises(InvoiceRefused, match="nothing to pay here"):
        ask("")


@pytest.mark.parametrize("currency", ["bc", "tb", "tbs", "sb"])
def test_another_network_is_refused(currency: str) -> None:
    """P6: no wallet of one network is asked to pay on another, in either direction."""
    with pytest.raises(InvoiceRefused, match=f"another network \\(ln{currency}, this wallet pays lnbcrt\\)"):
        ask(invoice(currency=currency))
    with pytest.raises(InvoiceRefused, match="another network"):
        ask(invoice(), currency=currency)


def test_mixed_case_is_refused_and_one_case_is_not() -> None:
    """P6, BOLT11 by way of BIP-173: "Decoders MUST NOT accept strings where some characters are uppercase and some are lowercase"."""
    good = invoice()
    for mixed in (good[:1].upper() + good[1:], good[:-1] + good[-1].swapcase(), "LNBCRT" + good[6:], good[:10] + good[10:].upper()):
        if mixed != good:
            with pytest.raises(InvoiceRefused, match="not valid BOLT11"):
                ask(mixed)
    assert ask(good.upper()).payment_hash == payment_hash(1)


@pytest.mark.parametrize(
    ("now", "good"), [(NOW + 600 - MARGIN - 1, True), (NOW + 600 - MARGIN, False), (NOW + 600, False), (NOW + 10**9, False)]
)
def test_an_invoice_must_live_long_enough_to_be_paid(now: int, good: bool) -> None:
    """P6: expired, or expiring before the payment can complete."""
    if good:
        ask(invoice(), now=now)
    else:
        with pytest.raises(InvoiceRefused, match="has expired"):
            ask(invoice(), now=now)


def test_an_invoice_from_the_future_is_refused() -> None:
    """P6: a clock may be off by ten minutes; more is no clock."""
    ask(invoice(at=NOW + FUTURE))
    with pytest.raises(InvoiceRefused, match="dated in the future"):
        ask(invoice(at=NOW + FUTURE + 1))


@pytest.mark.parametrize("expiry", [2**31, 2**63, 2**64 - 1])
def test_an_endless_invoice_ends(expiry: int) -> None:
    """BOLT11 bounds no expiry; a record of ours must stay storable, so the end is cut to ten years."""
    assert ask(invoice(expiry=expiry)).expires_at == NOW + min(expiry, LONGEST_LIFE) < 2**63
    with pytest.raises(InvoiceRefused, match="has expired"):
        ask(invoice(expiry=expiry), now=NOW + LONGEST_LIFE)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s[:-1] + ("q" if s[-1] != "q" else "p"), lambda s: s[:60] + ("q" if s[60] != "q" else "p") + s[61:], lambda s: s[:-6],
        lambda s: s + "q", lambda s: s + "\n", lambda s: " " + s, lambda s: s + "\x00", lambda s: s.replace("1", "b", 1), lambda s: s + s,
    ],
)
def test_a_broken_invoice_is_refused(change: Callable[[str], str]) -> None:
    """P7: a wrong checksum, a cut, an addition; the whole list of wrong invoices runs in tests/native."""
    with pytest.raises(InvoiceRefused):
        ask(change(invoice()))


def test_a_huge_string_is_refused_unread() -> None:
    """P7: longer than a QR code holds is no invoice; its decoder is never called."""
    with pytest.raises(InvoiceRefused, match=f"longer than {MOST_CHARACTERS} characters"):
        ask("lnbcrt1" + "q" * 10_000_000)


def test_a_hash_that_was_paid_is_not_paid_again() -> None:
    """P8: at most one payment a hash, whoever sends the invoice, for whatever job."""
    with pytest.raises(InvoiceRefused, match="payment hash was paid before"):
        ask(invoice(), spent=True)


def test_a_person_may_name_any_amount_and_nothing_else() -> None:
    """`wallet pay`: no bid limits the amount; network, expiry and hash are checked all the same."""
    assert ask(invoice(amount=10**12), tag=None, limit=None).amount == 10**12
    for bad in (invoice(currency="bc"), invoice(at=NOW - 1000)):
        with pytest.raises(InvoiceRefused):
            ask(bad, tag=None, limit=None)


@pytest.mark.parametrize("amount", [1, 999, 1001, 10**9, 10**15])
def test_amounts_are_exact(amount: int) -> None:
    """P24: no amount passes through a float or a whole sat on its way."""
    assert ask(invoice(amount=amount), tag=amount, limit=amount).amount == amount


@given(st.text(max_size=300))
def test_no_text_crashes_the_door(text: str) -> None:
    """Whatever stands in the tag, the answer is one refusal."""
    for candidate in (text, "lnbcrt" + text, invoice()[:40] + text):
        with pytest.raises(InvoiceRefused):
            ask(candidate)


@given(st.integers(0, 10**7), st.one_of(st.none(), st.integers(0, 10**7)), st.integers(0, 10**7))
def test_what_passes_is_within_tag_and_limit(amount: int, tag: int | None, limit: int) -> None:
    """For all amounts: what is payable asks at most the bid, and less than a sat over the tag."""
    try:
        payable = ask(invoice(amount=amount or None), tag=tag, limit=limit)
    except (InvoiceRefused, OverBudget):
        return
    assert 0 < payable.amount == amount <= limit
    assert tag is None or amount < tag + 1000


def test_reading_is_the_native_decoder() -> None:
    """`read` adds no second opinion: it gives what the strict decoder gives."""
    assert spend.read(invoice()).payment_hash == hashlib.sha256((1).to_bytes(32)).digest()
