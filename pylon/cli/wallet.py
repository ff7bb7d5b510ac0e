"""`pylon wallet`: balance, faucet, invoices, payments, history; through the node of this home."""

from __future__ import annotations

import datetime

import click

from pylon.cli.common import Context, command, json_option, out, pass_context, printable, show_json
from pylon.cli.identity import open_identity
from pylon.cli.node import Document, ask, ask_once, read_ledger
from pylon.cli.options import COUNT, SATS
from pylon.node import documents
from pylon.node.journal import Payment
from pylon.units import Msat, count_of, show_sats

FUND_SATS = 100_000
SIMULATED = "simulated: this is not Lightning, these sats have no value"


@click.group()
def wallet() -> None:
    """The wallet."""


def _show_balance(document: Document) -> None:
    note = f"  ({SIMULATED})" if document["simulated"] else ""
    out.print(f"Wallet:     {document['backend']}, {document['network']}{note}", markup=False)
    out.print(f"Spendable:  {_sats(document, 'spendable_msat')}", markup=False)
    out.print(f"Receivable: {_sats(document, 'receivable_msat')}", markup=False)
    if document["pending_msat"]:
        out.print(f"Pending:    {_sats(document, 'pending_msat')}", markup=False)


def _sats(document: Document, name: str) -> str:
    return show_sats(Msat(int(str(document[name]))))


@wallet.command()
@click.argument("sats", type=SATS, default=FUND_SATS)
@json_option
@pass_context
@command
def fund(context: Context, sats: int, as_json: bool) -> int | None:
    """Get SATS from the faucet of the test network (100,000 without an argument): no login, no network."""
    context.config()
    document = ask_once(context.home, "wallet.fund", {"sats": sats})
    if as_json:
        show_json(document)
        return None
    out.print(f"The faucet gave {show_sats(Msat(sats * 1000))}.", markup=False)
    _show_balance(document)
    return None


@wallet.command()
@json_option
@pass_context
@command
def balance(context: Context, as_json: bool) -> int | None:
    """Show what can be spent and received."""
    context.config()
    document = ask(context.home, "wallet.balance")
    if as_json:
        show_json(document)
    else:
        _show_balance(document)
    return None


@wallet.command()
@json_option
@pass_context
@command
def status(context: Context, as_json: bool) -> int | None:
    """Show which wallet this is, its balance, and what it earned."""
    context.config()
    document = ask(context.home, "wallet.balance")
    total, jobs = read_ledger(context.home, lambda ledger: ledger.earnings(), (Msat(0), 0))
    document |= {"earned_msat": total, "earned_jobs": jobs}
    if as_json:
        show_json(document)
        return None
    _show_balance(document)
    out.print(f"Earned:     {show_sats(total)} by {count_of(jobs, 'job')}", markup=False)
    return None


@wallet.command()
@click.argument("sats", type=SATS)
@click.option("-d", "--description", default="", metavar="TEXT", help="What it is for; stands in the invoice.")
@json_option
@pass_context
@command
def invoice(context: Context, sats: int, description: str, as_json: bool) -> int | None:
    """Make an invoice (BOLT11) for SATS."""
    context.config()
    document = ask_once(context.home, "wallet.invoice", {"sats": sats, "memo": description})
    if as_json:
        show_json(document)
        return None
    out.print(str(document["bolt11"]), markup=False)
    return None


@wallet.command()
@click.argument("invoice")
@json_option
@pass_context
@command
def pay(context: Context, invoice: str, as_json: bool) -> int | None:
    """Pay an invoice (BOLT11)."""
    context.config()
    document = ask_once(context.home, "wallet.pay", {"invoice": invoice})
    if as_json:
        show_json(document)
        return None
    out.print(f"Paid {_sats(document, 'amount_msat')} (fee {document['fee_msat']} msat).", markup=False)
    return None


@wallet.command()
@click.option("-l", "--limit", type=COUNT, default=10, show_default=True, help="How many to list.")
@json_option
@pass_context
@command
def history(context: Context, limit: int, as_json: bool) -> int | None:
    """List payments, newest first."""
    context.config()
    payments: list[Payment] = read_ledger(context.home, lambda ledger: ledger.history(limit), [])
    document = documents.history_document(payments)
    if as_json:
        show_json(document)
        return None
    rows = document["payments"]
    if not isinstance(rows, list) or not rows:
        out.print("No payments yet.", markup=False)
        return None
    for row in rows:
        sign = "+" if row["direction"] == "in" else "-"
        at = datetime.datetime.fromtimestamp(row["at"]).strftime("%Y-%m-%d %H:%M:%S")
        own = "  self" if row["own"] else ""
        amount = f"{sign}{show_sats(Msat(row['amount_msat']))}"
        out.print(f"{at}  {amount:<13} {row['status']:<8} {printable(row['memo'])[:80]}{own}", markup=False)
    return None


@wallet.command()
@json_option
@pass_context
@command
def whoami(context: Context, as_json: bool) -> int | None:
    """Show the public keys of this home: account 0 sells, account 1 buys."""
    context.config()
    identity = open_identity(context.home)
    seller, buyer = identity.account(0), identity.account(1)
    if as_json:
        show_json({"npub": seller.npub, "pubkey": seller.pubkey_hex, "buyer_npub": buyer.npub, "buyer_pubkey": buyer.pubkey_hex})
        return None
    out.print(f"Seller: {seller.npub}\n        {seller.pubkey_hex}\nBuyer:  {buyer.npub}\n        {buyer.pubkey_hex}", markup=False)
    return None
