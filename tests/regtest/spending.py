"""Transactions for tests: coins that anybody may spend, what spends them, and what the engine says to a block of ours that holds it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from pylon.regtest.blocks import (
    FINAL,
    Input,
    Output,
    Transaction,
    compact,
    double_sha256,
    hidden,
    merkle_root,
    read_block,
    read_transaction,
    shown,
    write_coinbase,
    write_header,
    write_transaction,
)
from pylon.regtest.chain import HALVING, SUBSIDY, Chain
from pylon.regtest.coins import Coins
from pylon.regtest.kernel import BlockRefused
from pylon.regtest.mempool import Refused

TRUE = b"\x51"
OPEN = b"\x00\x20" + hashlib.sha256(TRUE).digest()
"""The script of a coin that anybody may spend: P2WSH of OP_TRUE."""
SOMEBODY = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"

Coin = tuple[bytes, int, int]
"""Transaction, index, value."""


def open_coin(chain: Chain, sats: int = 100_000, script: bytes = OPEN) -> Coin:
    """A coin of the faucet's in the next block, its script open to all."""
    return hidden(Coins(chain).pay(script, sats)), 0, sats


def spend(
    coins: Sequence[Coin],
    outputs: Sequence[Output] | None = None,
    *,
    sequence: int = FINAL,
    version: int = 2,
    locktime: int = 0,
    witness: tuple[bytes, ...] = (TRUE,),
    script: bytes = b"",
) -> Transaction:
    """Spend open coins; without outputs all of it goes to another open coin, less a fee."""
    inputs = [Input(txid, index, script, sequence, witness) for txid, index, _ in coins]
    return write_transaction(version, inputs, outputs or [Output(sum(coin[2] for coin in coins) - 300, OPEN)], locktime)


def reward(chain: Chain, height: int) -> Transaction:
    """A spend of the reward of the block at a height."""
    coinbase = read_block(chain.file.block(height))[1][0]
    value = coinbase.outputs[0].value
    return Coins(chain)._pay([(coinbase.txid, 0, value)], [Output(value - 300, OPEN)])


def outcome(transaction: Transaction, index: int = 0) -> Coin:
    """What a transaction made, as a coin."""
    return transaction.txid, index, transaction.outputs[index].value


def tampered(transaction: Transaction, at: int, value: int = 1) -> Transaction:
    """The same with one byte of it changed."""
    raw = bytearray(transaction.raw)
    raw[at] ^= value
    return read_transaction(bytes(raw))


def block_of(chain: Chain, transactions: Sequence[Transaction]) -> bytes:
    """The next block with these transactions, whatever we think of them."""
    height = chain.height + 1
    coinbase = write_coinbase(height, SUBSIDY >> height // HALVING, chain.reward_script, transactions, os.urandom(8))
    root = merkle_root([coinbase.txid, *(one.txid for one in transactions)])
    header = write_header(double_sha256(chain.file.headers(height - 1, height - 1)[0]), root, chain._next_time())
    return header + compact(1 + len(transactions)) + coinbase.raw + b"".join(one.raw for one in transactions)


def engine_takes(chain: Chain, *transactions: Transaction) -> bool:
    """Whether the engine takes the next block with these. A block that it takes is forgotten again."""
    try:
        chain._ready()._feed(block_of(chain, transactions))
    except BlockRefused:
        return False
    engine = chain._ready()
    if engine._height() != chain.height + 1:
        return False
    engine.follow(chain.file)
    return True


def judged(chain: Chain, transaction: Transaction) -> str:
    """Our word on a transaction, after the engine has said the same: taken and mined, or refused by both."""
    waiting = [one.transaction for one in chain.file.waiting()]
    try:
        chain.accept(transaction.raw)
    except Refused as error:
        word = str(error)
    else:
        word = "taken"
    if word != "taken":
        assert not engine_takes(chain, *waiting, transaction), f"only we refuse it: {word}"
        return word
    chain.mine()
    assert chain.where(shown(transaction.txid)) == (chain.height, chain.tip)
    return "taken"
