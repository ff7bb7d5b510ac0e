"""Chains for tests: one with a hundred and ten blocks, made in milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pylon.regtest.chain import Chain


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """A chain whose first coins are ripe."""
    made = Chain.open(tmp_path / "chain")
    made.mine(110)
    yield made
    made.close()
