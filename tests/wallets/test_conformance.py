"""The suite of the wallet port, run for `sim` (the fixture `pair` of this folder); `test_ldk_conformance.py` runs it for `ldk`."""

from __future__ import annotations

from tests.conformance.wallet import WalletConformance


class TestSim(WalletConformance):
    """`sim` keeps every rule of the port."""
