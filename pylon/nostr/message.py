"""Messages between client and relay: the JSON arrays of NIP-01 (https://github.com/nostr-protocol/nips/blob/master/01.md), NIP-42
(https://github.com/nostr-protocol/nips/blob/master/42.md) and NIP-67 (https://github.com/nostr-protocol/nips/blob/master/67.md).

An event inside a message stays the bytes that came, so that `event.check_many` can check many at once. `decode_client` is strict;
`decode_relay` ignores what stands behind the elements it knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec
import orjson

from pylon.errors import WireError
from pylon.nostr.filter import Filter, decode_filter, encode_filter

MAX_SUB_LENGTH: Final = 64
"""Characters. "<subscription_id> is an arbitrary, non-empty string of max length 64 chars" """


class Publish(msgspec.Struct, frozen=True):
    """Client to relay: `["EVENT", event]`. `event` is unchecked JSON."""

    event: bytes


class Req(msgspec.Struct, frozen=True):
    """Client to relay: `["REQ", sub, filter, …]`, at least one filter."""

    sub: str
    filters: tuple[Filter, ...]


class Close(msgspec.Struct, frozen=True):
    """Client to relay: `["CLOSE", sub]`."""

    sub: str


class Auth(msgspec.Struct, frozen=True):
    """Client to relay: `["AUTH", event]` (NIP-42). `event` is unchecked JSON."""

    event: bytes


class Deliver(msgspec.Struct, frozen=True):
    """Relay to client: `["EVENT", sub, event]`. `event` is unchecked JSON."""

    sub: str
    event: bytes


class Ok(msgspec.Struct, frozen=True):
    """Relay to client: `["OK", id, accepted, message]`, the answer to EVENT and AUTH."""

    id: str
    accepted: bool
    message: str = ""


class Eose(msgspec.Struct, frozen=True):
    """Relay to client: `["EOSE", sub]` or, with NIP-67's hints `finish` and `more`, `["EOSE", sub, [hint, …]]`."""

    sub: str
    hints: tuple[str, ...] = ()


class Closed(msgspec.Struct, frozen=True):
    """Relay to client: `["CLOSED", sub, message]`."""

    sub: str
    message: str = ""


class Notice(msgspec.Struct, frozen=True):
    """Relay to client: `["NOTICE", message]`."""

    message: str


class Challenge(msgspec.Struct, frozen=True):
    """Relay to client: `["AUTH", challenge]` (NIP-42)."""

    challenge: str


ClientMessage = Publish | Req | Close | Auth
RelayMessage = Deliver | Ok | Eose | Closed | Notice | Challenge


class BadFilter(WireError):
    """A REQ with a good subscription id and bad filters: the relay answers with CLOSED for `sub`, the text being the reason."""

    def __init__(self, sub: str, reason: str) -> None:
        super().__init__(reason)
        self.sub = sub


_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_string = msgspec.json.Decoder(str).decode
_decode_bool = msgspec.json.Decoder(bool).decode
_decode_hints = msgspec.json.Decoder(list[msgspec.Raw]).decode
_is_id = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch
_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_client(text: bytes) -> ClientMessage:
    """What a client says. Raises WireError with a reason, and its subclass BadFilter where the REQ can be answered with CLOSED."""
    name, parts = _open(text)
    if name == "EVENT":
        _exactly(name, parts, 1)
        return Publish(_object(parts[0], "the event"))
    if name == "REQ":
        if not parts:
            raise WireError("invalid: REQ needs a subscription id")
        sub = _sub(parts[0])
        if len(parts) < 2:
            raise BadFilter(sub, "invalid: REQ needs a filter")
        try:
            return Req(sub, tuple(map(decode_filter, parts[1:])))
        except WireError as error:
            raise BadFilter(sub, str(error)) from error
    if name == "CLOSE":
        _exactly(name, parts, 1)
        return Close(_sub(parts[0]))
    if name == "AUTH":
        _exactly(name, parts, 1)
        return Auth(_object(parts[0], "the event"))
    raise WireError("unsupported: unknown message type")


def decode_relay(text: bytes) -> RelayMessage:
    """What a relay says. Raises WireError with a reason."""
    name, parts = _open(text)
    if name == "EVENT":
        _at_least(name, parts, 2)
        return Deliver(_sub(parts[0]), _object(parts[1], "the event"))
    if name == "OK":
        _at_least(name, parts, 2)
        event_id = _string(parts[0], "the id")
        if not _is_id(event_id):
            raise WireError("invalid: OK needs an event id of 64 lower-case hex characters")
        return Ok(event_id, _bool(parts[1]), _string(parts[2], "the message") if len(parts) > 2 else "")
    if name == "EOSE":
        _at_least(name, parts, 1)
        return Eose(_sub(parts[0]), _hints(parts[1]) if len(parts) > 1 else ())
    if name == "CLOSED":
        _at_least(name, parts, 1)
        return Closed(_sub(parts[0]), _string(parts[1], "the message") if len(parts) > 1 else "")
    if name == "NOTICE":
        _at_least(name, parts, 1)
        return Notice(_string(parts[0], "the message"))
    if name == "AUTH":
        _at_least(name, parts, 1)
        return Challenge(_string(parts[0], "the challenge"))
    raise WireError("unsupported: unknown message type")


def check_sub(sub: str) -> str:
    """`sub` itself. Raises WireError where it breaks NIP-01: empty, or more than 64 characters."""
    if not 0 < len(sub) <= MAX_SUB_LENGTH:
        raise WireError(f"invalid: a subscription id has 1 to {MAX_SUB_LENGTH} characters")
    return sub


def publish(event: bytes) -> bytes:
    """`["EVENT", event]` around the JSON text of an event, as it is."""
    return b'["EVENT",' + event + b"]"


def deliver_head(sub: str) -> bytes:
    """What stands before the event in every EVENT frame of one subscription: make it once, give it to `deliver`."""
    return b'["EVENT",' + orjson.dumps(check_sub(sub)) + b","


def deliver(head: bytes, event: bytes) -> bytes:
    """`["EVENT", sub, event]`: `head` is of `deliver_head`, `event` the JSON text of an event, as it is."""
    return head + event + b"]"


def encode(message: ClientMessage | RelayMessage) -> bytes:
    """The text of any message. Raises WireError for a subscription id that NIP-01 forbids, ValueError for a REQ without a filter."""
    match message:
        case Publish(event):
            return publish(event)
        case Deliver(sub, event):
            return deliver(deliver_head(sub), event)
        case Auth(event):
            return b'["AUTH",' + event + b"]"
        case Req(sub, filters):
            if not filters:
                raise ValueError("a REQ has at least one filter")
            return b'["REQ",' + b",".join((orjson.dumps(check_sub(sub)), *map(encode_filter, filters))) + b"]"
        case Close(sub):
            return orjson.dumps(("CLOSE", check_sub(sub)))
        case Ok(event_id, accepted, text):
            return orjson.dumps(("OK", event_id, accepted, text))
        case Eose(sub, hints):
            return orjson.dumps(("EOSE", check_sub(sub), hints) if hints else ("EOSE", check_sub(sub)))
        case Closed(sub, text):
            return orjson.dumps(("CLOSED", check_sub(sub), text))
        case Notice(text):
            return orjson.dumps(("NOTICE", text))
        case Challenge(challenge):
            return orjson.dumps(("AUTH", challenge))


def _open(text: bytes) -> tuple[str, list[msgspec.Raw]]:
    try:
        parts = _decode_array(text)
    except _BROKEN as error:
        raise WireError("invalid: a message is a JSON array") from error
    if not parts:
        raise WireError("invalid: an empty message")
    return _string(parts[0], "the type"), parts[1:]


def _exactly(name: str, parts: list[msgspec.Raw], count: int) -> None:
    if len(parts) != count:
        raise WireError(f"invalid: {name} has {count + 1} elements")


def _at_least(name: str, parts: list[msgspec.Raw], count: int) -> None:
    if len(parts) < count:
        raise WireError(f"invalid: {name} has at least {count + 1} elements")


def _string(raw: msgspec.Raw, what: str) -> str:
    try:
        return _decode_string(raw)
    except _BROKEN as error:
        raise WireError(f"invalid: {what} is not a string") from error


def _bool(raw: msgspec.Raw) -> bool:
    try:
        return _decode_bool(raw)
    except _BROKEN as error:
        raise WireError("invalid: OK says true or false") from error


def _sub(raw: msgspec.Raw) -> str:
    return check_sub(_string(raw, "the subscription id"))


def _object(raw: msgspec.Raw, what: str) -> bytes:
    data = bytes(raw)
    if not data.startswith(b"{"):
        raise WireError(f"invalid: {what} is not an object")
    return data


def _hints(raw: msgspec.Raw) -> tuple[str, ...]:
    """NIP-67: "Clients MUST ignore unknown hint values without error", so anything else than a list of strings is no hint."""
    try:
        parts: Iterable[msgspec.Raw] = _decode_hints(raw)
    except _BROKEN:
        return ()
    hints: list[str] = []
    for part in parts:
        try:
            hints.append(_decode_string(part))
        except _BROKEN:
            continue
    return tuple(hints)
