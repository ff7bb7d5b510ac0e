"""The Lightning node without a chain: what opens a store, what does not, and what a start says where the chain is away."""

from __future__ import annotations

import importlib
import json
import sqlite3
from pathlib import Path

import pytest

from pylon._native.lightning import LightningError, Node
from pylon.lightning.node import LightningNode

SEED = bytes(range(64))
NOWHERE = "tcp://127.0.0.1:1"


def opened(folder: Path, seed: bytes = SEED, network: str = "regtest") -> Node:
    """A node that was not started."""
    return Node(str(folder), seed, network, NOWHERE)


def code(error: pytest.ExceptionInfo[LightningError]) -> str:
    """The word that a program reads."""
    return str(error.value.args[0])


def test_a_seed_makes_one_node_id(tmp_path: Path) -> None:
    """The same seed is the same node, here and after a stop."""
    node = opened(tmp_path / "one")
    assert node.node_id == opened(tmp_path / "two").node_id
    node.stop()
    assert opened(tmp_path / "one").node_id == node.node_id


def test_one_holder_a_folder(tmp_path: Path) -> None:
    """A second node on a folder is refused until the first is stopped; stopping twice does nothing."""
    node = opened(tmp_path)
    with pytest.raises(LightningError) as error:
        opened(tmp_path)
    assert code(error) == "locked"
    node.stop()
    node.stop()
    opened(tmp_path)


def test_a_store_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    """What a newer Pylon wrote is not opened, and not changed."""
    opened(tmp_path).stop()
    database = sqlite3.connect(tmp_path / "ldk.sqlite")
    assert database.execute("PRAGMA user_version").fetchone() == (1,)
    database.execute("PRAGMA user_version=2")
    database.close()
    with pytest.raises(LightningError) as error:
        opened(tmp_path)
    assert code(error) == "newer_version"


def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    """A file of something else is an error of the storage, not a crash."""
    (tmp_path / "ldk.sqlite").write_bytes(b"x" * 5000)
    with pytest.raises(LightningError) as error:
        opened(tmp_path)
    assert code(error) == "storage"


@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": bytes(63)},
        {"network": "mainnet"},
        {"chain": "ftp://127.0.0.1:1"},
        {"chain": "bitcoind://127.0.0.1"},
        {"trusted": ("02" * 33, "nowhere")},
        {"trusted": ("no key", "127.0.0.1:1")},
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: dict[str, object]) -> None:
    """What is no seed, network, chain or peer is `invalid`."""
    given: dict[str, object] = {"folder": str(tmp_path), "seed": SEED, "network": "regtest", "chain": NOWHERE} | arguments
    with pytest.raises(LightningError) as error:
        Node(**given)  # type: ignore[arg-type]
    assert code(error) == "invalid"


async def test_a_start_without_a_chain_may_be_tried_again(tmp_path: Path) -> None:
    """Where the source of the chain is away, a start says so, every time, and the node is stopped as before."""
    node = LightningNode(tmp_path, SEED, "regtest", NOWHERE)
    for _ in range(2):
        with pytest.raises(LightningError) as error:
            await node.start()
        assert code(error) == "chain_source"
    status = await node.status()
    assert not status.running
    for call in (node.sync(), node.channels(), node.address()):
        with pytest.raises(LightningError) as error:
            await call
        assert code(error) == "not_running"
    await node.stop()


def test_documents_before_a_start(tmp_path: Path) -> None:
    """A node that was opened and not started tells what is in its store, and no event waits."""
    node = opened(tmp_path)
    assert json.loads(node.channels()) == []
    assert json.loads(node.balances())["claims"] == []
    assert node.payment(bytes(32)) is None
    assert node.event() is None
    with pytest.raises(LightningError) as error:
        node.acknowledge()
    assert code(error) == "invalid"


def test_an_extension_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python files were updated and the extension was not: it says so, instead of failing later."""
    import pylon.lightning.node as node

    monkeypatch.setattr("pylon.__version__", "0.0.0")
    with pytest.raises(ImportError, match="make native"):
        importlib.reload(node)
