"""Wallets at a simulated bank in a temporary folder, and a clock that a test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pylon.lightning import built
from pylon.units import Msat
from pylon.wallets.sim import SimWallet
from tests.conformance.wallet import Pair

if not built():
    collect_ignore_glob = ["test_ldk*.py"]

PAYER, PAYEE = b"\1" * 32, b"\2" * 32
"""The node keys of the two wallets."""
START = 1_800_000_000
FUNDS = Msat(100_000_000)
"""What the payer (and the payee) begins with: 100,000 sats."""

Open = Callable[[bytes], SimWallet]


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The bank's clock in tests that need one."""
    return Clock()


@pytest.fixture
async def open_wallet(tmp_path: Path, clock: Clock) -> AsyncIterator[Open]:
    """Opens wallets at the bank in `tmp_path` on the test's clock, and closes them."""
    opened: list[SimWallet] = []

    def open_one(secret: bytes) -> SimWallet:
        opened.append(SimWallet.open(tmp_path, secret, "regtest", clock=clock))
        return opened[-1]

    yield open_one
    for wallet in opened:
        await wallet.aclose()


@pytest.fixture
async def timed(open_wallet: Open) -> Pair:
    """Payer and payee on the test's clock."""
    pair = Pair(open_wallet(PAYER), open_wallet(PAYEE))
    await pair.payer.fund(FUNDS)
    return pair


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """Payer and payee on the real clock, both funded."""
    pair = Pair(SimWallet.open(tmp_path, PAYER, "regtest"), SimWallet.open(tmp_path, PAYEE, "regtest"))
    for wallet in (pair.payer, pair.payee):
        await wallet.fund(FUNDS)
    yield pair
    for wallet in (pair.payer, pair.payee):
        await wallet.aclose()
