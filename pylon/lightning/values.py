"""What the Lightning node says: documents of the extension as frozen structs. Hashes and ids are hex."""

from __future__ import annotations

from typing import Literal

import msgspec


class Channel(msgspec.Struct, frozen=True):
    """A channel that is open or being opened."""

    id: str
    user_id: str
    peer: str
    funding: str
    """`txid:vout`; empty before there is one."""
    capacity_sat: int
    outbound_msat: int
    """What we can send; our reserve is not in it."""
    inbound_msat: int
    reserve_sat: int
    """Of our side, not to be spent while the channel is open."""
    confirmations: int | None
    ready: bool
    usable: bool
    """Ready, and the peer is connected."""
    is_outbound: bool
    """We opened it."""
    next_limit_msat: int
    """The most that one payment part can carry now."""


class Claim(msgspec.Struct, frozen=True):
    """What of a channel is ours, or may be."""

    kind: Literal["open", "confirming", "contentious", "timeout", "preimage", "revoked"]
    channel: str
    sat: int
    outgoing_payment: bool
    outgoing_forward_msat: int
    payment_hash: str | None
    height: int | None


class Sweep(msgspec.Struct, frozen=True):
    """What of a closed channel is on its way to the on-chain wallet."""

    kind: Literal["pending", "broadcast", "confirmed"]
    channel: str | None
    sat: int
    txid: str | None
    height: int | None


class Balances(msgspec.Struct, frozen=True):
    """All that the node owns."""

    onchain_sat: int
    onchain_spendable_sat: int
    anchor_reserve_sat: int
    claims: list[Claim]
    sweeps: list[Sweep]


class NodePayment(msgspec.Struct, frozen=True):
    """A payment that the node knows."""

    payment_hash: str | None
    """None: on-chain."""
    direction: Literal["in", "out"]
    status: Literal["pending", "succeeded", "failed"]
    amount_msat: int | None
    fee_msat: int | None
    preimage: str | None
    kind: str
    txid: str | None
    at: int
    """Unix seconds of its latest change."""


class Peer(msgspec.Struct, frozen=True):
    """A peer that is connected, or that the node connects to."""

    node_id: str
    address: str
    connected: bool


class LastSync(msgspec.Struct, frozen=True):
    """When the node last saw the chain, Unix seconds."""

    lightning: int | None
    onchain: int | None
    fees: int | None


class NodeStatus(msgspec.Struct, frozen=True):
    """How the node is."""

    height: int
    hash: str
    running: bool
    last_sync: LastSync
    storage_error: str | None
    """Why writes wait (a full disk); they go on by themselves."""
    sync_error: str | None
    """Why the last sync failed."""
    panic: str | None
    """The node is dead in part, and is to be made anew."""


class Event(msgspec.Struct, frozen=True):
    """What happened; what does not belong to its type is None."""

    type: Literal[
        "sent", "failed", "received", "claimable", "forwarded", "channel_pending", "channel_ready", "channel_closed", "other"
    ]
    payment_hash: str | None = None
    preimage: str | None = None
    fee_msat: int | None = None
    amount_msat: int | None = None
    deadline: int | None = None
    """The block height at which a held payment goes back."""
    reason: str | None = None
    channel: str | None = None
    user_id: str | None = None
    peer: str | None = None
    funding: str | None = None
    detail: str | None = None
