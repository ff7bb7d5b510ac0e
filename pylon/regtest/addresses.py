"""Addresses of regtest and the scripts that they stand for.

BIP-173 and BIP-350 (`bcrt1…`, https://github.com/bitcoin/bips/blob/master/bip-0350.mediawiki), and Base58Check for the older forms.
"""

from __future__ import annotations

from typing import Final

from pylon.nostr.bech32 import polymod
from pylon.regtest.blocks import double_sha256

PREFIX: Final = "bcrt"
P2PKH: Final = 0x6F
P2SH: Final = 0xC4
_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_CHECK: Final = {1: 0, 0x2BC830A3: 1}
"""What the checksum of a text must be, and the first version of the witness program that has it: Bech32 for 0, Bech32m from 1 on."""
MAX_LENGTH: Final = 90


def address_to_script(address: str) -> bytes:
    """The script of an address of regtest. Raises ValueError, which names the network that it is of where that is known."""
    if len(address) > MAX_LENGTH or not address.isascii():
        raise ValueError("this is not an address")
    if address.lower().startswith((PREFIX + "1", "bc1", "tb1")):
        return _segwit(address)
    return _base58(address)


def _segwit(address: str) -> bytes:
    if address not in (address.lower(), address.upper()):
        raise ValueError("upper and lower case are mixed in this address")
    prefix, _, body = address.lower().rpartition("1")
    if prefix != PREFIX:
        raise ValueError(f"this address is for another network ({prefix}1…); the private network's begin with {PREFIX}1")
    try:
        words = [_BECH32.index(letter) for letter in body]
    except ValueError as error:
        raise ValueError("this address has a character that no address has") from error
    check = polymod([*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix), *words])
    if len(words) < 8 or check not in _CHECK:
        raise ValueError("the checksum of this address is wrong: a character is missing or mistyped")
    version, program = words[0], _bytes(words[1:-6])
    if version > 16 or min(version, 1) != _CHECK[check] or not 2 <= len(program) <= 40 or (version == 0 and len(program) not in (20, 32)):
        raise ValueError("this address breaks a rule of BIP-350")
    return bytes([0x50 + version if version else 0, len(program)]) + program


def _bytes(words: list[int]) -> bytes:
    number = 0
    for word in words:
        number = number << 5 | word
    rest = len(words) * 5 % 8
    if rest >= 5 or number & (1 << rest) - 1:
        raise ValueError("bits are left over at the end of this address")
    return (number >> rest).to_bytes(len(words) * 5 // 8, "big")


def _base58(address: str) -> bytes:
    number = 0
    for letter in address:
        value = _BASE58.find(letter)
        if value < 0:
            raise ValueError("this is not an address of the private network")
        number = number * 58 + value
    data = number.to_bytes(max(25, (number.bit_length() + 7) // 8), "big")
    if len(data) != 25 or double_sha256(data[:21])[:4] != data[21:]:
        raise ValueError("this is not an address of the private network: its checksum is wrong")
    if data[0] == P2PKH:
        return b"\x76\xa9\x14" + data[1:21] + b"\x88\xac"
    if data[0] == P2SH:
        return b"\xa9\x14" + data[1:21] + b"\x87"
    raise ValueError("this address is for another network")
