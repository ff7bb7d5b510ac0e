"""`pylon wallet`: balance, faucet, invoices, payments, history; through the node of this home."""

from __future__ import annotations

import click

from pylon.cli.common import Context, command, json_option, out, pass_context, printable, show_json
from pylon.cli.identity import open_identity
from pylon.cli.node import Document, ask, ask_once, read_ledger
from pylon.cli.options import SATS
from pylon.cli.qr import no_qr_in_json, qr_option, show_qr
from pylon.cli.wallet_backup import backup, restore
from pylon.cli.wallet_money import history, limits, read_differences, show_differences
from pylon.cli.wallet_node import address, channels, send_onchain
from pylon.cli.worth import name, sats_of
from pylon.units import Msat, count_of, show_sats

FUND_SATS = 100_000
LINK = "lightning:"
"""What wallets put before an invoice that is to be clicked or scanned."""
PARTS = {"pending_msat": "Pending:   ", "reserved_msat": "Reserved:  ", "closing_msat": "Closing:   ", "onchain_msat": "On chain:  "}
"""What is shown where there is something of it."""


@click.group()
def wallet() -> None:
    """The wallet."""


for part in (history, limits, channels, address, send_onchain, backup, restore):
    wallet.add_command(part)


def _show_balance(document: Document) -> None:
    out.print(name(document), markup=False)
    out.print(f"Spendable:  {sats_of(document, 'spendable_msat')}", markup=False)
    out.print(f"Receivable: {sats_of(document, 'receivable_msat')}", markup=False)
    for field, label in PARTS.items():
        if document[field]:
            out.print(f"{label} {sats_of(document, field)}", markup=False)


@wallet.command()
@click.argument("sats", type=SATS, default=FUND_SATS)
@json_option
@pass_context
@command
def fund(context: Context, sats: int, as_json: bool) -> int | None:
    """Get SATS without value from a faucet, 100,000 if no number is given: no login, no account, no internet.

    On regtest this starts the private Lightning network of this computer where it does not run. Its hub opens a channel to us, with
    the sats on our side and room to receive as much again; the next time it pays into that channel, or opens another one.
    """
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
    """Show which wallet this is, how it is, its balance, and what it earned."""
    context.config()
    document = ask(context.home, "wallet.status")
    total, jobs = read_ledger(context.home, lambda ledger: ledger.earnings(), (Msat(0), 0))
    differences = read_differences(context.home)
    document |= {"earned_msat": total, "earned_jobs": jobs, "differences": differences}
    if as_json:
        show_json(document)
        return None
    _show_balance(document)
    out.print(f"Earned:     {show_sats(total)} by {count_of(jobs, 'job')}", markup=False)
    if document["node_id"]:
        height = "" if document["height"] is None else f", at block {document['height']:,}"
        out.print(f"Node:       {document['node_id']}{height}", markup=False)
    health = document["health"]
    if isinstance(health, dict):
        problem = f": {printable(str(health['problem']))}" if health["problem"] else ""
        out.print(f"State:      {health['state']}{problem}", markup=False)
        if health["hint"]:
            out.print(f"            {printable(str(health['hint']))}", markup=False)
    show_differences(differences)
    return None


@wallet.command()
@click.argument("sats", type=SATS)
@click.option("-d", "--description", default="", metavar="TEXT", help="What it is for; stands in the invoice.")
@qr_option
@json_option
@pass_context
@command
def invoice(context: Context, sats: int, description: str, qr: bool | None, as_json: bool) -> int | None:
    """Make an invoice (BOLT11) for SATS."""
    context.config()
    no_qr_in_json(qr, as_json=as_json)
    document = ask_once(context.home, "wallet.invoice", {"sats": sats, "memo": description})
    if as_json:
        show_json(document)
        return None
    out.print(str(document["bolt11"]), markup=False)
    show_qr(str(document["bolt11"]), qr)
    return None


@wallet.command()
@click.argument("invoice")
@json_option
@pass_context
@command
def pay(context: Context, invoice: str, as_json: bool) -> int | None:
    """Pay an invoice (BOLT11), also one that was copied as a link (`lightning:…`)."""
    context.config()
    invoice = invoice.strip()
    if invoice[: len(LINK)].lower() == LINK:
        invoice = invoice[len(LINK) :]
    document = ask_once(context.home, "wallet.pay", {"invoice": invoice})
    if as_json:
        show_json(document)
        return None
    out.print(f"Paid {sats_of(document, 'amount_msat')} (fee {document['fee_msat']} msat).", markup=False)
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
