"""The published vectors: BIP-340, BIP-32, NIP-44, XChaCha20-Poly1305."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest

from pylon import _native
from pylon._native import plain

VECTORS = Path(__file__).parent.parent / "vectors"
BIP340 = list(csv.DictReader((VECTORS / "bip340-test-vectors.csv").read_text().splitlines()))
NIP44 = json.loads((VECTORS / "nip44.vectors.json").read_text())["v2"]
EXTENDED = json.loads((VECTORS / "nip44-extended.json").read_text())
hexed = bytes.fromhex


@pytest.mark.parametrize("row", BIP340, ids=[row["index"] for row in BIP340])
def test_bip340(row: dict[str, str]) -> None:
    """Every row of BIP-340 verifies or fails as it says, and each secret key gives its public key and signature."""
    key, signature, message = hexed(row["public key"]), hexed(row["signature"]), hexed(row["message"])
    assert _native.verify(key, signature, message) is (row["verification result"] == "TRUE")
    assert plain.verify(key, signature, message) is (row["verification result"] == "TRUE")
    if row["secret key"]:
        signer = _native.Signer(hexed(row["secret key"]))
        assert signer.pubkey == key
        assert signer.sign(message, hexed(row["aux_rand"])) == signature
        assert _native.public_key(hexed(row["secret key"]))[1:] == key


BIP32_SEED = hexed(
    "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542"
)


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        ("m", "4b03d6fc340455b363f51020ad3ecca4f0850280cf436c70c727923f6db46c3e"),
        ("m/0", "abe74a98f6c7eabee0428f53798f0ab8aa1bd37873999041703c742f15ac7e1e"),
        ("m/0/2147483647'", "877c779ad9687164e9c2f4f0f4ff0340814392330693ce95a58fe18fd52e6e93"),
        ("m/0/2147483647h/1", "704addf544a06e5ee4bea37098463c23613da32020d604506da8c0518e1da4b7"),
        ("m/0/2147483647'/1/2147483646'", "f1c7c871a54a804afe328b4c83a1c33b8e5ff48f5087273f04efa83b247d6a2d"),
        ("m/0/2147483647'/1/2147483646'/2", "bb7d39bdb83ecf58f2fd82b6d918341cbef428661ef01ab97c28a4842125ac23"),
    ],
)
def test_bip32(path: str, secret: str) -> None:
    """Test vector 2 of BIP-32, whose seed has 64 bytes."""
    assert _native.bip32_derive(BIP32_SEED, path).hex() == secret
    assert plain.bip32_derive(BIP32_SEED, path).hex() == secret


@pytest.mark.parametrize(
    "path", ["", "0", "M/0", "m/", "m//0", "m/-1", "m/+1", "m/2147483648", "m/0''", "m/0'h", "m/0x1", "m/ 1", "m/1 ", "m0", "m/٣"]
)
def test_bip32_refuses_a_path(path: str) -> None:
    """What is not a path is a ValueError, with native code and twin alike."""
    with pytest.raises(ValueError, match="path"):
        _native.bip32_derive(BIP32_SEED, path)
    with pytest.raises(ValueError, match="a path"):
        plain.bip32_derive(BIP32_SEED, path)


@pytest.mark.parametrize("case", NIP44["valid"]["get_conversation_key"], ids=lambda case: case["conversation_key"][:8])
def test_nip44_conversation_key(case: dict[str, str]) -> None:
    """The shared key of each pair."""
    assert _native.nip44_conversation_key(hexed(case["sec1"]), hexed(case["pub2"])).hex() == case["conversation_key"]


@pytest.mark.parametrize("case", NIP44["invalid"]["get_conversation_key"], ids=lambda case: case["note"])
def test_nip44_refuses_a_key(case: dict[str, str]) -> None:
    """A secret key outside 1..n-1 and a public key off the curve have no shared key."""
    with pytest.raises(ValueError, match="key"):
        _native.nip44_conversation_key(hexed(case["sec1"]), hexed(case["pub2"]))


def test_nip44_message_keys_and_paddings() -> None:
    """The twin derives the keys of each message and the padding of each length; the native code is compared with it elsewhere."""
    keys = NIP44["valid"]["get_message_keys"]
    for case in keys["keys"]:
        derived = plain.message_keys(hexed(keys["conversation_key"]), hexed(case["nonce"]))
        assert [key.hex() for key in derived] == [case["chacha_key"], case["chacha_nonce"], case["hmac_key"]]
    for length, padded in NIP44["valid"]["calc_padded_len"]:
        assert plain.padded_len(length) == padded


@pytest.mark.parametrize("case", NIP44["valid"]["encrypt_decrypt"], ids=lambda case: case["nonce"][:8])
def test_nip44_both_ways(case: dict[str, str]) -> None:
    """Each plaintext gives its payload and comes back from it."""
    key, plaintext = hexed(case["conversation_key"]), case["plaintext"].encode()
    public = _native.public_key(hexed(case["sec2"]))[1:]
    assert _native.nip44_conversation_key(hexed(case["sec1"]), public) == key
    assert _native.nip44_encrypt(key, plaintext, hexed(case["nonce"])) == case["payload"]
    assert _native.nip44_decrypt(key, case["payload"]) == plaintext


@pytest.mark.parametrize("case", NIP44["valid"]["encrypt_decrypt_long_msg"], ids=lambda case: case["nonce"][:8])
def test_nip44_long(case: dict[str, str | int]) -> None:
    """The long plaintexts, by their hashes."""
    key, plaintext = hexed(str(case["conversation_key"])), (str(case["pattern"]) * int(case["repeat"])).encode()
    payload = _native.nip44_encrypt(key, plaintext, hexed(str(case["nonce"])))
    assert hashlib.sha256(plaintext).hexdigest() == case["plaintext_sha256"]
    assert hashlib.sha256(payload.encode()).hexdigest() == case["payload_sha256"]
    assert _native.nip44_decrypt(key, payload) == plaintext


@pytest.mark.parametrize("case", EXTENDED["cases"], ids=lambda case: str(case["len"]))
def test_nip44_extended_prefix(case: dict[str, str | int]) -> None:
    """The three lengths around 65536, by the hashes in the table of NIP-44."""
    key, plaintext = hexed(EXTENDED["conversation_key"]), EXTENDED["pattern"].encode() * int(case["len"])
    payload = _native.nip44_encrypt(key, plaintext, hexed(EXTENDED["nonce"]))
    assert hashlib.sha256(payload.encode()).hexdigest() == case["payload_sha256"]
    assert _native.nip44_decrypt(key, payload) == plaintext


@pytest.mark.parametrize("length", NIP44["invalid"]["encrypt_msg_lengths"])
def test_nip44_lengths_of_the_old_vectors(length: int) -> None:
    """Of the lengths that the vectors call invalid only 0 still is: the extended prefix (nips 733a0471) carries the others."""
    key = bytes(range(32))
    if length == 0:
        with pytest.raises(ValueError, match="plaintext"):
            _native.nip44_encrypt(key, b"")
    else:
        plaintext = bytes(length)
        assert _native.nip44_decrypt(key, _native.nip44_encrypt(key, plaintext)) == plaintext


@pytest.mark.parametrize("case", NIP44["invalid"]["decrypt"], ids=lambda case: case["note"])
def test_nip44_refuses_a_payload(case: dict[str, str]) -> None:
    """Every bad payload is refused with the same words, by native code and twin alike."""
    for decrypt in (_native.nip44_decrypt, plain.nip44_decrypt):
        with pytest.raises(ValueError, match=r"^cannot decrypt$"):
            decrypt(hexed(case["conversation_key"]), case["payload"])


def test_seal() -> None:
    """The vector of draft-irtf-cfrg-xchacha-03, A.3.1, and every change to it refused with the same words."""
    key, nonce, aad = bytes(range(0x80, 0xA0)), bytes(range(0x40, 0x58)), hexed("50515253c0c1c2c3c4c5c6c7")
    plaintext = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
    )
    sealed = hexed(
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
        "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49"
    )
    assert _native.seal(key, nonce, plaintext, aad) == sealed
    assert _native.unseal(key, nonce, sealed, aad) == plaintext
    for changed in (b"", sealed[:15], sealed[:-1], bytes([sealed[0] ^ 1]) + sealed[1:]):
        with pytest.raises(ValueError, match=r"^cannot decrypt$"):
            _native.unseal(key, nonce, changed, aad)
    with pytest.raises(ValueError, match=r"^cannot decrypt$"):
        _native.unseal(key, nonce, sealed, b"")
    with pytest.raises(ValueError, match="a nonce must have 24 bytes, not 12"):
        _native.seal(key, nonce[:12], plaintext, aad)
