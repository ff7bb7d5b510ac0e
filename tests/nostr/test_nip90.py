"""NIP-90: our own jobs, both ways."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import InvalidEvent
from pylon.nostr.event import check, sign
from pylon.nostr.nip09 import deletion_draft
from pylon.nostr.nip90 import (
    CODES,
    Input,
    Request,
    error_extra,
    read_error,
    read_feedback,
    read_request,
    read_result,
    write_feedback,
    write_request,
    write_result,
)
from pylon.units import MAX_MSAT, Msat
from tests.nostr.people import ALICE, BOB, CAROL, NOW, event

SALT = bytes(range(8))
ID = "0f" * 32

unicode = st.characters(exclude_categories=["Cs"])
texts = st.text(unicode, max_size=20)
words = st.text(unicode, min_size=1, max_size=20)
inputs = st.builds(Input, texts, st.sampled_from(["text", "url", "event", "job"]), texts, texts)
requests = st.builds(
    Request,
    kind=st.integers(5000, 5999),
    inputs=st.lists(inputs, min_size=1, max_size=4).map(tuple),
    params=st.lists(st.lists(words, min_size=2, max_size=3).map(tuple), max_size=3).map(tuple),
    output=texts,
    bid=st.none() | st.integers(0, MAX_MSAT).map(Msat),
    relays=st.lists(words, max_size=3).map(tuple),
    providers=st.lists(st.just(BOB.pubkey_hex), max_size=1).map(tuple),
    expiration=st.none() | st.integers(0, 10**12 - 1),
)


@given(request=requests)
def test_requests_round_trip(request: Request) -> None:
    """What a buyer writes a provider reads."""
    assert read_request(sign(write_request(request, created_at=NOW, salt=SALT), ALICE)) == request


@given(request=requests)
def test_encrypted_requests_round_trip(request: Request) -> None:
    """ "i and param tags" go encrypted into `content`, `encrypted` stands among the tags, and the named provider reads the same job."""
    draft = write_request(request, created_at=NOW, salt=SALT, encrypt=lambda text: ALICE.encrypt(BOB.pubkey, text))
    assert not [tag for tag in draft.tags if tag[0] in ("i", "param")]
    assert ("encrypted",) in draft.tags
    got = read_request(sign(draft, ALICE), lambda payload: BOB.decrypt(ALICE.pubkey, payload))
    assert got == Request(
        request.kind,
        request.inputs,
        request.params,
        request.output,
        request.bid,
        request.relays,
        request.providers,
        True,
        request.expiration,
    )


def test_the_order_of_tags() -> None:
    """The tags of a request stand in the order i, output, param, bid, relays, p, then the salt and the expiration; `content` is empty."""
    request = Request(
        5050,
        (Input("2+2?"), Input(ID, "event", "wss://r", "m")),
        (("model", "m"), ("range", "1", "2")),
        "text/plain",
        Msat(1000),
        ("wss://a", "wss://b"),
        (BOB.pubkey_hex,),
        False,
        NOW + 60,
    )
    draft = write_request(request, created_at=NOW, salt=SALT)
    assert draft.content == ""
    assert draft.tags == (
        ("i", "2+2?", "text"),
        ("i", ID, "event", "wss://r", "m"),
        ("output", "text/plain"),
        ("param", "model", "m"),
        ("param", "range", "1", "2"),
        ("bid", "1000"),
        ("relays", "wss://a", "wss://b"),
        ("p", BOB.pubkey_hex),
        ("salt", SALT.hex()),
        ("expiration", str(NOW + 60)),
    )


def test_equal_prompts_are_two_jobs() -> None:
    """Two jobs with one text in one second have different ids, by their salt (J5)."""
    request = Request(5050, (Input("same"),))
    ids = {sign(write_request(request, created_at=NOW, salt=bytes([n] * 8)), ALICE).id for n in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("encrypted", [False, True])
def test_feedback_round_trip(encrypted: bool) -> None:
    """Feedback names the job, the customer, the status, and the price with its invoice."""
    job = event(5050, (("i", "x", "text"),))
    draft = write_feedback(
        job, "payment-required", created_at=NOW, amount=Msat(1000), bolt11="lnbcrt1", content="c", encrypted=encrypted, expiration=NOW + 60
    )
    got = read_feedback(sign(draft, BOB))
    assert (got.request, got.customer, got.status, got.amount, got.bolt11, got.content) == (
        job.id,
        ALICE.pubkey_hex,
        "payment-required",
        1000,
        "lnbcrt1",
        "c",
    )
    assert got.encrypted is encrypted
    assert ("expiration", str(NOW + 60)) in draft.tags
    assert read_feedback(sign(write_feedback(job, "processing", created_at=NOW), BOB)).amount is None
    assert ("amount", "5") in write_feedback(job, "payment-required", created_at=NOW, amount=Msat(5)).tags


@pytest.mark.parametrize("code", CODES)
def test_errors_round_trip(code: str) -> None:
    """`["status", "error", "CODE: sentence"]`, with colons in the sentence."""
    job = event(5050)
    draft = write_feedback(job, "error", created_at=NOW, extra=error_extra(code, "a: b"))
    assert ("status", "error", f"{code}: a: b") in draft.tags
    assert read_error(read_feedback(sign(draft, BOB))) == (code, "a: b")


def test_result_round_trip() -> None:
    """A result carries the request, its inputs, `e`, `p`, the price and the model; its kind is the request's + 1000."""
    job = event(5050, (("i", "2+2?", "text"), ("bid", "1000")))
    draft = write_result(job, "4", created_at=NOW, model="m", amount=Msat(1000), bolt11="lnbcrt1")
    got = read_result(sign(draft, BOB))
    assert (got.kind, got.request, got.customer, got.content, got.amount, got.bolt11, got.model) == (
        6050,
        job.id,
        ALICE.pubkey_hex,
        "4",
        1000,
        "lnbcrt1",
        "m",
    )
    assert not got.encrypted
    assert ("i", "2+2?", "text") in draft.tags
    embedded = next(tag[1] for tag in draft.tags if tag[0] == "request")
    assert check(embedded.encode()) == job


def test_a_request_that_was_filled_on_its_way() -> None:
    """A relay may add white space and escapes to an event without changing it: its answer does not grow by them."""
    job = sign(write_request(Request(kind=5050, inputs=(Input("2+2", "text"),)), created_at=NOW, salt=SALT), ALICE)
    filled = check(job.raw.replace(b'"kind"', b" " * 100_000 + b'"kind"').replace(b"2+2", b"2\\u002b2"))
    assert filled == job
    assert write_result(filled, "4", created_at=NOW, model="m") == write_result(job, "4", created_at=NOW, model="m")



def test_an_encrypted_result_leaks_nothing() -> None:
    """ "avoid including i tag with input-data as clear text": neither the inputs nor the readable request stand in it (J14, J15)."""
    request = Request(5050, (Input("secret prompt"),), providers=(BOB.pubkey_hex,))
    job = sign(write_request(request, created_at=NOW, salt=SALT, encrypt=lambda text: ALICE.encrypt(BOB.pubkey, text)), ALICE)
    draft = write_result(job, BOB.encrypt(ALICE.pubkey, "secret answer"), created_at=NOW, model="m", encrypted=True)
    assert not {tag[0] for tag in draft.tags} & {"i", "request", "param"}
    assert ("encrypted",) in draft.tags
    assert "secret" not in json.dumps(draft.tags) + draft.content
    got = read_result(sign(draft, BOB))
    assert got.encrypted
    assert ALICE.decrypt(BOB.pubkey, got.content) == "secret answer"


def test_what_cannot_be_written() -> None:
    """A lone surrogate (an argument that was not UTF-8) is refused, readable or encrypted."""
    request = Request(5050, (Input("\udcff"),))
    with pytest.raises(InvalidEvent):
        sign(write_request(request, created_at=NOW, salt=SALT), ALICE)
    with pytest.raises(InvalidEvent):
        write_request(request, created_at=NOW, salt=SALT, encrypt=lambda text: ALICE.encrypt(BOB.pubkey, text))


def test_a_cancellation_is_tagged_for_its_providers() -> None:
    """NIP-09 with `k` and `p`, so that providers can subscribe to it."""
    job = event(5050, (("i", "x"), ("p", BOB.pubkey_hex), ("p", CAROL.pubkey_hex)))
    draft = deletion_draft(job, NOW)
    assert draft.kind == 5
    assert draft.tags == (("e", job.id), ("k", "5050"), ("p", BOB.pubkey_hex), ("p", CAROL.pubkey_hex))
