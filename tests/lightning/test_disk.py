"""A full disk under a node that runs: it waits, says so, loses nothing, and stops when it is told."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lightning.net import Net, Party, until

BALLAST = "ballast"


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of four megabytes."""
    place = tmp_path_factory.mktemp("small")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True, check=False).returncode:
        pytest.skip("this user may mount nothing")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(place: Path) -> None:
    """Leave no room at all."""
    done = subprocess.run(["dd", "if=/dev/zero", f"of={place / BALLAST}", "bs=4096"], capture_output=True, check=False)
    assert b"No space left" in done.stderr


async def waiting(party: Party) -> None:
    """Until the node says that its writes wait."""

    async def told() -> bool:
        return (await party.node.status()).storage_error is not None

    await until(told)


async def test_a_node_waits_for_room_and_goes_on(net: Net, small: Path) -> None:
    """A payment is begun on a full disk; the node says what is wrong, and when there is room the payment ends well, paid once."""
    buyer = await net.wallet("buyer", small)
    await net.fund(buyer)
    fill(small)
    invoice = await net.hub.node.invoice(21_000, "room", 600)
    paying = asyncio.create_task(buyer.node.pay(invoice, 0))
    await waiting(buyer)
    status = await buyer.node.status()
    assert status.storage_error == "database or disk is full"
    assert (status.running, status.panic) == (True, None)
    (small / BALLAST).unlink()
    await paying
    ended = await buyer.event("sent", "failed")
    assert ended.type == "sent"
    status = await buyer.node.status()
    assert (status.storage_error, status.panic) == (None, None)
    assert await buyer.outbound_msat() == 500_000_000 - 10_000_000 - 21_000


async def test_a_node_stops_on_a_full_disk(net: Net, small: Path) -> None:
    """A stop gives up after seconds; the process goes on, and after a start with room the channel and what it holds are right."""
    buyer = await net.wallet("buyer", small)
    await net.fund(buyer)
    fill(small)
    invoice = await net.hub.node.invoice(21_000, "no room", 600)
    paying = asyncio.create_task(buyer.node.pay(invoice, 0))
    await waiting(buyer)
    async with asyncio.timeout(60):
        await buyer.stop()
    assert isinstance((await asyncio.gather(paying, return_exceptions=True))[0], Exception)
    (small / BALLAST).unlink()
    await buyer.start()
    await buyer.usable()
    known = await buyer.node.payments()
    assert [payment.status for payment in known if payment.status != "failed"] == []
    assert await buyer.outbound_msat() == 500_000_000 - 10_000_000
