"""The suite of the wallet port, run for `ldk` on a private network of real nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from pylon.wallets.base import Channel, NodeWallet
from pylon.wallets.ldk.wallet import LdkWallet
from tests.conformance.wallet import PATIENCE, Pair, WalletConformance
from tests.wallets.ldk_world import FUNDS, world


class Quiet:
    """Knows of each channel how much both sides have together when nothing is in flight."""

    def __init__(self) -> None:
        self._whole: dict[str, int] = {}

    async def wait(self, wallet: NodeWallet) -> None:
        """Until nothing is in flight in the wallet's channels."""
        async with asyncio.timeout(PATIENCE):
            while any([self._moving(one) for one in await wallet.channels()]):  # noqa: ASYNC110 a channel does not tell
                await asyncio.sleep(0.02)

    def _moving(self, channel: Channel) -> bool:
        both = channel.spendable + channel.receivable
        return self._whole.setdefault(channel.id, both) != both


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def lightning(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[LdkWallet, LdkWallet]]:
    """Payer and payee on one private network, both funded."""
    async with world(tmp_path_factory.mktemp("ldk")) as made:
        payer, payee = made.open("payer"), made.open("payee")
        for wallet in (payer, payee):
            await wallet.fund(FUNDS)
        yield payer, payee


@pytest.mark.asyncio(loop_scope="module")
class TestLdk(WalletConformance):
    """`ldk` keeps every rule of the port, on real Lightning."""

    quiet = Quiet()

    @pytest_asyncio.fixture(loop_scope="module")
    async def pair(self, lightning: tuple[LdkWallet, LdkWallet]) -> Pair:
        """The one pair of this module, when nothing of the test before is in flight any more."""
        for wallet in lightning:
            await self.quiet.wait(wallet)
        return Pair(*lightning)
