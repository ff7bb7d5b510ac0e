"""Keys and identities: NIP-06 (https://github.com/nostr-protocol/nips/blob/master/06.md), BIP-39 phrases, imported secret keys.

A secret never appears in a repr, an error or a log.
"""

from __future__ import annotations

import functools
import hmac
import re
import secrets
import unicodedata
from collections import OrderedDict
from pathlib import Path
from typing import Final

from mnemonic import Mnemonic

from pylon import _native
from pylon.errors import DecryptError, NotSetUp, UsageError, WireError
from pylon.nostr import bech32, keyfile, nip44, nip49
from pylon.nostr.event import Tags, VerifiedEvent

CONVERSATIONS: Final = 256
"""How many conversation keys are kept: one costs an elliptic-curve multiplication, and a job needs it several times."""

_WALLET_LABEL: Final = b"pylon/wallet/v1"
_MAX_ACCOUNT: Final = 2**31 - 1


class Keys:
    """One key pair. Satisfies `event.Signer`. ValueError where `secret` is not 32 bytes in 1..n-1."""

    __slots__ = ("_conversations", "_secret", "_signer")

    def __init__(self, secret: bytes, /) -> None:
        self._signer = _native.Signer(secret)
        self._secret = secret
        self._conversations: OrderedDict[bytes, bytes] = OrderedDict()

    def __repr__(self) -> str:
        return f"Keys({self.npub})"

    @property
    def pubkey(self) -> bytes:
        """The x-only public key, 32 bytes."""
        return self._signer.pubkey

    @property
    def pubkey_hex(self) -> str:
        """The public key as events have it: 64 lower-case hex characters."""
        return self.pubkey.hex()

    @property
    def npub(self) -> str:
        """The public key as people share it (NIP-19)."""
        return bech32.encode("npub", self.pubkey)

    def sign_event(self, created_at: int, kind: int, tags: Tags, content: str, /) -> VerifiedEvent:
        """A signed event, by BIP-340 with fresh auxiliary randomness. ValueError where a field breaks NIP-01."""
        return self._signer.sign_event(created_at, kind, tags, content)

    def encrypt(self, peer: bytes, text: str) -> str:
        """`text` (not empty) for the owner of the x-only key `peer`, by NIP-44. ValueError for a key that is not on the curve."""
        return nip44.encrypt(self._conversation(peer), text)

    def decrypt(self, peer: bytes, payload: str) -> str:
        """What the owner of `peer` encrypted for us, or we for him. Raises DecryptError, whatever was wrong."""
        try:
            key = self._conversation(peer)
        except ValueError as error:
            raise DecryptError from error
        return nip44.decrypt(key, payload)

    def export_secret(self) -> bytes:
        """The secret key, 32 bytes. For showing it to its owner and for keeping it; for nothing else."""
        return self._secret

    def _conversation(self, peer: bytes) -> bytes:
        key = self._conversations.pop(peer, None)
        if key is None:
            key = nip44.conversation_key(self._secret, peer)
            if len(self._conversations) >= CONVERSATIONS:
                self._conversations.popitem(last=False)
        self._conversations[peer] = key
        return key


class Identity:
    """Who a home is: a phrase with all its accounts, or an imported key (account 0) with a random second one (account 1)."""

    __slots__ = ("_accounts", "_record", "_seed")

    def __init__(self, record: keyfile.Record) -> None:
        """Raises WireError where the record breaks a rule; `generate`, `parse_import` and `load` are the ways to make one."""
        self._record = record
        self._seed: bytes | None = None
        self._accounts: dict[int, Keys] = {}
        if record.mnemonic is not None and record.secret is None and record.second is None:
            if not _words().check(record.mnemonic):
                raise WireError("the phrase is not one of BIP-39")
            self._seed = Mnemonic.to_seed(record.mnemonic)
        elif record.mnemonic is None and record.secret is not None and record.second is not None:
            if record.secret == record.second:
                raise WireError("both keys are the same")
            self._accounts = {0: Keys(_secret(record.secret)), 1: Keys(_secret(record.second))}
        else:
            raise WireError("neither a phrase nor two keys")

    def __repr__(self) -> str:
        return f"Identity({self.account(0).npub})"

    @classmethod
    def generate(cls, words: int = 12) -> Identity:
        """A new identity with a random phrase of 12 or 24 words."""
        if words not in (12, 24):
            raise UsageError("a phrase has 12 or 24 words")
        return cls(keyfile.Record(mnemonic=_words().generate(words * 32 // 3)))

    @classmethod
    def parse_import(cls, text: str, passphrase: str | None = None) -> Identity:
        """The identity that a person typed or pasted: a phrase, `nsec1…`, 64 hex characters, or `ncryptsec1…` with its passphrase.

        White space and case do not matter. Raises UsageError, without repeating what was typed.
        """
        entry = " ".join(unicodedata.normalize("NFKD", text).split())
        try:
            if " " in entry:
                return cls(keyfile.Record(mnemonic=_phrase(entry.lower())))
            return cls(keyfile.Record(secret=_single(entry, passphrase).hex(), second=_random_secret().hex()))
        except WireError as error:
            raise UsageError(str(error)) from error

    @classmethod
    def load(cls, path: Path, passphrase: str | None = None) -> Identity:
        """The identity in a file. Raises NotSetUp: none there, damaged, or the passphrase is missing or wrong."""
        record = keyfile.read(path, passphrase)
        try:
            return cls(record)
        except WireError as error:
            raise NotSetUp(f"the identity file {path} is damaged: {error}", hint="restore it from a backup") from error

    def save(self, path: Path, passphrase: str | None = None, *, overwrite: bool = False) -> None:
        """Keep the identity in a file of mode 0600, encrypted where a passphrase is given. Raises UsageError for one that exists."""
        keyfile.write(path, self._record, passphrase, overwrite=overwrite)

    @property
    def mnemonic(self) -> str | None:
        """The phrase, for its owner to write down; None for an imported key."""
        return self._record.mnemonic

    def account(self, number: int) -> Keys:
        """The keys of one account: m/44'/1237'/<number>'/0/0 of the phrase. An imported identity has accounts 0 and 1; UsageError else."""
        keys = self._accounts.get(number)
        if keys is None:
            if self._seed is None or not 0 <= number <= _MAX_ACCOUNT:
                raise UsageError(f"this identity has no account {number}")
            # NIP-06: "BIP32 is used to derive the path m/44'/1237'/<account>'/0/0"
            keys = self._accounts[number] = Keys(_native.bip32_derive(self._seed, f"m/44'/1237'/{number}'/0/0"))
        return keys

    def wallet_secret(self) -> bytes:
        """32 bytes for the wallet's own keys, made of account 0's secret. They say nothing about it, and come back with it."""
        return hmac.digest(self.account(0).export_secret(), _WALLET_LABEL, "sha256")

    def lightning_seed(self, number: int) -> bytes:
        """The seed (64 bytes) of the Lightning node number `number` of this identity: BIP-85's `m/83696968'/128169'/64'/<number>'` of the
        phrase, so that any wallet that knows BIP-85 finds it again. An imported key has no phrase: made of its wallet secret instead."""
        if self._seed is None:
            return hmac.digest(self.wallet_secret(), f"pylon/lightning/{number}".encode(), "sha512")
        child = _native.bip32_derive(self._seed, f"m/83696968'/128169'/64'/{number}'")
        return bip85_entropy(child)


def bip85_entropy(key: bytes) -> bytes:
    """The 64 bytes of entropy of a derived private key (32 bytes). BIP-85: `HMAC-SHA512(key="bip-entropy-from-k", msg=k)`."""
    return hmac.digest(b"bip-entropy-from-k", key, "sha512")


@functools.cache
def _words() -> Mnemonic:
    return Mnemonic("english")


def _phrase(phrase: str) -> str:
    count = phrase.count(" ") + 1
    if count not in (12, 15, 18, 21, 24):
        raise UsageError(f"a phrase has 12, 15, 18, 21 or 24 words, this one has {count}")
    known = frozenset(_words().wordlist)
    wrong = [str(place) for place, word in enumerate(phrase.split(" "), 1) if word not in known]
    if wrong:
        raise UsageError(f"word {', '.join(wrong)} of the phrase is not in the English list of BIP-39")
    if not _words().check(phrase):
        raise UsageError("the checksum of the phrase is wrong", hint="a word is mistyped or two are swapped")
    return phrase


def _single(entry: str, passphrase: str | None) -> bytes:
    lower = entry.lower()
    if re.fullmatch(r"[0-9a-f]{64}", lower, re.ASCII):
        return _valid(bytes.fromhex(lower))
    if lower.startswith("nsec1"):
        prefix, data = bech32.decode(entry)
        if prefix != "nsec" or len(data) != 32:
            raise UsageError("the nsec is not one: 32 bytes are expected in it")
        return _valid(data)
    if lower.startswith("ncryptsec1"):
        if passphrase is None:
            raise UsageError("an ncryptsec needs its passphrase")
        try:
            return _valid(nip49.decrypt(entry, passphrase))
        except DecryptError as error:
            raise UsageError("the passphrase of the ncryptsec is wrong") from error
    if lower.startswith("npub1"):
        raise UsageError("that is a public key; the secret one (nsec1…) is needed")
    raise UsageError("that is no secret key", hint="a phrase of 12 to 24 words, nsec1…, 64 hex characters or ncryptsec1… is expected")


def _secret(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-f]{64}", text, re.ASCII):
        raise WireError("a key is not 64 hex characters")
    return _valid(bytes.fromhex(text))


def _valid(secret: bytes) -> bytes:
    try:
        _native.public_key(secret)
    except ValueError as error:
        raise WireError("that number is no secret key of secp256k1") from error
    return secret


def _random_secret() -> bytes:
    while True:
        secret = secrets.token_bytes(32)
        try:
            return _valid(secret)
        except WireError:
            continue  # not in 1..n-1: about one in 2^128
