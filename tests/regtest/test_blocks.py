"""Transactions, blocks and addresses as bytes: written and read again, and what is no such thing is refused in one way."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.nostr.bech32 import polymod
from pylon.regtest import addresses
from pylon.regtest.addresses import address_to_script
from pylon.regtest.blocks import (
    GENESIS,
    Input,
    Output,
    Transaction,
    compact,
    double_sha256,
    hidden,
    merkle_branch,
    merkle_root,
    read_block,
    read_transaction,
    shown,
    write_coinbase,
    write_transaction,
)
from pylon.regtest.kernel import verify_scripts

hashes = st.binary(min_size=32, max_size=32)
scripts = st.binary(max_size=300)
numbers = st.integers(0, 2**32 - 1)
inputs = st.builds(
    Input, txid=hashes, index=numbers, script=scripts, sequence=numbers, witness=st.lists(st.binary(max_size=80), max_size=3).map(tuple)
)
outputs = st.builds(Output, value=st.integers(0, 2**64 - 1), script=scripts)
transactions = st.builds(
    write_transaction,
    version=numbers,
    inputs=st.lists(inputs, min_size=1, max_size=4),
    outputs=st.lists(outputs, max_size=4),
    locktime=numbers,
)


@given(transactions)
def test_a_transaction_is_read_as_it_was_written(one: Transaction) -> None:
    """Its parts, its bytes, its weight."""
    assert write_transaction(one.version, one.inputs, one.outputs, one.locktime) == one
    assert read_transaction(one.raw) == one
    bare = write_transaction(one.version, [Input(i.txid, i.index, i.script, i.sequence) for i in one.inputs], one.outputs, one.locktime)
    assert bare.txid == one.txid == bare.witness_hash
    assert one.weight == 3 * len(bare.raw) + len(one.raw)
    assert one.virtual_bytes * 4 - one.weight in range(4)


@given(st.lists(transactions, max_size=4))
def test_a_block_is_read_as_it_was_written(inside: list[Transaction]) -> None:
    """Header and transactions."""
    raw = bytes(80) + compact(len(inside)) + b"".join(one.raw for one in inside)
    assert read_block(raw) == (bytes(80), inside)
    with pytest.raises(ValueError, match="follow"):
        read_block(raw + b"\x00")


@given(transactions, st.data())
def test_bytes_that_are_no_transaction_raise_one_error(one: Transaction, data: st.DataObject) -> None:
    """Cut short it is always refused; changed it is another transaction or refused; nothing but ValueError comes out."""
    with pytest.raises(ValueError, match=r"early|longer|empty"):
        read_transaction(one.raw[: data.draw(st.integers(0, len(one.raw) - 1))])
    changed = bytearray(one.raw)
    changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        assert read_transaction(bytes(changed)).raw == bytes(changed)
    with pytest.raises(ValueError, match="follow"):
        read_transaction(one.raw + b"\x00")


@given(st.binary(max_size=200))
def test_noise_raises_one_error(noise: bytes) -> None:
    """Whatever the bytes are: a value, or ValueError."""
    with contextlib.suppress(ValueError):
        read_transaction(noise)
    with contextlib.suppress(ValueError):
        read_block(noise)


@given(transactions)
def test_the_engine_reads_what_we_read(one: Transaction) -> None:
    """It finds the same transaction in the bytes: the scripts fail, the reading does not."""
    with pytest.raises(ValueError, match=r"script-verify-flag|input \d"):
        verify_scripts(one, [Output(1_000, b"\x6a") for _ in one.inputs])


@pytest.mark.parametrize("width", [3, 5, 9])
def test_a_number_has_one_form(width: int) -> None:
    """A count that is written longer than it is would give one transaction two texts."""
    one = write_transaction(2, [Input(bytes(32), 0)], [Output(1, b"")])
    long = {3: b"\xfd\x01\x00", 5: b"\xfe\x01\x00\x00\x00", 9: b"\xff" + b"\x01" + bytes(7)}[width]
    with pytest.raises(ValueError, match="longer"):
        read_transaction(one.raw[:4] + long + one.raw[5:])


@pytest.mark.parametrize("number", [0, 252, 253, 65_535, 65_536, 2**32 - 1, 2**32])
def test_counts_around_each_change_of_form(number: int) -> None:
    """1, 3, 5 and 9 bytes."""
    assert len(compact(number)) == 1 + 2 * (number > 252) + 2 * (number > 65_535) + 4 * (number > 2**32 - 1)


def test_an_empty_place_for_witnesses_is_refused() -> None:
    """The longer form without any witness would be a second text of the same transaction (Bitcoin Core: superfluous witness)."""
    one = write_transaction(2, [Input(bytes(32), 0)], [Output(1, b"")])
    with pytest.raises(ValueError, match="empty"):
        read_transaction(one.raw[:4] + b"\x00\x01" + one.raw[4:-4] + b"\x00" + one.raw[-4:])


def test_the_first_block_is_that_of_regtest() -> None:
    """Its hash and its root are the known ones."""
    header, inside = read_block(GENESIS)
    assert shown(double_sha256(header)) == "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
    assert shown(inside[0].txid) == "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
    assert merkle_root([inside[0].txid]) == header[36:68]
    assert inside[0].coinbase


@given(st.lists(hashes, min_size=1, max_size=20), st.data())
def test_a_branch_leads_to_the_root(row: list[bytes], data: st.DataObject) -> None:
    """Every leaf with its neighbours gives the root."""
    position = data.draw(st.integers(0, len(row) - 1))
    digest, at = row[position], position
    for neighbour in merkle_branch(row, position):
        digest = double_sha256(neighbour + digest if at % 2 else digest + neighbour)
        at //= 2
    assert digest == merkle_root(row)
    assert at == 0


@pytest.mark.parametrize(
    ("height", "start"), [(1, "51"), (16, "60"), (17, "0111"), (127, "017f"), (128, "028000"), (255, "02ff00"), (32_768, "03008000")]
)
def test_a_coinbase_begins_with_its_height(height: int, start: str) -> None:
    """BIP-34, with the sign bit kept free."""
    one = write_coinbase(height, 50, b"\x51", [], b"extra")
    assert one.inputs[0].script.hex() == start + "05" + b"extra".hex()
    assert one.coinbase


def test_hashes_are_shown_backwards() -> None:
    """As everybody shows them; what has another length is none."""
    assert hidden(shown(bytes(range(32)))) == bytes(range(32))
    for wrong in ("", "00" * 31, "zz" * 32, "00" * 33):
        with pytest.raises(ValueError, match=r"64|hexadecimal"):
            hidden(wrong)


@pytest.mark.parametrize(
    ("address", "script"),
    [
        ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
        ("BCRT1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KYGT080", "0014751e76e8199196d454941c45d1b3a323f1433bd6"),
        (
            "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry",
            "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
        ),
        (
            "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6",
            "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        ),
        ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "76a914243f1394f44554f4ce3fd68649c19adc483ce92488ac"),
        ("2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc", "a9144e9f39ca4688ff102128ea4ccda34105324305b087"),
    ],
)
def test_addresses_are_understood(address: str, script: str) -> None:
    """P2WPKH, P2WSH, P2TR of regtest, and the two older forms."""
    assert address_to_script(address).hex() == script


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "another network"),
        ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "another network"),
        ("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "another network"),
        ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt082", "checksum"),
        ("bcrt1Qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "mixed"),
        ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt08b", "character"),
        ("bcrt1", "checksum"),
        ("", "not an address"),
        ("1" * 91, "not an address"),
        ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfm", "checksum"),
        ("Zürich", "not an address"),
        ("lnbcrt1", "not an address"),
    ],
)
def test_what_is_no_address_of_regtest_is_refused(address: str, why: str) -> None:
    """With a sentence that says what is wrong."""
    with pytest.raises(ValueError, match=why):
        address_to_script(address)


@given(st.text(max_size=100))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """Nothing but ValueError comes out."""
    for prefix in ("", "bcrt1"):
        with contextlib.suppress(ValueError):
            address_to_script(prefix + text)


def encoded(version: int, program: bytes, check: int, pad: int = 0) -> str:
    """An address of regtest with this checksum constant, right or wrong."""
    bits = "".join(f"{byte:08b}" for byte in program)
    bits += str(pad) * (-len(bits) % 5)
    words = [version, *(int(bits[i : i + 5], 2) for i in range(0, len(bits), 5))]
    letters = "bcrt"
    rest = polymod([*(ord(c) >> 5 for c in letters), 0, *(ord(c) & 31 for c in letters), *words, 0, 0, 0, 0, 0, 0]) ^ check
    return letters + "1" + "".join(addresses._BECH32[word] for word in [*words, *(rest >> 5 * (5 - i) & 31 for i in range(6))])


BECH32, BECH32M = 1, 0x2BC830A3


@pytest.mark.parametrize(
    ("address", "good"),
    [
        (encoded(0, bytes(20), BECH32), True), (encoded(0, bytes(20), BECH32M), False), (encoded(1, bytes(32), BECH32M), True),
        (encoded(1, bytes(32), BECH32), False), (encoded(0, bytes(21), BECH32), False), (encoded(16, bytes(2), BECH32M), True),
        (encoded(17, bytes(32), BECH32M), False), (encoded(1, bytes(41), BECH32M), False), (encoded(1, bytes(1), BECH32M), False),
        (encoded(1, bytes(32), BECH32M, pad=1), False),
    ],
)  # fmt: skip
def test_a_version_has_its_own_checksum_and_lengths(address: str, good: bool) -> None:
    """BIP-350: Bech32 for version 0 with 20 or 32 bytes, Bech32m from 1 to 16 with 2 to 40, no bits left over."""
    if good:
        assert len(address_to_script(address)) >= 4
    else:
        with pytest.raises(ValueError, match=r"BIP-350|left over"):
            address_to_script(address)
