"""Preimages at rest: only who has the identity can read them, and nothing of them stands in the file in clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylon.market.job import BuyerState, ProviderState
from pylon.market.payment import Status
from pylon.node.journal import Payment
from pylon.node.ledger import Ledger
from pylon.node.vault import Vault
from pylon.units import Msat
from pylon.wallets.base import Direction
from tests.market.scene import NOW, bought, invoice, payment_hash, preimage, sold

SECRET = b"\x05" * 32


def test_only_the_same_identity_opens_it() -> None:
    """Another secret, another hash, a changed byte, or none: nothing, and no error that would stop a reader."""
    sealed = Vault(SECRET).seal(preimage(1), payment_hash(1))
    assert Vault(SECRET).unseal(sealed, payment_hash(1)) == preimage(1)
    assert preimage(1) not in sealed
    assert sealed != Vault(SECRET).seal(preimage(1), payment_hash(1)), "a nonce of its own each time"
    for vault, hashed, kept in (
        (Vault(b"\x06" * 32), payment_hash(1), sealed), (Vault(), payment_hash(1), sealed), (Vault(SECRET), payment_hash(2), sealed),
        (Vault(SECRET), payment_hash(1), sealed[:-1] + bytes([sealed[-1] ^ 1])), (Vault(SECRET), payment_hash(1), b"short"),
    ):
        assert vault.unseal(kept, hashed) == b""
    assert Vault(SECRET).seal(b"", payment_hash(1)) == Vault(SECRET).unseal(b"", payment_hash(1)) == b""


@pytest.mark.parametrize("secret", [SECRET, None], ids=["with the key", "without"])
def test_no_preimage_stands_in_the_file(tmp_path: Path, secret: bytes | None) -> None:
    """Not in the journal, not in jobs of either side, not in what SQLite keeps beside the file; a reader with the key has them all."""
    path = tmp_path / "ledger.sqlite3"
    ledger = Ledger(path, secret=secret)
    secret_of_ours = bytes.fromhex("5ec2e7" * 10 + "5ec2")
    with ledger.transaction(full=True):
        for direction in Direction:
            ledger.intend(Payment(
                direction=direction, payment_hash=payment_hash(1), bolt11=invoice(), amount=Msat(1000), at=NOW,
                status=Status.INTENT if direction is Direction.OUT else Status.OPEN,
            ))
            ledger.settle(direction, payment_hash(1), now=NOW, preimage=secret_of_ours)
        ledger.put(bought(BuyerState.PAID, preimage=secret_of_ours))
        ledger.put(sold(ProviderState.DELIVERED, preimage=secret_of_ours))
    for file in tmp_path.iterdir():
        data = file.read_bytes()
        assert secret_of_ours not in data, file.name
        assert secret_of_ours.hex().encode() not in data
    reader = Ledger(path, readonly=True, secret=SECRET)
    found = {line.preimage for line in reader.payments(9)} | {job.preimage for job in reader.jobs(9)}
    assert found == ({secret_of_ours} if secret else {b""})
    stranger = Ledger(path, readonly=True)
    assert [(line.preimage, line.sealed) for line in stranger.payments(9)] == [(b"", True)] * 2
    for one in (ledger, reader, stranger):
        one.close()
