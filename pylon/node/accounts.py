"""Money as commands show it: what was earned, every payment with all that its receipt says, what the limits of spending leave."""

from __future__ import annotations

from collections.abc import Sequence

from pylon.market.payment import Status
from pylon.node.allowance import Left
from pylon.node.differences import Difference
from pylon.node.documents import Document
from pylon.node.figures import FAUCET, Purse, Total
from pylon.node.journal import Payment
from pylon.units import Msat
from pylon.wallets.base import Direction


def earnings_document(total: Msat, jobs: int, recent: Sequence[Payment], wallets: Sequence[tuple[Purse, Msat, int]] = ()) -> Document:
    """`earnings`: of the wallet of now, and of each that this home has had."""
    return {
        "total_msat": total,
        "jobs": jobs,
        "recent": [
            {
                "job": p.job, "amount_msat": p.amount, "at": p.settled_at, "own": p.own, "customer": p.peer or None, "wallet": p.wallet,
                "network": p.network,
            }
            for p in recent
        ],
        "wallets": [
            {"wallet": purse.wallet, "network": purse.network, "total_msat": earned, "jobs": number} for purse, earned, number in wallets
        ],
    }


def payment_document(payment: Payment, *, secrets: bool = False) -> Document:
    """One line of the journal. Only with `secrets` the proof: the preimage, and the invoice that it proves the payment of."""
    # What came in without an invoice that the journal knows was paid over Lightning all the same: only sent coins have none.
    coins = payment.direction is Direction.OUT and not payment.bolt11
    # Money that came inside a new channel has no payment behind it.
    gift = payment.peer == FAUCET and not payment.sealed
    return {
        "id": f"{payment.direction}:{payment.payment_hash.hex()}",
        "direction": payment.direction.value,
        "status": payment.status.value,
        "amount_msat": payment.amount,
        "fee_msat": payment.fee,
        "max_fee_msat": payment.max_fee,
        "kind": "onchain" if coins else FAUCET if gift else "lightning",
        "payment_hash": None if coins or gift else payment.payment_hash.hex(),
        "txid": payment.payment_hash.hex() if coins and payment.settled_at is not None else None,
        "has_preimage": payment.sealed,
        "preimage": (payment.preimage.hex() or None) if secrets else None,
        "bolt11": payment.bolt11 if secrets else None,
        "peer": payment.peer or None,
        "job": payment.job or None,
        "memo": payment.memo,
        "at": payment.settled_at or payment.at,
        "begun_at": payment.at,
        "sent_at": payment.sent_at,
        "settled_at": payment.settled_at,
        "failed_at": payment.failed_at,
        "tries": payment.tries,
        "wallet": payment.wallet,
        "network": payment.network,
        "own": payment.own,
        "error": None if payment.trouble is None else {"code": payment.trouble.code, "message": payment.trouble.message},
    }


def history_document(
    payments: Sequence[Payment], totals: Sequence[Total] = (), differences: Sequence[Difference] = (), *, secrets: bool = False
) -> Document:
    """`wallet history`, of the lines of `Journal.history`; the totals are of all lines, each wallet and network by itself."""
    return {
        "payments": [payment_document(payment, secrets=secrets) for payment in payments],
        "totals": [
            {
                "wallet": t.purse.wallet, "network": t.purse.network, "received_msat": t.received, "sent_msat": t.sent, "fees_msat": t.fees,
                "under_way_msat": t.under_way, "own_msat": t.own, "payments": t.payments,
            }
            for t in totals
        ],
        "differences": [difference_document(difference) for difference in differences],
    }


def difference_document(difference: Difference) -> Document:
    """Where the journal and the wallet do not say the same. `gone_at`: since then they do again."""
    return {
        "kind": difference.kind.value, "direction": difference.direction.value, "payment_hash": difference.payment_hash.hex(),
        "journal": difference.journal or None, "wallet_says": difference.says or None, "wallet": difference.wallet,
        "network": difference.network, "seen_at": difference.seen_at, "gone_at": difference.gone_at,
    }


def limits_document(left: Left) -> Document:
    """`wallet limits`: each limit (null: none) and what is used of it now, fees and what is under way included."""
    limits = left.limits
    return {
        "wallet": left.purse.wallet,
        "network": left.purse.network,
        "job": {"limit_msat": limits.per_job or None},
        "peer": {
            "limit_msat": limits.per_peer or None, "used": [{"peer": peer, "used_msat": used} for peer, used in left.peers],
        },
        "day": _limit(limits.per_day, left.day),
        "total": _limit(limits.total, left.total),
        "allow": sorted(limits.allow),
        "breaker": {
            "failures": limits.failures, "cool_down_s": limits.cool_down, "failed": left.failed, "paused_until": left.paused_until,
        },
    }


def _limit(limit: Msat, used: Msat) -> Document:
    return {"limit_msat": limit or None, "used_msat": used, "left_msat": max(0, limit - used) if limit else None}


WORDS = {
    Status.INTENT: "begun", Status.SENT: "under way", Status.UNKNOWN: "not known yet", Status.SETTLED: "settled", Status.FAILED: "failed",
    Status.OPEN: "open", Status.CLOSED: "closed",
}
"""States for people."""
