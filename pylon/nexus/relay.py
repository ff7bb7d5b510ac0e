"""The relay itself: what is done with each action of a session. Connections, subscriptions and the store meet here, on the loop's thread.

EVENT: verified in batches (`pylon.ingest`), judged by the policies, put into the store; live subscriptions get it at once, the OK goes
out when it is on disk. REQ: the subscription is registered first; then the stored events accepted before that moment are sent, then
EOSE, then what came live in the meantime. So every event reaches every subscription once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from picows import WSCloseCode

from pylon._native import Seen, peek_id
from pylon._native.frames import event_frame
from pylon.ingest import Checked, Ingest
from pylon.nexus.hub import Hub, Subscription
from pylon.nexus.index import Verdict
from pylon.nexus.peer import Peer
from pylon.nexus.policy import Policy, judge
from pylon.nexus.record import Record
from pylon.nexus.session import MAX_LIMIT, End, Open, Say, Take, refusal
from pylon.nexus.store import Store
from pylon.nostr.event import REASONS, VerifiedEvent
from pylon.nostr.kinds import is_ephemeral
from pylon.nostr.message import Eose, Ok, encode, publish

SLICE: Final = 512
"""Stored events that one scan sends before it lets others run."""
TICK_COST: Final = 64
"""What it counts to have looked at TICK stored events in vain."""
SCAN_WAITING: Final = 1024 * 1024
"""A scan waits for its reader above so many unread bytes."""
RECENT: Final = 4096
"""Verified events that are remembered, so that they are not verified again; and ephemeral ones, so that they are delivered once."""

log = logging.getLogger(__name__)

ANSWERS: Final = {
    Verdict.STORED: (True, ""),
    Verdict.DUPLICATE: (True, "duplicate: already have this event"),
    Verdict.OUTDATED: (False, "blocked: a newer version of this event is stored"),
    Verdict.DELETED: (False, "blocked: this event was deleted by its author"),
}


class Relay:
    """Everything between the sockets and the disk. Must be made where an event loop runs."""

    def __init__(self, store: Store, policies: tuple[Policy, ...], clock: Callable[[], float]) -> None:
        self.peers: set[Peer] = set()
        self.closing = False
        self._store = store
        self._policies = policies
        self._clock = clock
        self._hub: Hub[Peer] = Hub()
        self._ingest: Ingest[Peer] = Ingest(self._checked, seen=Seen(RECENT), on_room=self._room)
        self._crowded: set[Peer] = set()
        self._recent: dict[str, None] = {}
        self._scans: set[asyncio.Task[None]] = set()

    def came(self, peer: Peer) -> None:
        """A connection is open."""
        self.peers.add(peer)

    def went(self, peer: Peer) -> None:
        """A connection has ended."""
        self._hub.drop(peer)
        self._crowded.discard(peer)
        self.peers.discard(peer)

    def said(self, peer: Peer, texts: list[bytes]) -> None:
        """What a client says, one read's worth."""
        now = int(self._clock())
        for text in texts:
            if self.closing or not peer.open:
                return
            if peer.session.authenticated and (known := self._repeated(text)):
                self._store.known(known, partial(self._answer, peer, known.id))
                continue
            match peer.session.receive(text, now):
                case Say(answer):
                    peer.say(answer)
                case Take():
                    self._take(peer, text)
                case Open() as wanted:
                    self._open(peer, wanted, now)
                case End(name):
                    self._end(peer, name)

    def expire(self) -> None:
        """Drop the stored events that have expired."""
        self._store.expire(int(self._clock()))

    async def aclose(self) -> None:
        """Answer what was received; nothing more is taken."""
        self.closing = True
        await self._ingest.aclose()
        for scan in list(self._scans):
            scan.cancel()
        await asyncio.gather(*self._scans, return_exceptions=True)

    def _repeated(self, text: bytes) -> Record | None:
        """The stored event that `text` publishes again, byte for byte: those bytes have been verified, and need not even be parsed.

        The id that the frame claims finds it, and proves nothing by itself.
        """
        claimed = peek_id(text)
        known = self._store.get(claimed) if claimed else None
        return known if known is not None and text == publish(known.raw) else None

    def _take(self, peer: Peer, text: bytes) -> None:
        if not self._ingest.put((text,), peer):
            self._crowded.add(peer)
            peer.crowded(True)

    def _room(self) -> None:
        crowded, self._crowded = self._crowded, set()
        for peer in crowded:
            peer.crowded(False)

    def _checked(self, batch: list[tuple[Peer, bytes, Checked]]) -> None:
        now = int(self._clock())
        for peer, text, result in batch:
            peer.session.now = now
            if isinstance(result, int):
                peer.say(refusal(text, REASONS[result]))
            elif reason := judge(self._policies, peer.session, result):
                peer.say(encode(Ok(result.id, False, reason)))
            elif is_ephemeral(result.kind):
                self._pass_on(peer, result)
            else:
                self._keep(peer, result)

    def _pass_on(self, peer: Peer, event: VerifiedEvent) -> None:
        """NIP-01: ephemeral events "are not expected to be stored by relays": those who listen now get them."""
        duplicate = event.id in self._recent
        if not duplicate:
            self._recent[event.id] = None
            if len(self._recent) > RECENT:
                del self._recent[next(iter(self._recent))]
            self._deliver(event, Record(event))
        self._answer(peer, event.id, Verdict.DUPLICATE if duplicate else Verdict.STORED, None)

    def _keep(self, peer: Peer, event: VerifiedEvent) -> None:
        record = Record(event)
        if self._store.put(record, partial(self._answer, peer, event.id)) is Verdict.STORED:
            self._deliver(event, record)

    def _answer(self, peer: Peer, event_id: str, verdict: Verdict, error: OSError | None) -> None:
        accepted, text = ANSWERS[verdict] if error is None else (False, "error: the relay could not write the event to its disk")
        peer.say(encode(Ok(event_id, accepted, text)))

    def _deliver(self, event: VerifiedEvent, record: Record) -> None:
        """Hand a new event to every subscription that wants it. One frame is made for all that have the same id."""
        readers = record.readers()
        frames: dict[bytes, bytes] = {}
        for subscription in self._hub.match(event):
            peer = subscription.owner
            if not peer.open or (readers is not None and readers.isdisjoint(peer.session.authenticated)):
                continue
            if subscription.held is not None:
                subscription.held.append(record)
                peer.hold(len(record.raw))
                continue
            head = subscription.head
            ready = frames.get(head)
            if ready is None:
                ready = frames[head] = event_frame(head, record.raw)
            peer.send(ready)

    def _end(self, peer: Peer, name: str) -> None:
        subscription = self._hub.unsubscribe(peer, name)
        for record in (subscription and subscription.held) or ():
            peer.hold(-len(record.raw))

    def _open(self, peer: Peer, wanted: Open, now: int) -> None:
        """NIP-01: "If an already used subscription_id is used … relay MUST overwrite it": the old one ends."""
        self._end(peer, wanted.name)
        subscription = self._hub.subscribe(peer, wanted.name, wanted.filters)
        scan = self._store.query(wanted.filters, now=now, limit=MAX_LIMIT, keys=peer.session.authenticated)
        if not self._advance(subscription, scan):
            task = asyncio.get_running_loop().create_task(self._scan(subscription, scan))
            self._scans.add(task)
            task.add_done_callback(partial(self._scanned, peer))

    def _scanned(self, peer: Peer, task: asyncio.Task[None]) -> None:
        self._scans.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a scan failed", exc_info=error)
            peer.close(WSCloseCode.INTERNAL_ERROR, "internal error")

    async def _scan(self, subscription: Subscription[Peer], scan: Iterator[Record | None]) -> None:
        while True:
            await subscription.owner.room()
            if not subscription.open or self._advance(subscription, scan):
                return

    def _advance(self, subscription: Subscription[Peer], scan: Iterator[Record | None]) -> bool:
        """Send the next slice of a scan, and after the last one EOSE. Returns whether the scan has ended."""
        peer = subscription.owner
        cost = 0
        for record in scan:
            if record is None:
                cost += TICK_COST
            else:
                cost += 1
                peer.send(event_frame(subscription.head, record.raw))
            if cost >= SLICE or peer.waiting > SCAN_WAITING:
                return False
        peer.say(encode(Eose(subscription.name)))
        held, subscription.held = subscription.held or (), None
        for record in held:
            peer.hold(-len(record.raw))
            peer.send(event_frame(subscription.head, record.raw))
        return True
