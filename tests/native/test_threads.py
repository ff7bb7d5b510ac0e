"""Threads: what is shared is consistent whoever asks first, and long calls let other threads run."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from pylon import _native
from pylon._native import DUPLICATE, FilterIndex, Seen, Signer, VerifiedEvent, plain
from pylon.nostr.filter import Filter

SIGNER = Signer(bytes(31) + b"\x06")
THREADS = 4
EVENTS = [SIGNER.sign_event(n, n % 7, [["e", f"{n}\n/"], ["t", "x" * (n % 50)], []], f'"{n}"\\\n' * 9).raw for n in range(150)]


@pytest.fixture(autouse=True)
def _eager() -> Iterator[None]:
    """Threads take turns as often as Python can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(work: Callable[[int], None]) -> None:
    """Runs `work` in several threads that begin at once; what one of them raises is raised here."""
    start, raised = threading.Barrier(THREADS), list[BaseException]()

    def run(number: int) -> None:
        start.wait()
        try:
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in raised:
        raise error


def test_one_event() -> None:
    """A field of an event is made once, and every thread gets that very object."""
    events = [event for event in _native.check_events(EVENTS) if isinstance(event, VerifiedEvent)]
    assert len(events) == len(EVENTS)
    names = ("id", "pubkey", "tags", "content", "raw")
    found: list[list[tuple[object, ...]]] = [[] for _ in range(THREADS)]

    def read(number: int) -> None:
        for event in events:
            order = names[number:] + names[:number]
            values = {name: getattr(event, name) for name in order}
            assert event.first("t") == event.tags[1]
            assert event.values("e") == (event.tags[0][1],)
            found[number].append(tuple(values[name] for name in names))

    together(read)
    for several in zip(*found, strict=True):
        assert all(mine is theirs for values in several for mine, theirs in zip(values, several[0], strict=True))


@pytest.mark.parametrize("capacity", [1, 10, 1000])
def test_one_memory_of_what_was_seen(capacity: int) -> None:
    """Each event comes out of a scope once over all threads as long as it is remembered, and never as another event."""
    seen, delivered = Seen(capacity), Counter[tuple[int, str]]()
    lock = threading.Lock()

    def receive(number: int) -> None:
        for start in range(0, len(EVENTS), 10):
            batch = EVENTS[start : start + 10]
            for scope in (1, 2):
                found = _native.check_events(batch, seen, [scope] * len(batch))
                for raw, event in zip(batch, found, strict=True):
                    if isinstance(event, VerifiedEvent):
                        assert event.raw == raw
                        with lock:
                            delivered[scope, event.id] += 1
                    else:
                        assert event == DUPLICATE

    together(receive)
    assert len(delivered) == 2 * len(EVENTS)
    assert seen.verified <= 2 * capacity
    assert seen.delivered <= 2 * capacity
    if capacity >= 2 * len(EVENTS):
        assert set(delivered.values()) == {1}


def test_one_signer() -> None:
    """Signatures that several threads ask of one signer are those that it makes alone."""
    alone = [SIGNER.sign_event(n, 1, [["n", str(n)]], "x", bytes(32)) for n in range(100)]

    def sign(number: int) -> None:
        for n in range(100):
            event = SIGNER.sign_event(n, 1, [["n", str(n)]], "x", bytes(32), bool(number % 2))
            assert event == alone[n]
            assert event.raw == alone[n].raw
            fresh = SIGNER.sign_event(n, 1, [["n", str(n)]], "x")
            assert fresh.id == event.id
            assert plain.verify(SIGNER.pubkey, bytes.fromhex(fresh.sig), bytes.fromhex(fresh.id))

    together(sign)


def test_one_index_while_events_come() -> None:
    """A thread that matches while others add and remove finds what is there all the time, and nothing that never was."""
    index = FilterIndex()
    for kind in range(7):
        index.add(kind, Filter(kinds=(kind,)))
    events = [event for event in _native.check_events(EVENTS) if isinstance(event, VerifiedEvent)]

    def work(number: int) -> None:
        for turn, event in enumerate(events):
            key = 100 * (number + 1)
            index.add(key, Filter(tags={"e": (event.values("e")[0],)}))
            assert index.match(event)[0] == event.kind
            assert key in index.match(event)
            many = index.match_many([event, events[turn - 1]])
            assert [keys[0] for keys in many] == [event.kind, events[turn - 1].kind]
            assert set(many[0]) <= {event.kind, 100, 200, 300, 400}
            index.remove(key)

    together(work)
    assert len(index) == 7


BATCH = EVENTS * 60
TEXT = "字🦊a\u0301 " * 600_000
KEY = bytes(31) + b"\1"
PAYLOAD = _native.nip44_encrypt(KEY, b"a" * 16_000_000, bytes(32))
SIGNATURE = SIGNER.sign(bytes(32), bytes(32))


@pytest.mark.parametrize(
    "call",
    [
        lambda: _native.check_codes(BATCH),
        lambda: _native.check_codes(BATCH * 20, False),
        lambda: _native.check_events(BATCH),
        lambda: _native.check_events(BATCH, Seen(10_000)),
        lambda: _native.verify_batch(SIGNER.pubkey * 6000, SIGNATURE * 6000, bytes(32) * 6000),
        lambda: _native.chunk_spans(TEXT.encode(), 64),
        lambda: _native.nip44_encrypt(KEY, b"a" * 60_000_000, bytes(32)),
        lambda: _native.nip44_decrypt(KEY, PAYLOAD),
    ],
    ids=["codes", "codes without signatures", "events", "events with memory", "signatures", "spans", "encrypt", "decrypt"],
)
def test_long_calls_let_others_run(call: Callable[[], object]) -> None:
    """While one thread is in a long call, another has the GIL."""
    # The system may be late to wake the other; where the GIL is kept, it is late every time.
    assert any(others_run(call) for _ in range(10))


def test_a_call_that_keeps_the_gil_is_told() -> None:
    """The instrument works: a loop in Python lets nobody in."""
    assert not any(others_run(lambda: sum(range(1_000_000))) for _ in range(3))


def others_run(call: Callable[[], object]) -> bool:
    """Whether this thread gets the GIL before a thread that calls `call` has ended. Turns never end, so that it is not just taken."""
    done: list[object] = []
    thread = threading.Thread(target=lambda: done.append(call()))
    sys.setswitchinterval(1000)
    thread.start()  # comes back when the new thread lets go of the GIL: in its call or at its end
    ran = not done
    sys.setswitchinterval(1e-6)
    thread.join()
    assert done
    return ran
