"""NIP-11: the relay information document."""

from __future__ import annotations

import json

import pytest

from pylon.errors import WireError
from pylon.nostr.nip11 import CORS_HEADERS, Limitation, RelayInfo, decode, encode


def test_round_trip() -> None:
    """What Nexus writes comes back; the field `self` keeps its name on the wire; what is not set is left out."""
    info = RelayInfo(name="Nexus", own_key="aa" * 32, supported_nips=(1, 11, 42), limitation=Limitation(max_limit=500, auth_required=True))
    assert decode(encode(info)) == info
    assert json.loads(encode(info)) == {
        "name": "Nexus",
        "self": "aa" * 32,
        "supported_nips": [1, 11, 42],
        "limitation": {"max_limit": 500, "auth_required": True},
    }
    assert encode(RelayInfo()) == b"{}"


def test_strangers_are_read_with_patience() -> None:
    """ "Any field may be omitted, and clients MUST ignore any additional fields they do not understand"; a wrong type is an omission."""
    limits = '{"max_limit":"5","auth_required":true,"max_filters":1}'
    text = f'{{"name":5,"description":"d","supported_nips":[1,"x"],"retention":[{{}}],"limitation":{limits},"self":null}}'
    assert decode(text.encode()) == RelayInfo(description="d", limitation=Limitation(auth_required=True))
    for odd in (b'{"limitation":5}', b'{"limitation":null}', b'{"limitation":{"max_limit":1e400}}', b'{"name":"\\ud83d\\ude00"}', b"{}"):
        assert decode(odd).limitation == Limitation()


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"\xff", b"<html>", b"{", b'{"a":' * 50_000])
def test_no_document(text: bytes) -> None:
    """What is no JSON object is refused."""
    with pytest.raises(WireError):
        decode(text)


def test_cors() -> None:
    """ "Relays MUST accept CORS requests by sending" these three headers."""
    assert [name for name, _ in CORS_HEADERS] == [
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Headers",
        "Access-Control-Allow-Methods",
    ]
