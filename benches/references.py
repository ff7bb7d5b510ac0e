"""What the benches measure against: each reference written as plainly and as well as it can be with what is at hand.

libsecp256k1 in C, msgspec + orjson + hashlib + coincurve for events, dicts for filters, chonkie-core for chunks, picows for frames.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import chonkie_core
import coincurve
import msgspec
import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from pylon import _native

ROOT = Path(__file__).parents[1]
TEXT = WSMsgType.TEXT

# --- libsecp256k1, as the crate secp256k1-sys vendors it ---------------------------------------------------------------------------

LOOPS = Path(__file__).with_suffix(".c")
SETTINGS = ("ENABLE_MODULE_EXTRAKEYS=1", "ENABLE_MODULE_SCHNORRSIG=1", "ECMULT_WINDOW_SIZE=15", "COMB_BLOCKS=43", "COMB_TEETH=6")
"""The defaults of its own build."""


def vendored() -> Path:
    """The folder of libsecp256k1's sources, where cargo keeps them."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--manifest-path", str(ROOT / "Cargo.toml")]
    packages = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["packages"]
    found = {tuple(map(int, one["version"].split("."))): one["manifest_path"] for one in packages if one["name"] == "secp256k1-sys"}
    return Path(found[max(found)]).parent / "depend" / "secp256k1"


@cache
def libsecp256k1() -> ctypes.CDLL:
    """libsecp256k1 and references.c, compiled with -O2, by gcc where there is one, and on x86-64 with its assembly; kept below build/."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise RuntimeError("the benches compile libsecp256k1 and need a C compiler: neither gcc nor cc is on PATH")
    source = vendored()
    header = (source / "include" / "secp256k1.h").read_text("utf-8")
    prefix = re.search(r"\b(\w*secp256k1(?:_v\d+(?:_\d+)*)?_)context_static\b", header)
    if prefix is None:
        raise RuntimeError(f"{source} names its functions in a way that is not known")
    defines = [*SETTINGS, f"NAME(name)={prefix[1]}##name", *(["USE_ASM_X86_64=1"] if platform.machine() in ("x86_64", "AMD64") else [])]
    command = [compiler, "-O2", "-shared", "-fPIC", "-w", f"-I{source}", f"-I{source}/src", *(f"-D{define}" for define in defines)]
    command += [str(source / "src" / name) for name in ("secp256k1.c", "precomputed_ecmult.c", "precomputed_ecmult_gen.c")]
    about = subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True).stdout
    digest = hashlib.sha256("\0".join([about, LOOPS.read_text("utf-8"), *command]).encode()).hexdigest()[:16]
    library = ROOT / "build" / f"libsecp256k1-{digest}.so"
    if not library.exists():
        library.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            made = Path(folder) / library.name
            subprocess.run([*command, str(LOOPS), "-o", str(made)], check=True)
            made.replace(library)
    return ctypes.CDLL(str(library))


def libsecp256k1_verify(keys: bytes, signatures: bytes, messages: bytes) -> bool:
    """Whether all n signatures hold: n x 32, n x 64, n x 32 bytes; one call of C, which keeps nothing from one to the next."""
    return bool(libsecp256k1().verify_all(ctypes.c_size_t(len(keys) // 32), keys, signatures, messages))


def libsecp256k1_sign(secret: bytes, messages: Sequence[bytes], aux: bytes) -> list[bytes]:
    """The signatures of messages of 32 bytes; one call of C, which makes one keypair for all."""
    made = ctypes.create_string_buffer(64 * len(messages))
    if not libsecp256k1().sign_all(ctypes.c_size_t(len(messages)), secret, b"".join(messages), aux, made):
        raise ValueError("no secret key")
    return [made.raw[64 * number : 64 * number + 64] for number in range(len(messages))]


def coincurve_verify(key: bytes, signature: bytes, message: bytes) -> bool:
    """One BIP-340 signature."""
    return coincurve.PublicKeyXOnly(key).verify(signature, message)


# --- events: orjson, msgspec, hashlib, coincurve -----------------------------------------------------------------------------------

Values = tuple[str, int, int, Sequence[Sequence[str]], str]
"""pubkey, created_at, kind, tags, content."""


class Wire(msgspec.Struct):
    """An event."""

    id: str
    pubkey: str
    created_at: int
    kind: int
    tags: list[list[str]]
    content: str
    sig: str


class Delivery(msgspec.Struct, tag="EVENT", array_like=True):
    """`["EVENT", sub, event]`."""

    sub: str
    event: Wire


class Eose(msgspec.Struct, tag="EOSE", array_like=True):
    """`["EOSE", sub]`."""

    sub: str


class Answer(msgspec.Struct, tag="OK", array_like=True):
    """`["OK", id, accepted, message]`."""

    id: str
    accepted: bool
    message: str = ""


decode_frame = msgspec.json.Decoder(Delivery | Eose | Answer).decode


def sha256(data: bytes) -> bytes:
    """32 bytes, by OpenSSL."""
    return hashlib.sha256(data).digest()


def canonical(pubkey: str, created_at: int, kind: int, tags: Sequence[Sequence[str]], content: str) -> bytes:
    """What the id is the hash of, by orjson."""
    return orjson.dumps((0, pubkey, created_at, kind, tags, content))


def event_id(pubkey: str, created_at: int, kind: int, tags: Sequence[Sequence[str]], content: str) -> bytes:
    """The id by orjson and hashlib, 32 bytes."""
    return hashlib.sha256(orjson.dumps((0, pubkey, created_at, kind, tags, content))).digest()


def checked(frame: bytes, signatures: bool = True) -> Wire:
    """The event of a frame whose id, and on demand whose signature, holds; else ValueError."""
    message = decode_frame(frame)
    if not isinstance(message, Delivery):
        raise ValueError("no event")
    event = message.event
    identity = event_id(event.pubkey, event.created_at, event.kind, event.tags, event.content)
    if identity.hex() != event.id:
        raise ValueError("wrong id")
    if signatures and not coincurve_verify(bytes.fromhex(event.pubkey), bytes.fromhex(event.sig), identity):
        raise ValueError("wrong signature")
    return event


def signed_frame(key: coincurve.PrivateKey, values: Values, aux: bytes) -> bytes:
    """`["EVENT", event]` by orjson, hashlib and coincurve."""
    pubkey, created_at, kind, tags, content = values
    identity = event_id(*values)
    event = {
        "id": identity.hex(), "pubkey": pubkey, "created_at": created_at, "kind": kind, "tags": tags, "content": content,
        "sig": key.sign_schnorr(identity, aux).hex(),
    }
    return orjson.dumps(("EVENT", event))


# --- websockets: picows ------------------------------------------------------------------------------------------------------------


class CheckingListener(WSListener):
    """Receives EVENT frames with picows and checks their ids (`checked`); `told` hears of how many, once a read."""

    def __init__(self, told: Callable[[int], None]) -> None:
        self.told = told
        self.events: list[Wire] = []

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A message that came in one piece."""
        if frame.msg_type == TEXT and frame.fin:
            self.events.append(checked(frame.get_payload_as_bytes(), signatures=False))
        if frame.last_in_buffer and self.events:
            events, self.events = self.events, []
            self.told(len(events))


class DroppingListener(WSListener):
    """What Pylon's listener does with a table of delivered events, in Python: `delivered` has ids (64 hex) by the name of a subscription.

    `told` hears of the ids that were dropped, `handed` gets the other texts, both once a read.
    """

    def __init__(
        self, told: Callable[[list[bytes]], None], handed: Callable[[list[bytes]], None], delivered: dict[bytes, set[bytes]], most: int
    ) -> None:
        self.told, self.handed = told, handed
        self.delivered, self.most = delivered, most
        self.dropped: list[bytes] = []
        self.texts: list[bytes] = []

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A message that came in one piece; one that claims the id of a delivered event goes no further."""
        if frame.msg_type == TEXT and frame.fin and frame.payload_size <= self.most:
            text = frame.get_payload_as_bytes()
            end = text.find(b'"', 10)
            ids = self.delivered.get(text[10:end]) if text.startswith(b'["EVENT","') else None
            at = end + 9 if text.startswith(b'",{"id":"', end) else text.find(b'"id":"', end) + 6
            if ids is not None and (claimed := text[at : at + 64]) in ids:
                self.dropped.append(claimed)
            else:
                self.texts.append(text)
        if frame.last_in_buffer:
            if self.dropped:
                dropped, self.dropped = self.dropped, []
                self.told(dropped)
            if self.texts:
                texts, self.texts = self.texts, []
                self.handed(texts)


# --- filters: dicts ----------------------------------------------------------------------------------------------------------------


class Wanted:
    """A filter in JSON, its lists as sets."""

    def __init__(self, key: int, fields: dict[str, Any]) -> None:
        self.key = key
        self.ids, self.authors, self.kinds = (frozenset(fields[name]) if name in fields else None for name in ("ids", "authors", "kinds"))
        self.tags = [(name[1:], frozenset(values)) for name, values in fields.items() if name.startswith("#")]
        self.since, self.until = fields.get("since", 0), fields.get("until", 1 << 63)

    def matches(self, event: dict[str, Any]) -> bool:
        return (
            (self.ids is None or event["id"] in self.ids)
            and (self.authors is None or event["pubkey"] in self.authors)
            and (self.kinds is None or event["kind"] in self.kinds)
            and self.since <= event["created_at"] <= self.until
            and all(any(len(tag) > 1 and tag[0] == name and tag[1] in values for tag in event["tags"]) for name, values in self.tags)
        )


class DictIndex:
    """Each filter stands under its most selective field (ids, else one #tag, authors, kinds, or with the rest); candidates are checked."""

    def __init__(self, filters: Iterable[dict[str, Any]]) -> None:
        self.ids: dict[str, list[Wanted]] = {}
        self.tags: dict[tuple[str, str], list[Wanted]] = {}
        self.authors: dict[str, list[Wanted]] = {}
        self.kinds: dict[int, list[Wanted]] = {}
        self.rest: list[Wanted] = []
        for key, fields in enumerate(filters):
            self.add(Wanted(key, fields))

    def add(self, wanted: Wanted) -> None:
        tag = [(name, value) for name, values in wanted.tags[:1] for value in values] if wanted.tags else None
        choices: list[tuple[dict[Any, list[Wanted]], Iterable[Any] | None]] = [
            (self.ids, wanted.ids), (self.tags, tag), (self.authors, wanted.authors), (self.kinds, wanted.kinds)
        ]
        for table, values in choices:
            if values is not None:
                for value in values:
                    table.setdefault(value, []).append(wanted)
                return
        self.rest.append(wanted)

    def match(self, event: dict[str, Any]) -> set[int]:
        """The keys of the filters that want a decoded event."""
        found = [wanted.key for wanted in self.ids.get(event["id"], ()) if wanted.matches(event)]
        found += [wanted.key for wanted in self.authors.get(event["pubkey"], ()) if wanted.matches(event)]
        found += [wanted.key for wanted in self.kinds.get(event["kind"], ()) if wanted.matches(event)]
        found += [wanted.key for wanted in self.rest if wanted.matches(event)]
        for tag in event["tags"]:
            if len(tag) > 1:
                found += [wanted.key for wanted in self.tags.get((tag[0], tag[1]), ()) if wanted.matches(event)]
        return set(found)


# --- texts -------------------------------------------------------------------------------------------------------------------------

is_utf8 = _native.is_utf8
"""Whether a buffer is UTF-8: the crate simdutf8 in one pass, without a copy."""


def chunk_offsets(text: bytes, most: int) -> list[tuple[int, int]]:
    """Spans of at most `most` bytes by chonkie-core, which looks for four delimiters and does not mind where a character ends."""
    spans: list[tuple[int, int]] = chonkie_core.chunk_offsets(text, size=most, delimiters=b"\n.?!")
    return spans
