"""One event against the filters of a relay: the native index beside a dict index in Python over ready dicts."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import orjson
import pytest

from benches.conftest import Against
from benches.inputs import NOW, sha
from benches.references import DictIndex, event_id
from pylon._native import FilterIndex, VerifiedEvent, load_event
from pylon.nostr.filter import decode_filter

COUNTS = {1_000: (0.12, 0.08), 10_000: (0.10, 0.06), 100_000: (0.10, 0.05)}
"""Filters: gate, goal."""
EVENTS = 64
JOB_KINDS = range(100)
"""Of requests above 5000, of results above 6000."""
Json = dict[str, Any]


def job(number: int) -> str:
    """The id of a request."""
    return sha(f"job {number}").hex()


def key(number: int) -> str:
    """Somebody's public key."""
    return sha(f"key {number}").hex()


def mix(count: int) -> list[Json]:
    """What a market's relay is asked for: 60 % wait for a job's answers, 20 % follow providers, 10 % serve a kind, 10 % are called."""
    dice = random.Random(count)
    found: list[Json] = []
    for number in range(count):
        place = number % 10
        if place < 6:
            found.append({"kinds": [6000 + dice.choice(JOB_KINDS), 7000], "#e": [job(number)]})
        elif place < 8:
            found.append({"authors": [key(dice.randrange(count)) for _ in range(dice.randint(1, 3))], "kinds": [0, 11998, 31990]})
        elif place < 9:
            found.append({"kinds": [5000 + dice.choice(JOB_KINDS)], "since": NOW - dice.randrange(3600)})
        else:
            found.append({"#p": [key(dice.randrange(count))]})
    return found


def traffic(count: int) -> list[Json]:
    """Requests, results and feedback by and to keys of the mix."""
    dice = random.Random(count + 1)
    found: list[Json] = []
    for number in range(EVENTS):
        kind = (5000, 6000, 6000, 7000)[number % 4]
        tags = [["p", key(dice.randrange(count))], ["amount", "21000"]]
        if kind == 5000:
            tags += [["i", "how does a swarm of models answer a question?", "text"], ["output", "text/plain"], ["bid", "30000"]]
        else:
            tags += [["e", job(dice.randrange(count)), "wss://relay.example"]]
        kind += 0 if kind == 7000 else dice.choice(JOB_KINDS)
        made_of = (key(dice.randrange(count)), NOW + number, kind, tags, "the answer")
        names = ("pubkey", "created_at", "kind", "tags", "content")
        found.append({"id": event_id(*made_of).hex(), **dict(zip(names, made_of, strict=True)), "sig": "0" * 128})
    return found


def indexed(filters: list[Json]) -> FilterIndex:
    """The native index of filters under their numbers."""
    index = FilterIndex()
    for number, fields in enumerate(filters):
        index.add(number, decode_filter(orjson.dumps(fields)))
    return index


def same(ours: list[list[int]], theirs: list[set[int]]) -> bool:
    """Whether the same filters were found."""
    return ours == list(map(sorted, theirs))


def one_by_one(index: FilterIndex, events: list[VerifiedEvent]) -> list[list[int]]:
    """A call for each event."""
    return [index.match(event) for event in events]


def by_dicts(index: DictIndex, events: list[Json]) -> list[set[int]]:
    """The same by the reference."""
    return [index.match(event) for event in events]


@pytest.mark.parametrize("count", COUNTS)
def test_match(against: Against, count: int) -> None:
    """Which of a relay's filters want an event."""
    gate, goal = COUNTS[count]
    filters, fields = mix(count), traffic(count)
    events = [load_event(orjson.dumps(one)) for one in fields]
    against(
        f"match one event, {count:,} filters", partial(one_by_one, indexed(filters), events),
        "dict index over dicts", partial(by_dicts, DictIndex(filters), fields), units=(EVENTS, EVENTS), gate=gate, goal=goal, agree=same,
    )


@pytest.mark.parametrize("count", COUNTS)
def test_filters_that_cannot_match(against: Against, count: int) -> None:
    """A thousand filters of the mix, and so many of other people and other jobs besides."""
    filters, fields = mix(1_000), traffic(1_000)
    others = [{**wanted, "kinds": [40_000]} for wanted in mix(count + 1)]
    events = [load_event(orjson.dumps(one)) for one in fields]
    against(
        f"match one event, 1,000 filters and {count:,} that cannot match", partial(one_by_one, indexed(filters + others), events),
        "the native index of the 1,000", partial(one_by_one, indexed(filters), events), units=(EVENTS, EVENTS), gate=1.3, goal=1.2,
    )
