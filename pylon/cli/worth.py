"""What the sats of a wallet are worth, in the words that stand wherever a wallet shows; and amounts out of documents."""

from __future__ import annotations

from pylon.cli.node import Document
from pylon.units import Msat, show_sats


def worth(document: Document) -> str:
    """One phrase, of a document with `network` and `simulated`: nobody may take a test network's sats for money, or money for play."""
    if document["simulated"]:
        return "simulated: not Lightning, no value"
    network = str(document["network"])
    return "real sats; beta" if network == "mainnet" else f"{network} sats, no value"


def name(document: Document) -> str:
    """Which wallet, and what its sats are worth."""
    return f"Wallet:     {document['backend']}, {document['network']}  ({worth(document)})"


def sats_of(document: Document, field: str) -> str:
    """The amount in that field, for people."""
    return show_sats(Msat(int(str(document[field]))))
