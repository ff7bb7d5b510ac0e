"""The append log: what was acknowledged is there, what was torn is not."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from pylon.nexus.log import MAGIC, Log, LogError, read, record, write_new

PAYLOADS = [b'{"n":1}', b'{"text":"' + b"x" * 3000 + b'"}', "{'é': 3}".encode(), b"{}"]


async def write(path: Path, *payloads: bytes) -> None:
    """Append and close."""
    log = Log(path)
    for payload in payloads:
        log.append(payload, lambda error: None)
    await log.aclose()


async def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Two lives of one log; the payloads come back in order."""
    path = tmp_path / "log"
    await write(path, *PAYLOADS[:2])
    await write(path, *PAYLOADS[2:])
    assert list(read(path)) == PAYLOADS


async def test_done_is_called_in_order_when_the_bytes_are_there(tmp_path: Path) -> None:
    """When `done` is called, another process could read the payload; an empty one waits for those before it."""
    path = tmp_path / "log"
    log = Log(path)
    seen: list[int] = []

    def done(number: int, error: OSError | None) -> None:
        assert error is None
        assert list(read(path))[: number // 2 + 1][-1] == PAYLOADS[number // 2]
        seen.append(number)

    for number, payload in enumerate(PAYLOADS):
        log.append(payload, lambda error, number=number: done(2 * number, error))  # type: ignore[misc]  # the default binds the loop's value
        log.append(b"", lambda error, number=number: done(2 * number + 1, error))  # type: ignore[misc]
    await log.aclose()
    assert seen == [*range(8)]
    with pytest.raises(RuntimeError):
        log.append(b"{}", lambda error: None)


@pytest.mark.parametrize("cut", range(1, len(record(PAYLOADS[0]))))
def test_a_torn_tail_is_cut_off(tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever a crash tore the last record, all before it are read, and the next life appends behind them."""
    path = tmp_path / "log"
    whole = MAGIC + record(PAYLOADS[1])
    path.write_bytes(whole + record(PAYLOADS[0])[:cut])
    assert list(read(path)) == [PAYLOADS[1]]
    assert path.read_bytes() == whole
    assert "cut off" in caplog.text
    asyncio.run(write(path, b"{}"))
    assert list(read(path)) == [PAYLOADS[1], b"{}"]


@pytest.mark.parametrize("tail", [b"\x00" * 5000, b"\xff" * 100, b"\x08\x00\x00\x00\x00\x00\x00\x00{notcrc}", os.urandom(3000)])
def test_a_tail_of_rubbish_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    """Blocks that a power cut left behind are no records."""
    path = tmp_path / "log"
    path.write_bytes(MAGIC + record(PAYLOADS[0]) + tail)
    assert list(read(path)) == [PAYLOADS[0]]
    assert path.read_bytes() == MAGIC + record(PAYLOADS[0])


@pytest.mark.parametrize("at", [len(MAGIC), len(MAGIC) + 4, len(MAGIC) + 9])
def test_damage_in_the_middle_costs_one_record(tmp_path: Path, at: int, caplog: pytest.LogCaptureFixture) -> None:
    """A flipped byte loses the record that it stands in and no other one."""
    path = tmp_path / "log"
    data = bytearray(MAGIC + b"".join(map(record, PAYLOADS)))
    data[at] ^= 0x41
    path.write_bytes(data)
    assert list(read(path)) == PAYLOADS[1:]
    assert path.read_bytes() == data
    assert "damaged" in caplog.text


@pytest.mark.parametrize("size", range(len(MAGIC)))
def test_killed_while_it_was_made(tmp_path: Path, size: int) -> None:
    """A log of which only a part of the first line exists is an empty one."""
    path = tmp_path / "log"
    path.write_bytes(MAGIC[:size])
    assert list(read(path)) == []
    assert path.read_bytes() == MAGIC


def test_another_file_is_not_touched(tmp_path: Path) -> None:
    """What is not our log is refused with a sentence, and left as it is."""
    path = tmp_path / "log"
    path.write_bytes(b"SQLite format 3\x00")
    with pytest.raises(LogError, match="is not a log"):
        list(read(path))
    assert path.read_bytes() == b"SQLite format 3\x00"


def test_rewriting(tmp_path: Path) -> None:
    """A rewritten log holds what it was given."""
    path = tmp_path / "log"
    write_new(path, PAYLOADS)
    write_new(path, PAYLOADS[1:3])
    assert list(read(path)) == PAYLOADS[1:3]
    assert [*tmp_path.iterdir()] == [path]


async def test_a_full_disk_is_reported_and_survived(tmp_path: Path) -> None:
    """What could not be written is answered with the error; nothing of it stays, and the log goes on when there is room again."""
    path = tmp_path / "log"
    log = Log(path)
    errors: list[OSError | None] = []
    answered = asyncio.Event()

    def done(error: OSError | None) -> None:
        errors.append(error)
        answered.set()

    log.append(PAYLOADS[0], done)
    await answered.wait()
    answered.clear()
    real, log._file = log._file, os.open("/dev/full", os.O_WRONLY)
    log.append(PAYLOADS[1], done)
    await answered.wait()
    os.close(log._file)
    log._file = real
    log.append(PAYLOADS[2], done)
    await log.aclose()
    assert [error and error.errno for error in errors] == [None, errno.ENOSPC, None]
    assert list(read(path)) == [PAYLOADS[0], PAYLOADS[2]]
