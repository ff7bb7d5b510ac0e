"""Wallets by name, through entry points."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylon import _native
from pylon.config import NETWORKS, Config
from pylon.errors import ConfigError, PylonError
from pylon.wallets.base import Wallet
from pylon.wallets.registry import built_in, known_wallets, open_wallet
from tests.wallets.conftest import PAYER


def opened(name: str, place: Path, network: str = "regtest") -> Wallet:
    """The wallet of that name, with all that an opener is given."""
    return open_wallet(name, home=place, state=place, secret=PAYER, seed=PAYER * 2, config=Config(network=network))


def without_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Pylon was built with PYLON_BUILD_LIGHTNING=0."""
    monkeypatch.setattr(_native, "has_lightning", lambda: False)


@pytest.mark.parametrize("name", ["", "sim"])
async def test_sim_stands_in_where_lightning_is_not_built(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the Lightning module the best wallet of regtest is `sim`, which says that it is simulated."""
    without_lightning(monkeypatch)
    assert "sim" in known_wallets()
    wallet = opened(name, tmp_path)
    assert (wallet.capabilities.name, wallet.capabilities.network, wallet.capabilities.simulated) == ("sim", "regtest", True)
    await wallet.aclose()


@pytest.mark.parametrize("network", NETWORKS)
def test_lightning_is_the_wallet_of_every_network(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is built, the embedded node is the default."""
    monkeypatch.setattr(_native, "has_lightning", lambda: True)
    assert built_in(network) == "ldk"


@pytest.mark.parametrize("network", ["mainnet", "testnet", "signet"])
@pytest.mark.parametrize("name", ["", "sim"])
def test_real_networks_have_no_simulated_wallet(name: str, network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a real network nothing falls back to simulated money: the error says so, and no bank is made."""
    without_lightning(monkeypatch)
    with pytest.raises(PylonError, match=rf"without its Lightning node.*{network}|not Lightning.*{network}"):
        opened(name, tmp_path, network)
    assert not [*tmp_path.iterdir()]


def test_unknown_wallet_names_the_known_ones(tmp_path: Path) -> None:
    """A typo is answered with what there is."""
    with pytest.raises(ConfigError, match=r"no wallet called 'simm'; known wallets: .*sim"):
        opened("simm", tmp_path)


async def test_other_packages_bring_wallets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wallet of another installed package is found by its entry point; one that cannot be imported is named in the error."""
    info = tmp_path / "other_wallet-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-wallet\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pylon.wallets]\nother = other_wallet_module:open_other\nbroken = no_such_module_at_all:x\n")
    (tmp_path / "other_wallet_module.py").write_text(
        "from pylon.wallets.sim import SimWallet\n"
        "def open_other(*, home, state, secret, seed, config):\n"
        "    return SimWallet.open(state / 'other', secret, config.network)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert {"other", "broken"} <= set(known_wallets())
    wallet = opened("other", tmp_path)
    assert (tmp_path / "other" / "sim" / "bank.sqlite3").exists()
    await wallet.aclose()
    with pytest.raises(PylonError, match="'broken' cannot be loaded"):
        opened("broken", tmp_path)
