"""Wallets by name. All of them, the built-in ones too, enter through the entry-point group `pylon.wallets`.

An entry point names a function `(*, state: Path, secret: bytes, network: str) -> Wallet`.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol, cast

from pylon.errors import ConfigError, PylonError
from pylon.wallets.base import Wallet

GROUP = "pylon.wallets"
BUILT_IN = {"regtest": "sim"}
"""The best built-in wallet of each network that has one."""


class Opener(Protocol):
    """What an entry point of the group is."""

    def __call__(self, *, state: Path, secret: bytes, network: str) -> Wallet:
        """Open the wallet; raises PylonError."""
        ...


def known_wallets() -> list[str]:
    """The names of all installed wallets, sorted."""
    return sorted(_entries())


def open_wallet(name: str, *, state: Path, secret: bytes, network: str) -> Wallet:
    """Open the wallet called `name`, or the best one built in for `network` where the name is empty. `state` is the folder that the
    user's homes share, `secret` the 32-byte node key. Raises PylonError where there is no such wallet, or it cannot be opened."""
    if not name and network not in BUILT_IN:
        raise PylonError(
            f"no real wallet is built in yet, so none can be used on {network}",
            hint='set `network = "regtest"` in config.toml, or install a wallet and name it as `[wallet] backend`',
        )
    name = name or BUILT_IN[network]
    entries = _entries()
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none (is pylon-node installed?)"
        raise ConfigError(f"there is no wallet called {name!r}; known wallets: {known}", hint="mend `[wallet] backend` in config.toml")
    try:
        opener = cast("Opener", entries[name].load())
    except (ImportError, AttributeError) as error:
        raise PylonError(f"the wallet {name!r} cannot be loaded: {error}", hint="reinstall its package") from error
    return opener(state=state, secret=secret, network=network)


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
