"""The documents of the commands: fields that programs rely on, in every state of a job."""

from __future__ import annotations

import msgspec
import orjson
import pytest
from msgspec.structs import replace

from pylon.market.job import BuyerState, ProviderState, Refusal
from pylon.market.payment import Status
from pylon.node import accounts, documents
from pylon.node.journal import Payment
from pylon.units import Msat
from pylon.wallets.base import Balance, Direction
from pylon.wallets.sim import CAPABILITIES
from tests.market.scene import NOW, TROUBLE, A, B, bought, invoice, payment_hash, quote, sold

SUBMIT = {"id", "kind", "status", "answer", "model", "provider", "amount_msat", "fee_msat", "total_ms", "legs_ms"}
LIST = {"id", "role", "kind", "status", "amount_msat", "created_at"}


@pytest.mark.parametrize("state", list(BuyerState))
def test_a_bought_job(state: BuyerState) -> None:
    """Every field is there in every state; an answer only where the job is done, an amount only where it was paid."""
    document = documents.buyer_document(bought(state))
    assert set(document) >= SUBMIT | LIST
    assert document["status"] == state.value
    assert (document["answer"] is not None) is (state is BuyerState.DONE)
    paid = state in (BuyerState.PAID, BuyerState.DONE, BuyerState.LOST)
    assert document["amount_msat"] == (1000 if paid else None)
    orjson.dumps(document)


@pytest.mark.parametrize("state", list(ProviderState))
def test_a_sold_job(state: ProviderState) -> None:
    """The same on the other side; what was received counts, not what was asked."""
    job = sold(state)
    document = documents.provider_document(job)
    assert set(document) >= LIST
    assert document["amount_msat"] == (1000 if job.paid else None)
    (row,) = msgspec.convert(documents.list_document([job])["jobs"], list[dict[str, object]])
    assert set(row) >= LIST
    orjson.dumps(document)


def test_a_free_answer_cost_nothing() -> None:
    """amount_msat is 0, not null, for a job that is done without payment."""
    free = replace(bought(BuyerState.DONE), quote=None, paid_at=None)
    assert documents.buyer_document(free)["amount_msat"] == 0


def test_legs_are_durations() -> None:
    """posted, quoted, paid, answered add up to the whole; a leg that was not walked is null, and so is the whole without an end."""
    job = bought(BuyerState.DONE, posted_at=NOW + 0.25, paid_at=NOW + 1.5, answered_at=NOW + 4.0, quote=replace(quote(), at=NOW + 1.0))
    document = documents.buyer_document(job)
    assert document["legs_ms"] == {"posted": 250.0, "quoted": 750.0, "paid": 500.0, "answered": 2500.0}
    assert document["total_ms"] == 4000.0
    waiting = documents.buyer_document(bought(BuyerState.POSTED))
    assert waiting["legs_ms"] == {"posted": 0.0, "quoted": None, "paid": None, "answered": None}
    assert waiting["total_ms"] is None
    back = documents.buyer_document(replace(job, paid_at=NOW - 5.0))  # the clock was set back
    assert min(msgspec.convert(back["legs_ms"], dict[str, float]).values()) >= 0


def test_quotes_and_refusals() -> None:
    """The oldest quote that waits is shown, and every refusal with its reason."""
    job = bought(BuyerState.POSTED, quotes=(quote(B, 2, 1500), quote(A)), refusals=(Refusal(A, TROUBLE),))
    document = documents.buyer_document(job)
    assert (document["quote_msat"], document["provider"], document["amount_msat"]) == (1500, B, None)
    assert document["refusals"] == [{"provider": A, "code": TROUBLE.code, "message": TROUBLE.message}]
    failed = documents.buyer_document(bought(BuyerState.FAILED))
    assert failed["trouble"] == {"code": TROUBLE.code, "message": TROUBLE.message}


def test_a_long_prompt_is_not_repeated() -> None:
    """200 characters of it, whole ones (ancestor: defect 10)."""
    assert documents.buyer_document(bought(BuyerState.POSTED, prompt="😀" * 1000))["prompt"] == "😀" * 200


def test_money() -> None:
    """earnings, wallet history and wallet balance."""
    paid = Payment(
        direction=Direction.IN, payment_hash=payment_hash(1), bolt11=invoice(), amount=Msat(1000), status=Status.SETTLED, at=NOW,
        settled_at=NOW + 1.0, memo="pylon:x", job="x", own=True,
    )
    out = replace(paid, direction=Direction.OUT, status=Status.FAILED, settled_at=None, job="", own=False)
    earned = accounts.earnings_document(Msat(1000), 1, [paid])
    assert earned == {"total_msat": 1000, "jobs": 1, "wallets": [], "recent": [{
        "job": "x", "amount_msat": 1000, "at": NOW + 1.0, "own": True, "customer": None, "wallet": "", "network": "",
    }]}
    history = accounts.history_document([paid, out])
    rows = msgspec.convert(history["payments"], list[dict[str, object]])
    assert [(row["direction"], row["status"], row["at"], row["job"]) for row in rows] == [
        ("in", "settled", NOW + 1.0, "x"), ("out", "failed", NOW, None),
    ]
    balance = documents.balance_document(CAPABILITIES, Balance(Msat(1), Msat(2), Msat(3)))
    assert balance == {
        "backend": "sim", "network": "regtest", "simulated": True, "no_value": True, "spendable_msat": 1, "receivable_msat": 2,
        "pending_msat": 3, "reserved_msat": 0, "closing_msat": 0, "onchain_msat": 0,
    }
