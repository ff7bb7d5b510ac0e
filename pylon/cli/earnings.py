"""`pylon earnings`: what this provider earned, from settled payments only."""

from __future__ import annotations

import datetime

import click

from pylon.cli.common import Context, command, json_option, out, pass_context, show_json
from pylon.cli.node import read_ledger
from pylon.cli.options import COUNT
from pylon.node import accounts
from pylon.node.figures import Purse
from pylon.node.journal import Payment
from pylon.units import Msat, count_of, show_sats


@click.command()
@click.option("-l", "--limit", type=COUNT, default=10, show_default=True, help="How many recent ones to list.")
@json_option
@pass_context
@command
def earnings(context: Context, limit: int, as_json: bool) -> int | None:
    """Show what was earned by answering jobs."""
    context.config()
    nothing: tuple[tuple[Msat, int], list[Payment], list[tuple[Purse, Msat, int]], Purse] = ((Msat(0), 0), [], [], Purse())
    (total, jobs), recent, wallets, now = read_ledger(
        context.home, lambda ledger: (ledger.earnings(), ledger.earned(limit), ledger.earnings_by_wallet(), ledger.purse), nothing
    )
    if as_json:
        show_json(accounts.earnings_document(total, jobs, recent, wallets))
        return None
    out.print(f"Earned {show_sats(total)} by {count_of(jobs, 'job')}.", markup=False)
    for purse, earned, number in wallets:
        if purse != now:
            out.print(f"Before: {show_sats(earned)} by {count_of(number, 'job')} ({purse.wallet}, {purse.network}).", markup=False)
    for payment in recent:
        at = datetime.datetime.fromtimestamp(payment.settled_at or payment.at).strftime("%Y-%m-%d %H:%M:%S")
        own = "  self" if payment.own else ""
        own += "" if Purse(payment.wallet, payment.network) == now else f"  ({payment.wallet}, {payment.network})"
        out.print(f"{at}  {show_sats(payment.amount):>10}  job {payment.job[:12]}{own}", markup=False)
    return None
