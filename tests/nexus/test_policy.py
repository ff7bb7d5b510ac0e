"""Each rule by itself."""

from __future__ import annotations

import orjson
import pytest

from pylon.nexus.policy import MAX_FUTURE, MAX_TAGS, POLICIES, judge
from tests.forge import encode
from tests.nexus.client import ALICE, BOB, NOW, hex_key, note


class Connection:
    """What a rule sees of a connection."""

    def __init__(self, *authenticated: str, now: int = NOW) -> None:
        self.authenticated = set(authenticated)
        self.names = {"wss://relay.example.org"}
        self.now = now


ME = Connection(hex_key(ALICE))


def test_an_ordinary_event_passes() -> None:
    """Any authenticated key may publish anyone's valid event."""
    assert judge(POLICIES, ME, note()) is None
    assert judge(POLICIES, ME, note(BOB)) is None


def test_authentication_is_required() -> None:
    """NIP-42, before everything else."""
    assert judge(POLICIES, Connection(), note(kind=22242)) == "auth-required: authentication required"


def test_auth_events_are_not_published() -> None:
    """Kind 22242 is refused as an EVENT."""
    reason = judge(POLICIES, ME, note(kind=22242))
    assert reason is not None
    assert reason.startswith("invalid: ")


@pytest.mark.parametrize(("expiration", "passes"), [(NOW - 1, 0), (NOW, 0), (NOW + 1, 1), ("soon", 1), ("", 1), (2**70, 1)])
def test_expired_events_are_dropped(expiration: object, passes: int) -> None:
    """NIP-40, ephemeral ones included; what cannot be read as a time is no expiration."""
    for kind in (1, 20001):
        assert (judge(POLICIES, ME, note(kind=kind, tags=[["expiration", str(expiration)]])) is None) == passes


def test_the_future_is_bounded() -> None:
    """`created_at` may be MAX_FUTURE seconds ahead, and as old as it likes."""
    assert judge(POLICIES, ME, note(created_at=NOW + MAX_FUTURE)) is None
    assert judge(POLICIES, ME, note(created_at=0)) is None
    for created_at in (NOW + MAX_FUTURE + 1, 2**53):
        assert str(judge(POLICIES, ME, note(created_at=created_at))).startswith("invalid: created_at")


def test_tags_are_bounded() -> None:
    """As NIP-11 announces it."""
    assert judge(POLICIES, ME, note(tags=[["t", "x"]] * MAX_TAGS)) is None
    assert str(judge(POLICIES, ME, note(tags=[["t", "x"]] * (MAX_TAGS + 1)))).startswith("invalid: ")


def test_protected_events_come_from_their_author() -> None:
    """NIP-70: "the relay … MUST … reject it" unless the author has authenticated."""
    mine = note(tags=[["-"]])
    assert judge(POLICIES, ME, mine) is None
    assert judge(POLICIES, Connection(hex_key(BOB), hex_key(ALICE)), mine) is None
    assert str(judge(POLICIES, Connection(hex_key(BOB)), mine)).startswith("restricted: ")


@pytest.mark.parametrize("kind", [6, 16])
def test_reposts_of_protected_events(kind: int) -> None:
    """NIP-70: reposts that embed a protected event are refused; other content, whatever it is, does not matter."""
    assert str(judge(POLICIES, ME, note(kind=kind, content=encode(note(tags=[["-"]])).decode()))).startswith("restricted: ")
    for content in ("", "{", "[]", "null", '{"tags":1}', '{"tags":[[1]]}', "[" * 5000, encode(note(tags=[["p", "-"], []])).decode()):
        assert judge(POLICIES, ME, note(kind=kind, content=content)) is None
    assert judge(POLICIES, ME, note(kind=1, content=orjson.dumps({"tags": [["-"]]}).decode())) is None


@pytest.mark.parametrize(
    ("tags", "passes"),
    [
        ([["relay", "ALL_RELAYS"]], 1), ([["relay", "wss://Relay.example.org/"]], 1),
        ([["relay", "ws://x"], ["relay", "wss://relay.example.org"]], 1),
        ([["relay", "wss://other.example.org"]], 0), ([], 0), ([["relay"]], 0), ([["relay", "all_relays"]], 0),
    ],
)  # fmt: skip
def test_requests_to_vanish_name_this_relay(tags: list[list[str]], passes: int) -> None:
    """NIP-62: the request counts where the relay is named, or all are."""
    assert (judge(POLICIES, ME, note(kind=62, tags=tags)) is None) == passes
