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


def sats_of(document: Document, name: str) -> str:
    """The amount called `name`, for people."""
    return show_sats(Msat(int(str(document[name]))))
