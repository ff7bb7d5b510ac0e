"""NIP-19, keys and ids for people (https://github.com/nostr-protocol/nips/blob/master/19.md): npub, nsec, note, nprofile, nevent, naddr.

For display and input only: "npub keys MUST NOT be used in NIP-01 events".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from pylon.errors import UsageError, WireError
from pylon.nostr import bech32
from pylon.nostr.kinds import Address

_SPECIAL: Final = 0
_RELAY: Final = 1
_AUTHOR: Final = 2
_KIND: Final = 3

_is_hex_key = re.compile(r"[0-9a-fA-F]{64}", re.ASCII).fullmatch


class PublicKey(msgspec.Struct, frozen=True):
    """`npub`: 64 hex characters."""

    pubkey: str


class SecretKey(msgspec.Struct, frozen=True):
    """`nsec`: 32 bytes, kept out of its repr."""

    secret: bytes

    def __repr__(self) -> str:
        return "SecretKey(…)"


class Note(msgspec.Struct, frozen=True):
    """`note`: the id of an event, 64 hex characters."""

    id: str


class Profile(msgspec.Struct, frozen=True):
    """`nprofile`: a public key and relays where its owner can be found."""

    pubkey: str
    relays: tuple[str, ...] = ()


class EventPointer(msgspec.Struct, frozen=True):
    """`nevent`: an event, relays that have it, perhaps its author and kind."""

    id: str
    relays: tuple[str, ...] = ()
    author: str | None = None
    kind: int | None = None


class AddressPointer(msgspec.Struct, frozen=True):
    """`naddr`: an addressable event and relays that have it."""

    address: Address
    relays: tuple[str, ...] = ()


Entity = PublicKey | SecretKey | Note | Profile | EventPointer | AddressPointer


def encode(entity: Entity) -> str:
    """The bech32 text. ValueError where a relay or identifier is longer than the 255 bytes that a TLV can hold, or the whole too long."""
    match entity:
        case PublicKey(pubkey):
            return bech32.encode("npub", bytes.fromhex(pubkey))
        case SecretKey(secret):
            return bech32.encode("nsec", secret)
        case Note(event_id):
            return bech32.encode("note", bytes.fromhex(event_id))
        case Profile(pubkey, relays):
            return bech32.encode("nprofile", _tlv([(_SPECIAL, bytes.fromhex(pubkey)), *_relays(relays)]))
        case EventPointer(event_id, relays, author, kind):
            items = [(_SPECIAL, bytes.fromhex(event_id)), *_relays(relays)]
            if author is not None:
                items.append((_AUTHOR, bytes.fromhex(author)))
            if kind is not None:
                items.append((_KIND, kind.to_bytes(4, "big")))
            return bech32.encode("nevent", _tlv(items))
        case AddressPointer(address, relays):
            items = [(_SPECIAL, address.identifier.encode()), *_relays(relays)]
            items += [(_AUTHOR, bytes.fromhex(address.pubkey)), (_KIND, address.kind.to_bytes(4, "big"))]
            return bech32.encode("naddr", _tlv(items))


def decode(text: str) -> Entity:
    """What a bech32 text stands for. Raises WireError; the reason never repeats the text, which may be a secret."""
    prefix, data = bech32.decode(text)
    if prefix in ("npub", "nsec", "note"):
        value = _exactly(data, 32, f"an {prefix}" if prefix != "note" else "a note")
        if prefix == "nsec":
            return SecretKey(value)
        return PublicKey(value.hex()) if prefix == "npub" else Note(value.hex())
    if prefix not in ("nprofile", "nevent", "naddr"):
        raise WireError("a bech32 text of another kind")
    items = _read_tlv(data)
    relays = tuple(_ascii(value) for key, value in items if key == _RELAY)
    special = _first(items, _SPECIAL)
    author = _first(items, _AUTHOR)
    kind = _first(items, _KIND)
    if special is None:
        raise WireError(f"an {prefix} without its main value")
    author_hex = None if author is None else _exactly(author, 32, "an author").hex()
    kind_number = None if kind is None else int.from_bytes(_exactly(kind, 4, "a kind"), "big")
    if prefix == "nprofile":
        return Profile(_exactly(special, 32, "an nprofile").hex(), relays)
    if prefix == "nevent":
        return EventPointer(_exactly(special, 32, "an nevent").hex(), relays, author_hex, kind_number)
    if author_hex is None or kind_number is None:
        raise WireError("an naddr without author or kind")
    try:
        return AddressPointer(Address(kind_number, author_hex, special.decode()), relays)
    except UnicodeDecodeError as error:
        raise WireError("an naddr whose identifier is not UTF-8") from error


def public_key(text: str) -> str:
    """The public key (64 lower-case hex characters) in what a person typed: npub, nprofile or hex. Raises UsageError."""
    entry = text.strip()
    if _is_hex_key(entry):
        return entry.lower()
    if entry.lower().startswith("nsec1"):
        raise UsageError("that is a secret key: never share it; the public one (npub1…) is needed")
    try:
        entity = decode(entry)
    except WireError as error:
        raise UsageError(f"not a public key ({error})", hint="npub1…, nprofile1… or 64 hex characters are expected") from error
    if isinstance(entity, (PublicKey, Profile)):
        return entity.pubkey
    raise UsageError("not a public key but another entity of NIP-19", hint="npub1…, nprofile1… or 64 hex characters are expected")


def _relays(relays: Iterable[str]) -> list[tuple[int, bytes]]:
    return [(_RELAY, relay.encode("ascii")) for relay in relays]  # "encoded as ascii"


def _tlv(items: Iterable[tuple[int, bytes]]) -> bytes:
    return b"".join(bytes((key, len(value))) + value for key, value in items)  # bytes() refuses a length over 255


def _read_tlv(data: bytes) -> list[tuple[int, bytes]]:
    """All items, unknown ones too: "TLVs that are not recognized or supported should be ignored, rather than causing an error"."""
    items: list[tuple[int, bytes]] = []
    place = 0
    while place < len(data):
        end = place + 2 + (data[place + 1] if place + 1 < len(data) else 255)
        if end > len(data):
            raise WireError("a value is cut off")
        items.append((data[place], data[place + 2 : end]))
        place = end
    return items


def _first(items: Iterable[tuple[int, bytes]], key: int) -> bytes | None:
    return next((value for have, value in items if have == key), None)


def _exactly(value: bytes, length: int, what: str) -> bytes:
    if len(value) != length:
        raise WireError(f"{what} has {length} bytes, this one {len(value)}")
    return value


def _ascii(value: bytes) -> str:
    try:
        return value.decode("ascii")
    except UnicodeDecodeError as error:
        raise WireError("a relay that is not ASCII") from error
