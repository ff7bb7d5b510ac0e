"""Live subscriptions of all connections, and which of them a new event must go to (no I/O).

An inverted index: each filter stands under the values of its most selective field, so that an event meets only filters that could
match, however many subscriptions there are. Keys are whole values.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from pylon.nexus.record import Record, Test, compile_filter
from pylon.nostr.filter import Filter
from pylon.nostr.message import deliver_head

Owner = TypeVar("Owner")
Key = tuple[str, str | int]
"""The field (`ids`, `#p`, `authors`, `kinds`, or `` for filters without any) and one value of it."""


class Subscription(Generic[Owner]):
    """One REQ of one connection. `held` keeps live events until EOSE was sent, then it is None; `open` turns False when it has ended."""

    __slots__ = ("filters", "head", "held", "keys", "name", "open", "owner")

    def __init__(self, owner: Owner, name: str, filters: tuple[Filter, ...]) -> None:
        self.owner = owner
        self.name = name
        self.filters = filters
        self.head = deliver_head(name)
        self.held: deque[Record] | None = deque()
        self.open = True
        self.keys: list[Key] = []


class Watch(Generic[Owner]):
    """One filter of one subscription, and what is left to test when its index field matched."""

    __slots__ = ("rest", "subscription")

    def __init__(self, subscription: Subscription[Owner], rest: Test | None) -> None:
        self.subscription = subscription
        self.rest = rest


class Hub(Generic[Owner]):
    """All live subscriptions."""

    def __init__(self) -> None:
        self._watches: dict[Key, dict[Subscription[Owner], list[Watch[Owner]]]] = {}
        self._subscriptions: dict[Owner, dict[str, Subscription[Owner]]] = {}

    def subscribe(self, owner: Owner, name: str, filters: tuple[Filter, ...]) -> Subscription[Owner]:
        """Register a subscription. The owner has none of that name: whoever replaces one ends it first."""
        subscription = Subscription(owner, name, filters)
        self._subscriptions.setdefault(owner, {})[name] = subscription
        for wanted in filters:
            field, keys = _most_selective(wanted)
            watch = Watch(subscription, compile_filter(wanted, field))
            for key in keys:
                self._watches.setdefault(key, {}).setdefault(subscription, []).append(watch)
                subscription.keys.append(key)
        return subscription

    def unsubscribe(self, owner: Owner, name: str) -> Subscription[Owner] | None:
        """End one subscription and return it; None where there is none of that name."""
        owned = self._subscriptions.get(owner, {})
        subscription = owned.pop(name, None)
        if subscription is not None:
            self._forget(subscription)
            if not owned:
                del self._subscriptions[owner]
        return subscription

    def drop(self, owner: Owner) -> None:
        """Forget all subscriptions of a connection that has ended."""
        for subscription in self._subscriptions.pop(owner, {}).values():
            self._forget(subscription)

    def count(self) -> int:
        """How many subscriptions there are."""
        return sum(map(len, self._subscriptions.values()))

    def match(self, record: Record) -> list[Subscription[Owner]]:
        """The subscriptions that want `record`, each once."""
        found: dict[Subscription[Owner], None] = {}
        for key in _keys_of(record):
            if watching := self._watches.get(key):
                for subscription, watches in watching.items():
                    if subscription not in found and any(watch.rest is None or watch.rest(record) for watch in watches):
                        found[subscription] = None
        return list(found)

    def _forget(self, subscription: Subscription[Owner]) -> None:
        subscription.open = False
        for key in subscription.keys:
            if watching := self._watches.get(key):
                watching.pop(subscription, None)
                if not watching:
                    del self._watches[key]


def _most_selective(wanted: Filter) -> tuple[str | None, list[Key]]:
    """The field under which a filter is indexed, and its keys there. A filter with an empty list has no keys: it matches nothing."""
    tags = sorted(wanted.tags.items(), key=lambda item: len(item[1]))
    lists: list[tuple[str, Sequence[str | int] | None]] = [("ids", wanted.ids)]
    lists += [("#" + letter, values) for letter, values in tags]
    lists += [("authors", wanted.authors), ("kinds", wanted.kinds)]
    given = [(field, values) for field, values in lists if values is not None]
    if any(not values for _, values in given):
        return None, []
    if not given:
        return None, [("", "")]
    field, values = given[0]
    return field, [(field, value) for value in values]


def _keys_of(record: Record) -> list[Key]:
    """Every key under which a filter that matches `record` may stand."""
    keys: list[Key] = [("ids", record.id), ("authors", record.pubkey), ("kinds", record.kind), ("", "")]
    keys += [("#" + tag[0], tag[1:]) for tag in record.tags]
    return keys
