"""Electrum of Debian on our private network: it opens a channel to our hub, pays a wallet of Pylon, and is paid by it.

Run by `make integration-lightning` alone.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator

import msgspec
import pytest

from pylon.wallets import network
from tests.e2e.lightning import Lightning
from tests.e2e.world import Document, number
from tests.integration.electrum import Electrum, ElectrumError

COINS = 20_000_000
CAPACITY, PUSHED = "0.1", "0.03"
"""BTC. Of ten million sats, three are on the hub's side from the beginning."""
CONFIRMATIONS = 6


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lightning]:
    """A private network and a funded home."""
    made = Lightning(tmp_path_factory.mktemp("electrum"))
    try:
        made.home("pylon", sats=100_000)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def electrum(world: Lightning, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Electrum]:
    """Electrum with coins of our faucet and an open channel to our hub."""
    status = world.regtest("status")
    made = Electrum(tmp_path_factory.mktemp("foreign") / "data", str(status["electrum"]).removeprefix("tcp://"))
    try:
        _give_coins(world, made)
        hub = msgspec.convert(status["hub"], Document)
        made.ask("open_channel", connection_string=f"{hub['node_id']}@{hub['address']}", amount=CAPACITY, push_amount=PUSHED)
        world.until(lambda: number(world.network_status(), "mempool") == 0, "the block with the funding transaction")
        world.regtest("mine", str(CONFIRMATIONS))
        made.until(lambda: [row["state"] for row in made.documents("list_channels")] == ["OPEN"], "the channel is open")
        yield made
    finally:
        made.close()


def _give_coins(world: Lightning, electrum: Electrum) -> None:
    address = electrum.ask("getunusedaddress")
    asyncio.run(network.call(world.place / "state", "faucet", {"address": address, "sats": COINS}))
    electrum.until(lambda: electrum.document("getbalance").get("confirmed") == "0.2", "the coins, in a block that Electrum has checked")


def books(world: Lightning, electrum: Electrum) -> tuple[int, int, int, int]:
    """Msat: what the home has; what Electrum says that it has in channels; the hub's part of the channel with Electrum; what is
    reserved of both sides there."""
    own = str(electrum.ask("nodeid")).partition("@")[0]
    (channel,) = [row for row in world.hub_channels() if row["peer"] == own]
    history = electrum.documents("lightning_history")
    theirs = sum(number(row, "amount_msat") for row in history)
    reserve = number(channel, "capacity_sat") * 10  # BOLT 2 as both do it: 1 % of the capacity, in msat
    return world.everything("pylon"), theirs, number(channel, "outbound_msat") + reserve, number(channel, "capacity_sat") * 1000


def test_it_pays_us(world: Lightning, electrum: Electrum) -> None:
    """An invoice of ours; the preimage that Electrum has is that of the invoice, and both books say the same, to the msat."""
    before = books(world, electrum)
    invoice = world.ask("pylon", "wallet", "invoice", "1234")
    paid = electrum.document("lnpay", str(invoice["bolt11"]))
    assert paid["success"] is True, (paid, electrum.log[-2000:])
    assert hashlib.sha256(bytes.fromhex(str(paid["preimage"]))).hexdigest() == invoice["payment_hash"]
    world.until(lambda: [row["status"] for row in world.payments("pylon")][:1] == ["settled"], "the news of the payment")
    electrum.until(lambda: books(world, electrum)[0] > before[0], "the money")
    ours, theirs, hub, _ = books(world, electrum)
    (row,) = [row for row in electrum.documents("lightning_history") if row.get("payment_hash") == invoice["payment_hash"]]
    sent = -number(row, "amount_msat")
    assert ours - before[0] == 1_234_000
    assert before[1] - theirs == sent
    assert sent - 1_234_000 == number(row, "fee_msat")
    assert hub - before[2] == sent


def test_it_is_paid_by_us(world: Lightning, electrum: Electrum) -> None:
    """An invoice of Electrum; the preimage that we are given is the one that Electrum had, and both books say the same, to the msat."""
    before = books(world, electrum)
    asked = electrum.document("add_request", "0.00004321", "from a foreign implementation")
    bought = world.ask("pylon", "wallet", "pay", str(asked["lightning_invoice"]))
    assert (bought["status"], bought["payment_hash"], bought["amount_msat"]) == ("settled", asked["rhash"], 4_321_000)
    assert hashlib.sha256(bytes.fromhex(str(bought["preimage"]))).hexdigest() == asked["rhash"]
    ours, theirs, hub, capacity = books(world, electrum)
    (row,) = [row for row in electrum.documents("lightning_history") if row.get("payment_hash") == asked["rhash"]]
    assert number(row, "amount_msat") == 4_321_000
    assert row["preimage"] == bought["preimage"]
    assert before[0] - ours == 4_321_000 + number(bought, "fee_msat")
    assert theirs - before[1] == 4_321_000
    assert before[2] - hub == 4_321_000
    assert theirs + hub == capacity


def test_a_second_payment_is_refused_by_both(world: Lightning, electrum: Electrum) -> None:
    """Nobody pays an invoice twice: not we, by our journal, and not Electrum."""
    asked = electrum.document("add_request", "0.00000100", "once")
    world.ask("pylon", "wallet", "pay", str(asked["lightning_invoice"]))
    again = world.run("pylon", "wallet", "pay", str(asked["lightning_invoice"]), "--json")
    assert (again.status, again.error["code"]) == (6, "invoice_refused")
    invoice = str(world.ask("pylon", "wallet", "invoice", "100")["bolt11"])
    assert electrum.document("lnpay", invoice)["success"] is True
    before = books(world, electrum)
    with pytest.raises(ElectrumError, match="paid already"):
        electrum.ask("lnpay", invoice)
    assert books(world, electrum) == before


def test_they_part_in_peace(world: Lightning, electrum: Electrum) -> None:
    """The channel is closed by agreement; Electrum has its part on our chain, less the fee of the closing transaction."""
    (channel,) = electrum.documents("list_channels")
    mine = number(channel, "local_balance")
    before = electrum.document("getbalance")
    electrum.ask("close_channel", str(channel["channel_point"]))
    world.until(lambda: number(world.network_status(), "mempool") == 0, "the block with the closing transaction")
    electrum.until(lambda: electrum.documents("list_channels")[0]["state"] in ("CLOSED", "REDEEMED"), "the end of the channel")
    got = _sats(electrum.document("getbalance")) - _sats(before)
    assert mine - 50_000 < got <= mine


def _sats(balance: Document) -> int:
    return round(float(str(balance["confirmed"])) * 100_000_000)
