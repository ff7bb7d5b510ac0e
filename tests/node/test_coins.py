"""Coins that leave on the chain (a scripted wallet): limits hold for them, the journal knows first, nothing is lost in the middle."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from pylon.errors import InsufficientFunds, OverLimit, PaymentError, PaymentUnknown, PylonError
from pylon.market.limits import Limits
from pylon.market.payment import Status
from pylon.node.accounts import payment_document
from pylon.node.journal import Payment
from pylon.node.ledger import Ledger
from pylon.node.payments import Payments
from pylon.units import Msat
from pylon.wallets.base import Coins, Direction
from tests.cli.scripted_node import ADDRESS, BALANCE, TXID, ScriptedNode

HELD = Msat(9_000_000)
FEE = Msat(700)


class Place:
    """A ledger, a wallet with 9,000 sats of coins, and limits of 5,000 a day and 8,000 in all."""

    def __init__(self, ledger: Ledger, wallet: ScriptedNode) -> None:
        self.ledger = ledger
        self.wallet = wallet
        self.payments = Payments(ledger, wallet, "bcrt", Msat(10), Limits(per_day=Msat(5_000_000), total=Msat(8_000_000)))

    async def send(self, sats: int | None) -> Coins:
        """Send so many, or all."""
        return await self.payments.send_coins(self.wallet, ADDRESS, None if sats is None else Msat(sats * 1000), None)

    def lines(self) -> list[Payment]:
        """What the journal says, newest first."""
        return self.ledger.history(10)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """Nothing was spent yet."""
    ledger = Ledger(tmp_path / "ledger.sqlite3", secret=b"\x05" * 32)
    wallet = ScriptedNode.open(tmp_path, secrets.token_bytes(32), "regtest")
    wallet.begin()
    wallet.holds = replace(BALANCE, onchain=HELD)
    made = Place(ledger, wallet)
    yield made
    await made.payments.aclose()
    await wallet.aclose()
    ledger.close()


async def test_what_was_sent_stands_in_the_journal(place: Place) -> None:
    """Amount, fee, address and transaction: what accounting needs."""
    sent = await place.send(2000)
    (line,) = place.lines()
    assert (line.payment_hash, line.amount, line.fee, line.status) == (sent.txid, Msat(2_000_000), FEE, Status.SETTLED)
    document = payment_document(line, secrets=False)
    assert (document["kind"], document["txid"], document["payment_hash"], document["memo"]) == (
        "onchain", TXID.hex(), None, f"coins to {ADDRESS}",
    )


async def test_the_limits_hold(place: Place) -> None:
    """What was sent before counts, with its fee; `all` is held against all there is. A refusal moves nothing and leaves no line."""
    await place.send(4000)
    with pytest.raises(OverLimit):
        await place.send(1000)  # the fee of the first one is over the day's limit
    with pytest.raises(OverLimit):
        await place.send(None)
    await place.send(999)
    assert [amount for _, amount, _ in place.wallet.sent] == [Msat(4_000_000), Msat(999_000)]
    assert len(place.lines()) == 2


async def test_two_at_once_see_each_other(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one has not ended when the second one is decided, and counts."""
    go = asyncio.Event()
    real = ScriptedNode.send_onchain

    async def slow(wallet: ScriptedNode, address: str, amount: Msat | None, *, sat_per_vbyte: int | None) -> Coins:
        await go.wait()
        return await real(wallet, address, amount, sat_per_vbyte=sat_per_vbyte)

    monkeypatch.setattr(ScriptedNode, "send_onchain", slow)
    first = asyncio.ensure_future(place.send(3000))
    while not place.lines():  # noqa: ASYNC110 the journal tells nobody
        await asyncio.sleep(0)
    assert place.lines()[0].status is Status.SENT
    with pytest.raises(OverLimit):
        await place.send(3000)
    go.set()
    await first
    assert len(place.wallet.sent) == 1


async def test_what_the_wallet_refuses(place: Place) -> None:
    """Nothing left: no line, and nothing counts."""
    place.wallet.holds = BALANCE
    with pytest.raises(InsufficientFunds):
        await place.send(1)
    assert place.lines() == []
    assert place.ledger.left() == 0
    assert place.ledger.failures(0.0) == []


@pytest.mark.parametrize("error", [PaymentUnknown("who knows"), PylonError("the disk is full"), RuntimeError("a bug"), PaymentError("no")])
async def test_broken_in_the_middle(place: Place, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Only the wallet's no is a no. All else counts as spent, is never sent again, and is not looked for where it cannot be found."""

    async def breaks(wallet: ScriptedNode, address: str, amount: Msat | None, *, sat_per_vbyte: int | None) -> Coins:
        raise error

    monkeypatch.setattr(ScriptedNode, "send_onchain", breaks)
    with pytest.raises(PaymentError) as caught:
        await place.send(2000)
    refused = type(error) is PaymentError
    assert isinstance(caught.value, PaymentUnknown) is not refused
    assert [line.status for line in place.lines()] == ([] if refused else [Status.UNKNOWN])
    assert place.ledger.left() == (0 if refused else 2_000_000)
    place.payments.resume()
    assert not place.payments._following


async def test_killed_in_the_middle(place: Place) -> None:
    """What a start finds as `sent` is unknown from then on, and stays that."""
    with place.ledger.transaction(full=True):
        place.ledger.intend(Payment(
            direction=Direction.OUT, payment_hash=b"\x01" * 32, bolt11="", amount=Msat(5), status=Status.INTENT, at=1.0, memo="coins",
            wallet=place.ledger.purse.wallet, network=place.ledger.purse.network,
        ))
        place.ledger.send(b"\x01" * 32, now=1.0)
    place.payments.resume()
    assert [line.status for line in place.lines()] == [Status.UNKNOWN]
    assert not place.payments._following


async def test_the_wallet_is_not_asked_for_coins_when_journal_and_wallet_are_compared(place: Place) -> None:
    """They are no payments of Lightning: the comparison at a start leaves them out."""
    await place.send(2000)
    assert place.ledger.settled(before=2e12) == []
