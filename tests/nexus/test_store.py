"""The store: durable, one owner, the same after every restart."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from pylon.nexus import store as module
from pylon.nexus.index import Verdict
from pylon.nexus.log import LogError
from pylon.nexus.record import Record
from pylon.nexus.store import Locked, Store
from pylon.nostr.event import VerifiedEvent
from pylon.nostr.filter import Filter
from tests.forge import encode
from tests.nexus.client import ALICE, BOB, NOW, Client, Closed, hex_key, note


async def put(store: Store, *events: VerifiedEvent) -> list[Verdict]:
    """Put events and wait until each is answered."""
    answers: asyncio.Queue[tuple[Verdict, OSError | None]] = asyncio.Queue()
    verdicts = []
    for event in events:
        verdict = store.put(Record(event), lambda verdict, error: answers.put_nowait((verdict, error)))
        told, error = await answers.get()
        assert (told, error) == (verdict, None)
        verdicts.append(verdict)
    return verdicts


def ids(store: Store, now: int = NOW) -> list[str]:
    """What a reader of everything sees."""
    return [one.id for one in store.query([Filter()], now=now, limit=10_000) if one is not None]


async def reopened(store: Store, now: int = NOW) -> Store:
    """The next life of a store."""
    await store.aclose()
    return Store.open(store.folder, now)


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    """Events, their bytes, replaced versions, deletions and tombstones are the same after a restart, and after the next."""
    store = Store.open(tmp_path / "nexus", NOW)
    plain, old, new = note(), note(kind=11998, created_at=NOW - 1), note(kind=11998)
    gone, never, other = note(), note(), note(BOB)
    versions = [note(kind=30000, tags=[["d", "x"]], created_at=NOW - age) for age in (20, 10)]
    request = note(kind=5, tags=[["e", gone.id], ["e", never.id], ["e", other.id], ["a", f"30000:{hex_key(ALICE)}:x"]], created_at=NOW - 15)
    assert await put(store, plain, old, new, gone, other, versions[0], request, versions[1]) == [Verdict.STORED] * 8
    expected = ids(store)
    assert set(expected) == {plain.id, new.id, other.id, request.id, versions[1].id}
    for _ in range(2):
        store = await reopened(store)
        assert ids(store) == expected
        kept = store.get(plain.id)
        assert kept is not None
        assert kept.raw == encode(plain)
        assert await put(store, gone, never, old, versions[0], plain) == [
            Verdict.DELETED, Verdict.DELETED, Verdict.OUTDATED, Verdict.DELETED, Verdict.DUPLICATE,
        ]  # fmt: skip
    await store.aclose()


async def test_an_expired_version_does_not_bring_back_its_predecessor(tmp_path: Path) -> None:
    """What was replaced stays replaced when the newer version has expired meanwhile; an expired deletion still deletes."""
    store = Store.open(tmp_path / "nexus", NOW)
    gone = note()
    await put(
        store, note(kind=10002, created_at=NOW - 5), note(kind=10002, tags=[["expiration", str(NOW + 10)]]), gone,
        note(kind=5, tags=[["e", gone.id], ["expiration", str(NOW + 10)]]),
    )  # fmt: skip
    store = await reopened(store, NOW + 10)
    assert ids(store, NOW + 10) == []
    assert len(store) == 0
    assert await put(store, gone) == [Verdict.DELETED]
    await store.aclose()


async def test_compaction_keeps_what_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that is mostly dead is rewritten at start; live events and deletions stay, also over a further restart."""
    monkeypatch.setattr(module, "COMPACT_BYTES", 1000)
    store = Store.open(tmp_path / "nexus", NOW)
    gone = note()
    await put(store, gone, note(kind=5, tags=[["e", gone.id]]), *(note(kind=11998, created_at=NOW - 100 + n) for n in range(50)))
    expected, before = ids(store), (tmp_path / "nexus" / "events.log").stat().st_size
    store = await reopened(store)
    assert (tmp_path / "nexus" / "events.log").stat().st_size < before / 5
    store = await reopened(store)
    assert ids(store) == expected
    assert await put(store, gone) == [Verdict.DELETED]
    await store.aclose()


async def test_what_has_vanished_is_gone_from_the_disk(tmp_path: Path) -> None:
    """NIP-62: "fully delete". After the next start no byte of it is left, the request still blocks it, and others' events are there."""
    store = Store.open(tmp_path / "nexus", NOW)
    gone, deletion, other = note(content="a secret"), note(kind=5, content="another secret"), note(BOB)
    request = note(kind=62, tags=[["relay", "ALL_RELAYS"]])
    await put(store, gone, deletion, other, request)
    for _ in range(2):
        store = await reopened(store)
        assert b"secret" not in (tmp_path / "nexus" / "events.log").read_bytes()
        assert set(ids(store)) == {other.id, request.id}
        assert await put(store, gone, deletion) == [Verdict.DELETED, Verdict.DELETED]
    await store.aclose()


async def test_a_duplicate_is_answered_when_the_first_is_on_disk(tmp_path: Path) -> None:
    """A second copy that comes before the first was written waits for it."""
    store = Store.open(tmp_path / "nexus", NOW)
    event = note()
    order: list[tuple[str, Verdict]] = []
    for name in ("first", "second"):
        store.put(Record(event), lambda verdict, error, name=name: order.append((name, verdict)))  # type: ignore[misc]  # as above
    assert order == []
    await store.aclose()
    assert order == [("first", Verdict.STORED), ("second", Verdict.DUPLICATE)]


async def test_an_event_that_cannot_be_written_is_not_kept(tmp_path: Path) -> None:
    """With the disk full, the event and its waiting duplicate are refused, and it is not served; later it can be stored."""
    store = Store.open(tmp_path / "nexus", NOW)
    event = note()
    errors: list[OSError | None] = []
    both = asyncio.Event()

    def done(verdict: Verdict, error: OSError | None) -> None:
        errors.append(error)
        if len(errors) == 2:
            both.set()

    real, store._log._file = store._log._file, os.open("/dev/full", os.O_WRONLY)
    store.put(Record(event), done)
    store.put(Record(event), done)
    await both.wait()
    os.close(store._log._file)
    store._log._file = real
    assert all(isinstance(error, OSError) for error in errors)
    assert ids(store) == []
    assert await put(store, event) == [Verdict.STORED]
    store = await reopened(store)
    assert ids(store) == [event.id]
    await store.aclose()


async def test_one_folder_one_relay(tmp_path: Path) -> None:
    """A second store on the folder is refused with a sentence that names it; after the first is closed it is free."""
    store = Store.open(tmp_path / "nexus", NOW)
    with pytest.raises(Locked, match=str(tmp_path / "nexus")):
        Store.open(tmp_path / "nexus", NOW)
    store = await reopened(store)
    await store.aclose()


def start(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A relay in a process of its own, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pylon", "nexus", "--port", "0", "--data", str(folder), "--json"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    return process, orjson.loads(process.stdout.readline())["url"]


def finish(process: subprocess.Popen[bytes], number: int) -> int:
    """Send a signal and wait for the end."""
    process.send_signal(number)
    code = process.wait(30)
    assert process.stdout is not None
    process.stdout.close()
    return code


@pytest.mark.parametrize("after", [1, 70, 250])
async def test_acknowledged_events_survive_kill_9(tmp_path: Path, after: int) -> None:
    """A relay is killed in the middle of a flood, as soon as `after` events are acknowledged: each of them is there afterwards."""
    now = int(time.time())
    process, url = await asyncio.to_thread(start, tmp_path)
    client = await Client.open(url, ALICE, now=now)
    acknowledged = []
    try:
        for _ in range(600):
            client.say("EVENT", note(created_at=now))
        while True:
            answer = await client.receive()
            assert answer[2] is True
            acknowledged.append(answer[1])
            if len(acknowledged) == after:
                process.kill()
    except Closed:
        pass
    assert finish(process, signal.SIGKILL) == -signal.SIGKILL
    assert len(acknowledged) >= after
    process, url = await asyncio.to_thread(start, tmp_path)
    client = await Client.open(url, ALICE, now=now)
    assert set(acknowledged) <= set(await client.ids({"ids": acknowledged}))
    await client.aclose()
    assert finish(process, signal.SIGTERM) == 0


async def test_a_folder_that_cannot_be_had() -> None:
    """A place where no folder can be made is named, with what to do."""
    with pytest.raises(LogError, match=r"events cannot be kept in /proc/nexus: .*") as failure:
        Store.open(Path("/proc/nexus"), NOW)
    assert failure.value.hint == "choose another folder with --data"
