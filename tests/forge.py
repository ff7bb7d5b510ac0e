"""Events as a liar writes them: any fields, nothing signed. What is genuine only Pylon's own code can make."""

from __future__ import annotations

import msgspec
import orjson

from pylon.nostr.event import Event, Tags

FIELDS = ("id", "pubkey", "created_at", "kind", "tags", "content", "sig")


class Forged(msgspec.Struct, frozen=True):
    """The fields of an event, whatever they say."""

    id: str = "0" * 64
    pubkey: str = "0" * 64
    created_at: int = 0
    kind: int = 1
    tags: Tags = ()
    content: str = ""
    sig: str = "0" * 128

    def first(self, name: str, /) -> tuple[str, ...] | None:
        """The first tag called `name`, or None."""
        return next((tag for tag in self.tags if tag and tag[0] == name), None)

    def values(self, name: str, /) -> tuple[str, ...]:
        """The second element of every tag called `name` that has one."""
        return tuple(tag[1] for tag in self.tags if len(tag) > 1 and tag[0] == name)


def forged(event: Event, content: str) -> Forged:
    """Another text under the id and the signature of a genuine event."""
    return Forged(event.id, event.pubkey, event.created_at, event.kind, event.tags, content, event.sig)


def encode(event: Event) -> bytes:
    """The event as JSON, in the field order of NIP-01."""
    return orjson.dumps({name: getattr(event, name) for name in FIELDS})
