"""What became of a job, for people and as an exit status."""

from __future__ import annotations

from pylon.cli.node import Document
from pylon.errors import (
    AnswerOwed,
    InsufficientFunds,
    InvoiceRefused,
    NeverSent,
    NoRelay,
    OverBudget,
    OverLimit,
    PayeeNotAllowed,
    PaymentError,
    PaymentFailed,
    PaymentsPaused,
    ProviderRefused,
    PylonError,
    TimedOut,
    WalletChanged,
)
from pylon.units import Msat, show_sats

MONEY: dict[str, type[PaymentError]] = {
    error.code: error
    for error in (
        PaymentError, OverBudget, InsufficientFunds, InvoiceRefused, PaymentFailed, OverLimit, PayeeNotAllowed, PaymentsPaused,
        NeverSent, WalletChanged,
    )
}

HINTS = {
    InsufficientFunds.code: "`pylon wallet fund`, or `pylon wallet invoice`, fills the wallet",
    OverLimit.code: "`pylon wallet limits` shows them",
    PayeeNotAllowed.code: "`allow` in [wallet.limits] of config.toml names those who may be paid",
    PaymentsPaused.code: "`pylon wallet history` shows what failed, `pylon wallet limits --reset` goes on at once",
}


def error_of(document: Document, *, waited: bool = False) -> PylonError | None:
    """The error that a job's state means, or None. `waited`: the answer was waited for, so a job without one is an error too."""
    state, job_id = str(document["status"]), str(document["id"])
    trouble = document["trouble"]
    code, message = (str(trouble["code"]), str(trouble["message"])) if isinstance(trouble, dict) else ("", "")
    legs = document["legs_ms"] if isinstance(document["legs_ms"], dict) else {}
    collect = f"`pylon job results {job_id[:12]}` collects it when it comes"
    match state:
        case "done":
            return None
        case "failed":
            if code in MONEY:
                hint = HINTS.get(code, "")
                return MONEY[code](f"nothing was paid: {message}", hint=hint)
            return ProviderRefused(f"refused by the provider: {message} ({code})", hint=_try_hint(message))
        case "expired" if legs.get("posted") is None:
            return NoRelay("no relay has taken the job in time, and nothing was paid", hint="`pylon doctor` looks at the relays")
        case "expired":
            return TimedOut("no answer in time, and nothing was paid", hint="is there a provider? try a longer --timeout")
        case "withdrawn":
            if code == NoRelay.code:
                return NoRelay(f"the job was not posted: {message}", hint="`pylon doctor` looks at the relays")
            if document["amount_msat"]:
                return AnswerOwed("the job was withdrawn after it was paid, and no answer came", hint=collect)
            return PylonError("the job was withdrawn")
        case "lost":
            why = f": {message}" if message else ""
            return AnswerOwed(f"paid, and the answer is owed{why}", hint=collect)
        case "unsure" | "paying" if waited:
            return AnswerOwed("whether the payment went through is not known yet; do not pay again", hint=collect)
        case "paid" if waited:
            return AnswerOwed("paid, and the answer has not come yet", hint=collect)
        case _ if waited:
            if document["quote_msat"] is not None:
                return TimedOut("the job is not paid", hint=f"`pylon job pay {job_id[:12]}` pays it")
            return TimedOut("no answer yet, and nothing was paid", hint=collect)
        case _:
            return None


def _try_hint(message: str) -> str:
    return "raise it with --bid" if "bid" in message else ""


def summary(document: Document) -> str:
    """One line: sats, provider, milliseconds."""
    amount = Msat(int(str(document["amount_msat"] or 0)))
    fee = int(str(document["fee_msat"] or 0))
    legs = document["legs_ms"]
    walked = ", ".join(f"{name} {ms}" for name, ms in legs.items() if ms is not None) if isinstance(legs, dict) else ""
    paid = f"{show_sats(amount)}" + (f" + {fee} msat fee" if fee else "") if amount else "free"
    own = " (to ourselves)" if document["own"] else ""
    model = f" · {document['model']}" if document["model"] else ""
    return f"{paid}{own} · provider {document['provider']}{model} · {document['total_ms']} ms ({walked})"
