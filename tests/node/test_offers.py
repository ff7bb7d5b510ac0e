"""Who sells, from what relays tell: signs of life, prices, models, and which provider gets the next piece."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.node.offers import MOST_SLOTS, Offers
from pylon.nostr.event import Draft, VerifiedEvent, sign
from pylon.nostr.keys import Keys
from pylon.nostr.kinds import HEARTBEAT
from pylon.nostr.nip89 import HEARTBEAT_LIFE, Announcement, Status, announcement_draft, heartbeat_draft
from pylon.nostr.nip90 import SUB_QUERY
from pylon.units import Msat

NOW = 1_700_000_000
KEYS = sorted((Keys(bytes([number]) * 32) for number in range(1, 6)), key=lambda keys: keys.pubkey_hex)
NAMES = [keys.pubkey_hex for keys in KEYS]
NOBODY: frozenset[str] = frozenset()


def announced(keys: Keys, *, kinds: tuple[int, ...] = (SUB_QUERY,), models: tuple[str, ...] = (), at: int = NOW) -> VerifiedEvent:
    """What a provider sells."""
    return sign(announcement_draft(Announcement("pylon", kinds, models=models), at), keys)


def beat(keys: Keys, *, price: int = 1000, slots: int = 2, status: Status = "online", at: int = NOW) -> VerifiedEvent:
    """A sign of life."""
    return sign(heartbeat_draft("pylon", at, status=status, slots=slots, price=Msat(price)), keys)


def market(*slots: int, prices: tuple[int, ...] = ()) -> Offers:
    """So many providers, in the order of their keys."""
    offers = Offers()
    for number, count in enumerate(slots):
        offers.take(announced(KEYS[number]))
        offers.take(beat(KEYS[number], slots=count, price=prices[number] if prices else 1000))
    return offers


def first(offers: Offers, *, most: int = 10_000, avoid: frozenset[str] = NOBODY, model: str = "") -> str | None:
    """Who would be asked now."""
    return next(iter(offers.fitting(SUB_QUERY, most=Msat(most), avoid=avoid, now=NOW, model=model)), None)


def spread(offers: Offers, pieces: int) -> Counter[str]:
    """Who gets how many of so many pieces that are asked at once."""
    given_to: Counter[str] = Counter()
    for _ in range(pieces):
        name = first(offers)
        assert name is not None
        offers.begin(name)
        given_to[name] += 1
    return given_to


def test_five_pieces_through_five_providers_are_one_each() -> None:
    """Whatever their keys: equal room is filled in turn."""
    assert spread(market(2, 2, 2, 2, 2), 5) == Counter(NAMES)


@given(st.lists(st.integers(1, 8), min_size=1, max_size=5), st.integers(0, 60))
def test_pieces_spread_by_room(slots: list[int], pieces: int) -> None:
    """Nobody has a full piece a slot more than anybody else would have with one more."""
    shares = spread(market(*slots), pieces)
    loads = [(shares[NAMES[number]], count) for number, count in enumerate(slots)]
    assert sum(shares.values()) == pieces
    assert all(mine / room <= (theirs + 1) / other for mine, room in loads for theirs, other in loads)


def test_an_end_makes_room() -> None:
    """Who has answered is asked next; ends without a beginning do no harm."""
    offers = market(1, 1)
    for name in NAMES[:2]:
        offers.begin(name)
    offers.end(NAMES[1])
    assert first(offers) == NAMES[1]
    offers.end(NAMES[1])
    offers.end("nobody")
    assert first(offers) == NAMES[1]


@pytest.mark.parametrize(("most", "name"), [(999, None), (1000, NAMES[1]), (5000, NAMES[1])])
def test_only_those_within_the_price(most: int, name: str | None) -> None:
    """Of those that cost no more than is offered; with equal room the cheapest."""
    assert first(market(1, 1, prices=(5000, 1000)), most=most) == name


def test_a_provider_to_avoid() -> None:
    """Who was asked before is not asked again, also where nobody else is there."""
    offers = market(4, 1)
    assert first(offers, avoid=frozenset(NAMES[:1])) == NAMES[1]
    assert first(offers, avoid=frozenset(NAMES[:2])) is None


def test_one_that_owes_an_answer_comes_last() -> None:
    """Until it gives a sign of life again; where it is alone it is asked all the same."""
    offers = market(8, 1)
    offers.silent(NAMES[0], NOW + 5.5)
    offers.silent("nobody", NOW)
    assert first(offers) == NAMES[1]
    assert first(offers, avoid=frozenset({NAMES[1]})) == NAMES[0]
    offers.take(beat(KEYS[0], slots=8, at=NOW + 5))
    assert first(offers) == NAMES[1]
    offers.take(beat(KEYS[0], slots=8, at=NOW + 6))
    assert first(offers) == NAMES[0]


def test_a_boaster_gets_no_more_than_a_big_provider() -> None:
    """A claim of a million slots is taken for the most that is believed; one of none for one."""
    offers = market(MOST_SLOTS, 999_999_999, 0)
    assert [offer.slots for offer in offers.alive(SUB_QUERY, NOW)] == [MOST_SLOTS, MOST_SLOTS, 1]


def test_who_is_away() -> None:
    """Signed off, silent for too long, never announced, or of another kind: not there."""
    offers = Offers()
    offers.take(beat(KEYS[0]))
    offers.take(announced(KEYS[1]))
    offers.take(announced(KEYS[2], kinds=(5050,)))
    offers.take(beat(KEYS[2]))
    offers.take(announced(KEYS[3]))
    offers.take(beat(KEYS[3], status="offline"))
    offers.take(announced(KEYS[4]))
    offers.take(beat(KEYS[4]))
    assert [offer.provider for offer in offers.alive(SUB_QUERY, NOW)] == [NAMES[4]]
    assert offers.alive(SUB_QUERY, NOW + HEARTBEAT_LIFE) == []
    offers.take(beat(KEYS[3], at=NOW + HEARTBEAT_LIFE))
    assert [offer.provider for offer in offers.alive(SUB_QUERY, NOW + HEARTBEAT_LIFE)] == [NAMES[3]]


def test_the_newest_word_counts() -> None:
    """Relays answer in any order: an older heartbeat or announcement changes nothing."""
    offers = Offers()
    offers.take(announced(KEYS[0], models=("new",), at=NOW))
    offers.take(announced(KEYS[0], models=("old",), at=NOW - 10))
    offers.take(beat(KEYS[0], price=3000, at=NOW))
    offers.take(beat(KEYS[0], price=1000, at=NOW - 10))
    assert [offer.price for offer in offers.alive(SUB_QUERY, NOW)] == [3000]
    assert offers.models(SUB_QUERY, NOW) == ["new"]


def test_who_has_a_model() -> None:
    """Those that announce it, and those that announce none; the models there are, the commonest first."""
    offers = Offers()
    for keys, models in zip(KEYS, [("a", "b"), ("b",), ("c",), ()], strict=False):
        offers.take(announced(keys, models=models))
        offers.take(beat(keys))
    assert [offer.provider for offer in offers.alive(SUB_QUERY, NOW, "b")] == [NAMES[0], NAMES[1], NAMES[3]]
    assert first(offers, model="c") == NAMES[2]
    assert offers.models(SUB_QUERY, NOW) == ["b", "a", "c"]


def test_what_strangers_write() -> None:
    """Events that say nothing of use are passed over; a heartbeat without a price or slots is an offer without a price."""
    offers = Offers()
    offers.take(sign(Draft(31990, NOW, "not json"), KEYS[0]))
    offers.take(beat(KEYS[0]))
    offers.take(sign(Draft(HEARTBEAT, NOW, "", (("d", "pylon"), ("price", "-5", "msat"), ("slots", "many"))), KEYS[1]))
    offers.take(announced(KEYS[1]))
    assert [(offer.provider, offer.price, offer.slots) for offer in offers.alive(SUB_QUERY, NOW)] == [(NAMES[1], None, 1)]
    assert first(offers, most=0) == NAMES[1]
