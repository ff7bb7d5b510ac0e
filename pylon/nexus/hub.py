"""Live subscriptions of all connections, and which of them a new event must go to (no I/O).

The filters stand in the native index, under one number for each subscription: an event meets only those that could match, however many
there are.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import Generic, TypeVar

from pylon._native import FilterIndex
from pylon.nexus.record import Record
from pylon.nostr.event import VerifiedEvent
from pylon.nostr.filter import Filter
from pylon.nostr.message import deliver_head

Owner = TypeVar("Owner")


class Subscription(Generic[Owner]):
    """One REQ of one connection. `held` keeps live events until EOSE was sent, then it is None; `open` turns False when it has ended."""

    __slots__ = ("head", "held", "name", "number", "open", "owner")

    def __init__(self, owner: Owner, name: str, number: int) -> None:
        self.owner = owner
        self.name = name
        self.number = number
        self.head = deliver_head(name)
        self.held: deque[Record] | None = deque()
        self.open = True


class Hub(Generic[Owner]):
    """All live subscriptions."""

    def __init__(self) -> None:
        self._index = FilterIndex()
        self._numbers = count()
        self._numbered: dict[int, Subscription[Owner]] = {}
        self._subscriptions: dict[Owner, dict[str, Subscription[Owner]]] = {}

    def subscribe(self, owner: Owner, name: str, filters: tuple[Filter, ...]) -> Subscription[Owner]:
        """Register a subscription. The owner has none of that name: whoever replaces one ends it first."""
        subscription = Subscription(owner, name, next(self._numbers))
        self._subscriptions.setdefault(owner, {})[name] = subscription
        self._numbered[subscription.number] = subscription
        for wanted in filters:
            self._index.add(subscription.number, wanted)
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
        return len(self._numbered)

    def filters(self) -> int:
        """How many filters they have."""
        return len(self._index)

    def match(self, event: VerifiedEvent) -> list[Subscription[Owner]]:
        """The subscriptions that want `event`, each once, in the order in which they came."""
        return [self._numbered[number] for number in self._index.match(event)]

    def _forget(self, subscription: Subscription[Owner]) -> None:
        subscription.open = False
        del self._numbered[subscription.number]
        self._index.remove(subscription.number)
