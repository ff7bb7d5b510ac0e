"""NIP-89, what a provider offers (https://github.com/nostr-protocol/nips/blob/master/89.md): kind 31990, and its heartbeat, kind 11998.

The heartbeat follows the open proposals https://github.com/nostr-protocol/nips/pull/1941 and .../2465: who has not been heard for 900
seconds is away. An announcement and its heartbeat have one author and one `d`.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec
import orjson

from pylon.errors import WireError
from pylon.nostr.event import Draft, Event
from pylon.nostr.kinds import ANNOUNCEMENT, HEARTBEAT
from pylon.nostr.nip40 import expires_at
from pylon.units import MAX_MSAT, Msat

HEARTBEAT_LIFE: Final = 900
"""Seconds."""

Status = Literal["online", "busy", "offline"]

_is_kind = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII).fullmatch
_is_count = re.compile(r"[0-9]{1,9}", re.ASCII).fullmatch
_is_amount = re.compile(r"[0-9]{1,20}", re.ASCII).fullmatch
_decode_content = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Announcement(msgspec.Struct, frozen=True):
    """One offer of a key. `price` is the floor of a request, `price_per_1k` the price of 1,000 tokens (msat), None where it is not said."""

    identifier: str
    kinds: tuple[int, ...]
    name: str = ""
    about: str = ""
    models: tuple[str, ...] = ()
    price: Msat | None = None
    price_per_1k: Msat | None = None
    encryption: bool = False


class Heartbeat(msgspec.Struct, frozen=True):
    """A sign of life. `slots`: jobs that would start at once. `status`: `online`, `busy`, `offline` from us; anything from others."""

    identifier: str
    created_at: int
    status: str = "online"
    slots: int | None = None
    price: Msat | None = None
    price_per_1k: Msat | None = None
    expiration: int | None = None

    def alive(self, now: int) -> bool:
        """Whether its provider can be taken for present: not older than 900 seconds, nor void before, nor signed off."""
        return self.status != "offline" and now < self.created_at + HEARTBEAT_LIFE and (self.expiration is None or now < self.expiration)


def announcement_draft(offer: Announcement, created_at: int) -> Draft:
    """Kind 31990 with `d` and a `k` for every kind. "`content` is an optional metadata-like stringified JSON object" """
    content: dict[str, object] = {"name": offer.name, "about": offer.about, "supportsEncryption": offer.encryption}
    if offer.price is not None:
        content["price_msat"] = offer.price
    if offer.price_per_1k is not None:
        content["price_per_1k_msat"] = offer.price_per_1k
    if offer.models:
        content["models"] = offer.models
        content["nip90Params"] = {"model": {"required": False, "values": offer.models}}
    tags = (("d", offer.identifier), *(("k", str(kind)) for kind in offer.kinds))
    return Draft(kind=ANNOUNCEMENT, created_at=created_at, content=orjson.dumps(content).decode(), tags=tags)


def read_announcement(event: Event) -> Announcement:
    """Read an event of kind 31990, whatever its content is like. Raises WireError for another kind, or one that offers no kind."""
    if event.kind != ANNOUNCEMENT:
        raise WireError("an announcement has kind 31990")
    kinds = tuple(dict.fromkeys(int(text) for text in event.values("k") if _is_kind(text)))
    if not kinds:
        raise WireError("an announcement without a k tag offers nothing")
    try:
        content = _decode_content(event.content)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        content = {}  # "optional", and prose in practice
    encryption = _content_bool(content, "supportsEncryption") or _content_bool(content, "encryptionSupported")
    return Announcement(
        identifier=_identifier(event),
        kinds=kinds,
        name=_content_text(content, "name"),
        about=_content_text(content, "about"),
        models=_content_texts(content, "models"),
        price=_content_msat(content, "price_msat"),
        price_per_1k=_content_msat(content, "price_per_1k_msat"),
        encryption=encryption,
    )


def heartbeat_draft(
    identifier: str, created_at: int, *, status: Status, slots: int, price: Msat, price_per_1k: Msat | None = None
) -> Draft:
    """Kind 11998. It is replaceable, so `created_at` must be above that of the one before, or relays keep the old one."""
    tags = [
        ("d", identifier),
        ("status", status),
        ("expiration", str(created_at + HEARTBEAT_LIFE)),
        ("price", str(price), "msat"),
        ("slots", str(slots)),
    ]
    if price_per_1k is not None:
        tags.append(("price_per_1k", str(price_per_1k), "msat"))
    return Draft(kind=HEARTBEAT, created_at=created_at, tags=tuple(tags))


def read_heartbeat(event: Event) -> Heartbeat:
    """Read an event of kind 11998. Raises WireError for another kind."""
    if event.kind != HEARTBEAT:
        raise WireError("a heartbeat has kind 11998")
    return Heartbeat(
        identifier=_identifier(event),
        created_at=event.created_at,
        status=next(iter(event.values("status")), ""),
        slots=next((int(text) for text in event.values("slots") if _is_count(text)), None),
        price=_price(event, "price"),
        price_per_1k=_price(event, "price_per_1k"),
        expiration=expires_at(event),
    )


def _identifier(event: Event) -> str:
    return next(iter((event.first("d") or ())[1:2]), "")


def _price(event: Event, name: str) -> Msat | None:
    """A price with its unit. One without a unit, or in another, is none: a guess could be wrong by a factor of a thousand."""
    tag = event.first(name) or ()
    if len(tag) < 3 or not _is_amount(tag[1]) or tag[2].lower() not in ("msat", "msats", "sat", "sats"):
        return None
    amount = int(tag[1]) * (1 if tag[2].lower().startswith("m") else 1000)
    return Msat(amount) if amount <= MAX_MSAT else None


def _content_text(content: dict[str, msgspec.Raw], key: str) -> str:
    try:
        return msgspec.json.decode(content.get(key, b'""'), type=str)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""


def _content_texts(content: dict[str, msgspec.Raw], key: str) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(content.get(key, b"[]"), type=tuple[str, ...])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ()


def _content_bool(content: dict[str, msgspec.Raw], key: str) -> bool:
    try:
        return msgspec.json.decode(content.get(key, b"false"), type=bool)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False


def _content_msat(content: dict[str, msgspec.Raw], key: str) -> Msat | None:
    try:
        amount = msgspec.json.decode(content.get(key, b"null"), type=int | None)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return Msat(amount) if amount is not None and 0 <= amount <= MAX_MSAT else None
