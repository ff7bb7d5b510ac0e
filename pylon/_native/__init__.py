"""The one door to compiled code: nothing else in Pylon imports an extension module.

`core` is the Rust extension (events, keys, NIP-44, BOLT11, spans of texts), `frames` the Cython listener for picows, `delivered` the table
that it asks. `plain*.py` are their slow twins in Python: the oracle of the differential tests, never used at run time.
"""

from __future__ import annotations

import importlib.util

from pylon import __version__

try:
    # `from pylon._native import core` would call a missing file a circular import.
    import pylon._native.core as core
    from pylon._native.delivered import Delivered, peek_id
except ImportError as error:
    raise ImportError(f"Pylon's native extension cannot be loaded ({error}); build it with `make native` or `pip install .`") from error

if core.__version__ != __version__:
    raise ImportError(
        f"Pylon is {__version__} but its native extension is {core.__version__}: the Python files were updated and the extension was not; "
        "run `make native` or `pip install .`"
    )

from pylon._native.core import (
    BAD_ID,
    BAD_SIGNATURE,
    BAD_UTF8,
    BUILD_PROFILE,
    DUPLICATE,
    OK,
    SYNTAX,
    UNWANTED,
    Bolt11,
    FilterIndex,
    Seen,
    Signer,
    VerifiedEvent,
    bip32_derive,
    bolt11_decode,
    bolt11_encode,
    check_codes,
    check_events,
    chunk_spans,
    event_id,
    is_utf8,
    load_event,
    nip44_conversation_key,
    nip44_decrypt,
    nip44_encrypt,
    public_key,
    seal,
    unseal,
    verify,
    verify_batch,
)

__all__ = [
    "BAD_ID",
    "BAD_SIGNATURE",
    "BAD_UTF8",
    "BUILD_PROFILE",
    "DUPLICATE",
    "OK",
    "SYNTAX",
    "UNWANTED",
    "Bolt11",
    "Delivered",
    "FilterIndex",
    "Seen",
    "Signer",
    "VerifiedEvent",
    "bip32_derive",
    "bolt11_decode",
    "bolt11_encode",
    "check_codes",
    "check_events",
    "chunk_spans",
    "core",
    "event_id",
    "has_lightning",
    "is_utf8",
    "load_event",
    "nip44_conversation_key",
    "nip44_decrypt",
    "nip44_encrypt",
    "peek_id",
    "public_key",
    "seal",
    "unseal",
    "verify",
    "verify_batch",
]


def has_lightning() -> bool:
    """Whether the embedded Lightning node is built into this installation (`PYLON_BUILD_LIGHTNING=0` leaves it out)."""
    return importlib.util.find_spec(f"{__name__}.lightning") is not None
