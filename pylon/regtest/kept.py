"""The small files of the private network: the hub's keys, made once; the ports, which stay the same where they can."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

import msgspec

from pylon.errors import PylonError, file_error

SEED_BYTES = 64
VERSION = 1


class Ports(msgspec.Struct, frozen=True):
    """Where the network listens on loopback; 0: a free port is still to be found."""

    electrum: int = 0
    hub: int = 0
    version: int = VERSION


def hub_seed(folder: Path) -> bytes:
    """The hub's 64 bytes, made at the first start. Raises PylonError where a hub was here and its keys are not."""
    path = folder / "hub.seed"
    try:
        seed = path.read_bytes()
    except FileNotFoundError:
        if (folder / "hub").exists():
            raise PylonError(
                f"the hub's keys are missing: {path}", hint=f"put the file back, or move {folder} away: a new network begins, all sats end"
            ) from None
        seed = secrets.token_bytes(SEED_BYTES)
        write(path, seed)
    except OSError as error:
        raise file_error(error) from error
    if len(seed) != SEED_BYTES:
        raise PylonError(f"{path} does not hold {SEED_BYTES} bytes", hint=f"put it back, or move {folder} away: a new network begins")
    return seed


def read_ports(folder: Path) -> Ports:
    """The ports of the last time. Raises PylonError where a newer Pylon wrote them, or where they cannot be read."""
    path = folder / "ports.json"
    try:
        ports = msgspec.json.decode(path.read_bytes(), type=Ports)
    except FileNotFoundError:
        return Ports()
    except OSError as error:
        raise file_error(error) from error
    except msgspec.DecodeError:
        return Ports()  # half a file; wallets ask for the address anew at each start
    if ports.version > VERSION:
        raise PylonError(
            f"{path} is of a newer Pylon (version {ports.version}, this one knows {VERSION})", hint="use that Pylon for the private network"
        )
    return ports


def write_ports(folder: Path, ports: Ports) -> None:
    """Keep the ports for the next time."""
    write(folder / "ports.json", msgspec.json.encode(ports))


def write(path: Path, data: bytes) -> None:
    """All of it or nothing, for the owner alone, on the disk when this returns."""
    new = path.with_name(path.name + ".new")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise file_error(error) from error


def free_port(wanted: int) -> int:
    """`wanted` where it is free on loopback, else one that is."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise PylonError("no port is free on 127.0.0.1")
