"""`pylon wallet backup` and `restore`: an encrypted copy of the wallet, and the way back."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from pylon.cli.common import Context, command, err, json_option, out, pass_context, show_json
from pylon.cli.identity import open_identity
from pylon.cli.node import ask_once, read_ledger
from pylon.config import NETWORKS, Config, Home
from pylon.errors import UsageError
from pylon.market.payment import Status
from pylon.node.journal import Payment
from pylon.node.lock import HomeLock
from pylon.units import count_of
from pylon.wallets import backups
from pylon.wallets.backups import Backup

STALE = (
    "A channel that was used, or closed, after a backup is not what the backup says: its peer may keep what was ours in it. "
    "Coins on the chain come back in any case."
)
MOST = 1000
"""Lines of the journal that are looked at, the newest."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@pass_context
@command
def backup(context: Context, file: Path, as_json: bool) -> int | None:
    """Write an encrypted copy of the wallet to FILE. The next payment makes it stale: make a new one then."""
    context.config()
    if file.exists():
        raise UsageError(f"{file} exists already", hint="a backup is never overwritten: choose another name")
    document = ask_once(context.home, "wallet.backup", {"path": str(file.absolute())}) | {"bytes": file.stat().st_size}
    if as_json:
        show_json(document)
        return None
    out.print(f"Written, encrypted with a key of this identity: {document['path']} ({document['bytes']:,} bytes)", markup=False)
    out.print("It holds the channels as they are now. After the next payment it is stale: make a new one then.", markup=False)
    return None


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("-f", "--force", is_flag=True, help="Also a stale one, or over a wallet that stands here: that is moved aside.")
@json_option
@pass_context
@command
def restore(context: Context, file: Path, force: bool, as_json: bool) -> int | None:
    """Put the wallet back from the backup FILE, while Pylon is stopped. Only on the one machine that uses this identity."""
    config, home = context.config(), context.home
    seed = open_identity(home).lightning_seed(NETWORKS.index(config.network))
    lock = HomeLock(home)
    if not lock.acquire():
        raise UsageError("Pylon runs in this home: its wallet cannot be replaced now", hint="`pylon stop` first")
    try:
        keeper = backups.backups_of(config.wallet.backend, config.network)
        found = keeper.read_backup(file.absolute(), seed=seed)
        if found.network != config.network:
            raise UsageError(f"this backup is for {found.network}, and this home is on {config.network}", hint="`network` in config.toml")
        doubts = _doubts(home, config, found)
        if doubts and not force:
            raise UsageError(f"{' and '.join(doubts)}. Nothing was restored. {STALE}", hint="--force restores it all the same")
        aside = keeper.restore_backup(file.absolute(), home=home.path, seed=seed, config=config)
    finally:
        lock.release()
    document = {
        "made_at": found.made_at, "network": found.network, "node_id": found.node_id, "doubts": doubts,
        "moved_to": str(aside) if aside else None,
    }
    if as_json:
        show_json(document)
        return None
    out.print(f"Restored the wallet of {_when(found.made_at)} ({found.network}, node {found.node_id}).", markup=False)
    if aside:
        out.print(f"The one that stood here is now in {aside}.", markup=False)
    err.print(STALE, markup=False, soft_wrap=True)
    return None


def _doubts(home: Home, config: Config, found: Backup) -> list[str]:
    """What speaks against putting this backup back."""
    doubts = []
    lines: list[Payment] = read_ledger(home, lambda ledger: ledger.history(MOST), [])
    later = [line for line in lines if (line.settled_at or line.at) > found.made_at and line.status is not Status.FAILED]
    if later:
        more = " or more" if len(later) == MOST else ""
        doubts.append(f"this backup of {_when(found.made_at)} is stale: {count_of(len(later), 'payment')}{more} came after it")
    here = backups.place(home.path, config.network)
    if here.is_dir() and any(here.iterdir()):
        doubts.append(f"there is a wallet in {here} already")
    return doubts


def _when(at: float) -> str:
    return datetime.datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")
