"""Random events and filters over few values, so that they meet."""

from __future__ import annotations

from hypothesis import strategies as st

from pylon.nexus.record import Record
from pylon.nostr.event import VerifiedEvent, load
from pylon.nostr.filter import Filter
from tests.forge import Forged, encode

PUBKEYS = [f"{n:064x}" for n in (1, 2, 3)]
IDS = [f"{n:064x}" for n in range(1, 200)]
KINDS = [1, 7, 5050, 45000]
VALUES = [*IDS[:3], "", "a", "é", "\U0001f600", "x" * 70]
LETTERS = "eptZ"

tags = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(LETTERS), st.sampled_from(VALUES)),
        st.tuples(st.sampled_from(LETTERS), st.sampled_from(VALUES), st.sampled_from(VALUES)),
        st.tuples(st.sampled_from(["name", "", "1", "ä", "e"])),
        st.tuples(st.sampled_from(["name", "1", "ä"]), st.sampled_from(VALUES)),
        st.just(()),
    ),
    max_size=4,
).map(tuple)


def events(ids: st.SearchStrategy[str]) -> st.SearchStrategy[VerifiedEvent]:
    """Events that nobody signed: what is tested here stands behind the verification."""
    return st.builds(
        Forged, id=ids, pubkey=st.sampled_from(PUBKEYS), created_at=st.integers(0, 12), kind=st.sampled_from(KINDS), tags=tags,
    ).map(lambda event: load(encode(event)))


def _some(values: list[str]) -> st.SearchStrategy[tuple[str, ...] | None]:
    return st.none() | st.lists(st.sampled_from(values), max_size=3, unique=True).map(tuple)


filters = st.builds(
    Filter,
    ids=st.none() | st.none() | st.lists(st.sampled_from(IDS), max_size=40, unique=True).map(tuple),
    authors=_some(PUBKEYS),
    kinds=st.none() | st.lists(st.sampled_from(KINDS), max_size=3, unique=True).map(tuple),
    tags=st.dictionaries(st.sampled_from(LETTERS), st.lists(st.sampled_from(VALUES), max_size=3, unique=True).map(tuple), max_size=2),
    since=st.none() | st.integers(0, 13),
    until=st.none() | st.integers(0, 13),
    limit=st.none() | st.integers(0, 6),
)

many_events = st.lists(events(st.sampled_from(IDS)), max_size=60, unique_by=lambda event: event.id)


def record(event: VerifiedEvent) -> Record:
    """The relay's record of `event`."""
    return Record(event)
