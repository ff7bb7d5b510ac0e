"""Ranges of kinds, and addresses of events that replace each other (NIP-01, https://github.com/nostr-protocol/nips/blob/master/01.md)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from pylon.nostr.event import Event

DELETION: Final = 5
SEAL: Final = 13
GIFT_WRAP: Final = 1059
RELAY_LIST: Final = 10002
HEARTBEAT: Final = 11998
ANNOUNCEMENT: Final = 31990

_address = re.compile(r"(0|[1-9][0-9]{0,4}):([0-9a-f]{64}):(.*)", re.ASCII | re.DOTALL).fullmatch


class Address(msgspec.Struct, frozen=True):
    """What all versions of a replaceable event have in common. `identifier` is the value of `d`, empty for a kind that has none."""

    kind: int
    pubkey: str
    identifier: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.pubkey}:{self.identifier}"


def is_replaceable(kind: int) -> bool:
    """ "for kind n such that 10000 <= n < 20000 || n == 0 || n == 3, events are replaceable" """
    return 10000 <= kind < 20000 or kind in (0, 3)


def is_ephemeral(kind: int) -> bool:
    """ "for kind n such that 20000 <= n < 30000, events are ephemeral" """
    return 20000 <= kind < 30000


def is_addressable(kind: int) -> bool:
    """ "for kind n such that 30000 <= n < 40000, events are addressable by their kind, pubkey and d tag value" """
    return 30000 <= kind < 40000


def is_regular(kind: int) -> bool:
    """Whether every event of this kind stands for itself: the rest, unassigned ranges included, so that nothing of them is lost."""
    return not (is_replaceable(kind) or is_ephemeral(kind) or is_addressable(kind))


def address_of(event: Event) -> Address | None:
    """The address of a replaceable or addressable event, None for any other. A missing `d` is the empty one."""
    if is_addressable(event.kind):
        # "addressable by their kind, pubkey and d tag value": the first d tag's, whatever other ones say
        return Address(event.kind, event.pubkey, next(iter((event.first("d") or ())[1:2]), ""))
    return Address(event.kind, event.pubkey) if is_replaceable(event.kind) else None


def parse_address(text: str) -> Address | None:
    """`<kind>:<pubkey>:<d>` as in an `a` tag, or None. The colon at the end is always there, the identifier may have more of them."""
    found = _address(text)
    if not found:
        return None
    kind, identifier = int(found[1]), found[3]
    if is_addressable(kind) or (is_replaceable(kind) and not identifier):
        return Address(kind, found[2], identifier)
    return None


def newer(one: Event, other: Event) -> bool:
    """Whether `one` replaces `other`, both having one address.

    "In case of replaceable events with the same timestamp, the event with the lowest id (first in lexical order) should be retained"
    """
    return one.created_at > other.created_at or (one.created_at == other.created_at and one.id < other.id)
