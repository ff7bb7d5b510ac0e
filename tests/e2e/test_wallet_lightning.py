"""The wallet's commands on real Lightning: homes as `pylon init` makes them, one private network, nothing prepared. The tests of this file
are a story, and each of them stands by itself."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pylon import _native
from pylon.config import Home
from pylon.node import client
from pylon.node.lock import is_running
from pylon.wallets import network
from tests.e2e.world import Document, World

PARTS = ("spendable_msat", "reserved_msat", "pending_msat", "closing_msat", "onchain_msat")


class Street(World):
    """Homes with the default settings, and the network that the first of them starts."""

    def init(self, home: str) -> Document:
        """`pylon init`."""
        return self.ask(home, "init")

    def node(self, home: str, name: str) -> Document:
        """A call to the node of a home, as the commands make it; a command starts the node where none runs."""
        place = Home(self.place / home)
        if not is_running(place):
            return self.ask(home, *name.split("."))
        return msgspec.json.decode(asyncio.run(client.call(place, name)), type=Document)

    def balance(self, home: str) -> dict[str, int]:
        """The amounts of a wallet (msat)."""
        return {name: value for name, value in self.node(home, "wallet.balance").items() if isinstance(value, int) and name in FIELDS}

    def owned(self, home: str) -> int:
        """All that a wallet has, wherever it is."""
        balance = self.balance(home)
        return sum(balance[part] for part in PARTS)

    def channels(self, home: str) -> list[dict[str, object]]:
        """The channels of a wallet."""
        return msgspec.convert(self.node(home, "wallet.channels")["channels"], list[dict[str, object]])

    def regtest(self, *words: str) -> Document:
        """`pylon regtest …`."""
        return self.ask("anybody", "regtest", *words)

    def faucet(self, address: str, sats: int) -> None:
        """Coins of the private network for an address, in its next block."""
        state = self.place / "state"
        asyncio.run(network.ask(state, "faucet", {"address": address, "sats": sats}))

    def resolved(self, home: str) -> bool:
        """Whether nothing is on its way any more; the network makes the blocks that it waits for."""
        asyncio.run(network.ask(self.place / "state", "resolve"))
        return self.balance(home)["closing_msat"] == 0

    def coins(self, home: str, wanted: int) -> None:
        """Wait for that many msat on the chain."""
        self.until(lambda: self.balance(home)["onchain_msat"] == wanted, f"{wanted} msat of coins, there are {self.balance(home)}")

    def close(self) -> None:
        """End all that was started; the network last."""
        try:
            super().close()
        finally:
            self.run("anybody", "regtest", "stop")


FIELDS = (*PARTS, "receivable_msat")


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """alice and bob, both empty; no network runs."""
    made = Street(tmp_path_factory.mktemp("street"))
    try:
        made.init("alice")
        made.init("bob")
        yield made
    finally:
        made.close()


@pytest.fixture
def alice(street: Street) -> str:
    """A home that can pay 10,000 sats and more."""
    if street.balance("alice")["spendable_msat"] < 10_000_000:
        street.ask("alice", "wallet", "fund")
    return "alice"


def test_an_unused_wallet_starts_nothing(street: Street) -> None:
    """Looking at it is no reason for a network."""
    street.init("carol")
    assert street.owned("carol") == 0
    assert street.channels("carol") == []
    status = street.ask("carol", "wallet", "status")
    assert (status["health"], status["node_id"]) == ({"state": "off", "problem": "", "hint": "", "peers": []}, None)


def test_fund_in_a_fresh_home(street: Street) -> None:
    """No network, no login: one command, and there is a channel with exactly these sats, and the transaction that proves it."""
    street.regtest("stop")
    street.init("fresh")
    funded = street.ask("fresh", "wallet", "fund")
    assert (funded["backend"], funded["network"], funded["simulated"], funded["no_value"]) == ("ldk", "regtest", False, True)
    assert funded["spendable_msat"] == 100_000_000
    assert int(str(funded["receivable_msat"])) >= 100_000_000
    (channel,) = street.channels("fresh")
    status = street.regtest("status")
    hub = msgspec.convert(status["hub"], Document)
    listed = msgspec.convert(hub["channels"], list[Document])
    assert (status["running"], status["no_value"], hub["node_id"]) == (True, True, channel["peer"])
    assert channel["usable"] is True
    assert channel["funding"] in [f"{row['funding_txid']}:{row['funding_vout']}" for row in listed]
    shown = street.run("fresh", "wallet", "balance").out
    assert shown.startswith("Wallet:     ldk, regtest  (regtest sats, no value)\nSpendable:  100,000 sats\n")
    again = street.ask("fresh", "wallet", "fund", "500")
    assert again["spendable_msat"] == 100_500_000
    assert len(street.channels("fresh")) == 1
    checks = msgspec.convert(street.run("fresh", "doctor", "--json").document["checks"], list[Document])
    levels = {str(row["name"]): row["level"] for row in checks}
    assert [levels[name] for name in ("lightning", "wallet", "channels", "network")] == ["ok"] * 4


def test_a_home_that_was_never_funded_is_paid(street: Street, alice: str) -> None:
    """The hub gives it room; what the one pays is what the other gets, to the msat; both histories tell the same payment."""
    before, bob = street.owned(alice), street.balance("bob")["spendable_msat"]
    invoice = street.ask("bob", "wallet", "invoice", "21", "-d", "for 🍕")
    assert _native.bolt11_decode(str(invoice["bolt11"])).currency == "bcrt"
    assert (invoice["no_value"], invoice["simulated"]) == (True, False)
    paid = street.ask(alice, "wallet", "pay", str(invoice["bolt11"]))
    assert hashlib.sha256(bytes.fromhex(str(paid["preimage"]))).hexdigest() == invoice["payment_hash"]
    street.until(lambda: street.balance("bob")["spendable_msat"] == bob + 21_000, "the money")
    assert before - street.owned(alice) == 21_000 + int(str(paid["fee_msat"]))
    out, into = street.payments(alice)[0], street.payments("bob")[0]
    assert (out["payment_hash"], out["memo"], out["status"]) == (into["payment_hash"], "for 🍕", "settled")


def test_what_cannot_be_paid(street: Street, alice: str) -> None:
    """Twice, to itself, more than there is: exit 6, and nothing leaves."""
    paid = str(street.ask("bob", "wallet", "invoice", "1")["bolt11"])
    street.ask(alice, "wallet", "pay", paid)
    own = str(street.ask(alice, "wallet", "invoice", "1")["bolt11"])
    much = str(street.ask("bob", "wallet", "invoice", "3000000")["bolt11"])
    before = street.owned(alice)
    for invoice, code in ((paid.upper(), "invoice_refused"), (own, "payment_failed"), (much, "insufficient_funds")):
        done = street.run(alice, "wallet", "pay", "--json", invoice)
        assert (done.status, done.error["code"]) == (6, code), (invoice[:40], done)
    assert street.owned(alice) == before


def test_coins(street: Street, alice: str) -> None:
    """Addresses are new each time; coins come, are sent on, and all of them leave; every sat that is missing in the end is a fee."""
    first, second = (str(street.ask("bob", "wallet", "address")["address"]) for _ in range(2))
    assert first != second
    assert first.startswith("bcrt1")
    start = {home: street.balance(home)["onchain_msat"] for home in ("alice", "bob")}
    mine = str(street.ask(alice, "wallet", "address")["address"])
    street.faucet(mine, 70_000)
    street.coins(alice, start["alice"] + 70_000_000)
    sent = street.ask(alice, "wallet", "send-onchain", first, "20000")
    assert (len(str(sent["txid"])), sent["amount_msat"]) == (64, 20_000_000)
    street.coins("bob", start["bob"] + 20_000_000)
    for words in ((first, "5000000"), ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "5000")):
        done = street.run(alice, "wallet", "send-onchain", *words, "--json")
        assert done.status == 6, done
    rest = street.ask(alice, "wallet", "send-onchain", second, "all", "--sat-per-vbyte", "2")
    street.until(lambda: street.balance("bob")["onchain_msat"] > start["bob"] + 69_000_000, "all coins")
    street.until(lambda: street.balance(alice)["onchain_msat"] == 0, "no coins left")
    fees = start["bob"] + start["alice"] + 70_000_000 - street.balance("bob")["onchain_msat"]
    assert fees == int(str(sent["fee_msat"])) + int(str(rest["fee_msat"])) > 0
    listed = msgspec.convert(street.ask(alice, "wallet", "history", "-l", "2")["payments"], list[Document])
    assert [(row["kind"], row["txid"], row["fee_msat"]) for row in listed] == [
        ("onchain", one["txid"], one["fee_msat"]) for one in (rest, sent)
    ]


@pytest.mark.parametrize("force", [False, True])
def test_a_channel_is_closed(street: Street, force: bool) -> None:
    """What was ours comes back as coins, less fees; the other channels, and the next `fund`, go on."""
    home = f"closer{force}"
    street.init(home)
    street.ask(home, "wallet", "fund", "300000")
    before = street.owned(home)
    (channel,) = street.channels(home)
    closed = street.ask(home, "wallet", "channels", "--close", str(channel["id"]), *(["--force"] if force else []))
    assert (closed["owned_msat"], closed["forced"]) == (310_000_000, force)
    street.until(lambda: street.balance(home)["closing_msat"] > 0 or street.balance(home)["onchain_msat"] > 0, "the close")
    assert street.balance(home)["spendable_msat"] == 0
    for _ in range(20):
        assert street.owned(home) <= before  # never in two places at once
    street.until(lambda: street.resolved(home), "the coins")
    assert 0 <= before - street.owned(home) < 20_000_000
    assert street.channels(home) == []
    assert street.ask(home, "wallet", "fund", "1000")["spendable_msat"] == 1_000_000


def test_a_second_home_with_the_same_phrase(street: Street, alice: str) -> None:
    """Two nodes with one seed would lose their channels: the second one is refused while the first one runs."""
    twin = street.place / "twin"
    twin.mkdir()
    shutil.copy(street.place / alice / "identity.json", twin)
    shutil.copy(street.place / alice / "config.toml", twin)
    street.balance(alice)
    done = street.run("twin", "wallet", "fund", "1", "--json")
    assert done.status == 1, done
    assert "runs already" in done.error["message"]
    street.run("twin", "stop")


def test_the_network_ends_and_comes_back(street: Street, alice: str) -> None:
    """`regtest stop` means it: looking starts nothing, a payment does. Chain, channels and money are those of before."""
    street.regtest("mine", "1")
    before, tip = street.owned(alice), street.regtest("status")["tip"]
    invoice = str(street.ask("bob", "wallet", "invoice", "5")["bolt11"])
    assert street.regtest("stop")["stopped"] is True
    assert street.regtest("status")["running"] is False
    assert street.owned(alice) == before
    assert street.regtest("status")["running"] is False
    street.ask(alice, "wallet", "pay", invoice)
    assert before - street.owned(alice) == 5_000
    status = street.regtest("status")
    assert (status["running"], status["tip"]) == (True, tip)


def test_backup_and_restore(street: Street) -> None:
    """A copy is written, read by nobody without the phrase, and put back whole; a stale one only when it is forced."""
    home = "keeper"
    street.init(home)
    street.ask(home, "wallet", "fund", "5000")
    street.ask(home, "wallet", "pay", str(street.ask("bob", "wallet", "invoice", "7")["bolt11"]))
    copy = street.place / "copy.pylon"
    written = street.ask(home, "wallet", "backup", str(copy))
    assert written["bytes"] == copy.stat().st_size
    assert copy.stat().st_mode & 0o777 == 0o600
    assert b"SQLite" not in copy.read_bytes()
    before = street.owned(home)
    street.run(home, "stop")
    restored = street.ask(home, "wallet", "restore", str(copy), "--force")
    assert Path(str(restored["moved_to"])).is_dir()
    assert street.owned(home) == before
    street.ask(home, "wallet", "pay", str(street.ask("bob", "wallet", "invoice", "7")["bolt11"]))
    street.run(home, "stop")
    stale = street.run(home, "wallet", "restore", str(copy), "--json")
    assert stale.status == 2
    assert "is stale: 1 payment came after it" in stale.error["message"]
