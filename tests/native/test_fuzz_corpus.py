"""The corpus of the fuzz targets, what they found once included, on the stable toolchain: native code against the twin."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import regex

from pylon import _native
from pylon._native import plain

CORPUS = Path(__file__).parents[2] / "native" / "fuzz" / "corpus"
KEY = bytes.fromhex("c41c775356fd92eadc63ff5a0dc1da211b268cbea22316767095b2871ea1412d")  # of tests/vectors/nip44-extended.json


def seeds(target: str) -> list[Path]:
    """The inputs of a target."""
    return sorted((CORPUS / target).iterdir())


@pytest.mark.parametrize("path", seeds("event"), ids=lambda path: path.name)
def test_events(path: Path) -> None:
    """Native code and twin give one code for an event, and for every cut of it."""
    raw = path.read_bytes()
    raws = [raw, *(raw[:end] for end in range(0, len(raw), 7)), *(raw[start:] for start in range(1, len(raw), 7))]
    assert _native.check_codes(raws) == plain.check_codes(raws)


@pytest.mark.parametrize("path", seeds("bolt11"), ids=lambda path: path.name)
def test_invoices(path: Path) -> None:
    """Native code and twin read an invoice alike, or both refuse it."""
    text = path.read_text("utf-8")
    try:
        expected = asdict(plain.bolt11_decode(text))
    except ValueError:
        with pytest.raises(ValueError, match=r"^not a payable BOLT11 invoice: "):
            _native.bolt11_decode(text)
    else:
        decoded = _native.bolt11_decode(text)
        assert {name: getattr(decoded, name) for name in expected} == expected


@pytest.mark.parametrize("path", seeds("nip44"), ids=lambda path: path.name)
def test_payloads(path: Path) -> None:
    """Native code and twin decrypt a payload alike, or both refuse it; as a plaintext it becomes one payload and comes back."""
    raw = path.read_bytes()
    if (text := raw.decode("utf-8", "replace")).isascii():
        try:
            expected = plain.nip44_decrypt(KEY, text)
        except ValueError:
            with pytest.raises(ValueError, match=r"^cannot decrypt$"):
                _native.nip44_decrypt(KEY, text)
        else:
            assert _native.nip44_decrypt(KEY, text) == expected
    payload = _native.nip44_encrypt(KEY, raw, bytes(32))
    assert payload == plain.nip44_encrypt(KEY, raw, bytes(32))
    assert _native.nip44_decrypt(KEY, payload) == raw


@pytest.mark.parametrize("path", seeds("chunk"), ids=lambda path: path.name)
def test_texts(path: Path) -> None:
    """Native code and twin cut a text alike, and in no grapheme that fits the bound."""
    raw = path.read_bytes()
    most, content_defined, text = 64 + int.from_bytes(raw[:2], "little") % 1024, bool(raw[2] & 1), raw[3:]
    spans = _native.chunk_spans(text, most, content_defined)
    assert spans == plain.chunk_spans(text, most, content_defined)
    cuts, at = {start for start, _ in spans}, 0
    # What is no UTF-8 stands alone, as a control character does.
    for grapheme in regex.findall(r"\X", text.decode(errors="surrogateescape").translate(dict.fromkeys(range(0xDC80, 0xDD00), "\0"))):
        size = sum(len(character.encode()) for character in grapheme)
        assert size > most or cuts.isdisjoint(range(at + 1, at + size))
        at += size
    assert at == len(text)
