"""A node as it stands in a process: its real ledger, keys and tables, a wallet at the simulated bank, scripted answers, no relays."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from msgspec.structs import replace

from pylon.backends.registry import Backends
from pylon.config import BackendsConfig, Config
from pylon.errors import PylonError
from pylon.market.effects import AnyEffect, Pay
from pylon.market.job import BuyerJob, BuyerState, ProviderJob, Quote, Role
from pylon.market.terms import Terms
from pylon.node.ledger import Ledger, StoredEffect
from pylon.node.node import Node
from pylon.nostr.event import VerifiedEvent, sign
from pylon.nostr.keys import Identity, Keys
from pylon.nostr.nip90 import Input, Request, write_feedback, write_request, write_result
from pylon.relay.pool import Pool
from pylon.units import Msat
from pylon.wallets.base import Direction, Paid, PaymentState
from pylon.wallets.sim import SimWallet
from tests.market.scene import CUSTOMER, PROVIDER

SCRIPT = 'model = "scripted"\ndefault = "It is 4."\nslots = 2\n'


class Watched(SimWallet):
    """The simulated wallet, and what it was asked. `breaks`: what `pay` raises after it has paid; `spoilt`: before it has."""

    asked: list[str]
    breaks: PylonError | None = None
    spoilt: PylonError | None = None
    blind: PylonError | None = None
    """What the next `lookup` raises."""

    async def pay(self, bolt11: str, *, max_fee: Msat, key: bytes) -> Paid:
        """Pay as the bank does."""
        self.asked.append(bolt11)
        if self.spoilt is not None:
            raise self.spoilt
        paid = await super().pay(bolt11, max_fee=max_fee, key=key)
        if self.breaks is not None:
            raise self.breaks
        return paid

    async def lookup(self, payment_hash: bytes, direction: Direction) -> PaymentState:
        """Look up as the bank does."""
        if (error := self.blind) is not None:
            self.blind = None
            raise error
        return await super().lookup(payment_hash, direction)


def wallet(folder: Path, secret: bytes) -> Watched:
    """A wallet at the bank in `folder`."""
    opened = Watched.open(folder, secret, "regtest")
    opened.asked = []
    return opened


def node(folder: Path, *, capacity: int = 4, identity: Identity | None = None) -> Node:
    """A node whose ledger stands in `folder`; it performs nothing until it has a performer."""
    who = identity or Identity.generate()
    folder.mkdir(exist_ok=True)
    terms = Terms(
        pubkey=who.account(0).pubkey_hex, floor=Msat(1000), per_1k=Msat(0), require_payment=True, capacity=capacity, whole_sats=False
    )
    return Node(Config(), who, Ledger(folder / "ledger.sqlite3", secret=who.wallet_secret()), terms)


@asynccontextmanager
async def backends(folder: Path) -> AsyncIterator[Backends]:
    """The scripted backend."""
    (folder / "script.toml").write_text(SCRIPT, "utf-8")
    found = Backends()
    await found.start(BackendsConfig(use=["scripted"], script=str(folder / "script.toml")))
    try:
        yield found
    finally:
        await found.aclose()


@asynccontextmanager
async def no_relays(here: Node) -> AsyncIterator[Pool]:
    """A pool without relays: whatever is published finds none."""
    pool = Pool([], here.accounts, on_event=lambda sub, event, url: None, clock=time.time, rng=Random(1))
    try:
        yield pool
    finally:
        await pool.aclose()


def now() -> int:
    """The time of the node."""
    return int(time.time())


def asks(
    keys: Keys = CUSTOMER, *, provider: Keys | None = None, others: tuple[str, ...] = (), kind: int = 5050, age: int = 0, salt: int = 0
) -> VerifiedEvent:
    """A request: for anybody, encrypted for `provider`, or in clear for `others`."""
    asked = Request(
        kind=kind, inputs=(Input("What is 2+2?"),), bid=Msat(2000), providers=(provider.pubkey_hex,) if provider else others,
        encrypted=provider is not None, expiration=now() + 300,
    )
    encrypt = (lambda text: keys.encrypt(provider.pubkey, text)) if provider else None
    return sign(write_request(asked, created_at=now() - age, salt=salt.to_bytes(8), encrypt=encrypt), keys)


def posted(here: Node, *, provider: Keys | None = None, request: VerifiedEvent | None = None) -> BuyerJob:
    """A job that our buyer has posted."""
    request = request or asks(here.buyer_keys, provider=provider)
    job = BuyerJob(
        id=request.id, request=request, prompt="What is 2+2?", bid=Msat(2000), provider=provider.pubkey_hex if provider else "",
        encrypted=provider is not None, auto_pay=True, max_fee=Msat(10), created_at=time.time(), deadline=time.time() + 300,
        state=BuyerState.POSTED,
    )
    with here.ledger.transaction():
        here.ledger.put(job)
    return job


def paying(here: Node, bolt11: str, payment_hash: bytes, amount: int = 1000, *, request: VerifiedEvent | None = None) -> StoredEffect:
    """A job of ours that goes to pay that invoice of PROVIDER: the effect that does it."""
    job = posted(here, request=request)
    quote = Quote(PROVIDER.pubkey_hex, bolt11, Msat(amount), payment_hash, now() + 600, time.time())
    with here.ledger.transaction(full=True):
        (stored,) = here.ledger.put(
            replace(job, state=BuyerState.PAYING, quote=quote), [Pay(bolt11, payment_hash, Msat(amount), Msat(10))], now=time.time()
        )
    return stored


def offer(
    job: BuyerJob, bolt11: str, *, by: Keys = PROVIDER, amount: int = 1000, status: str = "payment-required", age: int = 0,
    request: VerifiedEvent | None = None,
) -> VerifiedEvent:
    """A provider's feedback with an invoice."""
    draft = write_feedback(request or job.request, status, created_at=now() - age, amount=Msat(amount), bolt11=bolt11, content="It is 5.")
    return sign(draft, by)


def result(job: BuyerJob, text: str = "It is 4.", *, by: Keys = PROVIDER, encrypted: bool = False, age: int = 0) -> VerifiedEvent:
    """A provider's result."""
    content = by.encrypt(bytes.fromhex(job.request.pubkey), text) if encrypted else text
    return sign(write_result(job.request, content, created_at=now() - age, model="tiny", encrypted=encrypted), by)


def buyer_job(here: Node, job_id: str) -> BuyerJob:
    """Our record of a request of ours."""
    job = here.job(Role.BUYER, job_id)
    assert isinstance(job, BuyerJob)
    return job


def provider_job(here: Node, job_id: str) -> ProviderJob | None:
    """Our record of a request that we serve."""
    job = here.job(Role.PROVIDER, job_id)
    assert job is None or isinstance(job, ProviderJob)
    return job


def todo(here: Node, kind: type[AnyEffect]) -> list[StoredEffect]:
    """The effects of one kind that are still to be done."""
    return [stored for stored in here.ledger.unfinished() if isinstance(stored.effect, kind)]
