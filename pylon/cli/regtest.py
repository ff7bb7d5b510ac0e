"""`pylon regtest`: the private Lightning network of this machine, which all homes of the user share."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import click
import msgspec

from pylon.cli.common import command, err, json_option, out, run, show_json
from pylon.cli.node import Document
from pylon.cli.options import BLOCKS
from pylon.config import state_dir
from pylon.control.client import Gone, NotThere
from pylon.control.lock import holder, is_held
from pylon.errors import PylonError
from pylon.units import Msat, count_of, show_sats
from pylon.wallets import network

STOP_SECONDS = 20.0
MINE_SECONDS = 300.0
NO_VALUE = "regtest sats, no value"
NOT_RUNNING: Document = {
    "running": False, "pid": None, "network": "regtest", "height": None, "tip": None, "genesis": None, "mempool": None, "electrum": None,
    "uptime_s": None, "no_value": True, "hub": None, "processes": [],
}


@click.group()
def regtest() -> None:
    """The private Lightning network behind `wallet fund`: real Lightning, on a chain of this machine's own. Its sats have no value.

    It starts by itself when a wallet needs it, and runs until it is stopped. All homes of a user share it.
    """


def ask(name: str, args: Document | None = None, *, seconds: float | None = None) -> Document | None:
    """A call to the network; None where none runs. Raises PylonError where it runs and does not answer."""
    state = state_dir()

    async def once() -> bytes | None:
        try:
            return await network.ask(state, name, args, seconds=seconds or network.ANSWER_SECONDS)
        except NotThere:
            return None
        except Gone as error:
            raise PylonError(f"the private network went away: {error}", hint=f"see {network.place(state).log}") from error

    raw = run(once)
    if raw is None and is_held(network.place(state).lock):
        raise PylonError("the private network is just starting or ending", hint="try again")
    return None if raw is None else msgspec.json.decode(raw, type=Document)


def status_document() -> Document:
    """What `pylon regtest status` shows: whether it runs, and the proof that it is real."""
    return ask("status") or NOT_RUNNING


@regtest.command()
@json_option
@command
def start(as_json: bool) -> None:
    """Start the network. Where it runs already, say so."""
    state = state_dir()
    ours = False if ask("ping") else network.start(state)
    document = status_document()
    if as_json:
        show_json({**document, "started": ours})
        return
    how = "runs now" if ours else "is running already"
    out.print(f"The private network {how} (process {document['pid']}, height {document['height']}): {NO_VALUE}.", markup=False)
    out.print("`pylon regtest status` shows it, `pylon regtest stop` ends it.", markup=False)


@regtest.command()
@json_option
@command
def stop(as_json: bool) -> None:
    """Stop the network. Chain, coins and channels are kept; wallets that are open wait until it is back."""
    place = network.place(state_dir())
    pid = holder(place.lock, place.pid)
    try:
        asked = ask("stop") is not None
    except network.NetworkSilent:
        asked = True
    if asked and not run(lambda: _ended(place.lock, STOP_SECONDS)):
        err.print(f"It did not end within {STOP_SECONDS:g} s and is killed; nothing is lost by that.", markup=False)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        if not run(lambda: _ended(place.lock, STOP_SECONDS)):
            raise PylonError(f"process {pid} does not end")
    if as_json:
        show_json({"stopped": asked})
    else:
        out.print("The private network has stopped." if asked else "The private network is not running.", markup=False)


async def _ended(lock: Path, seconds: float) -> bool:
    deadline = asyncio.get_running_loop().time() + seconds
    while is_held(lock):
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(0.02)
    return True


@regtest.command()
@json_option
@command
def status(as_json: bool) -> None:
    """Show whether the network runs, and what proves that it is real: blocks, funding transactions, peers, processes."""
    document = status_document()
    if as_json:
        show_json(document)
        return
    if not document["running"]:
        out.print("The private network is not running. `pylon regtest start` starts it, or the first `pylon wallet fund`.", markup=False)
        return
    hub = document["hub"]
    assert isinstance(hub, dict)
    out.print(f"The private network runs (process {document['pid']}, up {document['uptime_s']} s): {NO_VALUE}", markup=False)
    waiting = count_of(int(str(document["mempool"])), "transaction")
    out.print(f"Chain:    height {document['height']}, tip {document['tip']}; {waiting} waiting", markup=False)
    out.print(f"Electrum: {document['electrum']}", markup=False)
    out.print(f"Hub:      {hub['node_id']}@{hub['address']}, {_sats(hub['onchain_sat'])} on-chain", markup=False)
    for channel in hub["channels"]:
        where = f"block {channel['block_height']}, {channel['block_hash']}" if channel["block_hash"] else "not in a block yet"
        out.print(f"Channel:  {_sats(channel['capacity_sat'])} with {channel['peer']}", markup=False)
        out.print(f"          funded by {channel['funding_txid']}:{channel['funding_vout']} ({where})", markup=False)
    for channel in hub["closing"]:
        out.print(f"Closing:  a channel with {channel['peer']}, funded by {channel['funding']}: {channel['reason']}", markup=False)
    for peer in hub["peers"]:
        out.print(f"Peer:     {peer['node_id']} {'connected' if peer['connected'] else 'away'}", markup=False)
    processes = document["processes"]
    assert isinstance(processes, list)
    for process in processes:
        out.print(f"Process:  {process['pid']} ({process['name']}), {process['rss_bytes'] / 1e6:.0f} MB", markup=False)


def _sats(sats: int) -> str:
    return show_sats(Msat(sats * 1000))


@regtest.command()
@click.argument("blocks", type=BLOCKS, metavar="N")
@click.option("-f", "--force", is_flag=True, help="Also while a payment is held: it may come to its deadline and go back.")
@json_option
@command
def mine(blocks: int, force: bool, as_json: bool) -> None:
    """Make N blocks. While a payment is held, one at most: its deadline is about three blocks away."""
    document = ask("mine", {"blocks": blocks, "force": force}, seconds=MINE_SECONDS)
    if document is None:
        raise PylonError("the private network is not running", hint="start it: `pylon regtest start`")
    if as_json:
        show_json(document)
    else:
        out.print(f"Height {document['height']}, tip {document['tip']}", markup=False)
