"""An encrypted copy of the wallet: the book and the node's store as they are at one moment, in one file.

A Lightning channel changes with every payment. A node that goes on from an older copy shows its peer a state that is over, and may lose
what is in the channel. So a copy says when it was made, and whoever puts it back must know. Its key is made of the node's seed.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from pylon import _native
from pylon.config import Config
from pylon.errors import PylonError, file_error
from pylon.wallets.backups import Backup, place
from pylon.wallets.ldk.bookfile import raise_cursor
from pylon.wallets.ldk.life import Life
from pylon.wallets.ldk.locks import lock_folder

MAGIC = b"pylon wallet\n"
VERSION = 1
NONCE = 24
LABEL = b"pylon/wallet/backup"
STORE, BOOK = "ldk.sqlite", "wallet.sqlite3"
COPY = "import sqlite3, sys; a, b = map(sqlite3.connect, sys.argv[1:]); a.backup(b)"
"""For a process of its own: two SQLite libraries in one lose each other's locks on a file (sqlite.org/howtocorrupt.html, 2.2.1)."""


class _Content(msgspec.Struct, frozen=True):
    """What is sealed."""

    about: Backup
    store: bytes
    book: bytes


async def write(life: Life, target: Path) -> None:
    """Write a copy to `target`, which must not exist. Raises PylonError, and leaves nothing then."""
    node, desk = await life.node(), await life.desk()
    made_at = life.clock()  # before the copy: what happens meanwhile counts as later
    with tempfile.TemporaryDirectory(dir=life.home.folder) as folder:
        store, book = Path(folder) / STORE, Path(folder) / BOOK
        # The store first: a payment that it does not know yet is then in the book as an intent, and never the other way round.
        await asyncio.to_thread(_copied, life.home.folder / STORE, store)
        await desk.do(lambda one, _: one.copy(book))
        about = Backup(made_at, life.home.network, node.node_id)
        await asyncio.to_thread(_write, target, life.home.seed, about, store, book)


def read_backup(source: Path, *, seed: bytes) -> Backup:
    """What a copy says about itself. Raises PylonError; see `pylon.wallets.backups`."""
    return _read(source, seed).about


def restore_backup(source: Path, *, home: Path, seed: bytes, config: Config) -> Path | None:
    """Put a copy in the place of the home's wallet; see `pylon.wallets.backups`."""
    content, folder = _read(source, seed), place(home, config.network)
    if content.about.network != config.network:
        raise PylonError(f"this backup is for {content.about.network}, and this home is on {config.network}")
    aside: Path | None = None
    new = folder.with_name(f"{folder.name}.new")
    try:
        if folder.exists():
            lock_folder(folder).release()
            aside = folder.with_name(f"{folder.name}.{time.strftime('%Y%m%d-%H%M%S')}.{secrets.token_hex(2)}")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True, mode=0o700)
        for name, data in ((STORE, content.store), (BOOK, content.book)):
            _put(new / name, data)
        raise_cursor(new / BOOK)
        if aside is not None:
            folder.rename(aside)
        new.rename(folder)
    except OSError as error:
        if aside is not None and aside.exists() and not folder.exists():
            aside.rename(folder)
        raise file_error(error) from error
    return aside


def _copied(source: Path, target: Path) -> None:
    """A consistent copy of a database that is in use."""
    done = subprocess.run([sys.executable, "-c", COPY, source, target], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PylonError(f"{source} cannot be copied: {done.stderr.strip().rpartition(chr(10))[2]}", hint="check the free space")


def _write(target: Path, seed: bytes, about: Backup, store: Path, book: Path) -> None:
    content = msgspec.msgpack.encode(_Content(about, store.read_bytes(), book.read_bytes()))
    nonce = secrets.token_bytes(NONCE)
    head = MAGIC + bytes([VERSION])
    part = target.with_name(f"{target.name}.part")
    try:
        _put(part, head + nonce + _native.seal(_key(seed), nonce, content, head))
        os.link(part, target)  # never over a file that came meanwhile
    except FileExistsError as error:
        raise PylonError(f"{target} exists already", hint="a backup is never overwritten: choose another name") from error
    except OSError as error:
        raise file_error(error) from error
    finally:
        part.unlink(missing_ok=True)


def _read(source: Path, seed: bytes) -> _Content:
    try:
        data = source.read_bytes()
    except OSError as error:
        raise file_error(error) from error
    head, rest = data[: len(MAGIC) + 1], data[len(MAGIC) + 1 :]
    if not head.startswith(MAGIC) or len(head) <= len(MAGIC):
        raise PylonError(f"{source} is not a backup of a wallet")
    if head[-1] > VERSION:
        raise PylonError(f"{source} was written by a newer Pylon", hint="update Pylon")
    try:
        content = _native.unseal(_key(seed), rest[:NONCE], rest[NONCE:], head)
        return msgspec.msgpack.decode(content, type=_Content)
    except (ValueError, msgspec.DecodeError) as error:
        raise PylonError(f"{source} is damaged, or of another identity or network", hint="use the identity that wrote it") from error


def _key(seed: bytes) -> bytes:
    return hmac.digest(seed, LABEL, "sha256")


def _put(path: Path, data: bytes) -> None:
    """A file for its owner alone, on the disk when this returns."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
