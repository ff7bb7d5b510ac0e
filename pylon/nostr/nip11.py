"""NIP-11, the relay information document (https://github.com/nostr-protocol/nips/blob/master/11.md)."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from pylon.errors import WireError

MEDIA_TYPE: Final = "application/nostr+json"
"""The `Accept` header that asks for the document, and its `Content-Type`."""

# "Relays MUST accept CORS requests by sending Access-Control-Allow-Origin, Access-Control-Allow-Headers, and
# Access-Control-Allow-Methods headers."
CORS_HEADERS: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Allow-Methods", "GET, OPTIONS"),
)


class Limitation(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the relay refuses. Lengths in bytes (`max_message_length`) or characters, times in seconds before and after now."""

    max_message_length: int | None = None
    max_subscriptions: int | None = None
    max_limit: int | None = None
    max_subid_length: int | None = None
    max_event_tags: int | None = None
    max_content_length: int | None = None
    min_pow_difficulty: int | None = None
    auth_required: bool | None = None
    payment_required: bool | None = None
    restricted_writes: bool | None = None
    created_at_lower_limit: int | None = None
    created_at_upper_limit: int | None = None
    default_limit: int | None = None


class RelayInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """The document. "Any field may be omitted, and clients MUST ignore any additional fields they do not understand." """

    name: str | None = None
    description: str | None = None
    banner: str | None = None
    icon: str | None = None
    pubkey: str | None = None
    own_key: str | None = msgspec.field(default=None, name="self")
    contact: str | None = None
    supported_nips: tuple[int, ...] = ()
    software: str | None = None
    version: str | None = None
    terms_of_service: str | None = None
    payments_url: str | None = None
    limitation: Limitation = Limitation()


def encode(info: RelayInfo) -> bytes:
    """The document as JSON; what is not set is left out."""
    return msgspec.json.encode(info)


def decode(text: bytes) -> RelayInfo:
    """Read somebody's document: a field of the wrong type counts as omitted. Raises WireError where it is no JSON object."""
    fields = _object(text)
    info = _tolerant(RelayInfo, {name: raw for name, raw in fields.items() if name != "limitation"})
    try:
        limits = _object(fields.get("limitation", b"{}"))
    except WireError:
        return info
    return msgspec.structs.replace(info, limitation=_tolerant(Limitation, limits))


_S = TypeVar("_S", bound=msgspec.Struct)


def _object(text: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("a relay information document is a JSON object") from error


def _tolerant(cls: type[_S], fields: dict[str, msgspec.Raw]) -> _S:
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(cls):
        if field.encode_name not in fields:
            continue
        try:
            values[field.encode_name] = msgspec.json.decode(fields[field.encode_name], type=field.type)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return msgspec.convert(values, cls)
