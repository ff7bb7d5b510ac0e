"""BIP-340. The unit of work is one signature."""

from __future__ import annotations

from functools import partial

import coincurve

from benches import references
from benches.conftest import Against
from benches.inputs import ALICE, AUX, SECRET, sha, signatures
from pylon import _native

COINCURVE = coincurve.PrivateKey(SECRET)
MESSAGE = sha("to sign")


def test_verify(against: Against) -> None:
    """One signature a call, beside a loop in C."""
    eight = signatures(8, 8)
    split = eight.split()
    against(
        "verify, one", lambda: [_native.verify(*one) for one in split],
        "libsecp256k1, a loop in C", partial(references.libsecp256k1_verify, *eight),
        units=(8, 8), gate=1.05, goal=1.0, agree=lambda codes, right: all(codes) and right,
    )


def test_verify_coincurve(against: Against) -> None:
    """One signature a call, beside the usual package."""
    (one,) = signatures(1, 1).split()
    against("verify, one", partial(_native.verify, *one), "coincurve", partial(references.coincurve_verify, *one))


def test_sign(against: Against) -> None:
    """One signature with a key that is kept; the reference makes a keypair and verifies what it signed on each call."""
    against(
        "sign", partial(ALICE.sign, MESSAGE, AUX),
        "coincurve sign_schnorr", partial(COINCURVE.sign_schnorr, MESSAGE, AUX), gate=0.25, goal=0.22,
    )


def test_floor_of_sign(against: Against) -> None:
    """What the operation itself costs: a loop in C that keeps its keypair and does nothing else."""
    messages = [sha(f"to sign {number}") for number in range(128)]
    against(
        "floor: sign, in C with a kept keypair", partial(references.libsecp256k1_sign, SECRET, messages, AUX),
        "coincurve sign_schnorr", lambda: [COINCURVE.sign_schnorr(message, AUX) for message in messages], units=(128, 128),
    )


def test_sign_and_check(against: Against) -> None:
    """The same, verified before it leaves."""
    against(
        "sign, with self-check", partial(ALICE.sign, MESSAGE, AUX, True),
        "coincurve sign_schnorr", partial(COINCURVE.sign_schnorr, MESSAGE, AUX), gate=0.72, goal=0.68,
    )
