"""What is sold, to whom, and for how much: the screen, the price, the quote."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pylon.market.job import Trouble
from pylon.market.prompt import DEFAULT_MAX_TOKENS, MOST_TOKENS, Prompt
from pylon.market.signals import Accepted, Declined
from pylon.market.terms import (
    AHEAD,
    INVOICE_SECONDS,
    MOST_INPUT_BYTES,
    OLDEST,
    SHORTEST_INVOICE,
    NotForUs,
    Terms,
    invoice_seconds,
    price_of,
    quote,
    read_prompt,
    screen,
)
from pylon.nostr.event import Draft, sign
from pylon.nostr.nip90 import Input, JobError, Request, read_request
from pylon.units import Msat
from tests.market.scene import CUSTOMER, NOW, REQUEST, TERMS, A, B, request

REQ = Request(kind=5050, inputs=(Input("What is 2+2?"),), bid=Msat(2000))
PROMPT = Prompt("What is 2+2?")


def asked(
    *, tokens: int = 10, context: int = 2048, open_jobs: int = 0, terms: Terms = TERMS, bid: int | None = 2000, max_tokens: int = 512
) -> Accepted | Declined:
    """`quote` for an ordinary prompt."""
    req = replace(REQ, bid=None if bid is None else Msat(bid))
    return quote(req, replace(PROMPT, max_tokens=max_tokens), tokens=tokens, context=context, open_jobs=open_jobs, terms=terms)


def code(answer: Accepted | Declined) -> str:
    """The error code of a refusal."""
    assert isinstance(answer, Declined)
    return answer.trouble.code


@pytest.mark.parametrize(
    ("floor", "per_1k", "tokens", "whole", "price"),
    [
        (1000, 0, 0, False, 1000), (1000, 0, 10**6, False, 1000), (1000, 100, 522, False, 1053), (1000, 100, 522, True, 2000),
        (0, 1, 1, False, 1), (0, 1, 1, True, 1000), (0, 1, 1000, False, 1), (0, 1, 1001, False, 2), (0, 0, 5, False, 0), (0, 0, 5, True, 0),
        (1, 0, 0, True, 1000), (999, 0, 0, False, 999), (1000, 0, 0, True, 1000), (1001, 0, 0, True, 2000),
    ],
)
def test_the_price_is_the_floor_and_the_tokens_rounded_up(floor: int, per_1k: int, tokens: int, whole: bool, price: int) -> None:
    """P24 and the defect of the ancestor: a price below a sat is asked in msat, or as a whole sat, and never becomes 0."""
    terms = replace(TERMS, floor=Msat(floor), per_1k=Msat(per_1k), whole_sats=whole)
    assert price_of(tokens, terms) == price


def test_the_price_counts_prompt_and_answer() -> None:
    """Tokens in and the tokens that may come out are both paid for."""
    answer = asked(tokens=100, max_tokens=400, terms=replace(TERMS, per_1k=Msat(1000)))
    assert answer == Accepted(replace(PROMPT, max_tokens=400), Msat(1500))


def test_a_free_provider_asks_nothing_whatever_its_prices() -> None:
    """`require_payment = false`: the price is 0 and no bid is needed."""
    assert asked(terms=replace(TERMS, require_payment=False), bid=0) == Accepted(PROMPT, Msat(0))


@pytest.mark.parametrize(("bid", "good"), [(1000, True), (999, False), (0, False), (None, True), (10**15, True)])
def test_the_bid_is_honoured(bid: int | None, good: bool) -> None:
    """A bid below the price is refused with both numbers before anything is charged; without a bid the customer decides by the quote."""
    answer = asked(bid=bid)
    if good:
        assert answer == Accepted(PROMPT, Msat(1000))
    else:
        assert answer == Declined(Trouble("POLICY_VIOLATION", f"the price is 1000 msat and the bid only {bid}"))


@pytest.mark.parametrize(("tokens", "context", "good"), [(2047, 2048, True), (2048, 2048, False), (5000, 2048, False), (0, 0, False)])
def test_what_does_not_fit_is_refused_before_it_is_charged(tokens: int, context: int, good: bool) -> None:
    """Context overflow, answer included, names both numbers."""
    answer = asked(tokens=tokens, context=context)
    if good:
        assert answer == Accepted(replace(PROMPT, max_tokens=1), Msat(1000))
    else:
        assert code(answer) == "INVALID_PARAMETER"


@pytest.mark.parametrize(("open_jobs", "good"), [(3, True), (4, False), (400, False)])
def test_a_full_queue_is_busy(open_jobs: int, good: bool) -> None:
    """J16: the queue is bounded, and the refusal says that later may do."""
    answer = asked(open_jobs=open_jobs)
    assert isinstance(answer, Accepted) if good else code(answer) == "RATE_LIMITED"


def test_the_price_uses_the_clamped_answer() -> None:
    """J9: a wish for 1e9 tokens is cut to what the model has, and so is its price."""
    answer = asked(tokens=48, context=2048, max_tokens=10**9, terms=replace(TERMS, per_1k=Msat(100)))
    assert answer == Accepted(replace(PROMPT, max_tokens=2000), Msat(1205))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (None, DEFAULT_MAX_TOKENS), ("1", 1), ("512", 512), ("1000000000", MOST_TOKENS), ("7.9", 7), ("-1", None), ("0", None),
        ("abc", None), ("1e9", MOST_TOKENS), ("1e99", None), ("1e-3", None),
        ("", None), ("٣", None), ("9" * 400, None), ("1\x00", None), (" 1", None), ("nan", None),
        ("inf", None), ("0x10", None),
    ],
)
def test_max_tokens_from_the_wire(text: str | None, tokens: int | None) -> None:
    """J9: too many is clamped; what is no number, or none, is refused as INVALID_PARAMETER."""
    req = replace(REQ, params=() if text is None else (("max_tokens", text),))
    if tokens is None:
        with pytest.raises(JobError) as caught:
            read_prompt(req)
        assert caught.value.code == "INVALID_PARAMETER"
    else:
        assert read_prompt(req).max_tokens == tokens


def test_inputs_beyond_all_measure_are_refused_unread() -> None:
    """J9: 10 MB of text, in one input or in ten thousand, in bytes rather than characters."""
    for inputs in ((Input("x" * 10_000_000),), tuple(Input("x" * 60) for _ in range(10_000)), (Input("🙂" * (MOST_INPUT_BYTES // 4 + 1)),)):
        with pytest.raises(JobError, match=f"longer than {MOST_INPUT_BYTES} bytes"):
            read_prompt(replace(REQ, inputs=inputs))
    assert len(read_prompt(replace(REQ, inputs=(Input("x" * MOST_INPUT_BYTES),))).text) == MOST_INPUT_BYTES


# Is it for us at all?


def test_a_request_for_anybody_and_one_for_us_are_considered() -> None:
    """No `p`: anyone may answer; a `p` of ours among others: we may."""
    screen(REQUEST, REQ, TERMS, now=NOW)
    screen(REQUEST, replace(REQ, providers=(B, A)), TERMS, now=NOW)


def test_a_request_that_names_others_is_passed_over() -> None:
    """Our providers do not serve jobs that name others, and say nothing."""
    with pytest.raises(NotForUs):
        screen(REQUEST, replace(REQ, providers=(B,)), TERMS, now=NOW)
    with pytest.raises(NotForUs):
        screen(REQUEST, replace(REQ, providers=("",)), TERMS, now=NOW)


def test_old_requests_are_passed_over() -> None:
    """J3: the replay of an old request is not served again, after a restart neither."""
    screen(request(at=NOW - OLDEST), REQ, TERMS, now=NOW)
    with pytest.raises(NotForUs):
        screen(request(at=NOW - OLDEST - 1), REQ, TERMS, now=NOW)


def test_expired_requests_are_passed_over() -> None:
    """J6, NIP-40: from its expiration on an event is void."""
    screen(REQUEST, replace(REQ, expiration=NOW + 1), TERMS, now=NOW)
    with pytest.raises(NotForUs):
        screen(REQUEST, replace(REQ, expiration=NOW), TERMS, now=NOW)


def test_requests_from_the_future_are_told_so() -> None:
    """J3: the customer's clock is wrong, and he should know."""
    screen(request(at=NOW + AHEAD), REQ, TERMS, now=NOW)
    with pytest.raises(JobError, match="dated in the future"):
        screen(request(at=NOW + AHEAD + 1), REQ, TERMS, now=NOW)


def test_a_kind_that_is_not_served_is_told_so() -> None:
    """A job of another kind is refused, never guessed at."""
    image = sign(Draft(5100, NOW, "a cat"), CUSTOMER)
    with pytest.raises(JobError, match="kind 5100 is not served"):
        screen(image, read_request(image), TERMS, now=NOW)


@pytest.mark.parametrize(
    ("left", "seconds"), [(120, 120), (120.9, 120), (0, SHORTEST_INVOICE), (-5000, SHORTEST_INVOICE), (10**9, INVOICE_SECONDS)]
)
def test_an_invoice_lives_about_as_long_as_its_job(left: float, seconds: int) -> None:
    """Not much longer than the job it pays for, and long enough to be paid at all."""
    assert invoice_seconds(NOW + left, NOW) == seconds
