"""Identities: NIP-06 with all its vectors, imports, and what must stay secret."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import cast

import pytest
from mnemonic import Mnemonic

from pylon import _native
from pylon.errors import DecryptError, UsageError, WireError
from pylon.nostr.keyfile import Record
from pylon.nostr.keys import CONVERSATIONS, Identity, Keys, bip85_entropy
from pylon.nostr.nip19 import SecretKey, encode
from tests.nostr.people import ALICE, BOB, CAROL, VECTORS, event
from tests.nostr.test_nip49 import EXAMPLE

ZOO = "zoo " * 11 + "wrong"
LEADER = "leader monkey parrot ring guide accident before fence cannon height naive bean"
WHAT = (
    "what bleak badge arrange retreat wolf trade produce cricket blur garlic valid proud rude strong choose busy staff weather area salt "
    "hollow arm fade"
)
SECRET = "7f7ff03d123792d6ac594bfa67bf6d0c0ab55b6b1fdb6249303fe861f1ccba9a"
NSEC = "nsec10allq0gjx7fddtzef0ax00mdps9t2kmtrldkyjfs8l5xruwvh2dq0lhhkp"
NPUB = "npub1zutzeysacnf9rru6zqwmxd54mud0k44tst6l70ja5mhv8jjumytsd2x7nu"

nip06 = cast(list[dict[str, str]], json.loads((VECTORS / "nip06.json").read_text())["vectors"])


@pytest.mark.parametrize("vector", nip06, ids=lambda vector: vector["npub"][:12])
def test_nip06_vectors(vector: dict[str, str]) -> None:
    """NIP-06: "BIP32 is used to derive the path m/44'/1237'/<account>'/0/0"; tests/vectors/nip06.json."""
    keys = Identity.parse_import(vector["mnemonic"]).account(0)
    assert keys.export_secret().hex() == vector["secret"]
    assert keys.pubkey_hex == vector["pubkey"]
    assert keys.pubkey == bytes.fromhex(vector["pubkey"])
    assert keys.npub == vector["npub"]
    assert encode(SecretKey(keys.export_secret())) == vector["nsec"]


@pytest.mark.parametrize(
    ("phrase", "account", "secret", "pubkey", "npub"),
    [
        (LEADER, 0, SECRET, "17162c921dc4d2518f9a101db33695df1afb56ab82f5ff3e5da6eec3ca5cd917", NPUB),
        (
            WHAT,
            0,
            "c15d739894c81a2fcfd3a2df85a0d2c0dbc47a280d092799f144d73d7ae78add",
            "d41b22899549e1f3d335a31002cfd382174006e166d3e658e3a5eecdb6463573",
            None,
        ),
        (ZOO, 0, "c26cf31d8ba425b555ca27d00ca71b5008004f2f662470f8c8131822ec129fe2", None, None),
        (ZOO, 1, "b5fc7f229de3fb5c189063e3b3fc6c921d8f4366cff5bd31c6f063493665eb2b", None, None),
        (
            "abandon " * 11 + "about",
            0,
            "5f29af3b9676180290e77a4efad265c4c2ff28a5302461f73597fda26bb25731",
            "e8bcf3823669444d0b49ad45d65088635d9fd8500a75b5f20b59abefa56a144f",
            None,
        ),
        (
            "medal bounce clinic steak nest window position walnut rib diagram ridge review",
            0,
            None,
            "67e55bf40147de8c8c26968baa75e2db0493036acbeca2e20c7997d141264938",
            "npub1vlj4haqpgl0gerpxj6965a0zmvzfxqm2e0k29csv0xtazsfxfyuq2tkv3y",
        ),
        (
            "camera lion sail apology custom carry hard order absorb minor radio guide",
            0,
            None,
            "4968d0e190fdb9f539cf0f5056e99d84438ada12818a7e14c929a9ba2a14cbf9",
            "npub1f95dpcvslkul2ww0pag9d6vas3pc4ksjsx98u9xf9x5m52s5e0usd323wt",
        ),
    ],
)
def test_vectors_of_the_first_pylon(phrase: str, account: int, secret: str | None, pubkey: str | None, npub: str | None) -> None:
    """Identities made by Pylon v0.1 (`crates/nostr/core/src/nip06.rs` and its logs) come back as they were."""
    keys = Identity.parse_import(phrase).account(account)
    assert secret is None or keys.export_secret().hex() == secret
    assert pubkey is None or keys.pubkey_hex == pubkey
    assert npub is None or keys.npub == npub


@pytest.mark.parametrize("words", [12, 24])
def test_generated(words: int) -> None:
    """A new identity has a phrase of BIP-39 that brings it back, and every call makes another."""
    identity = Identity.generate(words)
    assert identity.mnemonic is not None
    assert len(identity.mnemonic.split()) == words
    again = Identity.parse_import(identity.mnemonic)
    assert [again.account(n).pubkey for n in range(3)] == [identity.account(n).pubkey for n in range(3)]
    assert len({identity.account(n).pubkey for n in range(3)}) == 3
    assert Identity.generate(words).mnemonic != identity.mnemonic


def test_no_other_lengths() -> None:
    """`init --words` knows 12 and 24."""
    with pytest.raises(UsageError, match="12 or 24"):
        Identity.generate(15)


@pytest.mark.parametrize(
    "text",
    [
        LEADER,
        f"  {LEADER}\n",
        LEADER.upper(),
        LEADER.replace(" ", "\t\n "),
        LEADER.replace(" ", "\u3000"),
        LEADER.replace("monkey", "ｍｏｎｋｅｙ"),
        LEADER.title(),
        LEADER.replace(" ", "\xa0"),
    ],
    ids=range(8),
)
def test_phrases_are_read_with_patience(text: str) -> None:
    """White space, case and Unicode forms (BIP-39: NFKD) of a phrase do not matter."""
    identity = Identity.parse_import(text)
    assert identity.mnemonic == LEADER
    assert identity.account(0).export_secret().hex() == SECRET


@pytest.mark.parametrize("text", [NSEC, f" {NSEC}\n", NSEC.upper(), SECRET, SECRET.upper(), f"\t{SECRET} "])
def test_single_keys(text: str) -> None:
    """An imported key is account 0; account 1 is random, new with every import, and there is no third."""
    one, other = Identity.parse_import(text), Identity.parse_import(text)
    assert one.account(0).npub == NPUB == other.account(0).npub
    assert one.account(1).pubkey not in (one.account(0).pubkey, other.account(1).pubkey)
    assert one.account(1) is one.account(1)
    assert one.mnemonic is None
    for missing in (2, -1):
        with pytest.raises(UsageError, match="no account"):
            one.account(missing)


def test_ncryptsec() -> None:
    """NIP-49's example opens with its password; a wrong or missing one is said."""
    identity = Identity.parse_import(EXAMPLE, "nostr")
    assert identity.account(0).export_secret().hex() == "3501454135014541350145413501453fefb02227e449e57cf4d3a3ce05378683"
    with pytest.raises(UsageError, match="wrong"):
        Identity.parse_import(EXAMPLE, "nostr ")
    with pytest.raises(UsageError, match="needs its passphrase"):
        Identity.parse_import(EXAMPLE)


BAD_IMPORTS = [
    "",
    "   ",
    "hello",
    LEADER.replace("bean", "monkey"),
    LEADER + " bean",
    LEADER.replace("bean", "beam"),
    LEADER.rpartition(" ")[0],
    "zoo " * 12,
    "0" * 64,
    "f" * 64,
    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
    SECRET[:-1],
    SECRET + "0",
    "0x" + SECRET,
    NSEC[:-1] + "q",
    NSEC[:-1],
    NSEC[:-1] + "P",
    NPUB,
    "nsec1" + "q" * 6000,
    "ncryptsec1q",
    "\x00",
    "\ud800",
    "👩 " * 12,
    "\u202e" + SECRET,
    "a " * 100_000,
    encode(SecretKey(bytes(31))),
]


@pytest.mark.parametrize("text", BAD_IMPORTS, ids=range(len(BAD_IMPORTS)))
def test_bad_imports(text: str) -> None:
    """What is no phrase and no key is refused in one sentence that does not repeat it."""
    with pytest.raises(UsageError) as caught:
        Identity.parse_import(text, "passphrase")
    shown = f"{caught.value.message} {caught.value.hint}"
    assert "\n" not in shown
    assert len(shown) < 300
    assert len(text) < 12 or text not in shown
    assert not any(word in shown for word in ("monkey", "beam", SECRET[:8]))


def test_a_wrong_word_is_named_by_its_place() -> None:
    """The reason helps: which word is not in the list, or that the checksum is wrong."""
    with pytest.raises(UsageError, match="word 12 of the phrase"):
        Identity.parse_import(LEADER.replace("bean", "beam"))
    with pytest.raises(UsageError, match="checksum"):
        Identity.parse_import(LEADER.replace("bean", "monkey"))


def test_nothing_shows_the_secret() -> None:
    """No repr holds a secret key or a word of the phrase."""
    identity = Identity.parse_import(LEADER)
    shown = f"{identity!r} {identity} {identity.account(0)!r} {Record(mnemonic=LEADER)!r} {Record(secret=SECRET)!r}"
    assert SECRET not in shown
    assert "monkey" not in shown
    assert "nsec" not in shown
    assert NPUB in shown


@pytest.mark.parametrize("secret", [b"", bytes(32), b"\xff" * 32, bytes(31), bytes(33)])
def test_bad_secrets(secret: bytes) -> None:
    """BIP-340: a secret key is a number in 1..n-1, of 32 bytes."""
    with pytest.raises(ValueError):  # noqa: PT011 -- the sentence is the extension's own
        Keys(secret)


def test_signatures_hold_and_differ() -> None:
    """A key signs by BIP-340 with fresh randomness."""
    one, two = ALICE.sign_event(1, 1, (), "same"), ALICE.sign_event(1, 1, (), "same")
    assert one.id == two.id
    assert one.sig != two.sig
    assert _native.check_events([one.raw, two.raw, one.raw.replace(one.sig.encode(), two.sig.encode())]) == [one, two, two]
    assert event(by=BOB).pubkey == BOB.pubkey_hex


def test_encryption_between_two() -> None:
    """NIP-44: what Alice writes to Bob he reads, she reads, and Carol does not."""
    payload = ALICE.encrypt(BOB.pubkey, "2+2? 👩\x00")
    assert BOB.decrypt(ALICE.pubkey, payload) == ALICE.decrypt(BOB.pubkey, payload) == "2+2? 👩\x00"
    for keys, peer in ((CAROL, ALICE), (BOB, CAROL)):
        with pytest.raises(DecryptError):
            keys.decrypt(peer.pubkey, payload)


def test_no_key_no_text() -> None:
    """A peer whose key is not on the curve cannot be written to, and decrypting from him fails like every decryption."""
    for peer in (b"\xff" * 32, bytes(32), b"", bytes(33)):
        with pytest.raises(ValueError):  # noqa: PT011 -- the sentence is the extension's own
            ALICE.encrypt(peer, "x")
        with pytest.raises(DecryptError, match=r"^cannot decrypt$"):
            ALICE.decrypt(peer, "x")


def test_the_cache_is_bounded() -> None:
    """Conversation keys of many peers do not pile up, and the one in use stays right."""
    keys = Keys(bytes.fromhex("04" * 32))
    peers = [Keys(number.to_bytes(32, "big")) for number in range(1, CONVERSATIONS + 10)]
    for peer in peers:
        keys.encrypt(peer.pubkey, "x")
        keys.encrypt(peers[0].pubkey, "x")
    assert len(keys._conversations) == CONVERSATIONS
    assert peers[0].pubkey in keys._conversations
    assert peers[1].pubkey not in keys._conversations
    for peer in (peers[0], peers[1], peers[-1]):
        assert peer.decrypt(keys.pubkey, keys.encrypt(peer.pubkey, "text")) == "text"


def test_wallet_secret() -> None:
    """The wallet's secret is HMAC-SHA256 of account 0's key under its label: the same after every import, and not the key."""
    identity = Identity.parse_import(LEADER)
    expected = hmac.new(bytes.fromhex(SECRET), b"pylon/wallet/v1", hashlib.sha256).digest()
    assert identity.wallet_secret() == expected == Identity.parse_import(NSEC).wallet_secret()
    assert Identity.parse_import(WHAT).wallet_secret() != expected


def hardened(seed: bytes, *numbers: int) -> bytes:
    """A private key at a path of hardened steps, by the text of BIP-32."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    node = hmac.digest(b"Bitcoin seed", seed, "sha512")
    for number in numbers:
        data = b"\0" + node[:32] + (number + 2**31).to_bytes(4, "big")
        left = hmac.digest(node[32:], data, "sha512")
        node = ((int.from_bytes(left[:32], "big") + int.from_bytes(node[:32], "big")) % order).to_bytes(32, "big") + left[32:]
    return node[:32]


def test_lightning_seed_is_bip85() -> None:
    """BIP-85's first test vector, and its HEX application: `m/83696968'/128169'/{num_bytes}'/{index}'` of the phrase."""
    key = bytes.fromhex("cca20ccb0e9a90feb0912870c3323b24874b0ca3d8018c4b96d0b97c0e82ded0")
    assert bip85_entropy(key).hex() == (
        "efecfbccffea313214232d29e71563d941229afb4338c21f9517c41aaa0d16f0"
        "0b83d2a09ef747e7a64e8e2bd5a14869e693da66ce94ac2da570ab7ee48618f7"
    )
    identity, seed = Identity.parse_import(LEADER), Mnemonic.to_seed(LEADER)
    for number in (0, 3):
        assert identity.lightning_seed(number) == bip85_entropy(hardened(seed, 83696968, 128169, 64, number))


def test_lightning_seed_of_an_imported_key() -> None:
    """A key without a phrase has Lightning seeds too: 64 bytes, the same after every import, another for each network."""
    seeds = [Identity.parse_import(NSEC).lightning_seed(number) for number in (0, 1, 2, 3)]
    assert seeds == [Identity.parse_import(NSEC).lightning_seed(number) for number in (0, 1, 2, 3)]
    assert len(set(seeds)) == 4
    assert {len(seed) for seed in seeds} == {64}
    assert not any(seed[:32] == Identity.parse_import(NSEC).wallet_secret() for seed in seeds)


@pytest.mark.parametrize(
    "record",
    [
        Record(),
        Record(mnemonic=LEADER, secret=SECRET),
        Record(secret=SECRET),
        Record(secret=SECRET, second=SECRET),
        Record(mnemonic="zoo"),
        Record(secret="x", second=SECRET),
        Record(secret="0" * 64, second=SECRET),
    ],
    ids=range(7),
)
def test_records_that_are_none(record: Record) -> None:
    """A record is a good phrase, or two different keys."""
    with pytest.raises(WireError):
        Identity(record)
