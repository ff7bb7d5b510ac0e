"""Who sells right now: announcements (NIP-89, 31990) and heartbeats (11998), and which provider a piece of a run is sent to."""

from __future__ import annotations

import time
from collections import Counter

import msgspec

from pylon.errors import WireError
from pylon.nostr.event import VerifiedEvent
from pylon.nostr.filter import Filter
from pylon.nostr.kinds import ANNOUNCEMENT, HEARTBEAT
from pylon.nostr.nip89 import HEARTBEAT_LIFE, Heartbeat, read_announcement, read_heartbeat
from pylon.units import Msat

OFFERS = "offers"
"""The subscription."""
MOST_PROVIDERS = 10_000
ANNOUNCED_SECONDS = 30 * 86400
"""Announcements are replaced when a provider starts; older ones are of providers that are long gone."""


class Offer(msgspec.Struct, frozen=True):
    """A provider that is there: its price (msat, None where it says none) and the jobs it can begin at once."""

    provider: str
    price: Msat | None
    slots: int


class Offers:
    """The market as the relays tell it. Strangers write it: it is a hint whom to ask, never a reason to pay."""

    def __init__(self) -> None:
        self._kinds: dict[str, frozenset[int]] = {}
        self._beats: dict[str, Heartbeat] = {}
        self._asked: Counter[str] = Counter()

    @staticmethod
    def filters() -> list[Filter]:
        """What to subscribe to."""
        now = int(time.time())
        return [Filter(kinds=(HEARTBEAT,), since=now - HEARTBEAT_LIFE), Filter(kinds=(ANNOUNCEMENT,), since=now - ANNOUNCED_SECONDS)]

    def take(self, event: VerifiedEvent) -> None:
        """An event of one of the two kinds."""
        try:
            if event.kind == ANNOUNCEMENT:
                if len(self._kinds) < MOST_PROVIDERS:
                    self._kinds[event.pubkey] = frozenset(read_announcement(event).kinds)
            elif len(self._beats) < MOST_PROVIDERS or event.pubkey in self._beats:
                beat, known = read_heartbeat(event), self._beats.get(event.pubkey)
                if known is None or beat.created_at >= known.created_at:
                    self._beats[event.pubkey] = beat
        except WireError:
            return  # not an offer that can be read: nobody who could be asked

    def alive(self, kind: int, now: float) -> list[Offer]:
        """Who serves `kind` now, cheapest first."""
        for pubkey in [pubkey for pubkey, beat in self._beats.items() if not beat.alive(int(now))]:
            del self._beats[pubkey]
        found = [
            Offer(pubkey, beat.price, max(1, beat.slots or 1))
            for pubkey, beat in self._beats.items() if kind in self._kinds.get(pubkey, frozenset())
        ]
        return sorted(found, key=lambda offer: (offer.price is None, offer.price or 0, offer.provider))

    def choose(self, kind: int, *, most: Msat, avoid: frozenset[str], now: float) -> str | None:
        """The provider with the most room for one more of our jobs, of those within `most`; None where nobody is known."""
        fitting = [
            offer for offer in self.alive(kind, now)
            if offer.provider not in avoid and (offer.price is None or offer.price <= most)
        ]
        if not fitting:
            return None
        return min(fitting, key=lambda offer: (self._asked[offer.provider] + 1) / offer.slots).provider

    def begin(self, provider: str) -> None:
        """One of our jobs goes to `provider`."""
        self._asked[provider] += 1

    def end(self, provider: str) -> None:
        """It has ended there."""
        self._asked[provider] -= 1
        if self._asked[provider] <= 0:
            del self._asked[provider]
