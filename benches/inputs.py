"""What the benches work on, the same in every run: keys, signatures, signed events of given sizes, texts."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from benches.references import Values, event_id
from pylon._native import Signer

AUX = bytes(32)
"""The auxiliary randomness of every signature here."""
NOW = 1_700_000_000
SENTENCE = "the node answers a job request with a result event and asks the relay for more work when its queue is short"
WORDS = tuple(SENTENCE.split())


def sha(name: str) -> bytes:
    """32 bytes that look random."""
    return hashlib.sha256(name.encode()).digest()


SECRET = sha("alice")
ALICE = Signer(SECRET)


class Signatures(NamedTuple):
    """n signatures: keys n x 32, signatures n x 64, messages n x 32 bytes."""

    keys: bytes
    signatures: bytes
    messages: bytes

    def split(self) -> list[tuple[bytes, bytes, bytes]]:
        """Key, signature and message of each."""
        return [
            (self.keys[32 * i : 32 * i + 32], self.signatures[64 * i : 64 * i + 64], self.messages[32 * i : 32 * i + 32])
            for i in range(len(self.keys) // 32)
        ]


def signatures(count: int, keys: int) -> Signatures:
    """So many signatures by so many keys in turn."""
    signers = [Signer(sha(f"key {number}")) for number in range(min(keys, count))]
    messages = [sha(f"message {number}") for number in range(count)]
    used = [signers[number % len(signers)] for number in range(count)]
    made = [signer.sign(message, AUX) for signer, message in zip(used, messages, strict=True)]
    return Signatures(b"".join(signer.pubkey for signer in used), b"".join(made), b"".join(messages))


def prose(size: int, seed: int) -> str:
    """About `size` bytes of words with some line ends and quotes, so that JSON has something to escape."""
    dice, words, length = random.Random(seed), list[str](), 0
    while length < size:
        word = dice.choice(WORDS)
        word += "\n" if dice.random() < 0.06 else ""
        word = f'"{word}"' if dice.random() < 0.03 else word
        words.append(word)
        length += len(word) + 1
    return " ".join(words)


def values(size: int, seed: int = 1, pubkey: str = ALICE.pubkey.hex()) -> Values:
    """What an event is made of whose JSON has about `size` bytes, at least some 380: NIP-90's kind, a tag or two, English words."""
    tags = [["p", sha(f"p {seed}").hex()]]
    if size < 420:
        tags = [["t", "x"]]
    elif size >= 600:
        tags.append(["e", sha(f"e {seed}").hex(), "", "reply"])
    around = 330 + sum(sum(len(text) + 3 for text in tag) + 3 for tag in tags)
    return pubkey, NOW + seed, 5050, tags, prose(max(20, size - around), seed)


def event(made_of: Values, signer: Signer = ALICE) -> dict[str, Any]:
    """The signed event, as JSON has it."""
    identity = event_id(*made_of)
    names = ("pubkey", "created_at", "kind", "tags", "content")
    return {"id": identity.hex(), **dict(zip(names, made_of, strict=True)), "sig": signer.sign(identity, AUX).hex()}


def frame(fields: dict[str, Any]) -> bytes:
    """`["EVENT","sub1",{...}]`."""
    return orjson.dumps(("EVENT", "sub1", fields))


def frames(count: int, size: int, keys: int = 1) -> list[bytes]:
    """So many frames of events by so many keys in turn."""
    signers = [ALICE, *(Signer(sha(f"key {number}")) for number in range(1, keys))]
    used = [signers[number % keys] for number in range(count)]
    return [frame(event(values(size, number, signer.pubkey.hex()), signer)) for number, signer in enumerate(used)]


def _texts() -> dict[str, str]:
    """Five texts of 1 MB, by name."""
    dice = random.Random(2)
    clauses = [" ".join(dice.choices(WORDS, k=dice.randrange(5, 25))).capitalize() for _ in range(500)]
    sentences = [clause + dice.choice((". ", ". ", "! ", "? ")) for clause in clauses]
    names = ["_".join(dice.choices(WORDS, k=3)) for _ in range(300)]
    signs = "潮水退去的時候磨坊轉動漲停止人們在岸邊等待船來"

    def paragraph() -> str:
        return "".join(dice.choices(sentences, k=dice.randrange(2, 12))) + "\n\n"

    def function() -> str:
        body = (f"    {dice.choice(names)} = {dice.choice(names)}({dice.randrange(999)})\n" for _ in range(dice.randrange(2, 30)))
        return f"def {dice.choice(names)}({dice.choice(WORDS)}: int) -> int:\n{''.join(body)}    return {dice.choice(names)}\n\n\n"

    def chinese() -> str:
        sentence = ("".join(dice.choices(signs, k=dice.randrange(6, 40))) + dice.choice("，。。！？") for _ in range(dice.randrange(2, 9)))
        return "".join(sentence) + "\n"

    def emoji() -> str:
        return "".join(dice.choices(("👨‍👩‍👧‍👦", "👍🏽", "🇮🇸", "❤️", "😀", "e\u0301", " "), k=1_000))

    kinds = {
        "English": paragraph, "code": function, "CJK": chinese, "emoji": emoji, "one line": lambda: "".join(dice.choices(sentences, k=20)),
    }
    return {name: grown(make, 1_000_000) for name, make in kinds.items()}


def grown(make: Callable[[], str], size: int) -> str:
    """What `make` gives, over and over, cut to at most `size` bytes of UTF-8."""
    parts, length = list[bytes](), 0
    while length < size:
        parts.append(make().encode())
        length += len(parts[-1])
    return b"".join(parts)[:size].decode("utf-8", "ignore")


TEXTS = _texts()
