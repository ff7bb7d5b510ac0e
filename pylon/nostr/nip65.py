"""NIP-65, the list of a key's relays (https://github.com/nostr-protocol/nips/blob/master/65.md): kind 10002."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pylon.errors import WireError
from pylon.nostr.event import Draft, Event
from pylon.nostr.kinds import RELAY_LIST
from pylon.nostr.relay_url import normalize_url


class RelayList(msgspec.Struct, frozen=True):
    """`read`: where its owner listens (a provider takes its jobs there). `write`: where he publishes. Normalised, each once, in order."""

    read: tuple[str, ...]
    write: tuple[str, ...]


def relay_list_draft(relays: Sequence[str], created_at: int) -> Draft:
    """The list of relays that are used both ways: "If the marker is omitted, the relay is both read and write." """
    return Draft(kind=RELAY_LIST, created_at=created_at, tags=tuple(("r", relay) for relay in relays))


def read_relay_list(event: Event) -> RelayList:
    """Read an event of kind 10002. What is no relay's address is left out. Raises WireError for another kind."""
    if event.kind != RELAY_LIST:
        raise WireError("a relay list has kind 10002")
    read: dict[str, None] = {}
    write: dict[str, None] = {}
    for tag in event.tags:
        url = normalize_url(tag[1]) if len(tag) > 1 and tag[0] == "r" else None
        if url is None:
            continue
        marker = tag[2] if len(tag) > 2 else ""
        # "an optional read or write marker": another word says neither, so it restricts nothing
        if marker != "write":
            read[url] = None
        if marker != "read":
            write[url] = None
    return RelayList(tuple(read), tuple(write))
