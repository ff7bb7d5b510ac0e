"""Live subscriptions against the readable matcher."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pylon.nexus.hub import Hub
from pylon.nostr.event import VerifiedEvent, load
from pylon.nostr.filter import Filter
from tests.forge import Forged, encode
from tests.nexus.strategies import PUBKEYS, filters, many_events

Opened = list[tuple[int, str, tuple[Filter, ...]]]
filter_lists = st.lists(filters, min_size=1, max_size=3).map(tuple)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc"), filter_lists), max_size=12), many_events)
def test_an_event_goes_to_exactly_the_subscriptions_that_match(opened: Opened, live: list[VerifiedEvent]) -> None:
    """The hub agrees with Filter.matches for every event; the later REQ of one name and connection is the one that counts."""
    hub: Hub[int] = Hub()
    expected: dict[tuple[int, str], tuple[Filter, ...]] = {}
    for owner, name, wanted in opened:
        hub.unsubscribe(owner, name)
        hub.subscribe(owner, name, wanted)
        expected[owner, name] = wanted
    assert hub.count() == len(expected)
    for event in live:
        found = [(subscription.owner, subscription.name) for subscription in hub.match(event)]
        assert len(found) == len(set(found))
        assert set(found) == {key for key, wanted in expected.items() if any(one.matches(event) for one in wanted)}


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("ab"), filter_lists), max_size=8), many_events, st.data())
def test_nothing_is_left_behind(opened: Opened, live: list[VerifiedEvent], data: st.DataObject) -> None:
    """After unsubscribing and dropping everything, in any order, the hub is as empty as at the start."""
    hub: Hub[int] = Hub()
    for owner, name, wanted in opened:
        hub.unsubscribe(owner, name)
        hub.subscribe(owner, name, wanted)
    for owner, name in data.draw(st.permutations(sorted({(owner, name) for owner, name, _ in opened}))):
        if data.draw(st.booleans()):
            hub.unsubscribe(owner, name)
        else:
            hub.drop(owner)
    for owner in range(3):
        hub.drop(owner)
    assert hub.count() == hub.filters() == 0
    assert all(hub.match(event) == [] for event in live)


def test_an_ended_subscription_is_marked() -> None:
    """Whoever still scans for it can see that it is over."""
    hub: Hub[int] = Hub()
    first = hub.subscribe(1, "a", (Filter(),))
    assert hub.unsubscribe(1, "a") is first
    second = hub.subscribe(1, "a", (Filter(kinds=(1,)),))
    assert (first.open, second.open) == (False, True)
    hub.drop(1)
    assert second.open is False


def test_unknown_names_are_no_error() -> None:
    """CLOSE of a subscription that does not exist is ignored."""
    hub: Hub[int] = Hub()
    assert hub.unsubscribe(1, "a") is None
    hub.drop(1)
    hub.subscribe(1, "a", (Filter(),))
    assert hub.unsubscribe(1, "b") is None
    assert hub.count() == 1


def test_everyone_is_served_in_the_order_of_coming() -> None:
    """Who has waited longer gets an event first."""
    hub: Hub[int] = Hub()
    for owner in range(20):
        hub.subscribe(owner, "a", (Filter(kinds=(owner % 3,)), Filter(authors=(PUBKEYS[0],)), Filter(tags={"t": ("x",)})))
    event = load(encode(Forged(pubkey=PUBKEYS[0], tags=(("t", "x"),))))
    assert [subscription.owner for subscription in hub.match(event)] == list(range(20))
