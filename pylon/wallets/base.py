"""The port of everything that pays: `Wallet`, its values, and how a wallet says what it can do.

A payment has three answers: yes (`Paid`), no (`PaymentFailed`), don't know (`PaymentUnknown`). Amounts are msat, hashes and
preimages 32 bytes, times Unix seconds. `tests/conformance/wallet.py` is the suite that every adapter runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

from pylon.units import Msat


class Capabilities(msgspec.Struct, frozen=True):
    """What a wallet can do; the rest of Pylon asks this instead of knowing wallets by name."""

    name: str
    network: str
    """regtest, signet, testnet or mainnet."""
    msat: bool
    """Invoices may be for parts of a sat."""
    choose_preimage: bool
    knows_preimage: bool
    """`Invoice.preimage` is set before the payment."""
    hold: bool
    faucet: bool
    push_events: bool
    simulated: bool
    """True: not Lightning, no value; said wherever the wallet shows."""
    lists_payments: bool = False
    """`payments` tells all that this wallet knows, so that a journal can be held against it."""
    node: bool = False
    """It is a `NodeWallet`: channels, coins on the chain, backups."""


NOTHING = Msat(0)


class Balance(msgspec.Struct, frozen=True):
    """`pending` is outgoing money whose fate is open (held or unknown). `reserved` is ours and stays in the channels as long as they are
    open, `closing` comes back from closed channels, `onchain` is on the chain."""

    spendable: Msat
    receivable: Msat
    pending: Msat
    reserved: Msat = NOTHING
    closing: Msat = NOTHING
    onchain: Msat = NOTHING


class Invoice(msgspec.Struct, frozen=True):
    """An invoice of ours."""

    bolt11: str
    payment_hash: bytes
    amount: Msat
    expires_at: int
    preimage: bytes | None = None


class Paid(msgspec.Struct, frozen=True):
    """A settled payment. sha256(preimage) is the payment hash."""

    preimage: bytes
    fee: Msat


class Direction(StrEnum):
    """Seen from this wallet."""

    IN = "in"
    OUT = "out"


class PaymentStatus(StrEnum):
    """`open`: nobody has paid yet. `held`: a hold invoice is paid and waits for settle or cancel (payee's side).
    `pending`: on its way (payer's side). `unknown`: this wallet has never heard of it."""

    OPEN = "open"
    HELD = "held"
    PENDING = "pending"
    SETTLED = "settled"
    FAILED = "failed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class PaymentState(msgspec.Struct, frozen=True):
    """`preimage` and `fee` are set where the status is settled (and, for held, where this wallet knows the preimage)."""

    status: PaymentStatus
    preimage: bytes | None = None
    fee: Msat = Msat(0)
    amount: Msat = Msat(0)


class WalletEvent(msgspec.Struct, frozen=True):
    """Something happened to an invoice of ours. `cursor` continues after it; `deadline` is set where a held payment must be
    settled before that time."""

    cursor: int
    payment_hash: bytes
    status: PaymentStatus
    amount: Msat
    at: int
    preimage: bytes | None = None
    deadline: int | None = None


class PaymentRecord(msgspec.Struct, frozen=True):
    """One payment as the wallet itself remembers it. `fee` is what it cost (outgoing), `at` when it was begun or, once settled, settled."""

    direction: Direction
    payment_hash: bytes
    status: PaymentStatus
    amount: Msat
    fee: Msat
    at: int


class HealthState(StrEnum):
    """`off`: nothing was ever needed of it. `degraded`: it works, and something is wrong with it."""

    OFF = "off"
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    FAILED = "failed"


class Health(msgspec.Struct, frozen=True):
    """How a wallet is. `problem` and `hint` are sentences for a person, empty where all is well; `node_id` (66 hex) and `height` are
    set for a Lightning node, `peers` are those it is connected to."""

    state: HealthState
    problem: str = ""
    hint: str = ""
    node_id: str = ""
    height: int | None = None
    peers: tuple[str, ...] = ()


class Wallet(Protocol):
    """One wallet. Every method may raise PylonError; PaymentError's leaves say which answer it is."""

    @property
    def capabilities(self) -> Capabilities: ...
    async def balance(self) -> Balance: ...
    async def invoice(
        self, amount: Msat, memo: str, expires_in: int, *, preimage: bytes | None = None, payment_hash: bytes | None = None
    ) -> Invoice:
        """Make an invoice. `preimage` fixes the secret; `payment_hash` (without it) makes a hold invoice. They exclude each other."""
        ...

    async def pay(self, bolt11: str, *, max_fee: Msat, key: bytes) -> Paid:
        """Pay. `key` (32 bytes) makes it idempotent: the same key never pays twice and gets the first answer again.
        Raises PaymentFailed, InsufficientFunds (nothing left the wallet) or PaymentUnknown (look it up)."""
        ...

    async def lookup(self, payment_hash: bytes, direction: Direction) -> PaymentState: ...
    async def settle(self, preimage: bytes) -> None:
        """Take a held payment. Idempotent. Raises PaymentFailed where nothing is held for its hash."""
        ...

    async def cancel(self, payment_hash: bytes) -> None:
        """Close an invoice that is open or held; a held payment goes back to its payer. Idempotent."""
        ...

    def events(self, since: int | None) -> AsyncIterator[WalletEvent]:
        """Everything that happens to our invoices after the cursor `since` (None: from now on), for ever. None is lost or skipped."""
        ...

    async def fund(self, amount: Msat) -> bytes | None:
        """Ask the faucet, where `capabilities.faucet`. The payment's hash where it paid an invoice of ours; None where the money came in
        another way."""
        ...

    async def payments(self, since: float) -> Sequence[PaymentRecord]:
        """All payments in and out since then (Unix seconds) that it knows, where `capabilities.lists_payments`."""
        ...

    async def health(self) -> Health:
        """How it is, at once: nothing is started or waited for."""
        ...

    async def aclose(self) -> None: ...


class Channel(msgspec.Struct, frozen=True):
    """One Lightning channel of ours. `funding` is `txid:output`; `usable`: it is open and its peer is there."""

    id: str
    peer: str
    funding: str
    capacity: Msat
    spendable: Msat
    receivable: Msat
    reserved: Msat
    confirmations: int
    usable: bool


class Coins(msgspec.Struct, frozen=True):
    """Coins that left on the chain: the transaction (32 bytes, in the order people write it), what the address got, and the fee."""

    txid: bytes
    amount: Msat
    fee: Msat


class NodeWallet(Wallet, Protocol):
    """A wallet that is a Lightning node with coins of its own, where `capabilities.node`."""

    async def channels(self) -> Sequence[Channel]:
        """The open channels."""
        ...

    async def close_channel(self, channel: str, *, force: bool) -> None:
        """Begin to close the channel of that id; its money comes back on the chain. `force`: without the peer, and after a delay.
        Raises PylonError where there is no such channel."""
        ...

    async def address(self) -> str:
        """A new address for coins."""
        ...

    async def send_onchain(self, address: str, amount: Msat | None, *, sat_per_vbyte: int | None) -> Coins:
        """Send coins (None: all). Raises PaymentUnknown where the chain may have them, another PaymentError where none left."""
        ...

    async def backup(self, target: Path) -> None:
        """Write an encrypted copy of what this wallet knows to a file that does not exist yet."""
        ...
