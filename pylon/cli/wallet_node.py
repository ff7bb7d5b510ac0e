"""`pylon wallet`, the part for wallets that are Lightning nodes: channels, and coins on the chain."""

from __future__ import annotations

import sys

import click

from pylon.cli.common import Context, command, json_option, out, pass_context, printable, show_json
from pylon.cli.node import Document, ask, ask_once
from pylon.cli.options import SATS
from pylon.cli.qr import no_qr_in_json, qr_option, show_qr
from pylon.cli.worth import name, sats_of
from pylon.errors import UsageError

ALL = "all"
FEE_RATE = click.IntRange(min=1, max=100_000)
ADDRESS_LIMIT = 100
"""Characters. Bech32 allows 90 (BIP-173)."""

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask first, on mainnet.")


class SatsOrAll(click.IntRange):
    """An amount in sats, or `all`: 0 here."""

    name = "SATS|all"

    def __init__(self) -> None:
        super().__init__(min=1, max=SATS.max)

    def convert(self, value: int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, 0 for `all`, or a usage error."""
        return 0 if str(value) == ALL else super().convert(value, param, ctx)


@click.command()
@click.option("--close", metavar="ID", help="Close the channel of this id; what was ours in it comes back on the chain.")
@click.option("-f", "--force", is_flag=True, help="With --close: without its peer, after a delay, for higher fees.")
@yes_option
@json_option
@pass_context
@command
def channels(context: Context, close: str | None, force: bool, yes: bool, as_json: bool) -> int | None:
    """List the Lightning channels, or close one."""
    context.config()
    if close is None:
        if force:
            raise UsageError("--force is for --close", hint="`pylon wallet channels --close ID --force`")
        _list(ask(context.home, "wallet.channels"), as_json=as_json)
        return None
    _confirm(context, f"Close the channel {printable(close)}? That costs fees of the chain.", yes=yes)
    document = ask_once(context.home, "wallet.close", {"channel": close, "force": force})
    if as_json:
        show_json(document)
        return None
    when = "after some blocks, in which its peer may object" if force else "with the next block"
    out.print(f"The channel {document['id']} closes.", markup=False)
    out.print(f"{sats_of(document, 'owned_msat')}, less fees, come back on the chain {when}.", markup=False)
    return None


def _list(document: Document, *, as_json: bool) -> None:
    if as_json:
        show_json(document)
        return
    rows = document["channels"]
    out.print(name(document), markup=False)
    if not isinstance(rows, list) or not rows:
        out.print("No channels yet. `pylon wallet fund` has the hub of a private network open one.", markup=False)
        return
    for row in rows:
        state = "usable" if row["usable"] else "not usable now"
        out.print(f"Channel    {row['id']}: {state}, {row['confirmations']} confirmations", markup=False)
        out.print(f"  Spendable:  {sats_of(row, 'spendable_msat')} of {sats_of(row, 'capacity_msat')}", markup=False)
        out.print(f"  Receivable: {sats_of(row, 'receivable_msat')}", markup=False)
        out.print(f"  Reserved:   {sats_of(row, 'reserved_msat')}", markup=False)
        out.print(f"  Peer:       {row['peer']}", markup=False)
        out.print(f"  Funding:    {row['funding']}", markup=False)


@click.command()
@qr_option
@json_option
@pass_context
@command
def address(context: Context, qr: bool | None, as_json: bool) -> int | None:
    """Make a new address on the chain, for coins from elsewhere."""
    context.config()
    no_qr_in_json(qr, as_json=as_json)
    document = ask_once(context.home, "wallet.address", {})
    if as_json:
        show_json(document)
        return None
    out.print(str(document["address"]), markup=False)
    show_qr(str(document["address"]), qr)
    return None


@click.command("send-onchain")
@click.argument("address")
@click.argument("sats", type=SatsOrAll())
@click.option("--sat-per-vbyte", type=FEE_RATE, metavar="N", help="The fee rate; without it, what the chain's server advises.")
@yes_option
@json_option
@pass_context
@command
def send_onchain(context: Context, address: str, sats: int, sat_per_vbyte: int | None, yes: bool, as_json: bool) -> int | None:
    """Send SATS, or all, from the coins on the chain to ADDRESS. What is in channels stays there."""
    context.config()
    address = address.strip()
    if not address.isascii() or not address.isalnum() or len(address) > ADDRESS_LIMIT:
        raise UsageError(f"{address[:ADDRESS_LIMIT]!r} is no address on the chain", hint="`pylon wallet pay` pays invoices")
    amount = sats or None
    _confirm(context, f"Send {'all coins' if amount is None else f'{amount:,} sats'} to {address}? That cannot be taken back.", yes=yes)
    document = ask_once(context.home, "wallet.send", {"address": address, "sats": amount, "sat_per_vbyte": sat_per_vbyte})
    if as_json:
        show_json(document)
        return None
    fee = sats_of(document, "fee_msat")
    out.print(f"{sats_of(document, 'amount_msat')} sent to {document['address']} (fee {fee}).", markup=False)
    out.print(f"Transaction: {document['txid']}", markup=False)
    return None


def _confirm(context: Context, question: str, *, yes: bool) -> None:
    """Money that has a value, and leaves for good, is asked for once. Raises UsageError where nobody can be asked."""
    if yes or ask(context.home, "wallet.balance")["no_value"]:
        return
    if not sys.stdin.isatty():
        raise UsageError("this spends real money, and nobody can be asked here", hint="--yes says that it is meant")
    click.confirm(question, abort=True, err=True)
