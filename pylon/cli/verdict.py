"""What became of a recursive query, as a document and as an exit status."""

from __future__ import annotations

from collections import Counter

import msgspec

from pylon.errors import (
    AnswerOwed,
    ContextOverflow,
    InsufficientFunds,
    NoBackend,
    NoRelay,
    OverBudget,
    PartialAnswer,
    PaymentError,
    ProviderRefused,
    PylonError,
    TimedOut,
)
from pylon.rlm.plan import Report
from pylon.units import Msat, count_of


class Run(msgspec.Struct, frozen=True):
    """A run that has ended. `budget` is msat; `local`: nothing was asked of anybody else."""

    run: str
    report: Report
    budget: Msat
    local: bool

    def document(self) -> dict[str, object]:
        """The JSON document of `rlm`."""
        report = self.report
        return {
            "run": self.run,
            "answer": report.answer or None,
            "coverage": {"pieces": report.pieces, "answered": report.answered},
            "spent_msat": report.spent,
            "budget_msat": self.budget,
            "providers": [{"provider": name, "pieces": count} for name, count in sorted(report.providers.items())],
            "lacking": [{"piece": lack.piece, "reason": lack.reason, "message": lack.message} for lack in report.lacking],
            "notes": list(report.notes),
        }


def verdict(outcome: Run) -> PylonError | None:
    """None for a whole answer, PartialAnswer for some of it; for none at all, the commonest reason why."""
    report = outcome.report
    if report.answered == report.pieces:
        return None
    if report.answered:
        return PartialAnswer(f"the answer stands on {report.answered} of {count_of(report.pieces, 'piece')}", hint=_advice(report))
    reasons = Counter(lack.reason for lack in report.lacking)
    reason = reasons.most_common(1)[0][0] if reasons else ""
    message = next((lack.message for lack in report.lacking if lack.reason == reason), "nobody answered")
    if outcome.local:
        return NoBackend(f"no piece was answered: {message}")
    match reason:
        case "budget" | "price":
            return OverBudget(f"no piece was answered: {message}", hint="raise it with --budget")
        case "money":
            error = InsufficientFunds if "holds" in message else PaymentError
            return error(f"no piece was answered: {message}", hint="`pylon wallet fund` fills the wallet")
        case "unreachable":
            return NoRelay(f"no piece was answered: {message}", hint="`pylon doctor` looks at the relays")
        case "overflow":
            return ContextOverflow(f"no piece was answered: {message}", hint="try a smaller --chunk-size")
        case "gone":
            hint = "look at `pylon job list` and `pylon wallet history` before you try again"
            return PylonError(f"no piece was answered: {message}", hint=hint)
        case "silent" | "time" | "busy":
            if report.spent:
                return AnswerOwed("paid, and no answer came in time", hint="`pylon job list` shows the jobs that are owed")
            return TimedOut("no answer in time, and nothing was paid", hint="is there a provider? try a longer --timeout")
        case _:
            return ProviderRefused(f"no piece was answered: {message}")


def _advice(report: Report) -> str:
    reasons = {lack.reason for lack in report.lacking}
    if reasons & {"budget", "price"} or any("budget" in lack.message for lack in report.lacking):
        return "a larger --budget buys more"
    if "overflow" in reasons:
        return "a smaller --chunk-size may help"
    return "a longer --timeout may help" if reasons & {"silent", "time", "busy"} else ""
