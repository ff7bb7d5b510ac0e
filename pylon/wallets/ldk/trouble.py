"""What is wrong with the node, in sentences for a person."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pylon.errors import PaymentError, PylonError
from pylon.lightning.node import LightningError
from pylon.lightning.values import NodeStatus

log = logging.getLogger(__name__)

STALE = 90.0
"""Seconds. The node looks at the chain every 10 (regtest) or 30 seconds."""


def code_of(error: LightningError) -> str:
    """Its word for programs."""
    return str(error.args[0])


def explain(error: LightningError, folder: Path) -> PylonError:
    """The sentence for an error of the node."""
    code, message = error.args
    if code == "chain_source":
        return PylonError(f"the source of blocks is away: {message}", hint="check `[wallet] chain` and the connection")
    if code == "storage" and ("not a database" in message or "malformed" in message):
        hint = "bring a backup of it back (`pylon wallet restore`); docs/wallet.md says more"
        return PylonError(f"the wallet in {folder} is damaged: {message}", hint=hint)
    if code == "storage":
        return PylonError(f"the wallet cannot be written in {folder}: {message}", hint="check the free space and the permissions")
    if code == "wrong_seed":
        return PylonError(f"the wallet in {folder} is of another identity", hint="bring its own home back, or move the folder away")
    if code == "wrong_network":
        return PylonError(f"the wallet in {folder} is of another network", hint="move the folder away")
    if code == "newer_version":
        return PylonError(f"the wallet in {folder} was written by a newer Pylon: {message}", hint="update Pylon")
    if code == "locked":
        return PylonError(f"the wallet {folder} is in use by another process", hint="one process uses a wallet: stop the other")
    if code == "stale_store":
        return PylonError(
            f"the wallet's channels in {folder} are older than what was told to their peers: {message}", hint="never bring back an old copy"
        )
    if code in ("insufficient_funds", "onchain_failed"):
        return PaymentError(f"the coins cannot be sent: {message}", hint="`pylon wallet balance` says what there is on the chain")
    return PylonError(f"the Lightning node refuses: {message}", hint=f"its log is in {folder}")


@contextmanager
def plainly(folder: Path) -> Iterator[None]:
    """Whoever calls the wallet hears of an error of the node as a sentence."""
    try:
        yield
    except LightningError as error:
        raise explain(error, folder) from error


def judge(status: NodeStatus, now: float) -> PylonError | None:
    """What is wrong with a node that runs, if anything is."""
    if status.panic:
        return PylonError(f"the Lightning node broke and is started again: {status.panic}", hint="please tell Pylon's makers, with its log")
    if status.storage_error:
        return PylonError(f"the wallet's disk refuses: {status.storage_error}", hint="make room; nothing is lost, and it goes on by itself")
    synced = status.last_sync.lightning
    if status.sync_error and (synced is None or now - synced > STALE):
        return PylonError(f"the source of blocks has not answered lately: {status.sync_error}", hint="check it; payments go on meanwhile")
    return None


def trouble(folder: Path, what: str, error: Exception) -> PylonError:
    """The sentence for what went wrong in the background, told in the log; a mistake of ours with all that is known of it."""
    if isinstance(error, LightningError):
        error = explain(error, folder)
    if isinstance(error, PylonError):
        log.warning("%s: %s", what, error.message)
        return error
    log.error("%s", what, exc_info=error)
    return PylonError(f"{what}: {error!r}", hint="this is a mistake in Pylon: please tell its makers, with the log")
