"""One client's conversation with the relay, without the socket: NIP-01 (https://github.com/nostr-protocol/nips/blob/master/01.md) and
NIP-42 (https://github.com/nostr-protocol/nips/blob/master/42.md), the relay's side (no I/O, no clock, no randomness).

`receive` is given one text and answers with one action: something to say, an event to check and take, a subscription to open or to end.
The limits are here and are announced from here (NIP-11).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from pylon._native import peek_id
from pylon.errors import InvalidEvent, WireError
from pylon.nostr.event import check
from pylon.nostr.filter import Filter
from pylon.nostr.message import (
    Auth,
    BadFilter,
    Challenge,
    Close,
    Closed,
    Notice,
    Ok,
    Publish,
    Req,
    check_sub,
    decode_client,
    encode,
)
from pylon.nostr.nip42 import check_auth
from pylon.nostr.relay_url import normalize_url

MAX_SUBSCRIPTIONS: Final = 200
"""Open subscriptions of one connection."""
MAX_FILTERS: Final = 20
"""Filters of one REQ."""
MAX_VALUES: Final = 10_000
"""Values of all filters of one REQ."""
MAX_CONNECTION_VALUES: Final = 100_000
"""Values of all filters of one connection: what its subscriptions may cost in memory."""
MAX_KEYS: Final = 100
"""Keys that may authenticate on one connection."""
MAX_LIMIT: Final = 5000
"""The most stored events that one filter gets."""

MAX_CLAIM: Final = 128
"""Characters of a claimed id that are said back."""

_IS_EVENT = re.compile(rb'[ \t\r\n]*\[[ \t\r\n]*"EVENT"[ \t\r\n]*,[ \t\r\n]*\{', re.ASCII).match
AUTH_REQUIRED: Final = "auth-required: authentication required"

_UNSPOKEN = re.compile(rb'\s*\[\s*"(COUNT|NEG-OPEN|NEG-MSG|NEG-CLOSE)"\s*,\s*("(?:[^"\\]|\\.)*")', re.ASCII).match


class Say(msgspec.Struct, frozen=True):
    """Send this text."""

    text: bytes


class Take(msgspec.Struct, frozen=True):
    """The text is an EVENT: check it, and take or refuse it."""


class Open(msgspec.Struct, frozen=True):
    """Open a subscription, in the place of an open one of the same name: stored events, EOSE, live events."""

    name: str
    filters: tuple[Filter, ...]


class End(msgspec.Struct, frozen=True):
    """End a subscription; there may be none of that name."""

    name: str


Action = Say | Take | Open | End


class Session:
    """What the relay knows of one connection. `names` are the addresses of this relay that an AUTH may name."""

    def __init__(self, challenge: str, names: frozenset[str]) -> None:
        self.challenge = challenge
        self.authenticated: set[str] = set()
        self.now = 0
        self.names = frozenset(filter(None, map(normalize_url, names)))
        self._values: dict[str, int] = {}

    def hello(self) -> bytes:
        """The first text of the connection: the challenge, "valid for the duration of the connection"."""
        return encode(Challenge(self.challenge))

    def receive(self, text: bytes, now: int) -> Action:
        """What to do about one text of the client. `now` is in Unix seconds."""
        self.now = now
        if _IS_EVENT(text):  # read by the check, once, and not here
            return self._publish(text)
        try:
            message = decode_client(text)
        except BadFilter as error:
            return _closed(error.sub, str(error) if self.authenticated else AUTH_REQUIRED)
        except WireError as error:
            return self._not_understood(text, str(error))
        match message:
            case Publish():
                return self._publish(text)
            case Req(name, filters):
                return self._req(name, filters)
            case Close(name):
                self._values.pop(name, None)
                return End(name)
            case Auth(raw):
                return Say(encode(self._auth(raw)))

    def _publish(self, text: bytes) -> Action:
        if not self.authenticated:
            # Refused before anything is spent on checking it.
            return Say(refusal(text, AUTH_REQUIRED))
        return Take()

    def _req(self, name: str, filters: tuple[Filter, ...]) -> Action:
        if not self.authenticated:
            return _closed(name, AUTH_REQUIRED)
        values = sum(map(_values, filters))
        others = sum(self._values.values()) - self._values.get(name, 0)
        reason = None
        if len(filters) > MAX_FILTERS:
            reason = f"blocked: more than {MAX_FILTERS} filters in one REQ"
        elif values > MAX_VALUES:
            reason = f"blocked: more than {MAX_VALUES} values in the filters of one REQ"
        elif name not in self._values and len(self._values) >= MAX_SUBSCRIPTIONS:
            reason = f"blocked: more than {MAX_SUBSCRIPTIONS} subscriptions"
        elif others + values > MAX_CONNECTION_VALUES:
            reason = f"blocked: more than {MAX_CONNECTION_VALUES} values in the filters of one connection"
        if reason is not None:
            return _closed(name, reason)
        self._values[name] = values
        return Open(name, filters)

    def _auth(self, raw: bytes) -> Ok:
        """NIP-42: "clients … can authenticate with several keys"; each AUTH has an OK of its own."""
        try:
            event = check(raw)
        except InvalidEvent as error:
            return Ok(_claimed(b"[0," + raw + b"]") or "", False, "auth-required: " + str(error).removeprefix("invalid: "))
        try:
            check_auth(event, self.challenge, self.names, self.now)
        except WireError as error:
            return Ok(event.id, False, str(error))
        if event.pubkey not in self.authenticated and len(self.authenticated) >= MAX_KEYS:
            return Ok(event.id, False, f"blocked: more than {MAX_KEYS} keys on one connection")
        self.authenticated.add(event.pubkey)
        return Ok(event.id, True, f"auth accepted for {event.pubkey}")

    def _not_understood(self, text: bytes, reason: str) -> Action:
        if claimed := peek_id(text):
            return Say(encode(Ok(claimed, False, reason if self.authenticated else AUTH_REQUIRED)))
        if verb := _UNSPOKEN(text):
            return self._not_spoken(verb[1].decode(), verb[2], reason)
        return Say(encode(Notice(reason)))

    def _not_spoken(self, verb: str, quoted: bytes, reason: str) -> Action:
        """COUNT (NIP-45: "the relay MUST return a CLOSED message" when it refuses) and NIP-77's messages."""
        try:
            name = check_sub(msgspec.json.decode(quoted, type=str))
        except (msgspec.DecodeError, UnicodeDecodeError, WireError):
            return Say(encode(Notice(reason)))
        why = f"blocked: {verb} is not spoken here" if self.authenticated else AUTH_REQUIRED
        if verb == "COUNT":
            return _closed(name, why)
        return Say(msgspec.json.encode(("NEG-ERR", name, why)))


class _Claim(msgspec.Struct):
    id: str


def refusal(text: bytes, reason: str) -> bytes:
    """The answer to an EVENT that is not taken: OK false for the id that it claims, whatever that is, or NOTICE where it claims none."""
    claimed = _claimed(text)
    return encode(Notice(reason) if claimed is None else Ok(claimed, False, reason))


def _claimed(text: bytes) -> str | None:
    try:
        return msgspec.json.decode(msgspec.json.decode(text, type=list[msgspec.Raw])[1], type=_Claim).id[:MAX_CLAIM]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, IndexError):
        return peek_id(text)


def _closed(name: str, reason: str) -> Say:
    return Say(encode(Closed(name, reason)))


def _values(wanted: Filter) -> int:
    lists = (wanted.ids, wanted.authors, wanted.kinds, *wanted.tags.values())
    return sum(len(values) for values in lists if values is not None)
