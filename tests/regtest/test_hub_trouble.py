"""What goes wrong around a network that runs: the clock, the disk, a reorganisation, nonsense on its socket."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import msgspec
import pytest

from pylon.errors import PylonError
from pylon.lightning import built

if not built():
    pytest.skip("this build leaves the Lightning node out", allow_module_level=True)

from pylon.control import client
from pylon.regtest import hub, miner
from pylon.regtest.chain import Chain
from tests.regtest.side import Document, Side, running, until

DAY = 86_400.0


async def ask(folder: Path, name: str, **args: object) -> Document:
    """A call over the socket."""
    return msgspec.json.decode(await client.call(folder / "control.sock", name, args), type=Document)


async def test_a_clock_that_is_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a day: no block can follow, which is said in a sentence; channels open all the same; later, what waits is mined."""
    monkeypatch.setattr(miner, "RETRY_SECONDS", 0.1)
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "one", joined) as one:
        await until(daemon.status, lambda said: said["mempool"] == 0)
        right = daemon.chain._clock
        daemon.chain._clock = lambda: time.time() - DAY
        with pytest.raises(PylonError, match="the clock of this machine is") as behind:
            await ask(tmp_path / "net", "mine", blocks=1)
        assert behind.value.code == "clock_behind"
        (opened,) = await daemon.opener.fund(one.id, 5_000_000)
        await one.usable(1)
        assert daemon.chain.where(opened[:64]) is None
        daemon.chain._clock = right
        await until(daemon.status, lambda said: daemon.chain.where(opened[:64]) is not None)


async def test_a_start_with_the_clock_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network starts, and its channels work; only blocks have to wait."""
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "one", joined) as one:
        await daemon.opener.fund(one.id, 5_000_000)
        await one.usable(1)
        height = daemon.chain.height
    opened = Chain.open
    monkeypatch.setattr(Chain, "open", lambda folder: opened(folder, lambda: time.time() - DAY))
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "one", joined) as one:
        assert daemon.chain.height >= height
        await one.usable(1)
        assert await one.spendable() == 5_000_000


async def test_a_disk_that_is_full_under_the_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that cannot be written is made when there is room again; nothing ends meanwhile."""
    monkeypatch.setattr(miner, "RETRY_SECONDS", 0.1)
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "one", joined) as one:
        await until(daemon.status, lambda said: said["mempool"] == 0)
        tries: list[int] = []

        def full(count: int = 1) -> list[str]:
            tries.append(count)
            raise PylonError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(daemon.chain, "mine", full)
            (opened,) = await daemon.opener.fund(one.id, 5_000_000)
            await until(daemon.status, lambda said: len(tries) > 2)
        await until(daemon.status, lambda said: daemon.chain.where(opened[:64]) is not None)


async def test_a_disk_that_is_full_under_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node's news wait, unacknowledged, until they can be written down."""
    monkeypatch.setattr(hub, "RETRY_SECONDS", 0.05)
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "one", joined) as one:
        write = daemon.hub.record.opened
        tries: list[str] = []

        def full(channel: str, *rest: object) -> None:
            tries.append(channel)
            if len(tries) < 3:
                raise sqlite3.OperationalError("database or disk is full")
            write(channel, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(daemon.hub.record, "opened", full)
        await daemon.opener.fund(one.id, 5_000_000)
        await until(daemon.status, lambda said: len(tries) == 3)
        (channel,) = await one.usable(1)
        assert set(tries) == {channel.id}


async def test_a_reorganisation(tmp_path: Path) -> None:
    """A funding transaction that loses some of its confirmations: the channel stays, and pays."""
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "one", joined) as one:
        (opened,) = await daemon.opener.fund(one.id, 5_000_000)
        await until(daemon.status, lambda said: daemon.chain.where(opened[:64]) is not None)
        await ask(tmp_path / "net", "mine", blocks=8)
        said = await ask(tmp_path / "net", "reorg", depth=4, blocks=6)
        assert said == {"height": daemon.chain.height, "tip": daemon.chain.tip}
        await daemon.hub.sync()
        await one.node.sync()
        await daemon.payer.pay(await one.node.invoice(1_000_000, "x", 600))
        await until(one.totals, lambda said: said["spendable"] == 6_000_000)
        with pytest.raises(PylonError, match="depth"):
            await ask(tmp_path / "net", "reorg", depth=0, blocks=1)


async def test_nonsense(tmp_path: Path) -> None:
    """Arguments that are none are usage errors with a sentence; the network goes on."""
    async with running(tmp_path / "net") as (daemon, _):
        asked: list[tuple[str, Document]] = [
            ("mine", {"blocks": 0}), ("mine", {"blocks": 2001}), ("mine", {"blocks": "many"}), ("mine", {"n": 1}),
            ("fund", {}), ("fund", {"node_id": "me", "amount_msat": 1}), ("fund", {"node_id": daemon.hub.node_id, "amount_msat": -1}),
            ("fund", {"node_id": daemon.hub.node_id, "amount_msat": 10**18}), ("inbound", {"node_id": "02" * 33, "amount_msat": "1"}),
            ("fund", {"node_id": "02" * 33, "amount_msat": 1, "channels": 21}),
            ("fund", {"node_id": "02" * 33, "amount_msat": 1, "channels": 0}),
            ("faucet", {"address": "nowhere", "sats": 1000}), ("faucet", {"address": await daemon.hub.node.address(), "sats": 1}),
            ("reorg", {"depth": 1000, "blocks": 1001}), ("ping", {"x": 1}), ("nothing", {}),
        ]
        for name, args in asked:
            with pytest.raises(PylonError) as wrong:
                await ask(tmp_path / "net", name, **args)
            assert wrong.value.code == "usage", (name, args, wrong.value)
        assert (await ask(tmp_path / "net", "ping"))["protocol"] == 1


async def test_status_proves_that_it_is_real(tmp_path: Path) -> None:
    """Height, tip, the funding transaction of each channel and its block, the peers, the processes; and that it is worth nothing."""
    async with running(tmp_path / "net") as (daemon, joined), Side(tmp_path / "one", joined) as one:
        (opened,) = await daemon.opener.fund(one.id, 5_000_000)
        await until(daemon.status, lambda _: daemon.chain.where(opened[:64]) is not None)
        said = await ask(tmp_path / "net", "status")
        assert (said["running"], said["network"], said["no_value"], said["height"]) == (True, "regtest", True, daemon.chain.height)
        assert (said["tip"], said["genesis"], said["electrum"]) == (daemon.chain.tip, daemon.chain.genesis, joined.electrum)
        shown = said["hub"]
        assert isinstance(shown, dict)
        (channel,) = shown["channels"]
        where = daemon.chain.where(opened[:64])
        assert where is not None
        assert f"{channel['funding_txid']}:{channel['funding_vout']}" == opened
        assert (channel["block_height"], channel["block_hash"]) == where
        assert channel["confirmations"] == daemon.chain.height - where[0] + 1
        assert (channel["peer"], channel["usable"], channel["inbound_msat"]) == (one.id, True, 5_000_000)
        assert shown["peers"] == [{"node_id": one.id, "connected": True}]
