"""A copy of the wallet: the book and the node's store."""

from __future__ import annotations

from pathlib import Path

from pylon.errors import PylonError
from pylon.wallets.ldk.life import Life


async def write(life: Life, target: Path) -> None:
    """Write it to `target`. Raises PylonError."""
    raise PylonError(f"no copy of the wallet in {life.home.folder} can be written to {target} yet")
