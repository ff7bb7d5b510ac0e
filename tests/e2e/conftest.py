"""What the end-to-end tests share: a world each, and a market that many short tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pylon.backends.models import pull
from tests.e2e.market import Market
from tests.e2e.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world of this test alone."""
    made = World(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def model(world: World) -> None:
    """The real model, pulled once into the user's cache."""
    pull()
    world.use_the_model()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """A relay, a scripted provider and a funded buyer that the tests of a file share."""
    made = Market(World(tmp_path_factory.mktemp("market")))
    try:
        yield made
    finally:
        made.provider.kill()  # some of its answers hang by intent, and it would wait for them
        made.world.close()
