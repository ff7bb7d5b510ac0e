"""Wallets by name, through entry points."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylon.errors import ConfigError, PylonError
from pylon.wallets.registry import known_wallets, open_wallet
from tests.wallets.conftest import PAYER


@pytest.mark.parametrize("name", ["", "sim"])
async def test_sim_is_the_wallet_of_regtest(name: str, tmp_path: Path) -> None:
    """On regtest the best wallet built in is `sim`, which says that it is simulated."""
    assert "sim" in known_wallets()
    wallet = open_wallet(name, state=tmp_path, secret=PAYER, network="regtest")
    assert (wallet.capabilities.name, wallet.capabilities.network, wallet.capabilities.simulated) == ("sim", "regtest", True)
    await wallet.aclose()


@pytest.mark.parametrize("network", ["mainnet", "testnet", "signet"])
@pytest.mark.parametrize("name", ["", "sim"])
def test_real_networks_have_no_simulated_wallet(name: str, network: str, tmp_path: Path) -> None:
    """On a real network nothing falls back to simulated money: the error says so, and no bank is made."""
    with pytest.raises(PylonError, match=rf"no real wallet is built in yet.*{network}|not Lightning.*{network}"):
        open_wallet(name, state=tmp_path, secret=PAYER, network=network)
    assert not [*tmp_path.iterdir()]


def test_unknown_wallet_names_the_known_ones(tmp_path: Path) -> None:
    """A typo is answered with what there is."""
    with pytest.raises(ConfigError, match=r"no wallet called 'simm'; known wallets: .*sim"):
        open_wallet("simm", state=tmp_path, secret=PAYER, network="regtest")


async def test_other_packages_bring_wallets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wallet of another installed package is found by its entry point; one that cannot be imported is named in the error."""
    info = tmp_path / "other_wallet-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-wallet\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pylon.wallets]\nother = other_wallet_module:open_other\nbroken = no_such_module_at_all:x\n")
    (tmp_path / "other_wallet_module.py").write_text(
        "from pylon.wallets.sim import SimWallet\n"
        "def open_other(*, state, secret, network):\n"
        "    return SimWallet.open(state / 'other', secret, network)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert {"other", "broken"} <= set(known_wallets())
    wallet = open_wallet("other", state=tmp_path, secret=PAYER, network="regtest")
    assert (tmp_path / "other" / "sim" / "bank.sqlite3").exists()
    await wallet.aclose()
    with pytest.raises(PylonError, match="'broken' cannot be loaded"):
        open_wallet("broken", state=tmp_path, secret=PAYER, network="regtest")
