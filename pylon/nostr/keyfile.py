"""The file that keeps an identity: JSON, mode 0600 from its first byte, replaced as a whole or not at all.

With a passphrase the record is sealed by XChaCha20-Poly1305 under a key of scrypt (N=2^16, r=8, p=1), as NIP-49 does for one key.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
from pathlib import Path
from typing import Final, Literal

import msgspec

from pylon import _native
from pylon.errors import NotSetUp, UsageError
from pylon.nostr.nip49 import MAX_LOG_N, scrypt_key

log = logging.getLogger(__name__)

MAX_SIZE: Final = 65536
_LOG_N: Final = 16
_AAD: Final = b"pylon identity file version 1"


class Record(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is kept: a phrase, or an imported secret key and the random second one (64 hex characters each)."""

    mnemonic: str | None = None
    secret: str | None = None
    second: str | None = None

    def __repr__(self) -> str:
        return "Record(…)"


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kdf: Literal["scrypt"]
    log_n: int
    salt: str
    nonce: str
    ciphertext: str


class _File(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    version: Literal[1]
    identity: Record | None = None
    sealed: _Sealed | None = None


def write(path: Path, record: Record, passphrase: str | None = None, *, overwrite: bool = False) -> None:
    """Write `record` to `path`. Raises UsageError for a file that exists (unless `overwrite`) and for an empty passphrase,
    NotSetUp where it cannot be written.
    """
    file = _File(1, identity=record) if passphrase is None else _File(1, sealed=_seal(record, passphrase))
    text = msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _replace(path, text, overwrite=overwrite)
    except OSError as error:
        raise NotSetUp(f"the identity cannot be written to {path}: {error.strerror or error}") from error


def _replace(path: Path, text: bytes, *, overwrite: bool) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    # O_EXCL with mode 0600: the file is never open to others and never somebody else's, not even for a moment
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)  # unlike rename it refuses to replace what is there
    except FileExistsError as error:
        raise UsageError(f"there is an identity in {path} already", hint="`pylon init -f` replaces it; its keys are lost then") from error
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path, passphrase: str | None = None) -> Record:
    """The record in `path`. Raises NotSetUp where there is none, it is damaged, or the passphrase is missing or wrong."""
    try:
        with path.open("rb") as source:
            _tighten(source.fileno(), path)
            text = source.read(MAX_SIZE + 1)
    except FileNotFoundError as error:
        raise NotSetUp(f"there is no identity in {path}", hint="run `pylon init`") from error
    except OSError as error:
        raise NotSetUp(f"the identity in {path} cannot be read: {error.strerror or error}") from error
    try:
        file = msgspec.json.decode(text, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(path) from error
    if file.identity is not None and file.sealed is None:
        return file.identity
    if file.sealed is None or file.identity is not None:
        raise _damaged(path)
    if passphrase is None:
        raise NotSetUp(f"the identity in {path} is encrypted", hint="set PYLON_PASSPHRASE, or run it on a terminal")
    return _unseal(path, file.sealed, passphrase)


def is_encrypted(path: Path) -> bool:
    """Whether `read` will need a passphrase. False as well where there is no readable file: `read` says what is wrong with it."""
    try:
        with path.open("rb") as source:
            return msgspec.json.decode(source.read(MAX_SIZE + 1), type=_File).sealed is not None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _seal(record: Record, passphrase: str) -> _Sealed:
    if not passphrase:
        raise UsageError("the passphrase is empty")
    salt, nonce = os.urandom(16), os.urandom(24)
    try:
        key = scrypt_key(passphrase, salt, _LOG_N)
    except UnicodeEncodeError as error:
        raise UsageError("the passphrase is not Unicode") from error
    ciphertext = _native.seal(key, nonce, msgspec.json.encode(record), _AAD)
    return _Sealed("scrypt", _LOG_N, salt.hex(), nonce.hex(), ciphertext.hex())


def _unseal(path: Path, sealed: _Sealed, passphrase: str) -> Record:
    try:
        salt, nonce, ciphertext = bytes.fromhex(sealed.salt), bytes.fromhex(sealed.nonce), bytes.fromhex(sealed.ciphertext)
    except ValueError as error:
        raise _damaged(path) from error
    if not 10 <= sealed.log_n <= MAX_LOG_N or len(salt) != 16 or len(nonce) != 24:
        raise _damaged(path)
    try:
        plaintext = _native.unseal(scrypt_key(passphrase, salt, sealed.log_n), nonce, ciphertext, _AAD)
    except ValueError as error:
        raise NotSetUp(f"the passphrase for the identity in {path} is wrong", hint="try again; it cannot be recovered") from error
    try:
        return msgspec.json.decode(plaintext, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> NotSetUp:
    return NotSetUp(f"the identity file {path} is damaged", hint="restore a backup, or `pylon init --import -f` with your phrase or nsec")


def _tighten(descriptor: int, path: Path) -> None:
    """A key that others can read is a key that others have: take the permission away, and say so."""
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if not mode & 0o077:
        return
    try:
        os.fchmod(descriptor, 0o600)
    except OSError as error:
        log.warning("%s can be read by others (mode %04o), and that cannot be changed: %s", path, mode, error.strerror)
    else:
        log.warning("%s could be read by others (mode %04o); it is 0600 now", path, mode)
