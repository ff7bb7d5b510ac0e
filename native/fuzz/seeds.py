"""Writes the seeds of the corpus: from tests/vectors and from cases by hand. Findings lie beside them and are left alone.

    python native/fuzz/seeds.py
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pylon._native import Signer, nip44_encrypt, plain

HERE = Path(__file__).parent
VECTORS = HERE.parents[1] / "tests" / "vectors"
SIGNER = Signer(bytes(31) + b"\x03")
PUBKEY = SIGNER.pubkey.hex()
Json = dict[str, object]


def event(content: str = "hello", tags: list[list[str]] | None = None, kind: int = 1, created_at: int = 1_700_000_000) -> Json:
    """A signed event as JSON values."""
    tags = [["p", PUBKEY], ["t", "pylon"]] if tags is None else tags
    identity = plain.event_id(PUBKEY, created_at, kind, tags, content)
    return {
        "id": identity.hex(), "pubkey": PUBKEY, "created_at": created_at, "kind": kind, "tags": tags, "content": content,
        "sig": SIGNER.sign(identity, bytes(32)).hex(),
    }


def compact(value: Json, *, ascii_only: bool = False) -> str:
    """JSON without white space."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only)


def events() -> dict[str, str]:
    """Events in every spelling, right ones and wrong ones. The target puts the right id into those that have a form."""
    plainly = compact(event())
    every = "".join(map(chr, range(0x21))) + '"\\/\x7f\x80é߿ࠀ\u2028\u2029\ufeff\ufffe\uffff🦊\U0010ffff'
    seeds = {
        "plain": plainly,
        "indented": json.dumps(event(), indent=2),
        "reversed": compact(dict(reversed(event().items()))),
        "escapes": compact(event(every, [[every]])),
        "escapes-ascii": compact(event(every, [[every]]), ascii_only=True),
        "escapes-upper": compact(event(every, [[every]]), ascii_only=True).replace("\\ud8", "\\uD8"),
        "escapes-all": plainly.replace('"hello"', '"' + "".join(f"\\u{ord(c):04X}" for c in "hello/") + '"'),
        "slashes": compact(event("a/b//", [["r", "wss://relay.example/"]])).replace("/", "\\/"),
        "key-escaped": plainly.replace('"kind"', '"k\\u0069nd"'),
        "hex-escaped": plainly.replace(PUBKEY, f"\\u{ord(PUBKEY[0]):04x}{PUBKEY[1:]}"),
        "spaces": plainly.replace(",", " \t,\r\n ").replace("[", "[ ").replace("]", " ]").replace(":", " : "),
        "tags-none": compact(event("", [])),
        "tags-empty": compact(event("", [[], [""], ["", ""], []])),
        "tags-many": compact(event("", [["e", "0" * 64, "", "root"]] * 8)),
        "kind-highest": compact(event(kind=65535, created_at=2**53)),
        "kind-zero": compact(event(kind=0, created_at=0)),
        "surrogate-pair": plainly.replace("hello", "\\ud83e\\udd8a"),
        "surrogate-half": plainly.replace("hello", "\\ud83e"),
        "surrogate-swapped": plainly.replace("hello", "\\udd8a\\ud83e"),
        "twice": plainly[:-1] + ',"kind":1}',
        "extra": plainly[:-1] + ',"extra":null}',
        "long": compact(event("x" * 700 + "\n" + "é" * 50, [["p", "y" * 100]])),
        "frame": f'["EVENT","sub",{plainly}]',
        "frame-without-subscription": f'["EVENT",{plainly}]',
        "frame-spaces": f' [ "EVENT" , "s\\"ub" , {json.dumps(event(), indent=1)} ] ',
        "frame-escaped": f'["\\u0045VENT","\\ud83e\\udd8a",{plainly}]',
        "frame-cut": f'["EVENT","sub",{plainly}',
    }
    for name, number in {"fraction": "1.0", "exponent": "1e0", "minus": "-1", "minus-zero": "-0", "leading-zero": "01",
                         "plus": "+1", "over": "65536", "huge": "9" * 40, "text": '"1"', "null": "null"}.items():
        seeds[f"kind-{name}"] = plainly.replace('"kind":1', f'"kind":{number}')
    return seeds


def invoices() -> dict[str, str]:
    """Every example of BOLT11, valid and invalid."""
    cases = json.loads((VECTORS / "bolt11.json").read_text("utf-8"))
    return {f"{kind}-{i:02}": case["invoice"] for kind in ("valid", "invalid") for i, case in enumerate(cases[kind])}


def payloads() -> dict[str, str | bytes]:
    """The payloads of the vectors of NIP-44 (those under the key of the target decrypt), and bodies and plaintexts by hand."""
    vectors = json.loads((VECTORS / "nip44.vectors.json").read_text("utf-8"))["v2"]
    key = bytes.fromhex(json.loads((VECTORS / "nip44-extended.json").read_text("utf-8"))["conversation_key"])
    seeds: dict[str, str | bytes] = {}
    for kind, cases in (("valid", vectors["valid"]["encrypt_decrypt"]), ("invalid", vectors["invalid"]["decrypt"])):
        seeds |= {f"{kind}-{i:02}": case["payload"] for i, case in enumerate(cases)}
    for length in (1, 32, 33, 256, 257):
        seeds[f"payload-{length}"] = nip44_encrypt(key, b"a" * length, bytes(32))
        seeds[f"body-{length}"] = length.to_bytes(2) + (b"a" * length).ljust(plain.padded_len(length), b"\0")
    for length in (65535, 65536, 65537):
        seeds[f"extended-{length}"] = bytes(2) + length.to_bytes(4)
    return seeds


def noise() -> dict[str, str | bytes]:
    """Bytes of no meaning, for targets whose input is a list of steps: some make hundreds of them."""
    return {f"noise-{length}": hashlib.shake_256(str(length).encode()).digest(length) for length in (16, 64, 256, 1024, 4096)}


def texts() -> dict[str, str | bytes]:
    """Texts with every boundary that the chunker knows, and with what only looks like one. The bound and the way stand before the text."""
    parts = {
        "prose": "# A heading\n\nSome words. More words! Is it so?\r\n\r\n" * 6,
        "code": "use x;\n\n/// It.\npub fn f() {\n    a();\n}\n\n```rust\nfn g() {}\n```\n" * 5,
        "cjk": "字字字。字字！字字？" * 20,
        "emoji": "👨‍👩‍👧‍👦🇩🇪👍🏽" * 20,
        "marks": "e\u0301 \u0301क्षि각\u0600a" * 20,
        "one-line": "x" * 400,
        "one-grapheme": "a" + "\u0301" * 200,
        "flags": "🇩" * 99,
        "line-ends": "\r\n\r\n\n\r\r\n" * 40,
        "comments": "#!/bin/sh\n# one\n# two\n#no\n####### seven\n" * 8,
    }
    seeds: dict[str, str | bytes] = {}
    for name, text in parts.items():
        seeds |= {name: b"\x08\x00\x00" + text.encode(), f"{name}-by-content": b"\x08\x00\x01" + text.encode()}
    broken = bytes(range(256)) * 2 + b"\xed\xa0\x80\xf4\x90\x80\x80\xc0\x80\xe5\xad" * 20
    return seeds | {"no-utf-8": bytes(3) + broken, "no-utf-8-by-content": b"\0\0\1" + broken}


def write(target: str, seeds: dict[str, str] | dict[str, str | bytes]) -> None:
    """One file a seed, in the folder of its target."""
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, seed in seeds.items():
        if seed:  # with nothing a fuzzer begins by itself
            (folder / name).write_bytes(seed if isinstance(seed, bytes) else seed.encode())


if __name__ == "__main__":
    write("event", events())
    write("bolt11", invoices())
    write("nip44", payloads())
    write("filter", noise())
    write("batch", noise())
    write("chunk", texts())
