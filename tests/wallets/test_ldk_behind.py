"""The wallet `ldk` after an old copy was brought back: it lives on, and what was ours comes back on the chain."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from pylon import _native
from pylon.config import Config
from pylon.errors import PylonError
from pylon.wallets.ldk.backup import restore_backup
from tests.conformance.wallet import FEE, PRICE, holds, new_key, soon
from tests.wallets.ldk_world import FUNDS, world

pytestmark = pytest.mark.skipif(not _native.has_lightning(), reason="built without the Lightning node")


async def test_an_old_copy_gives_its_channels_up(tmp_path: Path) -> None:
    """The hub proves that a channel went on after the copy: all are closed, all that was ours comes back, and there is a new one."""
    async with world(tmp_path) as made:
        wallet, payee = made.open("first", channels=3), made.open("payee")
        await soon(wallet.fund(FUNDS))
        await soon(wallet.backup(tmp_path / "copy"))
        invoice = await soon(payee.invoice(PRICE, "", 600))
        await soon(wallet.pay(invoice.bolt11, max_fee=FEE, key=new_key()))
        balance, seed = await wallet.balance(), wallet._life.home.seed
        ours = balance.spendable + balance.reserved
        await wallet.aclose()
        assert restore_backup(tmp_path / "copy", home=tmp_path / "first", seed=seed, config=Config()) is not None
        wallet, mined, deadline = made.open("first"), False, time.monotonic() + 40
        while not (mined and balance.receivable and not balance.closing):
            try:
                balance = await wallet.balance()
                if not mined and balance.receivable and balance.closing:
                    await made.ask("mine", blocks=8)
                    mined = True
            except PylonError:  # while the old channels break the node
                assert time.monotonic() < deadline, await wallet.health()
            await asyncio.sleep(0.05)
        assert ours - 3_000_000 < balance.onchain < ours  # what the transactions cost
        invoice = await soon(wallet.invoice(PRICE, "", 600))
        await soon(payee.pay(invoice.bolt11, max_fee=FEE, key=new_key()))
        await soon(holds(wallet, PRICE))
