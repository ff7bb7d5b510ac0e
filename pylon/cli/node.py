"""How commands reach the node of their home: one call, or a job that is followed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from pylon.cli.common import run
from pylon.cli.identity import provide_passphrase
from pylon.config import Home
from pylon.control.client import Gone
from pylon.errors import NotSetUp
from pylon.node import client
from pylon.node.ledger import Ledger

T = TypeVar("T")
Document = dict[str, object]


def need_identity(home: Home) -> None:
    """Raises NotSetUp where `init` has not been run."""
    if not home.identity.exists():
        raise NotSetUp(f"there is no identity in {home.path} yet", hint="run `pylon init`")


def ask(home: Home, name: str, args: Document | None = None, *, on_update: Callable[[Document], None] | None = None) -> Document:
    """A call that may be asked twice; a node is started in the background where none runs."""
    need_identity(home)
    provide_passphrase(home)

    def updated(raw: bytes) -> None:
        if on_update is not None:
            on_update(msgspec.json.decode(raw, type=Document))

    return msgspec.json.decode(run(lambda: client.ensure_call(home, name, args, updated)), type=Document)


def ask_once(home: Home, name: str, args: Document | msgspec.Struct) -> Document:
    """A call that must not be asked twice (it submits, or pays): the node is started first, then asked once."""
    need_identity(home)
    provide_passphrase(home)

    async def twice() -> bytes:
        await client.ensure_call(home, "ping")
        try:
            return await client.call(home, name, msgspec.to_builtins(args))
        except Gone as error:
            raise client.lost(home) from error

    return msgspec.json.decode(run(twice), type=Document)


def ask_running(home: Home, name: str) -> Document | None:
    """A call to a node that runs; None where none does."""

    async def once() -> bytes | None:
        try:
            return await client.call(home, name)
        except Gone:
            return None

    raw = run(once)
    return None if raw is None else msgspec.json.decode(raw, type=Document)


def read_ledger(home: Home, read: Callable[[Ledger], T], empty: T, *, secret: bytes | None = None) -> T:
    """What the ledger says, without a node; `empty` for a home where nothing has happened. `secret` opens what is sealed."""
    need_identity(home)
    try:
        ledger = Ledger(home.ledger, readonly=True, secret=secret)
    except NotSetUp:
        return empty  # no file, or one that a node is just making
    try:
        return read(ledger)
    finally:
        ledger.close()
