"""What an OK promises: the bytes were synced before it, and nothing half written stands in the log."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import threading
from pathlib import Path

import pytest

from pylon.nexus.index import Verdict
from pylon.nexus.log import Log, read
from pylon.nexus.record import Record
from pylon.nexus.store import Store
from tests.nexus.client import NOW, note

PAYLOADS = [b'{"n":1}', b'{"text":"' + b"x" * 3000 + b'"}', b'{"n":3}']


async def test_an_event_is_acknowledged_after_the_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk has not confirmed `fdatasync`, nobody is told that the event is stored, whatever else the loop does."""
    store = Store.open(tmp_path / "nexus", NOW)
    asked, go, real = threading.Event(), threading.Event(), os.fdatasync

    def slow(file: int) -> None:
        asked.set()
        assert go.wait(20)
        real(file)

    monkeypatch.setattr(os, "fdatasync", slow)
    answers: asyncio.Queue[tuple[Verdict, OSError | None]] = asyncio.Queue()
    event = note()

    def done(verdict: Verdict, error: OSError | None) -> None:
        answers.put_nowait((verdict, error))
        asked.set()

    store.put(Record(event), done)
    assert await asyncio.to_thread(asked.wait, 20)
    for _ in range(20):
        await asyncio.sleep(0)
    known = store.get(event.id)
    assert known is not None
    assert (answers.qsize(), known.durable) == (0, False)
    go.set()
    assert await answers.get() == (Verdict.STORED, None)
    assert known.durable
    await store.aclose()


async def test_half_a_record_is_taken_back(tmp_path: Path) -> None:
    """The disk takes a part of a record and then no more (here by RLIMIT_FSIZE): what comes later stands behind a whole record."""
    path = tmp_path / "log"
    log = Log(path)
    answers: asyncio.Queue[OSError | None] = asyncio.Queue()
    log.append(PAYLOADS[0], answers.put_nowait)
    assert await answers.get() is None
    size = path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, hard))
    try:
        log.append(PAYLOADS[1], answers.put_nowait)
        error = await answers.get()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error is not None
    assert error.errno == errno.EFBIG
    assert path.stat().st_size == size
    log.append(PAYLOADS[2], answers.put_nowait)
    assert await answers.get() is None
    await log.aclose()
    assert list(read(path)) == [PAYLOADS[0], PAYLOADS[2]]
