"""NIP-09, deletion requests (https://github.com/nostr-protocol/nips/blob/master/09.md): what an event of kind 5 asks for."""

from __future__ import annotations

import re

import msgspec

from pylon.errors import WireError
from pylon.nostr.event import Draft, Event
from pylon.nostr.kinds import DELETION, GIFT_WRAP, Address, address_of, parse_address

_is_id = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch
_is_kind = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII).fullmatch


class Deletion(msgspec.Struct, frozen=True):
    """A deletion request: `ids` of e tags, `addresses` of a tags (its author's own only), `kinds` of k tags."""

    author: str
    created_at: int
    ids: frozenset[str]
    addresses: frozenset[Address]
    kinds: frozenset[int]

    def covers(self, event: Event) -> bool:
        """Whether `event` is deleted by this request."""
        if event.kind == DELETION:  # "a deletion request event against a deletion request has no effect"
            return False
        if event.pubkey != self.author:
            # NIP-59: "relays SHOULD delete kind:1059 events whose p-tag matches the signer of NIP-09 deletions"
            return event.kind == GIFT_WRAP and event.id in self.ids and self.author in event.values("p")
        if event.id in self.ids:
            return True
        # "all versions of the replaceable event up to the created_at timestamp of the deletion request event"
        address = address_of(event)
        return address is not None and address in self.addresses and event.created_at <= self.created_at


def read_deletion(event: Event) -> Deletion:
    """Read an event of kind 5. Malformed tags, and addresses of other authors, ask for nothing. Raises WireError for another kind."""
    if event.kind != DELETION:
        raise WireError("a deletion request has kind 5")
    addresses = (parse_address(text) for text in event.values("a"))
    return Deletion(
        author=event.pubkey,
        created_at=event.created_at,
        ids=frozenset(filter(_is_id, event.values("e"))),
        addresses=frozenset(address for address in addresses if address is not None and address.pubkey == event.pubkey),
        kinds=frozenset(int(text) for text in event.values("k") if _is_kind(text)),
    )


def deletion_draft(event: Event, created_at: int) -> Draft:
    """The request of its author to delete `event`. The `k` tag, and `p` tags copied from a job, let its providers subscribe to it."""
    people = tuple(("p", person) for person in event.values("p"))
    return Draft(kind=DELETION, created_at=created_at, tags=(("e", event.id), ("k", str(event.kind)), *people))
