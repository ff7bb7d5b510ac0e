"""What `pylon doctor` says of a wallet that is a node (a scripted one here), in every state that it can have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from pylon import _native
from pylon.cli.doctor_wallet import lightning_build, wallet_checks
from pylon.config import Config, Home, WalletConfig, state_dir
from pylon.units import Msat
from pylon.wallets import network
from pylon.wallets.base import Health, HealthState
from pylon.wallets.sim import CAPABILITIES
from tests.cli.scripted_node import CHANNEL, NODE, READY, ScriptedNode, scripted, served, served_network

STATUS = {"pid": 7, "height": 120, "hub": {"channels": [1, 2]}, "tip_ahead_s": -5.0}


class Patient:
    """A home whose node is served."""

    def __init__(self, home: Home, wallet: ScriptedNode) -> None:
        self.home = home
        self.wallet = wallet

    def seen(self, config: Config | None = None) -> dict[str, tuple[str, str, str]]:
        """Level, detail and hint of each check."""
        return {check.name: (check.level, check.detail, check.hint) for check in wallet_checks(self.home, config or Config())}


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Patient]:
    """A scripted node's wallet on regtest."""
    home, wallet = scripted(tmp_path)
    with served(home, wallet):
        yield Patient(home, wallet)


def test_all_is_well(patient: Patient) -> None:
    """Wallet, channels, and a private network that need not run, and is not started by looking."""
    assert patient.seen() == {
        "wallet": ("ok", "scripted on regtest (regtest sats, no value): 99,000.5 sats", ""),
        "channels": ("ok", "1 of 1 channel usable, 1 peer connected, at block 1,234", ""),
        "network": ("ok", "the private network does not run; it starts when it is needed", ""),
    }
    assert not network.place(state_dir()).folder.exists()


@pytest.mark.parametrize(("state", "level"), [("off", "ok"), ("starting", "warn"), ("degraded", "warn"), ("failed", "fail")])
def test_the_state_of_the_wallet(patient: Patient, state: str, level: str) -> None:
    """What is wrong is said in the wallet's words, with what to do about it."""
    patient.wallet.state = Health(HealthState(state), "the disk is full", "make room")
    found, detail, hint = patient.seen()["wallet"]
    assert found == level
    assert ("the disk is full" in detail, hint) == ((True, "make room") if level != "ok" else (False, ""))


def test_channels_that_cannot_be_used(patient: Patient) -> None:
    """All of them: a failure. Some: none. None at all: nothing is wrong."""
    away = replace(CHANNEL, usable=False)
    for known, level in (((away,), "fail"), ((away, CHANNEL), "ok"), ((), "ok")):
        patient.wallet.known = known
        assert patient.seen()["channels"][0] == level
    patient.wallet.state = replace(READY, peers=())
    assert "0 peers connected" in patient.seen()["channels"][1]


def test_an_empty_wallet(patient: Patient) -> None:
    """Only buying needs sats: a warning."""
    patient.wallet.holds = replace(patient.wallet.holds, spendable=Msat(0))
    assert patient.seen()["wallet"][0] == "warn"


def test_the_simulated_wallet(patient: Patient) -> None:
    """Named as what it is; it has no channels and no network."""
    patient.wallet.able, patient.wallet.state = CAPABILITIES, Health(HealthState.READY)
    assert patient.seen() == {"wallet": ("ok", "sim on regtest (simulated: not Lightning, no value): 99,000.5 sats", "")}


def test_other_networks_have_no_private_one(patient: Patient) -> None:
    """Neither another network nor another source of blocks asks for it."""
    patient.wallet.able = replace(NODE, network="signet")
    assert "network" not in patient.seen(Config(network="signet"))
    assert "network" not in patient.seen(Config(wallet=WalletConfig(chain="tcp://127.0.0.1:50001")))


def test_the_private_network_runs(patient: Patient) -> None:
    """Its process, its height, its hub; a block from the future means that our clock is wrong."""
    with served_network(network.place(state_dir()).control, STATUS):
        assert patient.seen()["network"] == ("ok", "runs (process 7), at block 120; its hub has 2 channels", "")
    with served_network(network.place(state_dir()).control, STATUS | {"tip_ahead_s": 86_400.0}):
        level, detail, hint = patient.seen()["network"]
    assert (level, "1 day, 0:00:00 later than this computer's clock" in detail, hint) == ("fail", True, "set the clock right")


def test_a_node_that_cannot_start(tmp_path: Path) -> None:
    """Without an identity there is no wallet: one failed check, and no channels are asked for."""
    home = Home(tmp_path / "home")
    checks = wallet_checks(home, Config(network="signet"))
    assert [(check.name, check.level) for check in checks] == [("wallet", "fail")]


def test_whether_lightning_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told where the embedded node is the wallet, or would be."""
    for built, level in ((True, "ok"), (False, "warn")):
        monkeypatch.setattr(_native, "has_lightning", lambda built=built: built)
        assert [check.level for check in lightning_build(Config())] == [level]
        assert [check.level for check in lightning_build(Config(wallet=WalletConfig(backend="ldk")))] == [level]
        assert lightning_build(Config(wallet=WalletConfig(backend="sim"))) == []
