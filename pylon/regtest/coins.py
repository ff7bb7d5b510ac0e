"""The faucet: coins of the private network, paid out on-chain.

All rewards go to one key of the chain's own (a Taproot key path, signed by our BIP-340 signer). Coins that anybody could spend would do on
a private chain, but any client that sees the mempool could take them, in a test or by accident; this costs one hash and one signature.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from pylon.errors import PylonError
from pylon.regtest.addresses import address_to_script
from pylon.regtest.blocks import Input, Output, Transaction, compact, write_transaction
from pylon.regtest.chain import HALVING, SUBSIDY, Chain
from pylon.regtest.chainfile import place_of
from pylon.regtest.mempool import MATURITY

FEE_RATE: Final = 2
"""Sats a virtual byte."""
DUST: Final = 546
"""A smaller change is left to the miner, and no less is paid out."""
MAX_INPUTS: Final = 500
FRAME_BYTES: Final = 63
"""Virtual bytes of a payment without its inputs and its script: version, counts, locktime, a value, the change."""
INPUT_BYTES: Final = 58
"""Virtual bytes of an input by the key path of Taproot."""


class FaucetEmpty(PylonError):
    """The faucet has too little now."""

    code = "faucet_empty"


class Coins:
    """The coins of a chain's faucet."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def available(self) -> int:
        """The sats that can be paid out now."""
        return sum(value for _, _, value in self._spendable(-1))

    def _spendable(self, most: int) -> list[tuple[bytes, int, int]]:
        """Coins that may go into the next block, the largest first. -1: all of them."""
        rows: list[tuple[bytes, int, int]] = self._chain.file.rows(
            "SELECT t.txid, o.n, o.value FROM outs o JOIN txs t ON t.id = o.tx"
            " WHERE o.place = ? AND o.spender IS NULL AND o.value > 0 AND (t.height IS NULL OR t.pos > 0 OR t.height <= ?)"
            " ORDER BY o.value DESC LIMIT ?",
            place_of(self._chain.reward_script),
            self._chain.height + 1 - MATURITY,
            most,
        )
        return rows

    def pay(self, to: bytes | str, sats: int) -> str:
        """Send sats to a script or an address; they are in the next block. Answers the transaction's id.

        Raises ValueError for what is no address or too small, FaucetEmpty where more blocks are needed first."""
        script = address_to_script(to) if isinstance(to, str) else to
        if sats < DUST:
            raise ValueError(f"at least {DUST} sats are paid out")
        coins: list[tuple[bytes, int, int]] = []
        have = fee = 0
        for coin in self._spendable(MAX_INPUTS):
            coins.append(coin)
            have += coin[2]
            fee = FEE_RATE * (FRAME_BYTES + len(script) + INPUT_BYTES * len(coins))
            if have >= sats + fee:
                break
        else:
            raise self._empty(sats, have)
        outputs = [Output(sats, script)]
        if have - sats - fee >= DUST:
            outputs.append(Output(have - sats - fee, self._chain.reward_script))
        return self._chain.accept(self._pay(coins, outputs).raw)

    def _pay(self, coins: list[tuple[bytes, int, int]], outputs: list[Output]) -> Transaction:
        """The signed transaction: every coin by the key path, over all inputs and outputs (BIP-341, SIGHASH_DEFAULT)."""
        inputs = [Input(txid, n) for txid, n, _ in coins]
        script = self._chain.reward_script
        # BIP-341, "Common signature message": epoch, hash type, version, locktime, five hashes, spend type 0, index of the input.
        message = b"\x00\x00" + struct.pack("<II", 2, 0)
        for part in (
            b"".join(one.txid + struct.pack("<I", one.index) for one in inputs),
            b"".join(struct.pack("<Q", value) for _, _, value in coins),
            (compact(len(script)) + script) * len(coins),
            b"".join(struct.pack("<I", one.sequence) for one in inputs),
            b"".join(struct.pack("<Q", output.value) + compact(len(output.script)) + output.script for output in outputs),
        ):
            message += hashlib.sha256(part).digest()
        tag = hashlib.sha256(b"TapSighash").digest()
        signed = []
        for i, one in enumerate(inputs):
            digest = hashlib.sha256(tag + tag + message + b"\x00" + struct.pack("<I", i)).digest()
            signed.append(Input(one.txid, one.index, witness=(self._chain.signer.sign(digest),)))
        return write_transaction(2, signed, outputs)

    def _empty(self, sats: int, have: int) -> FaucetEmpty:
        blocks = self._blocks_until(sats - have)
        hint = f"mine {blocks} blocks first" if blocks else "stop the network and move its folder away: a new one has new coins"
        return FaucetEmpty(f"the faucet has {have:,} sats now and {sats:,} are asked for", hint=hint)

    def _blocks_until(self, missing: int) -> int | None:
        """How many blocks make at least so many more sats ripe; None where no number does."""
        height = self._chain.height
        for blocks in range(1, MATURITY + HALVING * SUBSIDY.bit_length()):
            missing -= SUBSIDY >> (height + 1 + blocks - MATURITY) // HALVING
            if missing + FEE_RATE * 200 * MAX_INPUTS <= 0:
                return blocks
        return None
