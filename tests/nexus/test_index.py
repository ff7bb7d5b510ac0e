"""What is stored, replaced, deleted and found, against the readable matcher and the clauses of NIP-01, 09 and 40."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.nexus import index as index_module
from pylon.nexus.index import Index, Verdict
from pylon.nexus.record import Record
from pylon.nostr.event import VerifiedEvent, load
from pylon.nostr.filter import Filter
from tests.forge import Forged, encode
from tests.nexus.strategies import IDS, PUBKEYS, filters, many_events, record

ME, YOU = PUBKEYS[:2]
END: Final = object()


def event(number: int, kind: int = 1, created_at: int = 100, tags: Sequence[Sequence[str]] = (), pubkey: str = ME) -> VerifiedEvent:
    """An event that nobody signed, with a chosen id."""
    return load(encode(Forged(f"{number:064x}", pubkey, created_at, kind, tuple(map(tuple, tags)))))


def found(index: Index, *wanted: Filter, now: int = 0, limit: int = 1000, keys: set[str] | None = None) -> list[str]:
    """The ids of a query's answer."""
    return [one.id for one in index.query(wanted, now=now, limit=limit, keys=keys) if one is not None]


def numbers(index: Index, *wanted: Filter, now: int = 0, keys: set[str] | None = None) -> list[int]:
    """The numbers of a query's answer."""
    return [int(one, 16) for one in found(index, *wanted, now=now, keys=keys)]


def oldest_last(events: Sequence[VerifiedEvent]) -> list[VerifiedEvent]:
    """NIP-01's order."""
    return sorted(events, key=lambda one: (-one.created_at, one.id))


@given(many_events, st.lists(filters, min_size=1, max_size=3), st.integers(1, 8))
def test_a_query_finds_what_the_matcher_finds(events: list[VerifiedEvent], wanted: list[Filter], limit: int) -> None:
    """Every filter gets its newest matches up to its limit; the answer is their union, newest first, ties by lowest id, each once."""
    index = Index()
    for one in events:
        assert index.put(record(one)) is Verdict.STORED
    expected: dict[str, VerifiedEvent] = {}
    for asked in wanted:
        matching = oldest_last([candidate for candidate in events if asked.matches(candidate)])
        expected.update((match.id, match) for match in matching[: min(limit, limit if asked.limit is None else asked.limit)])
    assert found(index, *wanted, limit=limit) == [one.id for one in oldest_last(list(expected.values()))]


@pytest.fixture(autouse=True, scope="module")
def short_chunks() -> Iterator[None]:
    """Scans find their place again after every third event, as they do in large stores after every CHUNK."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "CHUNK", 3)
        yield


@given(many_events, filters, st.data())
def test_a_scan_survives_changes_between_its_steps(events: list[VerifiedEvent], wanted: Filter, data: st.DataObject) -> None:
    """Events that come later are left to live delivery, removed ones are not served; all others are found once and in order."""
    index = Index()
    half = len(events) // 2
    for one in events[:half]:
        index.put(record(one))
    expected = [one.id for one in oldest_last([one for one in events[:half] if wanted.matches(one)])]
    scan = index.query([msgspec.structs.replace(wanted, limit=None)], now=0, limit=1000)
    answer: list[str] = []
    gone: set[str] = set()
    later = iter(events[half:])
    while (step := next(scan, END)) is not END:
        if isinstance(step, Record):
            answer.append(step.id)
        if (fresh := next(later, None)) is not None:
            index.put(record(fresh))
        victims = [stored for old in events[:half] if (stored := index.get(old.id)) and old.id not in answer]
        pick = data.draw(st.integers(-1, len(victims) - 1))
        if pick >= 0:
            victim = victims[pick]
            index.remove(victim)
            gone.add(victim.id)
    assert answer == [one for one in expected if one not in gone]


@given(many_events)
def test_removing_everything_leaves_nothing(events: list[VerifiedEvent]) -> None:
    """No posting list, no key and no address outlives its event."""
    index = Index()
    for one in events:
        index.put(record(one))
    for one in events:
        stored = index.get(one.id)
        assert stored is not None
        index.remove(stored)
    empty = Index()
    empty.sequence = index.sequence
    index._expiring.clear()
    assert vars(index) == vars(empty)


def test_a_long_scan_lets_others_run() -> None:
    """A filter that looks at many events in vain says None now and then."""
    index = Index()
    for number in range(1, 2001):
        index.put(record(event(number, created_at=number, tags=[["t", "a"], ["p", YOU]])))
        index.put(record(event(number + 5000, 4, created_at=number, tags=[["t", "a"], ["p", YOU]])))
    scan = index.query([Filter(tags={"t": ("a",)}, authors=(ME,), kinds=(2, 1))], now=0, limit=5000)
    assert sum(one is not None for one in scan) == 2000
    rare = Filter(authors=(ME,), kinds=(4,), tags={"t": ("a",), "p": (YOU,)}, since=0, until=5000)
    vain = list(index.query([rare], now=0, limit=5000, keys=set()))
    assert vain
    assert set(vain) == {None}


def test_limit_zero_finds_nothing() -> None:
    """A filter with `limit` 0 asks for live events only."""
    index = Index()
    index.put(record(event(1)))
    assert numbers(index, Filter(limit=0)) == []
    assert numbers(index, Filter(limit=0), Filter(kinds=(1,))) == [1]


def test_replaceable_keeps_the_newest() -> None:
    """ "for kind n such that 10000 <= n < 20000 || n == 0 || n == 3 … only the latest event MUST be stored" """
    for kind in (0, 3, 10000, 11998, 19999):
        index = Index()
        assert index.put(record(event(5, kind, 100))) is Verdict.STORED
        assert index.put(record(event(6, kind, 99))) is Verdict.OUTDATED
        assert index.put(record(event(7, kind, 101))) is Verdict.STORED
        assert index.put(record(event(8, kind, 50, pubkey=YOU))) is Verdict.STORED
        assert numbers(index, Filter()) == [7, 8]
        assert index.put(record(event(5, kind, 100))) is Verdict.OUTDATED


def test_replaceable_ties_keep_the_lowest_id() -> None:
    """ "In case of replaceable events with the same timestamp, the event with the lowest id … should be retained" """
    index = Index()
    assert index.put(record(event(5, 10002))) is Verdict.STORED
    assert index.put(record(event(6, 10002))) is Verdict.OUTDATED
    assert index.put(record(event(4, 10002))) is Verdict.STORED
    assert numbers(index, Filter()) == [4]


def test_addressable_by_d() -> None:
    """ "for kind n such that 30000 <= n < 40000, events are addressable by their kind, pubkey and d tag value" """
    for kind in (30000, 31990, 39999):
        index = Index()
        versions = [(1, 10, [["d", "a"]]), (2, 10, [["d", "b"]]), (3, 10, []), (4, 11, [["d"]]), (5, 11, [["x"], ["d", "a"], ["d", "b"]])]
        for number, at, tags in versions:
            assert index.put(record(event(number, kind, at, tags))) is Verdict.STORED
        # A missing d, and one without a value, are the empty one; of several the first counts.
        assert numbers(index, Filter()) == [4, 5, 2]


def test_neighbours_of_the_ranges_are_regular() -> None:
    """Kinds just outside the ranges do not replace each other."""
    for kind in (1, 2, 4, 44, 9999, 40000, 65535):
        index = Index()
        index.put(record(event(1, kind, 10)))
        index.put(record(event(2, kind, 11)))
        assert numbers(index, Filter()) == [2, 1]


def test_deletion_by_id_of_own_events_only() -> None:
    """NIP-09: only events "that have an identical pubkey as the deletion request"."""
    index = Index()
    index.put(record(event(1)))
    index.put(record(event(2, pubkey=YOU)))
    assert index.put(record(event(9, 5, tags=[["e", IDS[0]], ["e", IDS[1]], ["k", "1"]]))) is Verdict.STORED
    assert numbers(index, Filter()) == [2, 9]


def test_deletion_blocks_what_comes_again_and_what_comes_later() -> None:
    """A deleted event is not taken again, and one whose deletion came first is not taken at all; the same id of another author is."""
    index = Index()
    index.put(record(event(1)))
    index.put(record(event(9, 5, tags=[["e", IDS[0]], ["e", IDS[2]]])))
    assert index.put(record(event(1))) is Verdict.DELETED
    assert index.put(record(event(3))) is Verdict.DELETED
    assert index.put(record(event(3, pubkey=YOU))) is Verdict.STORED


def test_deletion_of_a_deletion_has_no_effect() -> None:
    """NIP-09: "Publishing a deletion request event against a deletion request has no effect." """
    index = Index()
    index.put(record(event(1)))
    index.put(record(event(2, 5, tags=[["e", IDS[0]]])))
    index.put(record(event(3, 5, tags=[["e", IDS[1]], ["e", IDS[3]]])))
    assert index.put(record(event(4, 5))) is Verdict.STORED
    assert numbers(index, Filter()) == [2, 3, 4]
    assert index.put(record(event(1))) is Verdict.DELETED


def test_deletion_by_address_up_to_its_time() -> None:
    """NIP-09: an `a` tag deletes "all versions of the replaceable event up to the created_at timestamp of the deletion request event"."""
    index = Index()
    index.put(record(event(1, 30000, 100, [["d", "x"]])))
    index.put(record(event(2, 30000, 100, [["d", "y"]])))
    index.put(record(event(3, 30000, 100, [["d", "x"]], pubkey=YOU)))
    index.put(record(event(4, 10002, 120)))
    names = (f"30000:{ME}:x", f"30000:{YOU}:x", f"10002:{ME}:", f"1:{ME}:", "30000", f"030000:{ME}:y", f"30000:{ME}", ":", "a:b:c")
    index.put(record(event(9, 5, 110, [["a", name] for name in names])))
    assert numbers(index, Filter()) == [4, 9, 2, 3]
    assert index.put(record(event(5, 30000, 110, [["d", "x"]]))) is Verdict.DELETED
    assert index.put(record(event(6, 30000, 111, [["d", "x"]]))) is Verdict.STORED
    # An older request that comes later takes nothing back.
    index.put(record(event(10, 5, 50, [["a", names[0]]])))
    assert index.put(record(event(7, 30000, 105, [["d", "x"]]))) is not Verdict.STORED
    assert numbers(index, Filter(kinds=(30000,), tags={"d": ("x",)})) == [6, 3]


def test_gift_wraps_are_deleted_by_their_receiver() -> None:
    """NIP-59: the author of a wrap is a throw-away key, so the receiver may delete it."""
    index = Index()
    index.put(record(event(1, 1059, tags=[["p", YOU]], pubkey=PUBKEYS[2])))
    index.put(record(event(2, 5, tags=[["e", IDS[0]], ["k", "1059"]])))
    assert numbers(index, Filter(kinds=(1059,))) == [1]
    index.put(record(event(3, 5, tags=[["e", IDS[0]], ["k", "1059"]], pubkey=YOU)))
    assert numbers(index, Filter(kinds=(1059,))) == []
    assert index.put(record(event(1, 1059, tags=[["p", YOU]], pubkey=PUBKEYS[2]))) is Verdict.DELETED


def test_vanishing() -> None:
    """NIP-62: everything of the author up to the request goes, deletions and gift wraps to him too, and does not come again; what is
    newer, or somebody else's, stays; no deletion takes the request back."""
    index = Index()
    wrap = event(3, 1059, 90, [["p", ME]], PUBKEYS[2])
    request = event(2, 5, tags=[["e", IDS[20]]])
    for one in (event(1), request, wrap, event(4, created_at=101), event(5, 1, 90, [["p", ME]], YOU), event(6, 10002)):
        assert index.put(record(one)) is Verdict.STORED
    assert index.put(record(event(7, 62, 100, [["relay", "ALL_RELAYS"]]))) is Verdict.STORED
    assert numbers(index, Filter()) == [4, 7, 5]
    for one in (event(1), event(2, 5), wrap, event(8, 10002, 100)):
        assert index.put(record(one)) is Verdict.DELETED
    assert index.put(record(event(9, 10002, 101))) is Verdict.STORED
    assert index.put(record(event(10, 5, 102, [["e", IDS[6]]]))) is Verdict.STORED
    assert 7 in numbers(index, Filter())


def test_expired_events_are_not_found_and_then_forgotten() -> None:
    """NIP-40: "Relays SHOULD NOT send expired events to clients"; the index drops them when told the time."""
    index = Index()
    index.put(record(event(1, tags=[["expiration", "200"]])))
    index.put(record(event(2)))
    assert numbers(index, Filter(), now=199) == [1, 2]
    assert numbers(index, Filter(), now=200) == [2]
    assert index.expire(199) == 0
    assert index.expire(200) == 1
    assert index.get(IDS[0]) is None
    assert index.expire(300) == 0


def test_private_kinds_are_found_by_those_they_concern() -> None:
    """Kinds 4, 1059 and 21059 are served to the author and the receivers only."""
    index = Index()
    for number, kind in ((1, 4), (2, 1059), (3, 1)):
        index.put(record(event(number, kind, tags=[["p", YOU]])))
    assert numbers(index, Filter(), keys={PUBKEYS[2]}) == [3]
    assert numbers(index, Filter(), keys={YOU, PUBKEYS[2]}) == [1, 2, 3]
    assert numbers(index, Filter(), keys={ME}) == [1, 2, 3]


def test_extreme_times() -> None:
    """The largest times of events and filters are in order too."""
    index = Index()
    for number, at in ((1, 0), (2, 2**53), (3, 5)):
        index.put(record(event(number, created_at=at)))
    top = 2**63 - 1
    assert numbers(index, Filter(since=0, until=top)) == [2, 3, 1]
    assert numbers(index, Filter(since=top)) == []
    assert numbers(index, Filter(until=0)) == [1]
    assert numbers(index, Filter(since=5, until=5)) == [3]
    assert numbers(index, Filter(since=6, until=4)) == []


def test_what_comes_after_the_question() -> None:
    """An event that is stored after a query was asked is left to live delivery, wherever it stands in the order."""
    index = Index()
    for number, created_at in ((1, 100), (2, 50)):
        index.put(record(event(number, created_at=created_at)))
    answer = index.query([Filter()], now=0, limit=10)
    index.put(record(event(3, created_at=70)))
    assert [one.id for one in answer if one is not None] == [event(1).id, event(2).id]
    assert numbers(index, Filter()) == [1, 3, 2]


def test_record_keeps_the_bytes() -> None:
    """An event is served as it came."""
    came = encode(event(1)).replace(b",", b" , ")
    assert Record(load(came)).raw == came
