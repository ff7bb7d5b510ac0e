"""No argument whatever makes compiled code panic: a wrong type is a TypeError, a wrong value a ValueError, and nothing else happens.

Scopes and capacities are Pylon's own numbers; those of no machine word are an OverflowError."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon import _native
from pylon._native import FilterIndex, Seen, Signer
from pylon._native.frames import event_frame, server_frame
from pylon.nostr.filter import Filter

SIGNER = Signer(bytes(31) + b"\x07")
EVENT = SIGNER.sign_event(1, 1, [["e", "x"]], "y")
INDEX, SEEN = FilterIndex(), Seen(10)
DELIVERED = _native.Delivered(10)


class Odd:
    """An object whose every attribute, item and number is wrong."""

    def __index__(self) -> int:
        raise ValueError("no index")

    def __iter__(self) -> Any:
        return iter([self])

    def __getattr__(self, name: str) -> object:
        return -1


LENGTHS = st.sampled_from([0, 1, 15, 24, 31, 32, 33, 63, 64, 65, 96, 128, 1000])
SIMPLE = (
    st.none() | st.booleans() | st.integers() | st.sampled_from([0, 1, 64, 2**31, 2**32, 2**53, 2**63, 2**64, -1, -(2**63), -(2**64)])
    | st.floats() | st.text(max_size=70) | st.sampled_from(["\ud800", "0" * 64, "f" * 64, "m/0'", "bcrt", "\0", "e"])
    | LENGTHS.map(bytes) | st.binary(max_size=70) | LENGTHS.map(bytearray) | st.builds(Odd)
)
OBJECTS = [EVENT, SIGNER, INDEX, SEEN, Filter(), Filter(tags={"e": ("x",)}), memoryview(b"abc")[::2], mmap.mmap(-1, 10)]
JUNK = st.recursive(
    SIMPLE | st.sampled_from(OBJECTS),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    | st.builds(Filter, inner, inner, inner, inner, inner, inner),
    max_leaves=6,
)
CALLS: dict[str, Callable[..., object]] = {
    name: value for name in _native.__all__ if callable(value := getattr(_native, name))
} | {
    f"{type(value).__name__}.{name}": getattr(value, name)
    for value in (EVENT, SIGNER, INDEX, SEEN, DELIVERED)
    for name in dir(value)
    if not name.startswith("_") and callable(getattr(value, name))
} | {"event_frame": event_frame, "server_frame": server_frame}


REFUSALS = (TypeError, ValueError, BufferError, OverflowError)
OWN_NUMBERS = {"Delivered", "Delivered.add", "Delivered.holds", "check_events"}


def refusals(name: str) -> tuple[type[Exception], ...]:
    """What a function may raise."""
    return REFUSALS if name in OWN_NUMBERS else REFUSALS[:-1]


@pytest.mark.parametrize("name", sorted(CALLS))
def test_junk(name: str) -> None:
    """Every function and method, with any number of arguments of any type."""

    @settings(max_examples=30)
    @given(st.lists(JUNK, max_size=9))
    def call(arguments: list[object]) -> None:
        with suppress(*refusals(name)):
            CALLS[name](*arguments)

    call()


RIGHT: dict[str, list[object]] = {
    "Seen": [10], "Signer": [bytes(31) + b"\1"], "Delivered": [10], "bip32_derive": [bytes(64), "m/0'"], "bolt11_decode": ["lnbc1"],
    "bolt11_encode": [bytes(31) + b"\1", "bcrt", 1000, bytes(32), bytes(32), "x", 1, 1, 18], "check_codes": [[EVENT.raw], True],
    "check_events": [[EVENT.raw], SEEN, [1]], "chunk_spans": [b"x" * 100, 64], "event_id": ["0" * 64, 1, 1, [["a"]], "x"],
    "load_event": [EVENT.raw], "nip44_conversation_key": [bytes(31) + b"\1", SIGNER.pubkey], "nip44_decrypt": [bytes(32), "A" * 132],
    "nip44_encrypt": [bytes(32), b"x", bytes(32)], "public_key": [bytes(31) + b"\1"], "seal": [bytes(32), bytes(24), b"x", b"y"],
    "unseal": [bytes(32), bytes(24), bytes(20), b"y"], "verify": [bytes(32), bytes(64), b"x"],
    "verify_batch": [bytes(320), bytes(640), bytes(320)], "Signer.sign": [b"x", bytes(32), True], "is_utf8": [b"x"],
    "Signer.sign_event": [1, 1, [["a"]], "x", bytes(32), True], "FilterIndex.add": [1, Filter()], "FilterIndex.remove": [1],
    "FilterIndex.match": [EVENT], "FilterIndex.match_many": [[EVENT]], "VerifiedEvent.first": ["e"], "VerifiedEvent.values": ["e"],
    "FilterIndex": [], "peek_id": [b"x"], "Delivered.open": ["sub"], "Delivered.close": ["sub"], "Delivered.add": [1, "0" * 64],
    "has_lightning": [], "Delivered.holds": [1, "0" * 64], "Delivered.repeats": [b"x"], "event_frame": [b"x", b"y"], "server_frame": [b"x"],
}


@pytest.mark.parametrize("name", sorted(CALLS))
def test_one_wrong_argument(name: str) -> None:
    """The same with right arguments, all but one."""
    if name in ("VerifiedEvent", "Bolt11"):
        with pytest.raises(TypeError, match=r"cannot create|No constructor"):
            CALLS[name]()
        return
    right = RIGHT[name]

    @settings(max_examples=60)
    @given(st.integers(0, max(0, len(right) - 1)), JUNK)
    def call(at: int, junk: object) -> None:
        with suppress(*refusals(name)):
            CALLS[name](*right[:at], junk, *right[at + 1 :])

    call()
