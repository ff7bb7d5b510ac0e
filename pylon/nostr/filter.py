"""Filters: which events a subscription asks for (NIP-01, https://github.com/nostr-protocol/nips/blob/master/01.md).

`decode_filter` is strict, because a filter that is half understood answers another question than the one that was asked. How many
values a filter may have is the relay's policy and not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec
import orjson

from pylon.errors import WireError
from pylon.nostr.event import Event

MAX_KIND: Final = 65535
MAX_NUMBER: Final = 2**63 - 1
"""The largest `since`, `until` and `limit` that is understood."""

_HEX_TAGS: Final = ("e", "p")
_is_id = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch
_is_tag_name = re.compile(r"#[a-zA-Z]", re.ASCII).fullmatch
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_strings = msgspec.json.Decoder(list[str]).decode
_decode_integers = msgspec.json.Decoder(list[int]).decode
_decode_integer = msgspec.json.Decoder(int).decode


class Filter(msgspec.Struct, frozen=True):
    """All conditions that are given must hold. None (for `tags`: a missing letter) is no condition; an empty list matches nothing.

    `tags` maps one letter, without `#`, to the values of which an event must have one. `since` and `until` are Unix seconds, inclusive.
    """

    ids: tuple[str, ...] | None = None
    authors: tuple[str, ...] | None = None
    kinds: tuple[int, ...] | None = None
    tags: Mapping[str, tuple[str, ...]] = {}
    since: int | None = None
    until: int | None = None
    limit: int | None = None

    def matches(self, event: Event) -> bool:
        """Whether `event` meets every condition. `limit` is no condition: "only valid for the initial query"."""
        return (
            (self.ids is None or event.id in self.ids)
            and (self.authors is None or event.pubkey in self.authors)
            and (self.kinds is None or event.kind in self.kinds)
            # "an event matches a filter if since <= created_at <= until holds"
            and (self.since is None or self.since <= event.created_at)
            and (self.until is None or event.created_at <= self.until)
            # "the event and filter condition values must have at least one item in common"
            and all(any(value in wanted for value in event.values(letter)) for letter, wanted in self.tags.items())
        )


def decode_filter(raw: bytes | msgspec.Raw) -> Filter:
    """The filter in one JSON object. Of a key that stands twice the last counts; values that stand twice count once.

    Raises WireError with a reason that carries the NIP-01 prefix `invalid: ` or, for a key that is not known, `unsupported: `.
    """
    try:
        fields = _decode_object(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("invalid: a filter is a JSON object") from error
    ids = authors = None
    kinds = None
    tags: dict[str, tuple[str, ...]] = {}
    numbers: dict[str, int] = {}
    for key, value in fields.items():
        if key == "ids":
            ids = _hex_list(key, value)
        elif key == "authors":
            authors = _hex_list(key, value)
        elif key == "kinds":
            kinds = _kind_list(value)
        elif key in ("since", "until", "limit"):
            numbers[key] = _number(key, value)
        elif _is_tag_name(key):
            tags[key[1]] = _hex_list(key, value) if key[1] in _HEX_TAGS else _string_list(key, value)
        else:
            raise WireError("unsupported: filter contains unknown elements")
    return Filter(ids, authors, kinds, tags, numbers.get("since"), numbers.get("until"), numbers.get("limit"))


def encode_filter(wanted: Filter) -> bytes:
    """The filter as a JSON object."""
    fields: dict[str, object] = {
        name: value
        for name, value in (("ids", wanted.ids), ("authors", wanted.authors), ("kinds", wanted.kinds))
        if value is not None
    }
    fields.update((f"#{letter}", values) for letter, values in wanted.tags.items())
    fields.update(
        (name, value) for name, value in (("since", wanted.since), ("until", wanted.until), ("limit", wanted.limit)) if value is not None
    )
    return orjson.dumps(fields)


def _string_list(key: str, value: msgspec.Raw) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(_decode_strings(value)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"invalid: {key} must be a list of strings") from error


def _hex_list(key: str, value: msgspec.Raw) -> tuple[str, ...]:
    values = _string_list(key, value)
    # "The ids, authors, #e and #p filter lists MUST contain exact 64-character lowercase hex values."
    if not all(map(_is_id, values)):
        raise WireError(f"invalid: {key} must hold 64 lower-case hex characters each")
    return values


def _kind_list(value: msgspec.Raw) -> tuple[int, ...]:
    try:
        kinds = tuple(dict.fromkeys(_decode_integers(value)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("invalid: kinds must be a list of integers") from error
    if not all(0 <= kind <= MAX_KIND for kind in kinds):
        raise WireError(f"invalid: a kind is an integer from 0 to {MAX_KIND}")
    return kinds


def _number(key: str, value: msgspec.Raw) -> int:
    try:
        number = _decode_integer(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"invalid: {key} must be an integer") from error
    if not 0 <= number <= MAX_NUMBER:
        raise WireError(f"invalid: {key} must be an integer from 0 to 2^63-1")
    return number
