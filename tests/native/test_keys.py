"""Keys and signatures (BIP-340): native code against coincurve, and what every function refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon import _native
from pylon._native import plain

SECRET = bytes(range(1, 33))
SIGNER = _native.Signer(SECRET)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_signatures(message: bytes, aux: bytes) -> None:
    """With the same randomness our signature is coincurve's, and both verify it."""
    signature = SIGNER.sign(message, aux)
    assert signature == plain.sign(SECRET, message, aux)
    assert _native.verify(SIGNER.pubkey, signature, message)
    assert plain.verify(SIGNER.pubkey, SIGNER.sign(message), message)


def test_fresh_randomness() -> None:
    """Without given randomness two signatures of one message differ and both hold."""
    first, second = SIGNER.sign(bytes(32)), SIGNER.sign(bytes(32), None)
    assert first != second
    assert _native.verify(SIGNER.pubkey, first, bytes(32))
    assert _native.verify(SIGNER.pubkey, second, bytes(32))


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32, plain.ORDER.to_bytes(32)])
def test_secret_keys_outside_the_group(secret: bytes) -> None:
    """0, n and above are no secret keys."""
    for call in (_native.Signer, _native.public_key, plain.public_key):
        with pytest.raises(ValueError, match="secret key"):
            call(secret)


@given(st.integers(1, plain.ORDER - 1).map(lambda n: n.to_bytes(32)))
def test_public_keys(secret: bytes) -> None:
    """The public key of any secret key is coincurve's."""
    assert _native.public_key(secret) == plain.public_key(secret)
    assert _native.Signer(secret).pubkey == plain.public_key(secret)[1:]


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (_native.verify, (bytes(31), bytes(64), b"")), (_native.verify, (bytes(32), bytes(65), b"")), (_native.Signer, (bytes(33),)),
        (_native.public_key, (b"",)), (SIGNER.sign, (b"", bytes(31))), (_native.bip32_derive, (bytes(63), "m")),
        (_native.nip44_conversation_key, (bytes(32), bytes(33))), (_native.nip44_encrypt, (bytes(31), b"x")),
        (_native.nip44_encrypt, (bytes(32), b"x", bytes(31))), (_native.nip44_decrypt, (bytes(33), "")),
        (_native.seal, (bytes(31), bytes(24), b"", b"")), (_native.unseal, (bytes(32), bytes(23), b"", b"")),
    ],
)
def test_lengths(call: object, arguments: tuple[object, ...]) -> None:
    """Every wrong length is a ValueError, never a panic."""
    assert callable(call)
    with pytest.raises(ValueError, match=r"bytes, not|secret key"):
        call(*arguments)
