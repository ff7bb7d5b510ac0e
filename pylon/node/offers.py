"""Who sells right now: announcements (NIP-89, 31990) and heartbeats (11998), and which provider a piece of a run is sent to."""

from __future__ import annotations

import time
from collections import Counter

import msgspec

from pylon.errors import WireError
from pylon.nostr.event import VerifiedEvent
from pylon.nostr.filter import Filter
from pylon.nostr.kinds import ANNOUNCEMENT, HEARTBEAT
from pylon.nostr.nip89 import HEARTBEAT_LIFE, Announcement, Heartbeat, read_announcement, read_heartbeat
from pylon.units import Msat

OFFERS = "offers"
"""The subscription."""
MOST_PROVIDERS = 10_000
MOST_SLOTS = 64
"""Slots of one provider that are believed: a stranger that claims a million would get every piece of every run."""
MOST_MODELS = 20
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
        self._announced: dict[str, tuple[int, Announcement]] = {}
        self._beats: dict[str, Heartbeat] = {}
        self._asked: Counter[str] = Counter()
        self._silent: dict[str, int] = {}

    @staticmethod
    def filters() -> list[Filter]:
        """What to subscribe to."""
        now = int(time.time())
        return [Filter(kinds=(HEARTBEAT,), since=now - HEARTBEAT_LIFE), Filter(kinds=(ANNOUNCEMENT,), since=now - ANNOUNCED_SECONDS)]

    def take(self, event: VerifiedEvent) -> None:
        """An event of one of the two kinds."""
        try:
            if event.kind == ANNOUNCEMENT:
                if len(self._announced) < MOST_PROVIDERS or event.pubkey in self._announced:
                    at, _ = self._announced.get(event.pubkey, (0, None))
                    if event.created_at >= at:
                        self._announced[event.pubkey] = (event.created_at, read_announcement(event))
            elif len(self._beats) < MOST_PROVIDERS or event.pubkey in self._beats:
                beat, known = read_heartbeat(event), self._beats.get(event.pubkey)
                if known is None or beat.created_at >= known.created_at:
                    self._beats[event.pubkey] = beat
        except WireError:
            return  # not an offer that can be read: nobody who could be asked

    def alive(self, kind: int, now: float, model: str = "") -> list[Offer]:
        """Who serves `kind` now (and, as far as he says which he has, `model`), cheapest first."""
        for pubkey in [pubkey for pubkey, beat in self._beats.items() if not beat.alive(int(now))]:
            del self._beats[pubkey]
            self._silent.pop(pubkey, None)
        found = [
            Offer(pubkey, beat.price, min(max(1, beat.slots or 1), MOST_SLOTS))
            for pubkey, beat in self._beats.items() if self._serves(pubkey, kind, model)
        ]
        return sorted(found, key=lambda offer: (offer.price is None, offer.price or 0, offer.provider))

    def models(self, kind: int, now: float) -> list[str]:
        """The models that those who serve `kind` now say they have, the commonest first."""
        counts = Counter(model for offer in self.alive(kind, now) for model in dict.fromkeys(self._announced[offer.provider][1].models))
        return [model for model, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_MODELS]]

    def _serves(self, pubkey: str, kind: int, model: str) -> bool:
        if pubkey not in self._announced:
            return False
        _, said = self._announced[pubkey]
        return kind in said.kinds and (not model or not said.models or model in said.models)

    def fitting(self, kind: int, *, most: Msat, avoid: frozenset[str], now: float, model: str = "") -> list[str]:
        """The providers within `most`, who has the most room for one more of our jobs first, who owes us an answer last."""
        fitting = [
            offer for offer in self.alive(kind, now, model)
            if offer.provider not in avoid and (offer.price is None or offer.price <= most)
        ]
        fitting.sort(key=lambda offer: (self._is_silent(offer.provider), (self._asked[offer.provider] + 1) / offer.slots))
        return [offer.provider for offer in fitting]

    def _is_silent(self, provider: str) -> bool:
        """No sign of life since an answer of his did not come."""
        return self._beats[provider].created_at <= self._silent.get(provider, -1)

    def begin(self, provider: str) -> None:
        """One of our jobs goes to `provider`."""
        self._asked[provider] += 1

    def silent(self, provider: str, now: float) -> None:
        """`provider` let a job of ours run out of time: until his next heartbeat others are asked first."""
        if provider in self._beats:
            self._silent[provider] = int(now)

    def end(self, provider: str) -> None:
        """It has ended there."""
        self._asked[provider] -= 1
        if self._asked[provider] <= 0:
            del self._asked[provider]
