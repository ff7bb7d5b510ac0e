"""What the calls of the control socket take. Jobs are asked for by `submission.SubmitArgs`."""

from __future__ import annotations

import msgspec


class JobArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A job of this home. `until`: `posted`, `quoted`, `end` (it ends, or its time is over) or `answer` (also a late one, for `timeout`
    seconds)."""

    id: str
    until: str = "end"
    timeout: float | None = None


class SatsArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount that a person typed, in sats."""

    sats: int
    memo: str = ""


class PayArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An invoice that a person gave."""

    invoice: str


class LimitsArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`reset`: close the circuit breaker by hand."""

    reset: bool = False


class OffersArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`relays`: those of the run, beside the home's own. `model`: only who has it."""

    relays: list[str] = []
    model: str = ""


class CloseArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A channel of ours, by its whole id. `force`: without its peer."""

    channel: str
    force: bool = False


class SendArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Coins for an address on the chain. `sats`: None for all."""

    address: str
    sats: int | None
    sat_per_vbyte: int | None = None


class BackupArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`path`: absolute, of a file that does not exist yet."""

    path: str
