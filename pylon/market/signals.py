"""What can happen to a job. Signals are facts that have been checked: signature, author, form; the tables decide what follows."""

from __future__ import annotations

import msgspec

from pylon.market.job import Trouble
from pylon.market.prompt import Prompt
from pylon.units import Msat


class Signal(msgspec.Struct, frozen=True):
    """The base of all signals."""


# To a provider's job.


class Accepted(Signal, frozen=True):
    """We will serve it for `price` (msat); 0 means free."""

    prompt: Prompt
    price: Msat


class Declined(Signal, frozen=True):
    """We will not serve it; `trouble.code` is a code of nip90."""

    trouble: Trouble


class Invoiced(Signal, frozen=True):
    """The wallet made the invoice."""

    bolt11: str
    payment_hash: bytes
    amount: Msat
    expires_at: int


class InvoiceFailed(Signal, frozen=True):
    """The wallet could not make an invoice."""

    trouble: Trouble


class Settled(Signal, frozen=True):
    """Our invoice is paid: the wallet's own word, or the journal's where we paid ourselves (`own`)."""

    amount: Msat
    preimage: bytes = b""
    own: bool = False


class Generated(Signal, frozen=True):
    """The model has answered in full."""

    text: str
    model: str
    completion_tokens: int


class GenerateFailed(Signal, frozen=True):
    """The model did not answer. `again` says whether another try can help."""

    trouble: Trouble
    again: bool


class Delivered(Signal, frozen=True):
    """A relay has accepted the result."""


class Cancelled(Signal, frozen=True):
    """The customer deleted the request (kind 5)."""


class Expired(Signal, frozen=True):
    """The invoice can no longer be paid."""


class Repeated(Signal, frozen=True):
    """The same request came again (the customer, or a relay, did not get our answer)."""


# To a buyer's job.


class Posted(Signal, frozen=True):
    """A relay has accepted the request."""


class NotPosted(Signal, frozen=True):
    """No relay took the request."""

    trouble: Trouble


class Quoted(Signal, frozen=True):
    """Feedback `payment-required`. `tag` is the amount tag (msat, None where it is not a number); `spent_before` says that the journal
    knows a payment to this payment hash."""

    provider: str
    bolt11: str
    tag: Msat | None
    spent_before: bool


class PayOrdered(Signal, frozen=True):
    """The person says: pay the best quote."""


class Paid(Signal, frozen=True):
    """The wallet's yes."""

    preimage: bytes
    fee: Msat
    own: bool = False


class PayFailed(Signal, frozen=True):
    """The wallet's final no; nothing left the wallet."""

    trouble: Trouble


class PayUnknown(Signal, frozen=True):
    """The wallet does not know."""

    trouble: Trouble


class Refused(Signal, frozen=True):
    """Feedback `error`."""

    provider: str
    trouble: Trouble


class Working(Signal, frozen=True):
    """Feedback `processing`: a provider computes without having asked for money."""

    provider: str


class Answered(Signal, frozen=True):
    """A result, decrypted where it had to be."""

    provider: str
    text: str
    model: str


class Withdrawn(Signal, frozen=True):
    """The person cancels."""


# To both.


class Woke(Signal, frozen=True):
    """A time that `Wake` asked for has come; the table looks at the clock it is given."""
