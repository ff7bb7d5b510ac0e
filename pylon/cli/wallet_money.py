"""`pylon wallet history` and `limits`: what was paid, what may still be, and where the journal and the wallet do not agree."""

from __future__ import annotations

import datetime
import time
from typing import cast

import click

from pylon.cli.check import OK, WARN, Check
from pylon.cli.common import Context, command, err, json_option, out, pass_context, printable, show_json
from pylon.cli.identity import open_identity
from pylon.cli.node import Document, ask_once, read_ledger
from pylon.config import Home
from pylon.node import accounts
from pylon.node.accounts import WORDS
from pylon.node.allowance import Allowance, Left, limits_of
from pylon.node.differences import Difference
from pylon.node.figures import Purse
from pylon.node.journal import Payment
from pylon.node.ledger import Ledger
from pylon.units import Msat, count_of, show_sats

LIMIT = click.IntRange(min=0, max=1_000_000_000)


@click.command()
@click.option("-l", "--limit", type=LIMIT, default=10, show_default=True, help="How many to list; 0: all.")
@click.option("--secrets", is_flag=True, help="With --json: the preimage and the invoice of each, which together prove a payment.")
@json_option
@pass_context
@command
def history(context: Context, limit: int, secrets: bool, as_json: bool) -> int | None:
    """List payments, newest first."""
    context.config()
    secret = open_identity(context.home).wallet_secret() if secrets else None

    def read(ledger: Ledger) -> tuple[list[Payment], Document, Purse]:
        lines = ledger.history(limit or -1)
        document = accounts.history_document(lines, ledger.totals(), ledger.differences(), secrets=secrets)
        return lines, document, ledger.purse

    nothing: tuple[list[Payment], Document, Purse] = ([], accounts.history_document([]), Purse())
    lines, document, now = read_ledger(context.home, read, nothing, secret=secret)
    if as_json:
        show_json(document)
        return None
    if not lines:
        out.print("No payments yet.", markup=False)
    for line in lines:
        out.print(_line(line, now), markup=False)
    show_differences(cast("list[Document]", document["differences"]))
    return None


def _line(line: Payment, now: Purse) -> str:
    sign = "+" if line.direction == "in" else "-"
    at = datetime.datetime.fromtimestamp(line.settled_at or line.at).strftime("%Y-%m-%d %H:%M:%S")
    notes = ["self"] if line.own else []
    notes += [f"fee {line.fee} msat"] if line.fee else []
    notes += [] if Purse(line.wallet, line.network) == now else [f"{line.wallet}, {line.network}"]
    notes += [printable(line.trouble.message)[:80]] if line.trouble else []
    text = f"{at}  {sign}{show_sats(line.amount):<12} {WORDS[line.status]:<8} {printable(line.memo)[:80]}"
    return f"{text}  {'; '.join(notes)}".rstrip()


def read_differences(home: Home) -> list[Document]:
    """Where the journal and the wallet do not say the same, now."""
    nothing: list[Difference] = []
    found = read_ledger(home, lambda ledger: [one for one in ledger.differences() if one.gone_at is None], nothing)
    return [accounts.difference_document(one) for one in found]


def journal_check(home: Home) -> Check:
    """For `pylon doctor`: whether the journal agrees with the wallet."""
    found = read_differences(home)
    if not found:
        return Check("journal", OK, "agrees with the wallet")
    hint = "`pylon wallet history` shows them; was the wallet, or the home, restored from a copy, or is it used elsewhere?"
    return Check("journal", WARN, f"does not agree with the wallet about {count_of(len(found), 'payment')}", hint)


def show_differences(differences: list[Document]) -> None:
    """For people, on stderr: they must not be overlooked."""
    open_ones = [one for one in differences if one["gone_at"] is None]
    if open_ones:
        err.print(f"The journal and the wallet do not agree about {count_of(len(open_ones), 'payment')}:", markup=False)
    for one in open_ones:
        said = f"the journal says {one['journal'] or 'nothing'}, the wallet {one['wallet_says'] or 'nothing'}"
        err.print(f"  {one['direction']} {one['payment_hash']}: {one['kind']}: {said}", markup=False, soft_wrap=True)


@click.command()
@click.option("--reset", is_flag=True, help="Go on paying at once after too many failures in a row.")
@json_option
@pass_context
@command
def limits(context: Context, reset: bool, as_json: bool) -> int | None:
    """Show the limits of spending, and what is used of them."""
    rules = limits_of(context.config().wallet.limits)
    if reset:
        document = ask_once(context.home, "wallet.limits", {"reset": True})
    else:
        left = read_ledger(context.home, lambda ledger: Allowance(ledger, rules).left(time.time()), Left(rules))
        document = accounts.limits_document(left)
    if as_json:
        show_json(document)
        return None
    day, total, peer, job = (cast("Document", document[name]) for name in ("day", "total", "peer", "job"))
    out.print(f"Per job:   {_sats(job['limit_msat'])}", markup=False)
    out.print(f"Per peer:  {_sats(peer['limit_msat'])} in 24 hours", markup=False)
    for row in cast("list[Document]", peer["used"])[:10]:
        out.print(f"           {_sats(row['used_msat'])} to {row['peer']}", markup=False)
    out.print(f"Per day:   {_sats(day['limit_msat'])}, {_sats(day['used_msat'])} used in the last 24 hours", markup=False)
    out.print(f"In all:    {_sats(total['limit_msat'])}, {_sats(total['used_msat'])} used", markup=False)
    allow = cast("list[str]", document["allow"])
    out.print(f"May be paid: {'everybody' if not allow else ', '.join(allow)}", markup=False)
    out.print(_breaker(cast("Document", document["breaker"])), markup=False)
    return None


def _breaker(breaker: Document) -> str:
    """One line about the failures in a row."""
    if not breaker["failures"]:
        return "Failures:  never stop paying"
    rule = f"{breaker['failures']} in a row stop paying for {breaker['cool_down_s']:g} s"
    if breaker["paused_until"] is None:
        return f"Failures:  {breaker['failed']} in a row; {rule}"
    until = datetime.datetime.fromtimestamp(float(str(breaker["paused_until"]))).strftime("%H:%M:%S")
    return f"Failures:  {breaker['failed']} in a row: nothing is paid until {until}; `pylon wallet limits --reset` goes on at once"


def _sats(amount: object) -> str:
    return "no limit" if amount is None else show_sats(Msat(int(str(amount))))
