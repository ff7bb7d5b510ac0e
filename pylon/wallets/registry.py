"""Wallets by name. All of them, the built-in ones too, enter through the entry-point group `pylon.wallets`.

An entry point names an `Opener`: a function of the keywords `home`, `state`, `secret`, `seed` and `config`.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol, cast

from pylon import _native
from pylon.config import Config
from pylon.errors import ConfigError, PylonError
from pylon.wallets.base import Wallet

GROUP = "pylon.wallets"
LIGHTNING = "ldk"
SIMULATED = "sim"


class Opener(Protocol):
    """What an entry point of the group is."""

    def __call__(self, *, home: Path, state: Path, secret: bytes, seed: bytes, config: Config) -> Wallet:
        """Open the wallet. `home` is the folder of this identity, `state` the one that all homes of the user share, `secret` (32 bytes)
        and `seed` (64 bytes) are this identity's own for its wallets. Raises PylonError."""
        ...


def built_in(network: str) -> str:
    """The best built-in wallet for `network`. Raises PylonError where there is none."""
    if _native.has_lightning():
        return LIGHTNING
    if network == "regtest":
        return SIMULATED
    raise PylonError(
        f"this Pylon was built without its Lightning node, so no wallet is built in for {network}",
        hint='build it with `make native`, set `network = "regtest"`, or install a wallet and name it as `[wallet] backend`',
    )


def known_wallets() -> list[str]:
    """The names of all installed wallets, sorted."""
    return sorted(_entries())


def open_wallet(name: str, *, home: Path, state: Path, secret: bytes, seed: bytes, config: Config) -> Wallet:
    """Open the wallet called `name`, or the best one built in for the network where the name is empty; see `Opener`.
    Raises PylonError where there is no such wallet, or it cannot be opened."""
    name, entry = _find(name, config.network)
    try:
        opener = cast("Opener", entry.load())
    except (ImportError, AttributeError) as error:
        raise PylonError(f"the wallet {name!r} cannot be loaded: {error}", hint="reinstall its package") from error
    return opener(home=home, state=state, secret=secret, seed=seed, config=config)


def module_of(name: str, network: str) -> tuple[str, str]:
    """The whole name of that wallet, and the module of its opener. Raises as `open_wallet`."""
    name, entry = _find(name, network)
    return name, entry.module


def _find(name: str, network: str) -> tuple[str, EntryPoint]:
    name = name or built_in(network)
    entries = _entries()
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none (is pylon-node installed?)"
        raise ConfigError(f"there is no wallet called {name!r}; known wallets: {known}", hint="mend `[wallet] backend` in config.toml")
    return name, entries[name]


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
