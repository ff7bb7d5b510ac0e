"""What all tests share: uvloop as the loop, and no way to the user's own homes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from pylon.lightning import built

collect_ignore_glob = [] if built() else ["wallets/test_ldk*.py", "wallets/test_conformance.py"]
"""What a build without the Lightning node cannot run."""

# A shell that runs us in the background has us ignore SIGINT, and every process that a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the loop that the node runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has its own home, state and runtime folder; the model cache alone is shared."""
    place = tmp_path_factory.mktemp("place")
    monkeypatch.setenv("PYLON_HOME", str(place / "home"))
    monkeypatch.setenv("PYLON_STATE_DIR", str(place / "state"))
    return place
