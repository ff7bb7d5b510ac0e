"""NIP-90 as strangers speak it: what is found in the wild is read where that is safe, and refused in one sentence where it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.errors import DecryptError, WireError
from pylon.market.kinds import number, prompt_text
from pylon.nostr.event import Tags
from pylon.nostr.nip90 import (
    JobError,
    Request,
    read_error,
    read_feedback,
    read_msat,
    read_request,
    read_result,
)
from pylon.units import MAX_MSAT
from tests.nostr.people import ALICE, BOB, CAROL, event

ID = "0f" * 32

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.mark.parametrize(
    ("tags", "content", "prompt"),
    [
        ((("i", "hello", "text"),), "", "hello"),
        ((("i", "hello"),), "", "hello"),
        ((("i", "hello", ""),), "", "hello"),
        ((("i", "hello", "prompt"),), "", "hello"),
        ((("i", "a", "text"), ("i", "b", "text")), "", "a\n\nb"),
        ((("input", "hello", "text"),), "", "hello"),
        ((("input", "ignored"), ("i", "hello", "text")), "", "hello"),
        ((("i", "hello", "text"),), "prose beside it", "hello"),
        ((), "prose as the prompt", "prose as the prompt"),
        ((("wss://relay.example", "x"), ("i",), ("param",), ("param", "k"), ("relays",), (), ("i", "hello", "text")), "", "hello"),
        ((("i", "emoji 👩‍👩‍👧 é", "text"),), "", "emoji 👩‍👩‍👧 é"),
        ((("i", "nul\x00 \u202ertl", "text"),), "", "nul\x00 \u202ertl"),
        (tuple(("i", str(n), "text") for n in range(10_000)), "", "\n\n".join(map(str, range(10_000)))),
    ],
)
def test_requests_in_the_wild(tags: Tags, content: str, prompt: str) -> None:
    """Prose in `content`, the type `prompt`, `input` tags, tags named by a URL, tags without a value, 10,000 inputs (J8, J10)."""
    assert prompt_text(read_request(event(5050, tags, content))) == prompt


@pytest.mark.parametrize(
    ("tags", "content"),
    [
        ((), ""),
        ((("i", "", "text"),), ""),
        ((("i", " \n", "text"),), ""),
        ((("i",),), ""),
        ((), "  "),
        ((("i", "http://x", "url"),), ""),
        ((("i", ID, "job"),), ""),
        ((("i", "x", "text"), ("i", ID, "event")), ""),
        ((("i", "x", "\u202e" * 5000),), ""),
    ],
)
def test_nothing_to_answer(tags: Tags, content: str) -> None:
    """No input, an empty one, or one that would need a fetch: BAD_REQUEST in one short sentence (J8, J11)."""
    with pytest.raises(JobError) as caught:
        prompt_text(read_request(event(5050, tags, content)))
    assert caught.value.code == "BAD_REQUEST"
    assert len(caught.value.message) < 200


def test_parameters() -> None:
    """Both spellings of a name are read, the first value counts, unknown parameters are nobody's business."""
    request = read_request(
        event(
            5050,
            (
                ("i", "x"),
                ("param", "top-k", "5"),
                ("param", "top_k", "6"),
                ("param", "model", "m", "n"),
                ("param", "new", "1"),
                ("param", "max_tokens"),
            ),
        )
    )
    assert request.param("top_k") == "5"
    assert request.param("model") == "m"
    assert request.param("max_tokens") is None
    assert request.param("top_p", "top_k") == "5"
    assert request.param("temperature") is None


@pytest.mark.parametrize(("text", "value"), [("5", 5.0), ("0", 0.0), ("0.5", 0.5), ("512", 512.0), ("007", 7.0)])
def test_numbers(text: str, value: float) -> None:
    """Plain decimal numbers are read."""
    assert number(Request(5050, (), (("max_tokens", text),)), ["max_tokens"], 0, 512) == value
    assert number(Request(5050, ()), ["max_tokens"], 0, 512) is None


@pytest.mark.parametrize(
    "text", ["abc", "", "-1", "1e9", "513", "1000000000", "9" * 5000, "nan", "inf", "1_0", "٣", "0x5", " 5", "5\n", "1.", "--1"]
)
def test_bad_numbers(text: str) -> None:
    """ Not a number, negative, too large: INVALID_PARAMETER, in words that name the bounds (J9)."""
    with pytest.raises(JobError, match="max_tokens must be a number from 0 to 512") as caught:
        number(Request(5050, (), (("max_tokens", text),)), ["max_tokens"], 0, 512)
    assert caught.value.code == "INVALID_PARAMETER"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "100_000",
        "-1",
        "1.5",
        "1e3",
        "0x10",
        " 1",
        "1\n",
        "+1",
        "٣",
        "NaN",
        str(2**64),
        "9" * 21,
        "9" * 5000,
        str(MAX_MSAT + 1),
        "1000 msat",
    ],
)
def test_amounts_that_are_none(text: str) -> None:
    """P4: an amount that is not a plain number, or more than all bitcoin, is none."""
    assert read_msat(text) is None
    feedback = read_feedback(event(7000, (("e", ID), ("status", "payment-required"), ("amount", text, "lnbc1"))))
    assert feedback.amount is None
    assert feedback.bolt11 == "lnbc1"
    assert read_request(event(5050, (("i", "x"), ("bid", text)))).bid is None
    assert read_result(event(6050, (("e", ID), ("amount", text)))).amount is None


def test_amounts() -> None:
    """Plain numbers up to all bitcoin are amounts; P5: what stands behind one is kept as it is and believed by nobody here."""
    assert read_msat("0") == 0
    assert read_msat("0001") == 1
    assert read_msat(str(MAX_MSAT)) == MAX_MSAT
    wild = read_feedback(event(7000, (("e", ID), ("amount", "100_000", "botlab@zeuspay.com"))))
    assert wild.amount is None
    assert wild.bolt11 == "botlab@zeuspay.com"
    assert wild.status == ""


@pytest.mark.parametrize(
    ("tags", "content", "expected"),
    [
        ((("status", "error", "no money"),), "", ("ERROR", "no money")),
        ((("status", "error"),), "it broke", ("ERROR", "it broke")),
        ((("status", "error", "BAD_REQUEST"),), "", ("ERROR", "BAD_REQUEST")),
        ((("status", "error", "MODEL: x"),), "", ("ERROR", "MODEL: x")),
        ((("status", "error", "a", "b"),), "", ("ERROR", "a b")),
        ((("status",),), "", ("ERROR", "")),
        ((("status", "error", "BAD_REQUEST"), ("encrypted",)), "ciphertext", ("BAD_REQUEST", "")),
        ((("status", "error", "insufficient_funds"), ("encrypted",)), "ciphertext", ("ERROR", "insufficient_funds")),
        ((("status", "error"), ("encrypted",)), "ciphertext", ("ERROR", "")),
    ],
)
def test_errors_of_strangers(tags: Tags, content: str, expected: tuple[str, str]) -> None:
    """Others explain in their own words, in the tag or in the content."""
    assert read_error(read_feedback(event(7000, (("e", ID), *tags), content))) == expected


@pytest.mark.parametrize("tags", [(), (("e",),), (("e", "x"),), (("e", ID.upper()),), (("e", ID[:16]),), (("E", ID),), (("e", ID + "\n"),)])
def test_about_no_job(tags: Tags) -> None:
    """Feedback and results that name no request by its whole id are nothing."""
    for read, kind in ((read_feedback, 7000), (read_result, 6050)):
        with pytest.raises(WireError):
            read(event(kind, tags))


@pytest.mark.parametrize("status", ["available", "pong", "subscription-required", "", "PAID", "\x00"])
def test_unknown_words(status: str) -> None:
    """ An unknown status is tolerated: it is handed on as it is, and what may be paid is decided elsewhere."""
    assert read_feedback(event(7000, (("e", ID), ("status", status)))).status == status


@pytest.mark.parametrize(
    "content",
    [
        "",
        "x",
        "text?iv=AAAA",
        "A" * 200,
        ALICE.encrypt(CAROL.pubkey, "[]"),
        ALICE.encrypt(BOB.pubkey, "x"),
        ALICE.encrypt(BOB.pubkey, "{}"),
        ALICE.encrypt(BOB.pubkey, "null"),
        ALICE.encrypt(BOB.pubkey, '[["i",1]]'),
        ALICE.encrypt(BOB.pubkey, "[" * 50_000),
        ALICE.encrypt(BOB.pubkey, '[["i","\\ud800"]]'),
    ],
    ids=range(11),
)
def test_hostile_ciphertexts(content: str) -> None:
    """To somebody else, NIP-04, cut, empty, or not a list of tags inside: BAD_REQUEST, never a crash (J14)."""
    job = event(5050, (("encrypted",), ("p", BOB.pubkey_hex)), content)
    with pytest.raises(JobError) as caught:
        read_request(job, lambda payload: BOB.decrypt(ALICE.pubkey, payload))
    assert caught.value.code == "BAD_REQUEST"
    with pytest.raises(JobError):
        read_request(job)


def test_an_encrypted_job_has_no_prose() -> None:
    """The ciphertext of a job without inputs is not taken for its prompt."""
    job = event(5050, (("encrypted",), ("p", BOB.pubkey_hex)), ALICE.encrypt(BOB.pubkey, "[]"))
    assert read_request(job, lambda payload: BOB.decrypt(ALICE.pubkey, payload)).inputs == ()


def test_decryption_errors_come_one_way() -> None:
    """Whatever the decryption raises as DecryptError becomes the job's error."""

    def fail(payload: str) -> str:
        raise DecryptError

    with pytest.raises(JobError, match="cannot be decrypted"):
        read_request(event(5050, (("encrypted",),), "x"), fail)


@given(
    kind=st.sampled_from([5050, 6050, 7000]),
    tags=st.lists(
        st.lists(
            st.sampled_from(["i", "input", "param", "bid", "amount", "status", "e", "p", "relays", "encrypted", "expiration", ID]) | texts,
            max_size=5,
        ).map(tuple),
        max_size=8,
    ).map(tuple),
    content=texts,
)
def test_any_tags(kind: int, tags: Tags, content: str) -> None:
    """Whatever the tags are, reading gives a value or a WireError."""
    some = event(kind, tuple(tag for tag in tags if tag), content)
    for read in (read_request, read_feedback, read_result):
        try:
            read(some)
        except WireError:
            continue
