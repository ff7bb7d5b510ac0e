"""The identity's file: complete or not there, closed to others, and clear about what is wrong."""

from __future__ import annotations

import json
import logging
import os
import stat
from pathlib import Path

import pytest

from pylon.errors import NotSetUp, UsageError
from pylon.nostr import keyfile
from pylon.nostr.keyfile import Record
from pylon.nostr.keys import Identity
from tests.nostr.test_keys import LEADER, NSEC, SECRET


def mode(path: Path) -> int:
    """The permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("passphrase", [None, "correct horse 👩"])
@pytest.mark.parametrize("text", [LEADER, NSEC])
def test_round_trip(tmp_path: Path, text: str, passphrase: str | None) -> None:
    """An identity comes back with both its accounts, with and without a passphrase; an encrypted file shows nothing of it."""
    path = tmp_path / "home" / "identity.json"
    identity = Identity.parse_import(text)
    identity.save(path, passphrase)
    again = Identity.load(path, passphrase)
    assert [again.account(n).pubkey for n in (0, 1)] == [identity.account(n).pubkey for n in (0, 1)]
    assert keyfile.is_encrypted(path) is (passphrase is not None)
    content = path.read_text()
    assert (passphrase is None) is ("monkey" in content or SECRET in content)
    assert mode(path) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["identity.json"]


def test_never_open_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has mode 0600 from the moment it exists, whatever the umask."""
    modes: list[int] = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        modes.extend(mode(path) for path in tmp_path.iterdir())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    before = os.umask(0)
    try:
        Identity.generate().save(tmp_path / "identity.json")
    finally:
        os.umask(before)
    assert len(modes) >= 2
    assert set(modes) == {0o600}


def test_an_identity_is_not_overwritten(tmp_path: Path) -> None:
    """An existing identity stays, unless overwriting was asked for; a failed attempt leaves nothing behind."""
    path = tmp_path / "identity.json"
    Identity.parse_import(LEADER).save(path)
    with pytest.raises(UsageError, match="already"):
        Identity.generate().save(path)
    assert Identity.load(path).mnemonic == LEADER
    assert [file.name for file in tmp_path.iterdir()] == ["identity.json"]
    Identity.parse_import(NSEC).save(path, overwrite=True)
    assert Identity.load(path).mnemonic is None
    assert mode(path) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["identity.json"]


def test_nowhere_to_write(tmp_path: Path) -> None:
    """A home that cannot hold a file is one clear sentence, not a traceback."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "identity.json", tmp_path / ("n" * 300)):
        with pytest.raises(NotSetUp, match="cannot be written"):
            Identity.generate().save(path)


def test_missing(tmp_path: Path) -> None:
    """No identity: exit status 3, and the command that makes one."""
    with pytest.raises(NotSetUp, match="no identity") as caught:
        Identity.load(tmp_path / "identity.json")
    assert caught.value.exit_status == 3
    assert "pylon init" in caught.value.hint
    assert not keyfile.is_encrypted(tmp_path / "identity.json")


def test_passphrases(tmp_path: Path) -> None:
    """A missing, a wrong and an empty passphrase are told apart; one in another Unicode form is the same."""
    path = tmp_path / "identity.json"
    identity = Identity.parse_import(LEADER)
    identity.save(path, "\u212b")
    with pytest.raises(NotSetUp, match="is encrypted"):
        Identity.load(path)
    with pytest.raises(NotSetUp, match="is wrong"):
        Identity.load(path, "a")
    with pytest.raises(NotSetUp, match="is wrong"):
        Identity.load(path, "\udcff")
    assert Identity.load(path, "A\u030a").mnemonic == LEADER
    for bad in ("", "\udcff"):
        with pytest.raises(UsageError, match="passphrase"):
            identity.save(tmp_path / "other.json", bad)
    assert [file.name for file in tmp_path.iterdir()] == ["identity.json"]


SEALED = {"kdf": "scrypt", "log_n": 16, "salt": "00" * 16, "nonce": "00" * 24, "ciphertext": "00" * 64}
DAMAGED = [
    "",
    "x",
    "{}",
    "[]",
    "null",
    '{"version":2}',
    '{"version":1}',
    '{"version":1,"identity":{}}',
    '{"version":1,"identity":{"mnemonic":5}}',
    json.dumps({"version": 1, "identity": {"mnemonic": LEADER}})[:-4],
    json.dumps({"version": 1, "identity": {"mnemonic": LEADER.replace("bean", "zoo")}}),
    json.dumps({"version": 1, "identity": {"mnemonic": LEADER, "more": 1}}),
    json.dumps({"version": 1, "identity": {"secret": SECRET}}),
    json.dumps({"version": 1, "identity": {"secret": SECRET, "second": SECRET}}),
    json.dumps({"version": 1, "identity": {"mnemonic": LEADER}, "sealed": SEALED}),
    json.dumps({"version": 1, "sealed": {**SEALED, "log_n": 40}}),
    json.dumps({"version": 1, "sealed": {**SEALED, "log_n": -1}}),
    json.dumps({"version": 1, "sealed": {**SEALED, "salt": "00"}}),
    json.dumps({"version": 1, "sealed": {**SEALED, "nonce": "zz"}}),
    json.dumps({"version": 1, "sealed": {**SEALED, "kdf": "none"}}),
    "[" * 60_000,
    " " * 70_000 + "{}",
]


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged(tmp_path: Path, text: str) -> None:
    """A file that is cut, edited or of another version is called damaged, and no word of it is shown."""
    path = tmp_path / "identity.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(NotSetUp, match="is damaged") as caught:
        Identity.load(path, "passphrase")
    assert "monkey" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_not_even_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are damage, a folder in the file's place cannot be read."""
    path = tmp_path / "identity.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NotSetUp, match="is damaged"):
        Identity.load(path)
    with pytest.raises(NotSetUp, match="cannot be read"):
        Identity.load(tmp_path)


def test_a_changed_ciphertext(tmp_path: Path) -> None:
    """One changed bit of an encrypted file is found, and reads like a wrong passphrase."""
    path = tmp_path / "identity.json"
    Identity.parse_import(LEADER).save(path, "right")
    file = json.loads(path.read_text())
    first = int(file["sealed"]["ciphertext"][0], 16)
    file["sealed"]["ciphertext"] = f"{first ^ 1:x}" + file["sealed"]["ciphertext"][1:]
    path.write_text(json.dumps(file))
    with pytest.raises(NotSetUp, match="is wrong"):
        Identity.load(path, "right")


def test_open_permissions_are_closed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that others can read is closed to them, with a warning that names it."""
    path = tmp_path / "identity.json"
    Identity.parse_import(LEADER).save(path)
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        assert Identity.load(path).mnemonic == LEADER
    assert mode(path) == 0o600
    assert "0644" in caplog.text
    assert "monkey" not in caplog.text
    caplog.clear()
    Identity.load(path)
    assert not caplog.records


def test_a_record_hides() -> None:
    """The record of a file is not shown by repr."""
    assert repr(Record(mnemonic=LEADER)) == "Record(…)"
