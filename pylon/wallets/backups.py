"""Backups of wallets that make them: what one says about itself, and how it is put back while no process has the wallet open.

The functions `read_backup` and `restore_backup` stand in the module that a wallet's entry point names, beside its opener.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

import msgspec

from pylon.config import Config
from pylon.errors import PaymentError
from pylon.wallets.registry import module_of


class Backup(msgspec.Struct, frozen=True):
    """What a backup says: when it was made (Unix seconds), for which network, and whose node it is (66 hex)."""

    made_at: float
    network: str
    node_id: str


class Backups(Protocol):
    """The part of a wallet's module that knows its backups. Both functions block."""

    def read_backup(self, source: Path, *, seed: bytes) -> Backup:
        """Open it with the seed of its node. Raises PylonError: it is none, is damaged, of another seed, or of a newer version."""
        ...

    def restore_backup(self, source: Path, *, home: Path, seed: bytes, config: Config) -> Path | None:
        """Put it in the place of the home's wallet. What stood there is moved aside, never deleted: to the path that is given back.
        Raises PylonError; then all is as before."""
        ...


def backups_of(name: str, network: str) -> Backups:
    """The backups of the wallet called `name` (empty: the best one built in). Raises PaymentError where it makes none."""
    name, module = module_of(name, network)
    if not hasattr(importlib.import_module(module), "restore_backup"):
        raise PaymentError(f"the wallet {name} makes no backups", hint="`[wallet] backend` in config.toml names another one")
    return cast("Backups", importlib.import_module(module))


def place(home: Path, network: str) -> Path:
    """Where the home's wallet of that network keeps its files."""
    return home / "wallet" / network
