"""The fields of the JSON documents of commands, taken from documents that are made here: there is no list of names to keep up."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import to_builtins
from msgspec.structs import replace

from pylon.backends.base import Usage
from pylon.cli.infer import Answer
from pylon.cli.verdict import Run
from pylon.config import Config
from pylon.market.job import BuyerJob, Refusal, Trouble
from pylon.market.limits import Limits
from pylon.market.payment import Status
from pylon.node import accounts, documents
from pylon.node.allowance import Left
from pylon.node.differences import Difference, Kind
from pylon.node.figures import Purse, Total
from pylon.node.journal import Payment
from pylon.node.submission import SubmitArgs, draft_job, request_of
from pylon.nostr.keys import Keys
from pylon.rlm.plan import Lack, Report
from pylon.units import Msat
from pylon.wallets.base import Balance, Capabilities, Channel, Direction, Health, HealthState

NONE = Msat(0)
"""Every amount of these documents."""


def fields(path: str) -> list[str]:
    """The fields of the document of the command at `path` (`pylon job list`), with `.` and `[].` before those inside; none: not told."""
    make = {
        **dict.fromkeys(("pylon job submit", "pylon job status", "pylon job results", "pylon job pay", "pylon job cancel"), _job),
        "pylon job list": _jobs, "pylon rlm": _run, "pylon earnings": _earnings, "pylon infer": _answer,
        "pylon wallet status": _wallet, "pylon wallet channels": _channels,
        "pylon wallet balance": _balance, "pylon wallet fund": _balance, "pylon wallet history": _history,
        "pylon wallet limits": _limits,
    }.get(path)
    return list(_names(make())) if make else []


def _names(value: object, before: str = "") -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _names(inner, f"{before}.{name}" if before else str(name))
    elif isinstance(value, list) and value:
        yield from _names(value[0], f"{before}[]")
    else:
        yield before


def _draft() -> BuyerJob:
    asked = SubmitArgs("?")
    return draft_job(asked, request_of(asked, Config()), Keys(bytes(31) + b"\1"), max_fee=NONE, now=0.0)


def _job() -> documents.Document:
    trouble = Trouble("", "")
    return documents.buyer_document(replace(_draft(), trouble=trouble, refusals=(Refusal("", trouble),)))


def _jobs() -> documents.Document:
    return documents.list_document([_draft()])


def _payment() -> Payment:
    line = Payment(direction=Direction.OUT, payment_hash=b"", bolt11="", amount=NONE, status=Status.SETTLED, at=0.0)
    return replace(line, trouble=Trouble("", ""))


_DIFFERENCE = Difference(kind=Kind.FEE, direction=Direction.OUT, payment_hash=b"", journal="0", says="1")


def _limits() -> documents.Document:
    return accounts.limits_document(Left(Limits(), peers=[("", NONE)]))


def _earnings() -> documents.Document:
    return accounts.earnings_document(NONE, 1, [_payment()], [(Purse(), NONE, 1)])


def _history() -> documents.Document:
    return accounts.history_document([_payment()], [Total(Purse(), NONE, NONE, NONE, NONE, NONE, 1)], [_DIFFERENCE])


_ABLE = Capabilities(
    "", "", msat=False, choose_preimage=False, knows_preimage=False, hold=False, faucet=False, push_events=False, simulated=True
)


def _balance() -> documents.Document:
    return documents.balance_document(_ABLE, Balance(NONE, NONE, NONE))


def _wallet() -> documents.Document:
    return documents.wallet_document(_ABLE, Balance(NONE, NONE, NONE), Health(HealthState.OFF)) | {
        "earned_msat": 0, "earned_jobs": 0, "differences": [accounts.difference_document(_DIFFERENCE)],
    }


def _channels() -> documents.Document:
    return documents.channels_document(_ABLE, [Channel("", "", "", NONE, NONE, NONE, NONE, 0, usable=False)])


def _run() -> documents.Document:
    report = Report(answer="", pieces=1, answered=0, lacking=(Lack(0, "", ""),), spent=NONE, providers={"": 1}, notes=("",))
    return Run("", report, NONE, local=False).document()


def _answer() -> object:
    return to_builtins(Answer("", "", "", Usage(0, 0), ""))
