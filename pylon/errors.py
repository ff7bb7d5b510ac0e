"""Every error that Pylon shows a person, with its stable code word and its exit status.

PylonError                 1   something is broken
├── UsageError             2   the command line is wrong
├── NotSetUp               3   no identity in this home
│   └── ConfigError        3   config.toml cannot be read
├── NoBackend              4   nothing here can answer
│   ├── NoModel            4   the model asked for is not here
│   ├── ContextOverflow    4   prompt and answer do not fit into the model
│   ├── BackendBusy        4   an engine is there and has no room now
│   └── BackendBroken      4   an engine went away, or answered nonsense
├── NoRelay                5   no relay could be reached
├── PaymentError           6   over budget, or the payment failed
│   ├── OverBudget         6   more than the bid or the budget allows
│   ├── InsufficientFunds  6   the wallet holds too little
│   ├── InvoiceRefused     6   an invoice that must not be paid
│   ├── OverLimit          6   more than [wallet.limits] allows
│   ├── PayeeNotAllowed    6   [wallet.limits] does not name the payee
│   ├── PaymentsPaused     6   too many payments in a row have failed
│   ├── WalletChanged      6   it was of a wallet that this home does not use any more
│   ├── PaymentFailed      6   the wallet says: no
│   │   └── NeverSent      6   the wallet has never heard of it
│   └── PaymentUnknown     6   the wallet does not know yet: look it up, never pay again
├── ProviderRefused        7   the provider refused or failed
├── TimedOut               8   time is up and nothing was paid
├── AnswerOwed             9   paid, the answer is still owed
└── PartialAnswer         10   an answer, but not of all the pieces
WireError                      bytes from a stranger that break a rule; never shown as it is, never fatal
├── InvalidEvent               an event whose form, id or signature is wrong
└── DecryptError               one error for every way a decryption can fail
"""

from __future__ import annotations


class PylonError(Exception):
    """A sentence for a person (`message`), what to do about it (`hint`), a stable word for programs (`code`)."""

    code = "error"
    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def file_error(error: OSError) -> PylonError:
    """What the system refuses (a read-only folder, a full disk), as a sentence that names the file."""
    what = f"{error.filename} cannot be used" if error.filename else "the system refuses"
    return PylonError(
        f"{what}: {error.strerror or error}", hint="look at its permissions and at the free space there" if error.filename else ""
    )


class UsageError(PylonError):
    """The command line is wrong."""

    code = "usage"
    exit_status = 2


class NotSetUp(PylonError):
    """This home has no identity, or one that cannot be read."""

    code = "not_set_up"
    exit_status = 3


class ConfigError(NotSetUp):
    """config.toml cannot be read; the message names the line and the key."""

    code = "config"


class NoBackend(PylonError):
    """No backend answers."""

    code = "no_backend"
    exit_status = 4


class NoModel(NoBackend):
    """No backend has the model asked for."""

    code = "no_model"


class ContextOverflow(NoBackend):
    """The prompt and the answer do not fit into the model's context."""

    code = "context_overflow"


class BackendBusy(NoBackend):
    """The backend is there and has no room now (429, 503): ask again later or elsewhere. `after_s`: not before, where it says so."""

    code = "backend_busy"
    after_s = 0.0


class BackendBroken(NoBackend):
    """The backend went away, or answered nonsense, perhaps in the middle of an answer."""

    code = "backend_broken"


class NoRelay(PylonError):
    """No relay could be reached, or none accepted the event."""

    code = "no_relay"
    exit_status = 5


class PaymentError(PylonError):
    """Something about money."""

    code = "payment"
    exit_status = 6


class OverBudget(PaymentError):
    """More is asked than the bid or what is left of the budget."""

    code = "over_budget"


class InsufficientFunds(PaymentError):
    """The wallet holds too little."""

    code = "insufficient_funds"


class InvoiceRefused(PaymentError):
    """An invoice that must not be paid; the message says why."""

    code = "invoice_refused"


class OverLimit(PaymentError):
    """More is asked than the limits of spending leave."""

    code = "over_limit"


class PayeeNotAllowed(PaymentError):
    """The limits of spending name those who may be paid, and this one is not among them."""

    code = "payee_not_allowed"


class PaymentsPaused(PaymentError):
    """So many payments in a row have failed that none is begun for a while."""

    code = "payments_paused"


class PaymentFailed(PaymentError):
    """The wallet's final no: nothing left the wallet."""

    code = "payment_failed"


class NeverSent(PaymentFailed):
    """The wallet has never heard of the payment, so nothing left it; to pay the same invoice again is safe."""

    code = "never_sent"


class WalletChanged(PaymentError):
    """What was begun with the wallet of before has ended with it."""

    code = "wallet_changed"


class PaymentUnknown(PaymentError):
    """The wallet does not know yet. It must be looked up; paying again is forbidden."""

    code = "payment_unknown"


class ProviderRefused(PylonError):
    """The provider refused the job or failed at it."""

    code = "provider_refused"
    exit_status = 7


class TimedOut(PylonError):
    """Time is up; nothing was paid."""

    code = "timed_out"
    exit_status = 8


class AnswerOwed(PylonError):
    """Paid, and the answer has not come yet."""

    code = "answer_owed"
    exit_status = 9


class PartialAnswer(PylonError):
    """An answer made of some of the pieces only."""

    code = "partial_answer"
    exit_status = 10


class WireError(Exception):
    """Bytes from a stranger that break a rule."""


class InvalidEvent(WireError):
    """An event whose form, id or signature is wrong; the text carries the NIP-01 prefix `invalid: `."""


class DecryptError(WireError):
    """Decryption failed. There is one message for all causes, so that nothing leaks (NIP-44)."""

    def __init__(self) -> None:
        super().__init__("cannot decrypt")
