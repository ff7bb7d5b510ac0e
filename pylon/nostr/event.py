"""Events: a signed fact (NIP-01, https://github.com/nostr-protocol/nips/blob/master/01.md).

Three types for three degrees of trust: `Draft` (ours, not signed yet), `Event` (somebody's claim), `VerifiedEvent`
(form, id and signature were checked, or we signed it). Only `check`, `check_many` and `sign` make the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
import orjson

from pylon import _native
from pylon.errors import InvalidEvent

Tags = tuple[tuple[str, ...], ...]


class Draft(msgspec.Struct, frozen=True):
    """An event before it is signed. `created_at` is in Unix seconds."""

    kind: int
    created_at: int
    content: str = ""
    tags: Tags = ()


class Event(msgspec.Struct, frozen=True):
    """An event as somebody sent it: `id`, `pubkey` 64 and `sig` 128 lower-case hex characters. Nothing was checked."""

    id: str
    pubkey: str
    created_at: int
    kind: int
    tags: Tags
    content: str
    sig: str

    def first(self, name: str) -> tuple[str, ...] | None:
        """The first tag called `name`, or None."""
        return next((tag for tag in self.tags if tag and tag[0] == name), None)

    def values(self, name: str) -> tuple[str, ...]:
        """The second element of every tag called `name` that has one."""
        return tuple(tag[1] for tag in self.tags if len(tag) > 1 and tag[0] == name)


class VerifiedEvent(Event, frozen=True):
    """An event whose form, id and signature hold."""


class Signer(Protocol):
    """What can sign: `pubkey` is the x-only key (32 bytes), `sign` makes a BIP-340 signature (64 bytes)."""

    @property
    def pubkey(self) -> bytes:
        """The x-only public key, 32 bytes."""
        ...

    def sign(self, message: bytes, /) -> bytes:
        """A BIP-340 signature, 64 bytes."""
        ...


_decode = msgspec.json.Decoder(VerifiedEvent).decode

REASONS = {
    _native.SYNTAX: "invalid: not an event of NIP-01",
    _native.BAD_ID: "invalid: the id is not the hash of the event",
    _native.BAD_SIGNATURE: "invalid: bad signature",
    _native.BAD_UTF8: "invalid: not UTF-8",
}


def sign(draft: Draft, signer: Signer) -> VerifiedEvent:
    """Sign `draft`. Raises InvalidEvent where the draft itself breaks NIP-01 (a kind over 65535, a lone surrogate)."""
    pubkey = signer.pubkey.hex()
    try:
        event_id = _native.event_id(pubkey, draft.created_at, draft.kind, draft.tags, draft.content)
    except (ValueError, OverflowError) as error:
        raise InvalidEvent(f"invalid: {error}") from error
    return VerifiedEvent(
        id=event_id.hex(), pubkey=pubkey, created_at=draft.created_at, kind=draft.kind, tags=draft.tags, content=draft.content,
        sig=signer.sign(event_id).hex(),
    )


def check(raw: bytes) -> VerifiedEvent:
    """The event in the JSON text `raw` (one object). Raises InvalidEvent with the reason."""
    (event,) = check_many((raw,))
    if isinstance(event, InvalidEvent):
        raise event
    return event


def check_many(raws: Sequence[bytes]) -> list[VerifiedEvent | InvalidEvent]:
    """Check many events, in order, outside the GIL. An invalid one comes back as the error it would have raised."""
    codes = _native.check_codes(list(raws))
    return [_decode(raw) if code == _native.OK else InvalidEvent(REASONS[code]) for raw, code in zip(raws, codes, strict=True)]


def encode(event: Event) -> bytes:
    """The event as JSON, in the field order of NIP-01."""
    return orjson.dumps(msgspec.to_builtins(event))
