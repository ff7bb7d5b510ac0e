"""Transactions and blocks as bytes: read, written, hashed. No state, no clock.

The form is Bitcoin's (BIP-144 with witnesses, https://github.com/bitcoin/bips/blob/master/bip-0144.mediawiki). Hashes are in the order of
the bytes here; what a person or the Electrum protocol sees is the reverse, as hex (`shown`, `hidden`).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

NO_HASH: Final = bytes(32)
"""The previous transaction of a coinbase, and its own place in the tree of witnesses (BIP-141)."""
FINAL: Final = 0xFFFFFFFF
BITS: Final = 0x207FFFFF
"""The difficulty of regtest: every second hash is good enough."""
VERSION: Final = 0x20000000
HEADER_BYTES: Final = 80
GENESIS: Final = bytes.fromhex(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa"
    "4b1e5e4adae5494dffff7f2002000000"
    "0101000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f"
    "4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f205"
    "2a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d57"
    "8a4c702b6bf11d5fac00000000"
)
"""The block with which every regtest chain begins (Bitcoin Core, src/kernel/chainparams.cpp)."""


def double_sha256(data: bytes) -> bytes:
    """The hash of transactions, blocks and the trees over them."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def shown(digest: bytes) -> str:
    """A hash as people and protocols write it."""
    return digest[::-1].hex()


def hidden(text: str) -> bytes:
    """A written hash as its bytes. Raises ValueError where it is not 64 hexadecimal digits."""
    if len(text) != 64:
        raise ValueError("a hash has 64 hexadecimal digits")
    return bytes.fromhex(text)[::-1]


@dataclass(frozen=True, slots=True)
class Input:
    """What a transaction spends, and what it says to be allowed to."""

    txid: bytes
    index: int
    script: bytes = b""
    sequence: int = FINAL
    witness: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """A sum, and the script that locks it."""

    value: int
    script: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction with its bytes. Made by `read_transaction` and `write_transaction` only."""

    raw: bytes
    txid: bytes
    version: int
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    locktime: int
    stripped_bytes: int
    """How long it is without its witnesses."""

    @property
    def coinbase(self) -> bool:
        """Whether it makes new coins."""
        return len(self.inputs) == 1 and self.inputs[0].txid == NO_HASH and self.inputs[0].index == FINAL

    @property
    def weight(self) -> int:
        """BIP-141: "Transaction weight is defined as Base transaction size * 3 + Total transaction size"."""
        return self.stripped_bytes * 3 + len(self.raw)

    @property
    def virtual_bytes(self) -> int:
        """A quarter of the weight, rounded up: what fees are counted by."""
        return -(-self.weight // 4)

    @property
    def witness_hash(self) -> bytes:
        """The hash that covers the witnesses too."""
        return double_sha256(self.raw)


class _Reader:
    """Bytes read from left to right. Raises ValueError where they end too early."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise ValueError("the bytes end too early")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def size(self) -> int:
        """A compact size, refused where a shorter form would do, as Bitcoin Core does."""
        first = self.number(1)
        if first < 253:
            return first
        width = 1 << (first - 252)
        value = self.number(width)
        if value < (253, 0x10000, 0x100000000)[first - 253]:
            raise ValueError("a number is written longer than it is")
        return value

    def text(self) -> bytes:
        return self.take(self.size())

    def transaction(self) -> Transaction:
        start = self.at
        version = self.number(4)
        with_witness = self.data[self.at : self.at + 2] == b"\x00\x01"
        if with_witness:
            self.at += 2
        body = self.at
        spent = [(self.take(32), self.number(4), self.text(), self.number(4)) for _ in range(self.size())]
        outputs = tuple(Output(self.number(8), self.text()) for _ in range(self.size()))
        stripped = self.data[start : start + 4] + self.data[body : self.at]
        witnesses = [tuple(self.text() for _ in range(self.size())) for _ in spent] if with_witness else [()] * len(spent)
        if with_witness and not any(witnesses):
            raise ValueError("the place for witnesses is empty")
        locktime = self.take(4)
        stripped += locktime
        return Transaction(
            raw=self.data[start : self.at],
            txid=double_sha256(stripped),
            version=version,
            inputs=tuple(Input(*given, witness) for given, witness in zip(spent, witnesses, strict=True)),
            outputs=outputs,
            locktime=int.from_bytes(locktime, "little"),
            stripped_bytes=len(stripped),
        )


def read_transaction(raw: bytes) -> Transaction:
    """One transaction and nothing after it. Raises ValueError."""
    reader = _Reader(raw)
    transaction = reader.transaction()
    if reader.at != len(raw):
        raise ValueError("bytes follow the transaction")
    return transaction


def read_block(raw: bytes) -> tuple[bytes, list[Transaction]]:
    """The header and the transactions of a block. Raises ValueError."""
    reader = _Reader(raw)
    header = reader.take(HEADER_BYTES)
    transactions = [reader.transaction() for _ in range(reader.size())]
    if reader.at != len(raw):
        raise ValueError("bytes follow the block")
    return header, transactions


def compact(number: int) -> bytes:
    """A number in the compact form."""
    if number < 253:
        return bytes([number])
    if number < 0x10000:
        return b"\xfd" + struct.pack("<H", number)
    if number < 0x100000000:
        return b"\xfe" + struct.pack("<I", number)
    return b"\xff" + struct.pack("<Q", number)


def write_transaction(version: int, inputs: Sequence[Input], outputs: Sequence[Output], locktime: int = 0) -> Transaction:
    """The transaction of these parts."""
    body = compact(len(inputs))
    for one in inputs:
        body += one.txid + struct.pack("<I", one.index) + compact(len(one.script)) + one.script + struct.pack("<I", one.sequence)
    body += compact(len(outputs))
    for output in outputs:
        body += struct.pack("<Q", output.value) + compact(len(output.script)) + output.script
    head, tail = struct.pack("<I", version), struct.pack("<I", locktime)
    if not any(one.witness for one in inputs):
        return read_transaction(head + body + tail)
    witness = b"".join(compact(len(one.witness)) + b"".join(compact(len(part)) + part for part in one.witness) for one in inputs)
    return read_transaction(head + b"\x00\x01" + body + witness + tail)


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    """The root of the tree over the hashes; a row of odd length repeats its last one."""
    row = list(hashes)
    while len(row) > 1:
        row += row[-1:] * (len(row) % 2)
        row = [double_sha256(row[i] + row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def merkle_branch(hashes: Sequence[bytes], position: int) -> list[bytes]:
    """The neighbours by which one hash is shown to be under the root, from below."""
    row, branch = list(hashes), []
    while len(row) > 1:
        row += row[-1:] * (len(row) % 2)
        branch.append(row[position ^ 1])
        row = [double_sha256(row[i] + row[i + 1]) for i in range(0, len(row), 2)]
        position //= 2
    return branch


def write_coinbase(height: int, value: int, script: bytes, transactions: Sequence[Transaction], extra: bytes) -> Transaction:
    """The first transaction of a block: the height (BIP-34), the reward, and the commitment to all witnesses (BIP-141)."""
    digits = height.to_bytes((height.bit_length() + 8) // 8, "little")
    # BIP-34 as Bitcoin Core has it: CScript() << nHeight, which has single opcodes for 1 to 16.
    number = bytes([0x50 + height]) if height <= 16 else compact(len(digits)) + digits
    root = merkle_root([NO_HASH, *(one.witness_hash for one in transactions)])
    commitment = b"\x6a\x24\xaa\x21\xa9\xed" + double_sha256(root + NO_HASH)
    source = Input(NO_HASH, FINAL, number + compact(len(extra)) + extra, FINAL, (NO_HASH,))
    return write_transaction(2, [source], [Output(value, script), Output(0, commitment)])


def write_header(previous: bytes, root: bytes, at: int) -> bytes:
    """A header that is work enough for regtest."""
    front = struct.pack("<I", VERSION) + previous + root + struct.pack("<II", at, BITS)
    for nonce in range(1 << 32):
        header = front + struct.pack("<I", nonce)
        if double_sha256(header)[31] < 0x80:
            return header
    raise AssertionError("half of all hashes are good enough")


def header_time(header: bytes) -> int:
    """When a block says that it was made."""
    return int.from_bytes(header[68:72], "little")
