"""What commands show, as JSON documents. Fields may be added, never renamed; amounts are `…_msat`, ids 64 hex, times Unix seconds."""

from __future__ import annotations

from collections.abc import Sequence

from pylon.market.job import BuyerJob, BuyerState, Job, ProviderJob
from pylon.node.ledger import role_of
from pylon.wallets.base import Balance, Capabilities, Channel, Health

Document = dict[str, object]


def buyer_document(job: BuyerJob) -> Document:
    """A job of ours: `job submit`, `job status`, `job results`."""
    offer = job.quote or (job.quotes[0] if job.quotes else None)
    refusal: Document | None = None
    if job.trouble is not None:
        refusal = {"code": job.trouble.code, "message": job.trouble.message}
    end = job.answered_at
    return {
        "id": job.id,
        "role": "buyer",
        "kind": job.request.kind,
        "status": job.state.value,
        "answer": job.answer if job.state is BuyerState.DONE else None,
        "model": job.answer_model or None,
        "provider": job.answered_by or (offer.provider if offer else None) or job.provider or None,
        "amount_msat": job.quote.amount if job.quote and job.paid else 0 if job.state is BuyerState.DONE else None,
        "fee_msat": job.fee,
        "own": job.own,
        "bid_msat": job.bid,
        "quote_msat": offer.amount if offer else None,
        "refusals": [{"provider": r.provider, "code": r.trouble.code, "message": r.trouble.message} for r in job.refusals],
        "trouble": refusal,
        "prompt": job.prompt[:200],
        "created_at": job.created_at,
        "deadline": job.deadline,
        "total_ms": None if end is None else _ms(job.created_at, end),
        "legs_ms": _legs(job),
    }


def _legs(job: BuyerJob) -> dict[str, float | None]:
    """How long each leg took; None for those that were not walked. `quoted` ends when the quote that was paid came."""
    quoted_at = job.quote.at if job.quote else job.quotes[0].at if job.quotes else None
    marks = {"posted": job.posted_at, "quoted": quoted_at, "paid": job.paid_at, "answered": job.answered_at}
    legs: dict[str, float | None] = {}
    before = job.created_at
    for name, at in marks.items():
        legs[name] = None if at is None else _ms(before, at)
        before = at if at is not None else before
    return legs


def _ms(start: float, end: float) -> float:
    return round(max(0.0, end - start) * 1000, 1)


def provider_document(job: ProviderJob) -> Document:
    """A job that we serve."""
    return {
        "id": job.id,
        "role": "provider",
        "kind": job.request.kind,
        "status": job.state.value,
        "amount_msat": job.received if job.paid else None,
        "price_msat": job.price,
        "customer": job.request.pubkey,
        "model": job.model or None,
        "own": job.own,
        "trouble": None if job.trouble is None else {"code": job.trouble.code, "message": job.trouble.message},
        "prompt": job.prompt.text[:200],
        "created_at": job.created_at,
    }


def job_document(job: Job) -> Document:
    """Either side."""
    return provider_document(job) if isinstance(job, ProviderJob) else buyer_document(job)


def list_document(jobs: list[Job]) -> Document:
    """`job list`."""
    rows: list[Document] = []
    for job in jobs:
        document = job_document(job)
        rows.append({
            "id": job.id, "role": role_of(job).value, "kind": job.request.kind, "status": job.state.value,
            "amount_msat": document["amount_msat"], "created_at": job.created_at, "prompt": document["prompt"], "own": job.own,
        })
    return {"jobs": rows}


def name_document(capabilities: Capabilities) -> Document:
    """Which wallet, and whether its sats are worth anything."""
    network = capabilities.network
    return {"backend": capabilities.name, "network": network, "simulated": capabilities.simulated, "no_value": network != "mainnet"}


def balance_document(capabilities: Capabilities, balance: Balance) -> Document:
    """`wallet balance`."""
    return {
        **name_document(capabilities),
        "spendable_msat": balance.spendable,
        "receivable_msat": balance.receivable,
        "pending_msat": balance.pending,
        "reserved_msat": balance.reserved,
        "closing_msat": balance.closing,
        "onchain_msat": balance.onchain,
    }


def wallet_document(capabilities: Capabilities, balance: Balance, health: Health) -> Document:
    """`wallet status`: the balance, and how the wallet is."""
    return {
        **balance_document(capabilities, balance),
        "health": {"state": health.state.value, "problem": health.problem, "hint": health.hint, "peers": list(health.peers)},
        "node_id": health.node_id or None,
        "height": health.height,
    }


def channel_document(channel: Channel) -> Document:
    """One Lightning channel."""
    return {
        "id": channel.id, "peer": channel.peer, "funding": channel.funding, "usable": channel.usable,
        "confirmations": channel.confirmations, "capacity_msat": channel.capacity, "spendable_msat": channel.spendable,
        "receivable_msat": channel.receivable, "reserved_msat": channel.reserved,
    }


def channels_document(capabilities: Capabilities, channels: Sequence[Channel]) -> Document:
    """`wallet channels`."""
    return {**name_document(capabilities), "channels": [channel_document(channel) for channel in channels]}
