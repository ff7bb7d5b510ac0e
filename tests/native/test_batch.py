"""Many signatures at once (BIP-340): each verdict is the one that the signature gets alone, by libsecp256k1 and by coincurve."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon import _native
from pylon._native import plain

BIP340 = list(csv.DictReader((Path(__file__).parent.parent / "vectors" / "bip340-test-vectors.csv").read_text().splitlines()))
SIGNERS = [_native.Signer(hashlib.sha256(bytes([i])).digest()) for i in range(8)]
MESSAGES = [hashlib.sha256(b"message" + bytes([i])).digest() for i in range(64)]

Signed = tuple[bytes, bytes, bytes]
"""Key, signature, message."""


def signed(i: int) -> Signed:
    """A right signature, always the same for one number."""
    signer, message = SIGNERS[i % len(SIGNERS)], MESSAGES[i % len(MESSAGES)]
    return signer.pubkey, signer.sign(message, bytes(32)), message


def flipped(at: int) -> Callable[[bytes], bytes]:
    """Turns over one bit."""
    return lambda value: value[: at // 8] + bytes([value[at // 8] ^ 1 << at % 8]) + value[at // 8 + 1 :]


def joined(items: list[Signed]) -> tuple[bytes, bytes, bytes]:
    """What `verify_batch` takes."""
    keys, signatures, messages = zip(*items, strict=True) if items else ((), (), ())
    return b"".join(keys), b"".join(signatures), b"".join(messages)


def agrees(items: list[Signed]) -> bytes:
    """The verdicts, after they were compared with those of each signature alone."""
    found = _native.verify_batch(*joined(items))
    assert found == bytes(_native.verify(key, signature, message) for key, signature, message in items)
    assert found == plain.verify_batch(*joined(items))
    return found


@pytest.mark.parametrize("count", [0, 1, 2, 5, 16, 64, 200])
def test_right_signatures(count: int) -> None:
    """Every right signature holds, in batches of every size."""
    assert agrees([signed(i) for i in range(count)]) == b"\1" * count


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 63), min_size=8, max_size=40),
    st.lists(st.tuples(st.integers(0, 39), st.sampled_from(["key", "r", "s", "message", "swap"]), st.integers(0, 255)), max_size=3),
)
def test_forged_members(numbers: list[int], forgeries: list[tuple[int, str, int]]) -> None:
    """A bit of a key, an R, an s or a message turned over anywhere, signatures exchanged: the verdicts stay those of singles."""
    items = [signed(i) for i in numbers]
    for place, part, bit in forgeries:
        at = place % len(items)
        key, signature, message = items[at]
        flip = flipped(bit)
        items[at] = {
            "key": (flip(key), signature, message), "r": (key, flip(signature[:32]) + signature[32:], message),
            "s": (key, signature[:32] + flip(signature[32:]), message), "message": (key, signature, flip(message)),
            "swap": (key, items[0][1], message),
        }[part]
    agrees(items)


def test_the_vectors_of_bip340_in_a_batch() -> None:
    """Every row with a message of 32 bytes, alone among right signatures and all together."""
    rows = [tuple(bytes.fromhex(row[name]) for name in ("public key", "signature", "message")) for row in BIP340]
    expected = [row["verification result"] == "TRUE" for row in BIP340]
    fitting = [((row[0], row[1], row[2]), right) for row, right in zip(rows, expected, strict=True) if len(row[2]) == 32]
    assert len(fitting) == 15
    assert agrees([row for row, _ in fitting]) == bytes(right for _, right in fitting)
    others = [signed(i) for i in range(20)]
    for row, right in fitting:
        assert agrees([*others, row]) == b"\1" * 20 + bytes([right])


@pytest.mark.parametrize(
    ("keys", "signatures", "messages"), [(31, 64, 32), (33, 64, 32), (32, 63, 32), (32, 128, 32), (32, 64, 0), (0, 0, 32)]
)
def test_lengths(keys: int, signatures: int, messages: int) -> None:
    """Arrays whose lengths do not fit each other are refused."""
    for call in (_native.verify_batch, plain.verify_batch):
        with pytest.raises(ValueError, match=r"must have \d+ bytes|wrong length"):
            call(bytes(keys), bytes(signatures), bytes(messages))
