"""What `pylon doctor` says of the wallet: its build, how it is, its channels, and the private network behind it on regtest."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from pylon import __version__, _native
from pylon.cli.check import FAIL, OK, WARN, Check, tried
from pylon.cli.common import run
from pylon.cli.node import Document, ask
from pylon.cli.worth import sats_of, worth
from pylon.config import Config, Home, state_dir
from pylon.control.client import Gone, NotThere
from pylon.units import count_of
from pylon.wallets import network
from pylon.wallets.base import HealthState
from pylon.wallets.registry import LIGHTNING

LEVELS = {
    HealthState.OFF: OK, HealthState.STARTING: WARN, HealthState.READY: OK, HealthState.DEGRADED: WARN, HealthState.FAILED: FAIL,
}
MOST_AHEAD = 7200.0
"""Seconds by which a block may be later than our clock, by Bitcoin's rule."""


def lightning_build(config: Config) -> list[Check]:
    """Whether the embedded Lightning node is built, where it is the wallet or would be."""
    if config.wallet.backend not in ("", LIGHTNING):
        return []
    if _native.has_lightning():
        return [Check("lightning", OK, f"the embedded node of {__version__} is built in")]
    return [Check("lightning", WARN, "this Pylon was built without its Lightning node", "build it: `make native`, or `pip install .`")]


def wallet_checks(home: Home, config: Config) -> list[Check]:
    """The wallet, really asked; its channels where it is a node; the private network where it lives on one."""
    seen: list[Document] = []

    def wallet() -> Check:
        document = ask(home, "wallet.status")
        seen.append(document)
        return _wallet(document)

    checks = [tried("wallet", wallet)]
    if seen and seen[0]["node_id"]:
        checks.append(tried("channels", lambda: _channels(ask(home, "wallet.channels"), seen[0])))
    if config.network == "regtest" and not config.wallet.chain and (not seen or not seen[0]["simulated"]):
        checks.append(tried("network", _network))
    return checks


def _wallet(document: Document) -> Check:
    """Simulated money is named as such, and a wallet that has a problem says which."""
    detail = f"{document['backend']} on {document['network']} ({worth(document)}): {sats_of(document, 'spendable_msat')}"
    health = document["health"]
    if not isinstance(health, dict):
        raise TypeError("a wallet's health is a document")
    level = LEVELS[HealthState(health["state"])]
    if level != OK:
        return Check("wallet", level, f"{detail}; {health['problem'] or health['state']}", str(health["hint"]))
    if document["spendable_msat"] == 0:
        return Check("wallet", WARN, detail, "`pylon wallet fund` fills it (only buying needs that)")
    return Check("wallet", OK, detail)


def _channels(document: Document, wallet: Document) -> Check:
    """Money moves only over a channel that can be used now."""
    rows = document["channels"]
    rows = rows if isinstance(rows, list) else []
    usable = [row for row in rows if row["usable"]]
    peers = wallet["health"]["peers"] if isinstance(wallet["health"], dict) else []
    where = "" if wallet["height"] is None else f", at block {wallet['height']:,}"
    detail = f"{len(usable)} of {count_of(len(rows), 'channel')} usable, {count_of(len(peers), 'peer')} connected{where}"
    if rows and not usable:
        return Check("channels", FAIL, detail, "is its peer away? `pylon regtest status` shows the hub of the private network")
    return Check("channels", OK, detail)


def _network() -> Check:
    """The private network: it need not run, and is not started by looking."""
    try:
        document = msgspec.json.decode(run(lambda: network.ask(state_dir(), "status")), type=Document)
    except NotThere:
        return Check("network", OK, "the private network does not run; it starts when it is needed")
    except Gone:
        return Check("network", WARN, "the private network went away while it was asked", "try again")
    hub = document["hub"]
    channels = hub["channels"] if isinstance(hub, dict) else []
    detail = f"runs (process {document['pid']}), at block {document['height']:,}; its hub has {count_of(len(channels), 'channel')}"
    ahead = document.get("tip_ahead_s")
    if isinstance(ahead, float) and ahead > MOST_AHEAD:
        late = timedelta(seconds=int(ahead))
        return Check("network", FAIL, f"{detail}, and its last block is {late} later than this computer's clock", "set the clock right")
    return Check("network", OK, detail)
