"""Chains for tests: one with a hundred and ten blocks, made in milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pylon.regtest.chain import Chain
from pylon.wallets import network
from tests.regtest.stopping import end


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """A chain whose first coins are ripe."""
    made = Chain.open(tmp_path / "chain")
    made.mine(110)
    yield made
    made.close()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder; the private network in it is ended with the test."""
    made = tmp_path / "state"
    network.place(made).create()
    yield made
    end(made)
