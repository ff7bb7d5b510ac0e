"""Bech32 (BIP-173, https://github.com/bitcoin/bips/blob/master/bip-0173.mediawiki), with the longer strings that NIP-19 allows."""

from __future__ import annotations

from typing import Final

from pylon.errors import WireError

MAX_LENGTH: Final = 5000
"""NIP-19: "Bech32-formatted strings SHOULD be limited in size to 5000 characters" (BIP-173 itself stops at 90)."""

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def encode(prefix: str, data: bytes) -> str:
    """The bytes as lower-case bech32. ValueError where the text would be longer than 5000 characters."""
    words = _regroup(data, 8, 5, pad=True)
    rest = polymod([*_expand(prefix), *words, 0, 0, 0, 0, 0, 0]) ^ 1
    words += [rest >> 5 * (5 - i) & 31 for i in range(6)]
    text = prefix + "1" + "".join(_ALPHABET[word] for word in words)
    if len(text) > MAX_LENGTH:
        raise ValueError(f"more than {MAX_LENGTH} characters of bech32")
    return text


def decode(text: str) -> tuple[str, bytes]:
    """Prefix (lower case) and bytes. Raises WireError; the reason never repeats the text, which may be a secret."""
    if len(text) > MAX_LENGTH:
        raise WireError(f"a bech32 text has at most {MAX_LENGTH} characters")
    # BIP-173: "Decoders MUST NOT accept strings where some characters are uppercase and some are lowercase"
    if text.lower() != text and text.upper() != text:
        raise WireError("upper and lower case are mixed")
    prefix, separator, body = text.lower().rpartition("1")
    if not separator or not prefix or not all("!" <= letter <= "~" for letter in prefix):
        raise WireError("no bech32 prefix")
    try:
        words = [_VALUES[letter] for letter in body]
    except KeyError as error:
        raise WireError("a character that bech32 does not have") from error
    if len(words) < 6 or polymod([*_expand(prefix), *words]) != 1:
        raise WireError("the checksum is wrong: a character is missing or mistyped")
    return prefix, bytes(_regroup(words[:-6], 5, 8, pad=False))


def polymod(words: list[int]) -> int:
    """BIP-173's checksum of words of five bits."""
    state = 1
    for word in words:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ word
        for i, value in enumerate(_GENERATOR):
            if top >> i & 1:
                state ^= value
    return state


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode("ascii")
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _regroup(words: bytes | list[int], have: int, want: int, *, pad: bool) -> list[int]:
    """The same bits in groups of another width. Without `pad` left-over bits must be fewer than `have` and zero."""
    state = bits = 0
    groups: list[int] = []
    for word in words:
        state = (state << have | word) & 0xFFFF
        bits += have
        while bits >= want:
            bits -= want
            groups.append(state >> bits & (1 << want) - 1)
    rest = state & (1 << bits) - 1
    if pad and bits:
        groups.append(rest << want - bits)
    elif not pad and (bits >= have or rest):
        raise WireError("bits are left over at the end")
    return groups
