"""Events: a signed fact (NIP-01, https://github.com/nostr-protocol/nips/blob/master/01.md).

Two types for two degrees of trust: `Draft` (ours, not signed yet) and `VerifiedEvent` (form, id and signature were checked, or we signed
it). The second is native and cannot be made by Python code: only `check`, `_native.check_events` and `sign` make it, and `load` makes it
again from what was kept. Functions that read an event ask for an `Event`: whatever has its fields.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec
import orjson

from pylon import _native
from pylon._native import VerifiedEvent
from pylon.errors import InvalidEvent

__all__ = ["REASONS", "Draft", "Event", "Signer", "Tags", "VerifiedEvent", "check", "load", "shortest", "sign"]

Tags = tuple[tuple[str, ...], ...]


class Draft(msgspec.Struct, frozen=True):
    """An event before it is signed. `created_at` is in Unix seconds."""

    kind: int
    created_at: int
    content: str = ""
    tags: Tags = ()


class Event(Protocol):
    """The fields of an event: `id`, `pubkey` 64 and `sig` 128 lower-case hex characters."""

    @property
    def id(self) -> str: ...
    @property
    def pubkey(self) -> str: ...
    @property
    def created_at(self) -> int: ...
    @property
    def kind(self) -> int: ...
    @property
    def tags(self) -> Tags: ...
    @property
    def content(self) -> str: ...
    @property
    def sig(self) -> str: ...

    def first(self, name: str, /) -> tuple[str, ...] | None:
        """The first tag called `name`, or None."""
        ...

    def values(self, name: str, /) -> tuple[str, ...]:
        """The second element of every tag called `name` that has one."""
        ...


class Signer(Protocol):
    """What can sign events: `pubkey` is the x-only key (32 bytes)."""

    @property
    def pubkey(self) -> bytes:
        """The x-only public key, 32 bytes."""
        ...

    def sign_event(self, created_at: int, kind: int, tags: Tags, content: str, /) -> VerifiedEvent:
        """The event, signed by BIP-340. ValueError where a field breaks NIP-01."""
        ...


_FIELDS: Final = ("id", "pubkey", "created_at", "kind", "tags", "content", "sig")

REASONS: Final = {
    _native.SYNTAX: "invalid: not an event of NIP-01",
    _native.BAD_ID: "invalid: the id is not the hash of the event",
    _native.BAD_SIGNATURE: "invalid: bad signature",
    _native.BAD_UTF8: "invalid: not UTF-8",
}
"""What a code of `_native.check_events` says about the event, with NIP-01's prefix."""


def sign(draft: Draft, signer: Signer) -> VerifiedEvent:
    """Sign `draft`. Raises InvalidEvent where the draft itself breaks NIP-01 (a kind over 65535, a lone surrogate)."""
    try:
        return signer.sign_event(draft.created_at, draft.kind, draft.tags, draft.content)
    except ValueError as error:
        raise InvalidEvent(f"invalid: {error}") from error


def check(raw: bytes) -> VerifiedEvent:
    """The event in the JSON text `raw` (an object, or an EVENT message around it). Raises InvalidEvent with the reason."""
    (event,) = _native.check_events([raw])
    if isinstance(event, int):
        raise InvalidEvent(REASONS[event])
    return event


def load(raw: bytes) -> VerifiedEvent:
    """An event that was verified before and kept by us. ValueError where it is none."""
    return _native.load_event(raw)


def shortest(event: Event) -> bytes:
    """The event as JSON without a byte too many. `raw` is as it came: whoever passed it on may have filled it with megabytes of space."""
    return orjson.dumps({name: getattr(event, name) for name in _FIELDS})
