"""NIP-49: an encrypted secret key."""

from __future__ import annotations

import pytest

from pylon.errors import DecryptError, WireError
from pylon.nostr import bech32, nip49

EXAMPLE = (
    "ncryptsec1qgg9947rlpvqu76pj5ecreduf9jxhselq2nae2kghhvd5g7dgjtcxfqtd67p9m0w57lspw8gsq6yphnm8623nsl8xn9j4jdzz84zm3frztj3z7s35vpzmqf6k"
    "su8r89qk5z2zxfmu5gv8th8wclt0h4p"
)
SECRET = bytes.fromhex("3501454135014541350145413501453fefb02227e449e57cf4d3a3ce05378683")


def test_example() -> None:
    """ "When decrypted with password='nostr' and log_n=16 yields the following hex-encoded private key" """
    assert nip49.decrypt(EXAMPLE, "nostr") == SECRET


def test_round_trip() -> None:
    """What is encrypted comes back, 91 bytes long before bech32, never twice the same; the passphrase is NFKC-normalised."""
    text = nip49.encrypt(SECRET, "ÅΩẛ̣", log_n=4)
    prefix, data = bech32.decode(text)
    assert prefix == "ncryptsec"
    assert len(data) == 91
    assert nip49.decrypt(text, "\u212b\u2126\u1e9b\u0323") == SECRET
    assert nip49.encrypt(SECRET, "x", log_n=4) != nip49.encrypt(SECRET, "x", log_n=4)


def test_other_passphrases() -> None:
    """A wrong passphrase, an empty one, or one that is no Unicode: one error."""
    text = nip49.encrypt(SECRET, "right", log_n=4)
    for wrong in ("", "Right", "\udcff"):
        with pytest.raises(DecryptError):
            nip49.decrypt(text, wrong)


def broken(place: int, value: int) -> str:
    """An ncryptsec, well formed, with one byte changed."""
    data = bytearray(bech32.decode(nip49.encrypt(SECRET, "x", log_n=4))[1])
    data[place] = value
    return bech32.encode("ncryptsec", bytes(data))


@pytest.mark.parametrize(
    "text",
    [
        broken(0, 1),
        broken(1, 0),
        broken(1, 21),
        broken(1, 255),
        bech32.encode("ncryptsec", bytes(90)),
        bech32.encode("nsec", bytes(91)),
        "ncryptsec1",
        "",
    ],
)
def test_other_forms(text: str) -> None:
    """Another version, length or prefix is refused; so is a cost that would take gigabytes (2^21 rounds and more)."""
    with pytest.raises(WireError):
        nip49.decrypt(text, "x")


@pytest.mark.parametrize("place", [1, 2, 18, 42, 43, 90])
def test_every_part_is_authenticated(place: int) -> None:
    """Cost, salt, nonce, security byte and ciphertext: a change in any is found."""
    with pytest.raises(DecryptError):
        nip49.decrypt(broken(place, 9), "x")
