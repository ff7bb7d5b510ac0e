"""A scripted wallet: it answers what a test tells it to. For failures that no real wallet here can be made to have."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from pylon.errors import PylonError
from pylon.units import Msat
from pylon.wallets.base import (
    Balance,
    Capabilities,
    Direction,
    Health,
    HealthState,
    Invoice,
    Paid,
    PaymentRecord,
    PaymentState,
    PaymentStatus,
    WalletEvent,
)
from tests.market.scene import preimage

CAPABILITIES = Capabilities(
    name="scripted", network="regtest", msat=True, choose_preimage=True, knows_preimage=True, hold=True, faucet=False, push_events=True,
    simulated=False, lists_payments=True,
)
NOTHING = PaymentState(PaymentStatus.UNKNOWN)
SECRETS = {hashlib.sha256(preimage(n)).digest(): preimage(n) for n in range(1, 400)}
"""The preimages of the invoices of `tests.market.scene`."""


class Scripted:
    """`on_pay` is what `pay` does (default: yes, for nothing); `states` what `lookup` says, one after another, the last for ever."""

    def __init__(self) -> None:
        self.capabilities = CAPABILITIES
        self.asked: list[bytes] = []
        self.looked = 0
        self.states: list[PaymentState | Exception] = [NOTHING]
        self.states_of_health: list[HealthState] = [HealthState.READY]
        self.on_pay: Callable[[bytes], Awaitable[Paid]] = self._yes
        self.limits: list[Msat] = []

    async def _yes(self, payment_hash: bytes) -> Paid:
        return Paid(SECRETS[payment_hash], Msat(0))

    async def pay(self, bolt11: str, *, max_fee: Msat, key: bytes) -> Paid:
        """Note it, and do as told."""
        self.asked.append(key)
        self.limits.append(max_fee)
        return await self.on_pay(key)

    async def lookup(self, payment_hash: bytes, direction: Direction) -> PaymentState:
        """What comes next."""
        self.looked += 1
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        return state

    async def health(self) -> Health:
        """What comes next."""
        many = len(self.states_of_health) > 1
        return Health(self.states_of_health.pop(0) if many else self.states_of_health[0])

    async def balance(self) -> Balance:
        """All there is."""
        return Balance(Msat(10**9), Msat(10**9), Msat(0))

    async def invoice(
        self, amount: Msat, memo: str, expires_in: int, *, preimage: bytes | None = None, payment_hash: bytes | None = None
    ) -> Invoice:
        """None."""
        raise PylonError("the scripted wallet makes no invoices")

    async def settle(self, preimage: bytes) -> None:
        """Nothing is held."""

    async def cancel(self, payment_hash: bytes) -> None:
        """Nothing is open."""

    async def events(self, since: int | None) -> AsyncIterator[WalletEvent]:
        """None, for ever."""
        await asyncio.Event().wait()
        yield WalletEvent(0, b"", PaymentStatus.OPEN, Msat(0), 0)

    async def fund(self, amount: Msat) -> None:
        """Nothing."""

    async def payments(self, since: float) -> Sequence[PaymentRecord]:
        """None."""
        return []

    async def aclose(self) -> None:
        """Nothing is open."""
