"""`pylon init`: the identity of a home and its settings; and how the other commands open that identity."""

from __future__ import annotations

import os
import sys

import click

from pylon.cli.common import Context, command, err, json_option, out, pass_context, show_json
from pylon.config import Home
from pylon.errors import UsageError
from pylon.node import lock
from pylon.nostr import keyfile
from pylon.nostr.keys import Identity
from pylon.template import TEMPLATE

PASSPHRASE = "PYLON_PASSPHRASE"


def open_identity(home: Home) -> Identity:
    """The identity of the home; asks for the passphrase on a terminal where PYLON_PASSPHRASE does not give it. Raises NotSetUp."""
    if keyfile.is_encrypted(home.identity):
        provide_passphrase(home)
    return Identity.load(home.identity, os.environ.get(PASSPHRASE))


def provide_passphrase(home: Home) -> None:
    """Have the passphrase of an encrypted identity in the environment, where the node in the background finds it."""
    if PASSPHRASE not in os.environ and keyfile.is_encrypted(home.identity) and sys.stdin.isatty():
        os.environ[PASSPHRASE] = click.prompt("Passphrase", hide_input=True, err=True)


@click.command()
@click.option("--import", "import_", is_flag=True, help="Read a phrase, nsec, ncryptsec or hex key from standard input.")
@click.option("--words", type=click.Choice(["12", "24"]), default="12", show_default=True, help="Length of a new phrase.")
@click.option("--encrypt", is_flag=True, help=f"Encrypt the identity file with a passphrase ({PASSPHRASE}, or asked for).")
@click.option("-f", "--force", is_flag=True, help="Replace an identity that exists. It is gone then.")
@json_option
@pass_context
@command
def init(context: Context, import_: bool, words: str, encrypt: bool, force: bool, as_json: bool) -> int | None:
    """Make this home's identity (NIP-06) and its config.toml."""
    home = context.home
    context.config()
    if home.identity.exists() and not force:
        raise UsageError(f"there is an identity in {home.path} already", hint="it is never overwritten; `pylon init -f` replaces it")
    if force and lock.is_running(home):
        raise UsageError("Pylon runs in this home: its identity cannot be replaced now", hint="`pylon stop` first")
    identity = _import() if import_ else Identity.generate(int(words))
    passphrase = _new_passphrase() if encrypt else None
    home.create()
    identity.save(home.identity, passphrase, overwrite=force)
    if not home.config.exists():
        home.config.write_text(TEMPLATE, "utf-8")
    seller, buyer = identity.account(0), identity.account(1)
    if as_json:
        show_json({
            "home": str(home.path), "npub": seller.npub, "pubkey": seller.pubkey_hex, "buyer_npub": buyer.npub,
            "buyer_pubkey": buyer.pubkey_hex, "mnemonic": None if import_ else identity.mnemonic, "encrypted": encrypt,
        })
        return None
    if not import_:
        out.print("Your phrase. Write it down: it is this identity, and its wallet.\n", markup=False)
        out.print(f"  {identity.mnemonic}\n", markup=False)
    out.print(f"Nostr public key (npub): {seller.npub}", markup=False)
    out.print(f"Nostr public key (hex):  {seller.pubkey_hex}", markup=False)
    out.print(f"Home:                    {home.path}", markup=False)
    out.print("\nNext: `pylon wallet fund`, then `pylon start -f -m provider` to sell or `pylon job submit` to buy.", markup=False)
    return None


def _import() -> Identity:
    if sys.stdin.isatty():
        err.print("Type or paste the phrase or key, then Enter:")
    text = sys.stdin.readline(10_000)
    if not text.strip():
        raise UsageError("nothing was given to import", hint="give it on standard input")
    passphrase = None
    if text.strip().lower().startswith("ncryptsec1"):
        passphrase = os.environ.get(PASSPHRASE)
        if passphrase is None and sys.stdin.isatty():
            passphrase = click.prompt("Passphrase of the ncryptsec", hide_input=True, err=True)
    return Identity.parse_import(text, passphrase)


def _new_passphrase() -> str:
    given = os.environ.get(PASSPHRASE)
    if given is None:
        if not sys.stdin.isatty():
            raise UsageError("--encrypt needs a passphrase", hint=f"set {PASSPHRASE}, or run it on a terminal")
        given = click.prompt("New passphrase", hide_input=True, confirmation_prompt=True, err=True)
    return str(given)
