"""The filter index: native against `Filter.matches`, over few values and in many spellings, so that filters and events meet."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pylon._native import FilterIndex, VerifiedEvent, load_event, plain_filter
from pylon.nostr.filter import Filter
from tests.forge import Forged

IDS = [f"{n:064x}" for n in (1, 2, 3)]
KINDS = [0, 1, 5050, 65535]
LETTERS = "eptZaz"
VALUES = [*IDS, "", "a", "é", "\U0001f600", '"', "\\", "\\u0061", "]", '["e","a"]', ",", "\n", "\x7f", "x" * 70, "\u2028"]
NAMES = [*LETTERS, "", "ee", "1", "#", "é", "name", "\\", '"', "\0"]

Json = dict[str, object]


def spelled(text: str, ways: list[int]) -> str:
    """`text` as a JSON string: each character as the next of `ways` says, plain, escaped, or by its code units."""
    found = []
    for at, character in enumerate(text):
        units = character.encode("utf-16-be")
        code = "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2))
        plain = json.dumps(character, ensure_ascii=False)[1:-1]
        found.append((plain, code, code.upper().replace("\\U", "\\u"))[ways[at % len(ways)]])
    return f'"{"".join(found)}"'


ways = st.just([0]) | st.lists(st.integers(0, 2), min_size=1, max_size=5)
space = st.sampled_from(["", "", " ", "\n\t\r "])


@st.composite
def tag_texts(draw: st.DrawFn) -> str:
    """The JSON of an event's tags in one of its spellings."""
    found = []
    for _ in range(draw(st.integers(0, 5))):
        names = draw(st.lists(st.sampled_from(NAMES), max_size=1))
        values = draw(st.lists(st.sampled_from([*VALUES, *NAMES]), max_size=3)) if names else []
        strings = [f"{draw(space)}{spelled(text, draw(ways))}{draw(space)}" for text in names + values]
        found.append(f"{draw(space)}[{draw(space)}{','.join(strings)}]{draw(space)}")
    return f"[{draw(space)}{','.join(found)}]"


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Events that nobody signed: the index stands behind the verification."""
    head = {"id": draw(st.sampled_from(IDS)), "pubkey": draw(st.sampled_from(IDS)), "created_at": draw(st.integers(0, 12))}
    head |= {"kind": draw(st.sampled_from(KINDS)), "content": "", "sig": "0" * 128}
    return f'{json.dumps(head)[:-1]}, "tags": {draw(tag_texts())}}}'.encode()


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    """Up to three, the same more than once too."""
    return st.lists(values, max_size=3).map(tuple)


filters = st.builds(
    Filter,
    ids=st.none() | st.none() | some(st.sampled_from(IDS)),
    authors=st.none() | some(st.sampled_from(IDS)),
    kinds=st.none() | st.lists(st.sampled_from(KINDS), max_size=3).map(tuple),
    tags=st.dictionaries(st.sampled_from(LETTERS), some(st.sampled_from(VALUES)), max_size=2),
    since=st.none() | st.none() | st.integers(0, 13),
    until=st.none() | st.none() | st.integers(0, 13),
    limit=st.none() | st.integers(0, 2),
)


def claimed(raw: bytes) -> Forged:
    """The event as Python's own JSON reads it."""
    fields = json.loads(raw)
    return Forged(**{**fields, "tags": tuple(map(tuple, fields["tags"]))})


class Coming(RuleBasedStateMachine):
    """Filters come and go under few keys, and events are matched in between."""

    def __init__(self) -> None:
        super().__init__()
        self.index = FilterIndex()
        self.twin = plain_filter.FilterIndex()

    @rule(key=st.sampled_from([0, 1, 2, 2**63 - 1]), wanted=filters)
    def add(self, key: int, wanted: Filter) -> None:
        """A filter comes."""
        self.index.add(key, wanted)
        self.twin.add(key, wanted)

    @rule(key=st.sampled_from([0, 1, 2, 3, 2**63 - 1]))
    def remove(self, key: int) -> None:
        """A subscription ends, or one that never was."""
        self.index.remove(key)
        self.twin.remove(key)

    @rule(raws=st.lists(texts(), min_size=1, max_size=4))
    def match(self, raws: list[bytes]) -> None:
        """Each event finds the keys that the twin finds, alone and among others."""
        events = [load_event(raw) for raw in raws]
        expected = self.twin.match_many(map(claimed, raws))
        assert [self.index.match(event) for event in events] == self.index.match_many(events) == expected

    @invariant()
    def counts(self) -> None:
        """Both hold as many filters."""
        assert len(self.index) == len(self.twin)


TestComing = Coming.TestCase
TestComing.settings = settings(max_examples=40, stateful_step_count=25)


def event(tags: str = "[]", **fields: object) -> VerifiedEvent:
    """An event of the first key with these tags, as JSON."""
    head = {"id": IDS[0], "pubkey": IDS[1], "created_at": 5, "kind": 1, "content": "", "sig": "0" * 128, **fields}
    return load_event(f'{json.dumps(head)[:-1]}, "tags": {tags}}}'.encode())


def found(wanted: Filter, of: VerifiedEvent) -> bool:
    """Whether one filter matches."""
    index = FilterIndex()
    index.add(1, wanted)
    return index.match(of) == [1]


def test_many_values_of_one_filter_are_one_match() -> None:
    """Neither values that stand twice, nor tags that stand twice, nor several filters give a key twice."""
    index = FilterIndex()
    for wanted in (Filter(tags={"e": ("a", "b", "a")}), Filter(kinds=(1, 1)), Filter()):
        index.add(9, wanted)
        index.add(8, wanted)
    assert index.match(event('[["e","a"],["e","b"],["e","a"]]')) == [8, 9]
    index.remove(9)
    assert (index.match(event('[["e","a"],["e","b"],["e","a"]]')), len(index)) == ([8], 3)


def test_times_are_inclusive() -> None:
    """NIP-01: `since <= created_at <= until`."""
    times = [(since, until) for since in (None, 4, 5, 6) for until in (None, 4, 5, 6)]
    assert [pair for pair in times if found(Filter(since=pair[0], until=pair[1]), event())] == [
        (None, None), (None, 5), (None, 6), (4, None), (4, 5), (4, 6), (5, None), (5, 5), (5, 6),
    ]
    assert found(Filter(until=2**63 - 1), event(created_at=2**53))


def test_every_letter_is_a_name_and_nothing_else_is() -> None:
    """All 52 letters are told apart."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    index = FilterIndex()
    for number, letter in enumerate(letters):
        index.add(number, Filter(tags={letter: ("x",)}))
    for number, letter in enumerate(letters):
        assert index.match(event(f'[["{letter}","x"]]')) == [number]
    for name in ("", "1", "_", "é", "ee", "[", "`", "{", "@"):
        assert index.match(event(f'[[{json.dumps(name)},"x"]]')) == []


def test_an_event_with_all_the_tags_that_fit() -> None:
    """Thousands of tags against thousands of filters for one of them: found once each, and not by trying every pair."""
    index = FilterIndex()
    for number in range(2_000):
        index.add(number, Filter(tags={"t": ("popular",), "e": (f"{number:064x}",), "p": (f"{number:064x}",)}))
    tags = [["t", "popular"]] * 5_000 + [["e", f"{number:064x}"] for number in range(1_000)] + [["p", f"{999:064x}"]] * 1_000
    assert index.match(event(json.dumps(tags))) == [999]


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (None, TypeError),
        ({"kinds": [1]}, TypeError),
        (Filter(ids=IDS[0]), TypeError),  # type: ignore[arg-type]
        (Filter(ids=("ab",)), ValueError),
        (Filter(ids=("A" * 64,)), ValueError),
        (Filter(authors=("é" * 32,)), ValueError),
        (Filter(authors=(b"a" * 64,)), TypeError),  # type: ignore[arg-type]
        (Filter(kinds=(65536,)), ValueError),
        (Filter(kinds=(-1,)), ValueError),
        (Filter(kinds=(2**70,)), ValueError),
        (Filter(kinds=("1",)), TypeError),  # type: ignore[arg-type]
        (Filter(kinds=b"1"), TypeError),  # type: ignore[arg-type]
        (Filter(tags={"ee": ("x",)}), ValueError),
        (Filter(tags={"": ("x",)}), ValueError),
        (Filter(tags={"1": ("x",)}), ValueError),
        (Filter(tags={"é": ("x",)}), ValueError),
        (Filter(tags={"e": "x"}), TypeError),  # type: ignore[dict-item]
        (Filter(tags={"e": (1,)}), TypeError),  # type: ignore[dict-item]
        (Filter(tags={"e": ("\ud800",)}), ValueError),
        (Filter(tags=None), TypeError),  # type: ignore[arg-type]
        (Filter(since=-1), ValueError),
        (Filter(until=2**63), ValueError),
        (Filter(since=1.5), TypeError),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_filter(wanted: Filter, error: type[Exception]) -> None:
    """A filter that nobody can have meant is refused, and nothing is added."""
    index = FilterIndex()
    with pytest.raises(error):
        index.add(1, wanted)
    assert len(index) == 0


def test_a_filter_that_fails_says_so() -> None:
    """What reading a filter raises comes through, an interrupt above all; only what has not the attributes is no filter."""

    class Interrupted:
        ids = authors = since = until = None
        tags: Mapping[str, list[str]] = MappingProxyType({})

        @property
        def kinds(self) -> list[int]:
            raise KeyboardInterrupt

    index = FilterIndex()
    with pytest.raises(KeyboardInterrupt):
        index.add(1, cast(Filter, Interrupted()))
    with pytest.raises(TypeError, match="not a filter"):
        index.add(1, cast(Filter, object()))
    assert len(index) == 0


@pytest.mark.parametrize(("key", "error"), [(-1, ValueError), (2**63, ValueError), ("1", TypeError), (1.0, TypeError), (None, TypeError)])
def test_what_is_no_key(key: int, error: type[Exception]) -> None:
    """Keys are non-negative integers of a machine word."""
    index = FilterIndex()
    with pytest.raises(error):
        index.add(key, Filter())
    with pytest.raises(error):
        index.remove(key)


def test_what_is_no_event() -> None:
    """Only what was verified is matched."""
    index = FilterIndex()
    with pytest.raises(TypeError):
        index.match(claimed(event().raw))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        index.match_many([event(), b""])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        index.match_many((event(),))  # type: ignore[arg-type]


def test_threads_share_an_index() -> None:
    """While some threads add and remove, others match: nothing is refused as borrowed, and what stays is always found."""
    index = FilterIndex()
    index.add(0, Filter(kinds=(1,)))
    failures: list[BaseException] = []
    of = event('[["e","x"]]')

    def change(base: int) -> None:
        for number in range(base, base + 500):
            index.add(number, Filter(tags={"e": ("x", "y", f"{number}")}))
            index.remove(number - 1 if number > base else number)

    def ask(_: int) -> None:
        for _ in range(500):
            keys = index.match(of)
            assert keys[0] == 0
            assert keys == sorted(set(keys))

    def guarded(call: Callable[[int], None], argument: int) -> None:
        try:
            call(argument)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(call, 1_000 * (number + 1))) for number in range(2) for call in (change, ask)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert index.match(of) == [0, 1_499, 2_499]
