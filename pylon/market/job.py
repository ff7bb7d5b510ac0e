"""The records of a job, on each side of the market, and the states they pass through.

A record is a value: `advance` (in `provider` and `buyer`) makes a new one. Times are Unix seconds (floats where a leg is measured),
money is msat, ids are whole. The ledger keeps them by (role, id), since one home may be both sides of the same job.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from pylon.market.prompt import Prompt
from pylon.nostr.event import VerifiedEvent
from pylon.units import Msat


class Role(StrEnum):
    """The side of a job that a record belongs to."""

    BUYER = "buyer"
    PROVIDER = "provider"


class ProviderState(StrEnum):
    """See the table in `provider`."""

    NEW = "new"
    OFFERED = "offered"
    INVOICED = "invoiced"
    RUNNING = "running"
    ANSWERED = "answered"
    DELIVERED = "delivered"
    DECLINED = "declined"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    OWING = "owing"


class BuyerState(StrEnum):
    """See the table in `buyer`."""

    DRAFT = "draft"
    POSTED = "posted"
    PAYING = "paying"
    UNSURE = "unsure"
    PAID = "paid"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    LOST = "lost"


PROVIDER_ENDED = frozenset(
    {ProviderState.DELIVERED, ProviderState.DECLINED, ProviderState.FAILED, ProviderState.EXPIRED, ProviderState.CANCELLED}
)
BUYER_ENDED = frozenset({BuyerState.DONE, BuyerState.FAILED, BuyerState.EXPIRED, BuyerState.WITHDRAWN, BuyerState.LOST})


class Trouble(msgspec.Struct, frozen=True):
    """Why something did not work: a word (an error code of nip90, or of pylon.errors) and a sentence."""

    code: str
    message: str


class ProviderJob(msgspec.Struct, frozen=True, kw_only=True):
    """A request that we serve. `price` is what we ask; `received` what was really settled."""

    id: str
    request: VerifiedEvent
    state: ProviderState = ProviderState.NEW
    prompt: Prompt = Prompt("")
    encrypted: bool = False
    price: Msat = Msat(0)
    deadline: int
    bolt11: str = ""
    payment_hash: bytes = b""
    invoice_expires: int = 0
    paid_at: float | None = None
    received: Msat = Msat(0)
    own: bool = False
    """Paid by our own account 1, inside the journal."""
    preimage: bytes = b""
    attempts: int = 0
    answer: str = ""
    model: str = ""
    completion_tokens: int = 0
    trouble: Trouble | None = None
    created_at: float

    @property
    def paid(self) -> bool:
        """Money was taken for this job."""
        return self.paid_at is not None

    @property
    def ended(self) -> bool:
        """Nothing more happens by itself."""
        return self.state in PROVIDER_ENDED


class Quote(msgspec.Struct, frozen=True):
    """An invoice that may be paid: it passed `spend.vet`. `at` is when it came."""

    provider: str
    bolt11: str
    amount: Msat
    payment_hash: bytes
    expires_at: int
    at: float


class Refusal(msgspec.Struct, frozen=True):
    """A provider that is out of the running, by its own word or because its invoice must not be paid."""

    provider: str
    trouble: Trouble


class BuyerJob(msgspec.Struct, frozen=True, kw_only=True):
    """A request of ours. `provider` is the one it is sent to, empty for an open job."""

    id: str
    request: VerifiedEvent
    prompt: str
    model: str = ""
    bid: Msat
    provider: str = ""
    encrypted: bool = False
    avoid: tuple[str, ...] = ()
    """Providers of an open job whose offers and answers are not taken."""
    auto_pay: bool
    urls: tuple[str, ...] = ()
    """Relays named for this job; empty: all of the node's."""
    max_fee: Msat
    created_at: float
    deadline: float
    state: BuyerState = BuyerState.DRAFT
    quotes: tuple[Quote, ...] = ()
    """Acceptable quotes that wait, oldest first."""
    quote: Quote | None = None
    """The one that is being, or was, paid."""
    refusals: tuple[Refusal, ...] = ()
    working: tuple[str, ...] = ()
    """Providers that said `processing`."""
    withdrawn: bool = False
    """The person cancelled while a payment was on its way: if it fails, nothing more is paid."""
    posted_at: float | None = None
    paid_at: float | None = None
    answered_at: float | None = None
    fee: Msat = Msat(0)
    own: bool = False
    preimage: bytes = b""
    answer: str | None = None
    answered_by: str = ""
    answer_model: str = ""
    trouble: Trouble | None = None

    @property
    def paid(self) -> bool:
        """The wallet said yes."""
        return self.paid_at is not None

    @property
    def ended(self) -> bool:
        """Nothing more happens by itself (a late result may still come for a paid job)."""
        return self.state in BUYER_ENDED


Job = ProviderJob | BuyerJob
