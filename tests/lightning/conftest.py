"""A private network for the tests of the Lightning node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from pylon.lightning import built

if not built():
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.lightning.net import Net

    @pytest_asyncio.fixture
    async def net(tmp_path: Path) -> AsyncIterator[Net]:
        """A chain and a hub that has coins."""
        made = Net(tmp_path)
        await made.start()
        yield made
        await made.close()


