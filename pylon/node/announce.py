"""A provider says that it is there: NIP-89 (31990), NIP-65 (10002) and a heartbeat (11998) every 300 seconds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from pylon.errors import NoRelay
from pylon.market.kinds import KINDS
from pylon.nostr.event import Draft, sign
from pylon.nostr.keys import Keys
from pylon.nostr.nip65 import relay_list_draft
from pylon.nostr.nip89 import Announcement, Status, announcement_draft, heartbeat_draft
from pylon.relay.pool import Pool
from pylon.units import Msat

log = logging.getLogger("pylon.node")

HEARTBEAT_SECONDS = 300
PUBLISH_SECONDS = 15.0
IDENTIFIER = "pylon"
"""The `d` of the announcement and of the heartbeat: one of each a key."""


class Announcer:
    """Publishes the three events. `created_at` rises strictly, or a relay would keep the older version."""

    def __init__(
        self, pool: Pool, keys: Keys, relays: list[str], *, name: str, price: Msat, per_1k: Msat, free_slots: Callable[[], int]
    ) -> None:
        self._pool = pool
        self._keys = keys
        self._relays = relays
        self._name = name
        self._price = price
        self._per_1k = per_1k
        self._free_slots = free_slots
        self._last = 0

    async def run(self, models: Callable[[], tuple[str, ...]]) -> None:
        """Announce now and keep the heart beating until cancelled."""
        await self._publish(announcement_draft(
            Announcement(
                identifier=IDENTIFIER, kinds=tuple(KINDS), name=self._name, about="Answers of language models for sats", models=models(),
                price=self._price, price_per_1k=self._per_1k, encryption=True,
            ),
            self._now(),
        ))
        await self._publish(relay_list_draft(self._relays, self._now()))
        while True:
            await self.beat("online" if self._free_slots() else "busy")
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def beat(self, status: Status) -> None:
        """One heartbeat; `offline` when we leave."""
        slots = 0 if status == "offline" else self._free_slots()
        await self._publish(heartbeat_draft(
            IDENTIFIER, self._now(), status=status, slots=slots, price=self._price, price_per_1k=self._per_1k
        ))

    def _now(self) -> int:
        self._last = max(int(time.time()), self._last + 1)
        return self._last

    async def _publish(self, draft: Draft) -> None:
        event = sign(draft, self._keys)
        publication = self._pool.publish(event)
        try:
            await publication.accepted(PUBLISH_SECONDS)
        except NoRelay as error:
            log.warning("an announcement of kind %d was not taken: %s", event.kind, error.message)
        finally:
            self._pool.forget(publication)
