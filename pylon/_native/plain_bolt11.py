"""The slow twin of the BOLT11 decoder: strict, and written from lightning/bolts a3772650 (11-payment-encoding.md, BIP-173, BIP-350)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from coincurve import PublicKey

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
PREFIX = re.compile(r"ln(bcrt|bc|tbs|tb|sb)(?:([1-9][0-9]*)([munp]?))?")
PICO = {"": 10**12, "m": 10**9, "u": 10**6, "n": 10**3, "p": 1}
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
MAX_LENGTH = 7_089
LIMIT = 2**64
# var_onion_optin, payment_secret, basic_mpp, option_payment_metadata, trampoline
KNOWN_FEATURES = {8, 14, 16, 48, 56}
# currency -> (human-readable part, version of P2PKH, version of P2SH)
CHAINS = {"bc": ("bc", 0, 5), "tb": ("tb", 111, 196), "tbs": ("tb", 111, 196), "bcrt": ("bcrt", 111, 196), "sb": ("bcrt", 111, 196)}
FIXED = {"p": 52, "h": 52, "s": 52, "n": 53}
SINGLE = "psnxc9m"


@dataclass(frozen=True)
class Invoice:
    """What `core.Bolt11` says, field by field."""

    currency: str
    amount_msat: int | None
    timestamp: int
    expiry: int
    payment_hash: bytes
    payment_secret: bytes
    payee: bytes
    description: str | None
    description_hash: bytes | None
    min_final_cltv_expiry: int
    fallback_addresses: list[str]
    route_hints: int


def polymod(values: list[int]) -> int:
    """The checksum of BIP-173."""
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    return check


def expand(hrp: str) -> list[int]:
    """The human-readable part as the checksum sees it."""
    return [*(ord(c) >> 5 for c in hrp), 0, *(ord(c) & 31 for c in hrp)]


def words_of(data: bytes) -> list[int]:
    """Bytes in groups of five bits, padded with zeros."""
    size = -(-len(data) * 8 // 5)
    number = int.from_bytes(data) << (size * 5 - len(data) * 8)
    return [number >> (5 * (size - 1 - i)) & 31 for i in range(size)]


def bytes_of(words: list[int]) -> bytes:
    """The whole bytes in groups of five bits. ValueError unless the rest is the shortest padding, of zeros."""
    size = len(words) * 5 // 8
    data = (number_of(words) >> (len(words) * 5 - size * 8)).to_bytes(size)
    if words_of(data) != words:
        raise ValueError("a field is not padded with the fewest zeros")
    return data


def number_of(words: list[int]) -> int:
    """A big-endian number."""
    value = 0
    for word in words:
        value = value << 5 | word
    return value


def shortest(words: list[int]) -> int:
    """A number below 2^64 without leading zeros."""
    if words[:1] == [0] or number_of(words) >= LIMIT:
        raise ValueError("a number is too long")
    return number_of(words)


def unbech32(text: str) -> tuple[str, list[int]]:
    """The two parts of a bech32 string without the length limit of BIP-173."""
    if text.lower() != text and text.upper() != text:
        raise ValueError("mixed case")
    hrp, separator, data = text.lower().rpartition("1")
    if not hrp or not separator or len(data) < 6 or not set(data) <= set(CHARSET) or not all(33 <= ord(c) <= 126 for c in hrp):
        raise ValueError("not bech32")
    words = [CHARSET.index(c) for c in data]
    if polymod(expand(hrp) + words) != 1:
        raise ValueError("the checksum is wrong")
    return hrp, words[:-6]


def segwit_address(hrp: str, version: int, program: bytes) -> str:
    """BIP-173 for version 0, BIP-350 for the others."""
    words = [version, *words_of(program)]
    check = polymod(expand(hrp) + words + [0] * 6) ^ (0x2BC830A3 if version else 1)
    return hrp + "1" + "".join(CHARSET[word] for word in words + [check >> 5 * (5 - i) & 31 for i in range(6)])


def base58check(version: int, payload: bytes) -> str:
    """The address form of P2PKH and P2SH."""
    data = bytes([version]) + payload
    data += hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]
    number, text = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def fallback(words: list[int], currency: str) -> str | None:
    """The address of an `f` field; None for a version that is not known or a program that has no address."""
    if not words:
        raise ValueError("an empty fallback")
    hrp, key_version, script_version = CHAINS[currency]
    version = words[0]
    if version > 18:
        return None
    program = bytes_of(words[1:])
    if version > 16:
        if len(program) != 20:
            raise ValueError("a hash of a wrong length")
        return base58check(key_version if version == 17 else script_version, program)
    if not 2 <= len(program) <= 40:
        raise ValueError("a witness program of a wrong length")
    return None if version == 0 and len(program) not in (20, 32) else segwit_address(hrp, version, program)


def split_fields(words: list[int]) -> list[tuple[str, list[int]]]:
    """The tagged fields, without those that a reader skips."""
    fields = []
    while words:
        if len(words) < 3 or len(words) < 3 + number_of(words[1:3]):
            raise ValueError("a field is cut off")
        end = 3 + number_of(words[1:3])
        name, value = CHARSET[words[0]], words[3:end]
        # The vector `including fields which must be ignored` has such fields of another length.
        if FIXED.get(name, len(value)) == len(value):
            fields.append((name, value))
        words = words[end:]
    return fields


def amount_of(digits: str | None, multiplier: str | None) -> int | None:
    """The amount in msat."""
    if digits is None:
        return None
    pico = int(digits) * PICO[multiplier or ""]
    if pico >= LIMIT or pico % 10:
        raise ValueError("an amount that cannot be paid")
    return pico // 10


def payee_of(signature: bytes, digest: bytes, given: bytes | None) -> bytes:
    """Who signed: `given`, verified with low S, or the key that is recovered."""
    if signature[64] > 3:
        raise ValueError("not a recovery id")
    if given is None:
        return recovered(signature, digest)
    low = int.from_bytes(signature[32:64]) <= HALF_ORDER
    for recovery in range(4):
        try:
            if low and recovered(signature[:64] + bytes([recovery]), digest) == given:
                return given
        except ValueError:
            continue
    raise ValueError("the signature is wrong")


def recovered(signature: bytes, digest: bytes) -> bytes:
    """The key that made a recoverable signature. ValueError if there is none."""
    try:
        return PublicKey.from_signature_and_message(signature, digest, hasher=None).format()
    except Exception as error:  # coincurve raises bare Exception
        raise ValueError("no key can be recovered") from error


def check_routes(data: bytes) -> None:
    """The hops of an `r` field: 51 bytes each, a key first."""
    if len(data) % 51:
        raise ValueError("a route is cut off")
    for at in range(0, len(data), 51):
        PublicKey(data[at : at + 33])


def bolt11_decode(text: str) -> Invoice:
    """Strict BOLT11. ValueError for anything that the specification forbids."""
    if len(text) > MAX_LENGTH or not text.isascii():
        raise ValueError("not an invoice")
    hrp, words = unbech32(text)
    prefix = PREFIX.fullmatch(hrp)
    if prefix is None or len(words) < 7 + 104:
        raise ValueError("not an invoice")
    currency = prefix[1]
    signed, signature = words[:-104], bytes_of(words[-104:])
    padding = -len(signed) * 5 % 8
    digest = hashlib.sha256(hrp.encode() + (number_of(signed) << padding).to_bytes((len(signed) * 5 + padding) // 8)).digest()
    fields = split_fields(signed[7:])
    for name, value in fields:
        if name in "phsndm":
            bytes_of(value)
        elif name == "r":
            check_routes(bytes_of(value))
        elif name in "xc9" and value[:1] == [0]:
            raise ValueError("a field is not in its shortest form")
    count = {name: sum(1 for other, _ in fields if other == name) for name in "psdhnxc9m"}
    if count["p"] != 1 or count["s"] != 1 or count["d"] + count["h"] != 1 or any(count[name] > 1 for name in SINGLE):
        raise ValueError("a field is missing or comes twice")
    one = dict(fields)
    features = number_of(one.get("9", []))
    if any(features >> bit & 1 and bit not in KNOWN_FEATURES for bit in range(0, features.bit_length(), 2)):
        raise ValueError("a required feature is not known")
    given = bytes_of(one["n"]) if "n" in one else None
    if given is not None:
        PublicKey(given)
    addresses = [fallback(value, currency) for name, value in fields if name == "f"]
    return Invoice(
        currency=currency,
        amount_msat=amount_of(prefix[2], prefix[3]),
        timestamp=number_of(signed[:7]),
        expiry=shortest(one["x"]) if "x" in one else 3600,
        payment_hash=bytes_of(one["p"]),
        payment_secret=bytes_of(one["s"]),
        payee=payee_of(signature, digest, given),
        description=bytes_of(one["d"]).decode() if "d" in one else None,
        description_hash=bytes_of(one["h"]) if "h" in one else None,
        min_final_cltv_expiry=shortest(one["c"]) if "c" in one else 18,
        fallback_addresses=[address for address in addresses if address is not None],
        route_hints=sum(1 for name, _ in fields if name == "r"),
    )
