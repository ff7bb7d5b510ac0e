"""`pylon wallet` with a wallet that is a Lightning node (a scripted one here): what is shown, what is passed on, what is refused."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pylon.cli.main import pylon
from pylon.cli.options import SATS
from pylon.cli.wallet_node import SatsOrAll
from pylon.config import Home
from pylon.control import client
from pylon.errors import PylonError
from pylon.units import Msat
from pylon.wallets.base import Health, HealthState
from pylon.wallets.sim import CAPABILITIES
from tests.cli.scripted_node import ADDRESS, CHANNEL, NODE, TXID, ScriptedNode, scripted, served

ROOT = Path(__file__).parents[2]
Document = dict[str, object]
NAMED: Document = {"backend": "scripted", "network": "regtest", "simulated": False, "no_value": True}


class Desk:
    """A home whose node is served, and its wallet."""

    def __init__(self, home: Home, wallet: ScriptedNode) -> None:
        self.home = home
        self.wallet = wallet

    def run(self, *words: str) -> Result:
        """`pylon wallet …`."""
        return CliRunner().invoke(pylon, ["--home", str(self.home.path), "wallet", *words])

    def ask(self, *words: str) -> Document:
        """With `--json`; it must succeed."""
        done = self.run(*words, "--json")
        assert done.exit_code == 0, done.output
        document: Document = json.loads(done.stdout)
        return document

    def refused(self, *words: str) -> tuple[int, str, str]:
        """With `--json`: exit status, code, message."""
        done = self.run(*words, "--json")
        error = json.loads(done.stdout)["error"]
        return done.exit_code, error["code"], error["message"]

    def on_terminal(self, answer: str, *words: str) -> tuple[int, str]:
        """On a terminal, where this is typed: exit status, and what was shown."""
        master, slave = pty.openpty()
        line = [sys.executable, "-m", "pylon", "--home", str(self.home.path), "wallet", *words]
        process = subprocess.Popen(line, cwd=ROOT, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        os.write(master, answer.encode())
        said = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # EIO: the other end is closed
                break
            said += piece
        os.close(master)
        return process.wait(), said.decode()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A scripted node's wallet on regtest."""
    home, wallet = scripted(tmp_path)
    with served(home, wallet):
        yield Desk(home, wallet)


def test_the_balance_has_parts(desk: Desk) -> None:
    """In the document always; for people only where there is something of it. What it is worth is said."""
    assert {name: value for name, value in desk.ask("balance").items() if name.endswith("_msat")} == {
        "spendable_msat": 99_000_500, "receivable_msat": 880_000_000, "pending_msat": 0, "reserved_msat": 10_000_000, "closing_msat": 0,
        "onchain_msat": 0,
    }
    assert desk.run("balance").stdout == (
        "Wallet:     scripted, regtest  (regtest sats, no value)\n"
        "Spendable:  99,000.5 sats\nReceivable: 880,000 sats\nReserved:   10,000 sats\n"
    )
    desk.wallet.holds = replace(desk.wallet.holds, pending=Msat(1000), closing=Msat(2000), onchain=Msat(3000), reserved=Msat(0))
    shown = desk.run("balance").stdout
    assert shown.splitlines()[3:] == ["Pending:    1 sat", "Closing:    2 sats", "On chain:   3 sats"]


def test_what_the_sats_are_worth(desk: Desk) -> None:
    """Simulated only where it is; no value on test networks; real on mainnet."""
    for able, words, no_value in (
        (NODE, "(regtest sats, no value)", True), (CAPABILITIES, "(simulated: not Lightning, no value)", True),
        (replace(NODE, network="signet"), "(signet sats, no value)", True), (replace(NODE, network="mainnet"), "(real sats; beta)", False),
    ):
        desk.wallet.able = able
        assert words in desk.run("balance").stdout
        assert words in desk.run("fund", "1").stdout
        assert desk.ask("balance")["no_value"] is no_value


def test_the_status_says_how_it_is(desk: Desk) -> None:
    """Node, height, state; a problem with what to do about it, and nothing of it drives the terminal."""
    document = desk.ask("status")
    assert document["node_id"] == "03" + "ef" * 32
    assert document["height"] == 1234
    assert document["health"] == {"state": "ready", "problem": "", "hint": "", "peers": [CHANNEL.peer]}
    assert desk.run("status").stdout.splitlines()[-2:] == [f"Node:       03{'ef' * 32}, at block 1,234", "State:      ready"]
    desk.wallet.state = Health(HealthState.DEGRADED, "the chain's server says \x1b[2J nothing", "look at it")
    assert desk.run("status").stdout.splitlines()[-2:] == [
        "State:      degraded: the chain's server says \\x1b[2J nothing", "            look at it",
    ]
    assert desk.ask("status")["node_id"] is None


def test_channels(desk: Desk) -> None:
    """Each with its whole id, amounts as msat in the document and as sats for people."""
    assert desk.ask("channels") == NAMED | {"channels": [{
        "id": CHANNEL.id, "peer": CHANNEL.peer, "funding": CHANNEL.funding, "usable": True, "confirmations": 3,
        "capacity_msat": 1_000_000_000, "spendable_msat": 99_000_500, "receivable_msat": 880_000_000, "reserved_msat": 10_000_000,
    }]}
    shown = desk.run("channels").stdout
    for words in (f"{CHANNEL.id}: usable, 3 confirmations", "99,000.5 sats of 1,000,000 sats", CHANNEL.peer, CHANNEL.funding):
        assert words in shown
    desk.wallet.known = (replace(CHANNEL, usable=False),)
    assert "not usable now" in desk.run("channels").stdout
    desk.wallet.known = ()
    assert desk.run("channels").stdout.splitlines()[1].startswith("No channels yet.")
    assert desk.ask("channels") == NAMED | {"channels": []}


def test_closing(desk: Desk) -> None:
    """By the whole id; what comes back is what was ours, the reserve too."""
    document = desk.ask("channels", "--close", CHANNEL.id)
    assert (document["id"], document["owned_msat"], document["forced"]) == (CHANNEL.id, 109_000_500, False)
    assert "109,000.5 sats, less fees, come back on the chain" in desk.run("channels", "--close", CHANNEL.id, "--force").stdout
    assert desk.wallet.closed == [(CHANNEL.id, False), (CHANNEL.id, True)]


@pytest.mark.parametrize("channel", ["", CHANNEL.id[:12], CHANNEL.id + "0", "no\x1bsuch", "9" * 500, "ß"])
def test_closing_what_is_not_there(desk: Desk, channel: str) -> None:
    """A part of an id is none."""
    status, code, message = desk.refused("channels", f"--close={channel}")
    assert (status, code) == (2, "usage")
    assert "no channel" in message
    assert not desk.wallet.closed


def test_force_alone_means_nothing(desk: Desk) -> None:
    """`--force` without `--close` is a mistake, not a list."""
    assert desk.refused("channels", "--force")[:2] == (2, "usage")


def test_an_address(desk: Desk) -> None:
    """Alone on its line; with `--qr` the code follows; a document has none."""
    assert desk.ask("address") == NAMED | {"address": ADDRESS}
    assert desk.run("address").stdout == ADDRESS + "\n"
    assert "█" in desk.run("address", "--qr").stdout.partition("\n")[2]
    assert desk.refused("address", "--qr")[:2] == (2, "usage")
    assert desk.refused("invoice", "1", "--qr")[:2] == (2, "usage")
    assert desk.run("invoice", "1", "--qr").stdout.splitlines()[0].startswith("lnbcrt10n1")


def test_sending_coins(desk: Desk) -> None:
    """A number of sats, or all; the fee rate is passed on; what is not there is refused (exit 6)."""
    assert desk.refused("send-onchain", ADDRESS, "5")[:2] == (6, "insufficient_funds")
    desk.wallet.holds = replace(desk.wallet.holds, onchain=Msat(9_000_000))
    assert desk.ask("send-onchain", ADDRESS, "5000") == NAMED | {
        "txid": TXID.hex(), "address": ADDRESS, "amount_msat": 5_000_000, "fee_msat": 700, "all": False,
    }
    assert desk.run("send-onchain", ADDRESS, "all", "--sat-per-vbyte", "3").stdout == (
        f"9,000 sats sent to {ADDRESS} (fee 0.7 sats).\nTransaction: 01{TXID.hex()[2:]}\n"
    )
    assert desk.wallet.sent == [(ADDRESS, Msat(5_000_000), None), (ADDRESS, None, 3)]


@pytest.mark.parametrize("words", [
    (ADDRESS, "0"), (ADDRESS, "-1"), (ADDRESS, "1.5"), (ADDRESS, "ALL"), (ADDRESS, "2100000000000001"), (ADDRESS, "nan"), (ADDRESS, ""),
    ("", "5"), ("a b", "5"), ("x" * 101, "5"), ("bc1q\x1b[2J", "5"), ("bitcoin:bc1qabc", "5"), ("ß", "5"),
    (ADDRESS, "5", "--sat-per-vbyte", "0"), (ADDRESS, "5", "--sat-per-vbyte", "1.5"), (ADDRESS, "5", "--sat-per-vbyte", "100001"),
])
def test_what_cannot_be_sent(desk: Desk, words: tuple[str, ...]) -> None:
    """Exit 2 before the node is asked; no control character reaches the terminal."""
    done = desk.run("send-onchain", *words[2:], "--", *words[:2])
    assert done.exit_code == 2
    assert "\x1b" not in done.output.replace("\\x1b", "")
    assert not desk.wallet.sent


@given(st.one_of(st.text(max_size=20), st.integers().map(str), st.floats().map(str)))
def test_an_amount_is_a_number_of_sats_or_all(text: str) -> None:
    """Whatever is typed: all, a whole number of sats that exists, or a usage error."""
    try:
        amount = SatsOrAll().convert(text, None, None)  # type: ignore[arg-type]  # as click calls it
    except click.BadParameter:
        return
    assert (text == "all") if amount == 0 else (1 <= amount <= (SATS.max or 0) and int(text) == amount)


def test_real_money_is_asked_for(desk: Desk) -> None:
    """On mainnet: yes goes on, anything else does not; without a terminal it needs --yes. Nothing is asked on test networks."""
    desk.wallet.able = replace(NODE, network="mainnet")
    desk.wallet.holds = replace(desk.wallet.holds, onchain=Msat(9_000_000))
    assert desk.refused("send-onchain", ADDRESS, "5")[:2] == (2, "usage")
    assert desk.refused("channels", "--close", CHANNEL.id)[:2] == (2, "usage")
    assert not desk.wallet.sent
    status, said = desk.on_terminal("n\n", "send-onchain", ADDRESS, "5")
    assert (status, desk.wallet.sent) == (1, [])
    assert f"Send 5 sats to {ADDRESS}?" in said
    assert desk.on_terminal("y\n", "send-onchain", ADDRESS, "5")[0] == 0
    assert desk.ask("send-onchain", ADDRESS, "6", "--yes")["amount_msat"] == 6000
    assert [amount for _, amount, _ in desk.wallet.sent] == [5000, 6000]
    assert desk.on_terminal("n\n", "channels", "--close", CHANNEL.id)[0] == 1
    assert not desk.wallet.closed


def test_a_backup(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written where the command stands, wherever the node stands; never over another file."""
    monkeypatch.chdir(tmp_path)
    document = desk.ask("backup", "copy.pylon")
    assert document == {"path": str(tmp_path / "copy.pylon"), "bytes": 8}
    assert desk.refused("backup", "copy.pylon")[:2] == (2, "usage")
    assert "stale" in desk.run("backup", "another.pylon").stdout
    assert desk.run("backup", ".").exit_code == 2
    assert desk.run("backup", "no/such/folder/copy").exit_code == 1


@pytest.mark.parametrize("words", [
    ("channels",), ("channels", "--close", "1"), ("address",), ("send-onchain", ADDRESS, "1"), ("backup", "copy"),
])
def test_the_simulated_wallet_is_no_node(desk: Desk, words: tuple[str, ...]) -> None:
    """Exit 6, a sentence that names the wallet, and what to do."""
    desk.wallet.able = CAPABILITIES
    status, code, message = desk.refused(*words)
    assert (status, code) == (6, "payment")
    assert "the wallet sim is simulated: it has no channels" in message


def test_calls_with_wrong_arguments(desk: Desk) -> None:
    """The socket refuses what the commands would never send."""
    amounts: list[object] = [0, -5, "all", 1.5, 10**30]
    calls: list[tuple[str, Document]] = [("wallet.send", {"address": ADDRESS, "sats": sats}) for sats in amounts]
    calls += [
        ("wallet.send", {"address": ADDRESS}), ("wallet.close", {"channel": 5}), ("wallet.close", {"channel": "x", "force": 2}),
        ("wallet.backup", {}), ("wallet.channels", {"x": 1}),
    ]
    for name, args in calls:
        with pytest.raises(PylonError) as caught:
            asyncio.run(client.call(desk.home.control, name, args))
        assert caught.value.exit_status == 2, (name, args)
    assert msgspec.json.decode(asyncio.run(client.call(desk.home.control, "wallet.address"))) == NAMED | {"address": ADDRESS}
