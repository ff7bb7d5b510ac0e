"""BIP-340. The unit of work is one signature."""

from __future__ import annotations

from functools import partial

import coincurve

from benches import references
from benches.conftest import Against
from benches.inputs import ALICE, AUX, SECRET, sha, signatures
from pylon import _native

COINCURVE = coincurve.PrivateKey(SECRET)
SINGLES = signatures(8, 8)


def verify_singles() -> bool:
    """Eight signatures by eight keys, one call each: the reference of batches too."""
    return all(_native.verify(*one) for one in SINGLES.split())


def test_verify(against: Against) -> None:
    """One signature a call, beside a loop in C."""
    split = SINGLES.split()
    against(
        "verify, one", lambda: all([_native.verify(*one) for one in split]),
        "libsecp256k1, a loop in C", partial(references.libsecp256k1_verify, *SINGLES), units=(8, 8), gate=1.05, goal=1.0,
    )


def test_verify_coincurve(against: Against) -> None:
    """One signature a call, beside the usual package."""
    one = SINGLES.split()[0]
    against("verify, one", partial(_native.verify, *one), "coincurve", partial(references.coincurve_verify, *one))


def test_sign(against: Against) -> None:
    """One signature with a key that is kept; the reference makes a keypair and verifies what it signed on each call."""
    message = sha("to sign")
    against(
        "sign", partial(ALICE.sign, message, AUX),
        "coincurve sign_schnorr", partial(COINCURVE.sign_schnorr, message, AUX), gate=0.25, goal=0.22,
    )
