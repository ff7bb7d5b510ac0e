"""NIP-42: each field of an AUTH is checked, one by one."""

from __future__ import annotations

import pytest

from pylon.nostr.event import Draft, Tags, VerifiedEvent, sign
from pylon.nostr.nip42 import AuthRefused, auth_draft, check_auth
from tests.nostr.people import ALICE, NOW, event

URL = "wss://nexus.example"
CHALLENGE = "challenge-1"


def auth(*, kind: int = 22242, at: int = NOW, tags: Tags = (("relay", URL), ("challenge", CHALLENGE))) -> VerifiedEvent:
    """An AUTH of Alice, right where nothing else is said."""
    return event(kind, tags, at=at)


def test_round_trip() -> None:
    """What a client signs is accepted by the relay that it names."""
    check_auth(sign(auth_draft(URL, CHALLENGE, NOW), ALICE), CHALLENGE, [URL], NOW)
    assert auth_draft(URL, CHALLENGE, NOW) == Draft(kind=22242, created_at=NOW, tags=(("relay", URL), ("challenge", CHALLENGE)))


@pytest.mark.parametrize(
    "relay",
    [URL, URL + "/", "WSS://Nexus.Example", "wss://nexus.example:443/", "wss://NEXUS.example./", "ws://127.0.0.1:7700/", "ws://[::1]:7700"],
)
def test_spellings_of_the_relay(relay: str) -> None:
    """ "URL normalization techniques can be applied": case, default port and trailing slash do not matter, each known name is good."""
    urls = ["ws://127.0.0.1:7700", "WSS://nexus.example/", "ws://[::1]:7700/", "not a url"]
    check_auth(auth(tags=(("relay", relay), ("challenge", CHALLENGE))), CHALLENGE, urls, NOW)


@pytest.mark.parametrize(
    "relay",
    [
        "wss://other.example",
        "ws://nexus.example",
        "wss://nexus.example:444",
        "wss://nexus.example.evil",
        "wss://evil@nexus.example",
        "wss://nexus.example/path",
        "nexus.example",
        "",
        "wss://",
        "wss://nexus.example\n",
        "wss://nexus.exa\nmple",
        "https://nexus.example",
        "not a url",
        "wss://nexus.example:x",
        "w" * 5000,
    ],
)
def test_another_relay(relay: str) -> None:
    """ "that the relay tag matches the relay URL": an AUTH that was made for another relay, and passed on, is refused."""
    with pytest.raises(AuthRefused, match=r"^auth-required: relay mismatch$"):
        check_auth(auth(tags=(("relay", relay), ("challenge", CHALLENGE))), CHALLENGE, [URL, "not a url"], NOW)


@pytest.mark.parametrize(
    "tags", [(), (("challenge", CHALLENGE),), (("relay",), ("challenge", CHALLENGE)), (("Relay", URL), ("challenge", CHALLENGE))]
)
def test_no_relay(tags: Tags) -> None:
    """A missing relay tag is refused."""
    with pytest.raises(AuthRefused):
        check_auth(auth(tags=tags), CHALLENGE, [URL], NOW)


@pytest.mark.parametrize("challenge", ["challenge-2", "", "CHALLENGE-1", "challenge-1 ", "challenge-1\x00", CHALLENGE[:-1]])
def test_another_challenge(challenge: str) -> None:
    """ "that the challenge tag matches the challenge sent before": to the letter."""
    with pytest.raises(AuthRefused, match=r"^auth-required: challenge mismatch$"):
        check_auth(auth(tags=(("relay", URL), ("challenge", challenge))), CHALLENGE, [URL], NOW)


@pytest.mark.parametrize(
    "tags",
    [
        (("relay", URL),),
        (("relay", URL), ("challenge",)),
        (("relay", URL), ("challenge",), ("challenge", CHALLENGE)),
        (("relay", URL), ("challenge", "x"), ("challenge", CHALLENGE)),
    ],
)
def test_no_challenge(tags: Tags) -> None:
    """A missing challenge is refused, and of several tags the first counts: nobody signs for many relays at once."""
    with pytest.raises(AuthRefused, match="challenge mismatch"):
        check_auth(auth(tags=tags), CHALLENGE, [URL], NOW)


@pytest.mark.parametrize("kind", [1, 22241, 22243, 0])
def test_another_kind(kind: int) -> None:
    """ "that the kind is 22242" """
    with pytest.raises(AuthRefused, match="22242"):
        check_auth(auth(kind=kind), CHALLENGE, [URL], NOW)


@pytest.mark.parametrize(("shift", "good"), [(0, True), (600, True), (-600, True), (601, False), (-601, False), (10**9, False)])
def test_another_time(shift: int, good: bool) -> None:
    """ "that the event created_at is close (e.g. within ~10 minutes) of the current time" """
    some = auth(at=NOW + shift)
    if good:
        check_auth(some, CHALLENGE, [URL], NOW)
    else:
        with pytest.raises(AuthRefused, match="10 minutes"):
            check_auth(some, CHALLENGE, [URL], NOW)
