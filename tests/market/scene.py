"""Whom and what the tests of the market speak of: a customer, providers, requests, invoices, and jobs in every state."""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from pylon import _native
from pylon.market import buyer, provider
from pylon.market.job import BuyerJob, BuyerState, ProviderJob, ProviderState, Quote, Refusal, Trouble
from pylon.market.prompt import Prompt
from pylon.market.signals import Quoted, Signal
from pylon.market.table import Step
from pylon.market.terms import Terms
from pylon.nostr.event import VerifiedEvent, sign
from pylon.nostr.keys import Keys
from pylon.nostr.nip90 import Input, Request, write_request
from pylon.units import Msat

NOW = 1_780_000_000
CUSTOMER = Keys(bytes.fromhex("01" * 32))
PROVIDER = Keys(bytes.fromhex("02" * 32))
OTHER = Keys(bytes.fromhex("03" * 32))
THIRD = Keys(bytes.fromhex("04" * 32))
A, B, C = PROVIDER.pubkey_hex, OTHER.pubkey_hex, THIRD.pubkey_hex
CURRENCY = "bcrt"
TERMS = Terms(pubkey=A, floor=Msat(1000), per_1k=Msat(0), require_payment=True, capacity=4, whole_sats=False)
TROUBLE = Trouble("SERVICE_UNAVAILABLE", "it is broken")


def request(*, encrypted: bool = False, salt: int = 0, at: int = NOW, prompt: str = "What is 2+2?") -> VerifiedEvent:
    """A request of the customer, for anybody or, encrypted, for PROVIDER."""
    asked = Request(
        kind=5050, inputs=(Input(prompt),), bid=Msat(2000), providers=(A,) if encrypted else (), encrypted=encrypted, expiration=at + 120
    )
    draft = write_request(
        asked, created_at=at, salt=salt.to_bytes(8), encrypt=(lambda text: CUSTOMER.encrypt(PROVIDER.pubkey, text)) if encrypted else None
    )
    return sign(draft, CUSTOMER)


def preimage(n: int) -> bytes:
    """The secret of invoice number `n`."""
    return n.to_bytes(32)


def payment_hash(n: int) -> bytes:
    """The payment hash of invoice number `n`."""
    return hashlib.sha256(preimage(n)).digest()


def invoice(
    n: int = 1, amount: int | None = 1000, *, currency: str = CURRENCY, at: int = NOW, expiry: int = 600, description: str = "pylon:"
) -> str:
    """A correctly signed BOLT11 invoice."""
    return _native.bolt11_encode(b"\x07" * 32, currency, amount, payment_hash(n), b"\x08" * 32, description, at, expiry, 18)


def quoted(by: str = A, n: int = 1, amount: int = 1000, *, at: int = NOW, expiry: int = 600, spent: bool = False) -> Quoted:
    """The offer of a provider."""
    return Quoted(by, invoice(n, amount, at=at, expiry=expiry), Msat(amount), spent)


def quote(by: str = A, n: int = 1, amount: int = 1000, *, expires_at: int = NOW + 600) -> Quote:
    """An offer that was found payable."""
    return Quote(by, invoice(n, amount, expiry=expires_at - NOW), Msat(amount), payment_hash(n), expires_at, NOW)


REQUEST = request()
SEALED = request(encrypted=True)


def sold(state: ProviderState, **changes: object) -> ProviderJob:
    """A provider's job as it looks in `state`, paid for 1,000 msat where money was asked."""
    job = ProviderJob(id=REQUEST.id, request=REQUEST, state=state, deadline=NOW + 120, created_at=NOW)
    if state not in (ProviderState.NEW, ProviderState.DECLINED):
        job = replace(job, prompt=Prompt("What is 2+2?"), price=Msat(1000))
    if state in (
        ProviderState.INVOICED, ProviderState.EXPIRED, ProviderState.RUNNING, ProviderState.ANSWERED, ProviderState.DELIVERED,
        ProviderState.OWING,
    ):
        job = replace(job, bolt11=invoice(), payment_hash=payment_hash(1), invoice_expires=NOW + 600)
    if state in (ProviderState.RUNNING, ProviderState.ANSWERED, ProviderState.DELIVERED, ProviderState.OWING):
        job = replace(job, paid_at=float(NOW), received=Msat(1000), preimage=preimage(1))
    if state in (ProviderState.ANSWERED, ProviderState.DELIVERED):
        job = replace(job, answer="4", model="tiny")
    return replace(job, **changes)


def bought(state: BuyerState, **changes: object) -> BuyerJob:
    """A buyer's open job as it looks in `state`; from `paying` on, provider A has the quote that is or was paid."""
    job = BuyerJob(
        id=REQUEST.id, request=REQUEST, prompt="What is 2+2?", bid=Msat(2000), auto_pay=True, max_fee=Msat(10), created_at=NOW,
        deadline=NOW + 120, state=state,
    )
    if state is not BuyerState.DRAFT:
        job = replace(job, posted_at=float(NOW))
    if state in (BuyerState.PAYING, BuyerState.UNSURE, BuyerState.PAID, BuyerState.DONE, BuyerState.LOST):
        job = replace(job, quote=quote())
    if state in (BuyerState.PAID, BuyerState.DONE, BuyerState.LOST):
        job = replace(job, paid_at=float(NOW), preimage=preimage(1))
    if state is BuyerState.DONE:
        job = replace(job, answer="4", answered_by=A, answered_at=float(NOW))
    if state is BuyerState.FAILED:
        job = replace(job, refusals=(Refusal(A, TROUBLE),), trouble=TROUBLE)
    return replace(job, **changes)


def sell(job: ProviderJob, signal: Signal, now: float = NOW, terms: Terms = TERMS) -> Step[ProviderJob]:
    """The provider's table."""
    return provider.advance(job, signal, terms, now)


def buy(job: BuyerJob, *signals: Signal, now: float = NOW) -> Step[BuyerJob]:
    """The buyer's table; of several signals the last step."""
    step = Step(job)
    for signal in signals:
        step = buyer.advance(step.job, signal, CURRENCY, now)
    return step
