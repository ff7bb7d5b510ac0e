"""Ingest: order, batches, bounds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon import ingest
from pylon._native import BAD_ID, Seen, Signer
from pylon.ingest import Checked, Ingest
from pylon.nostr.event import Draft, VerifiedEvent, sign
from tests.forge import encode

ALICE = Signer((1).to_bytes(32, "big"))
GOOD = [encode(sign(Draft(1, 1_800_000_000, f"note {number}"), ALICE)) for number in range(40)]
BAD = GOOD[0].replace(b"note 0", b"note X")


class Taker:
    """Takes what an Ingest delivers."""

    def __init__(self) -> None:
        self.taken: list[tuple[int | str, Checked | None]] = []
        self.batches: list[int] = []

    def deliver(self, batch: list[tuple[int, bytes, Checked]]) -> None:
        """One batch."""
        self.batches.append(len(batch))
        self.taken += [(context, checked) for context, _, checked in batch]

    def mark(self, name: str) -> Callable[[], None]:
        """A marker for `after`."""
        return lambda: self.taken.append((name, None))

    def order(self) -> list[int | str]:
        """The contexts and markers in the order in which they came."""
        return [context for context, _ in self.taken]


@pytest.mark.parametrize("count", [1, ingest.INLINE, ingest.INLINE + 1, 40])
async def test_order_is_kept(count: int) -> None:
    """Events come out in the order in which they went in, verified, a bad one as its error in its place."""
    taker = Taker()
    queue = Ingest(taker.deliver, seen=Seen(100))
    for number, raw in enumerate(GOOD[:count]):
        assert queue.put((raw,), number)
    queue.put((BAD,), 99)
    await queue.aclose()
    assert taker.order() == [*range(count), 99]
    assert all(isinstance(event, VerifiedEvent) and event.content == f"note {number}" for number, event in taker.taken[:-1])
    assert taker.taken[-1][1] == BAD_ID


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 39) | st.just("mark") | st.just("turn"), max_size=60))
def test_any_interleaving(steps: list[int | str]) -> None:
    """Whatever comes between them, events and markers keep their order."""

    async def play() -> list[int | str]:
        taker = Taker()
        queue = Ingest(taker.deliver, seen=Seen(100))
        for step in steps:
            if step == "mark":
                queue.after(taker.mark("mark"))
            elif step == "turn":
                await asyncio.sleep(0)
            elif isinstance(step, int):
                queue.put((GOOD[step],), step)
        await queue.aclose()
        return taker.order()

    assert asyncio.run(play()) == [step for step in steps if step != "turn"]


async def test_what_is_read_together_is_checked_together() -> None:
    """All that is put in one turn of the loop is one batch, up to the bound of a batch."""
    taker = Taker()
    queue = Ingest(taker.deliver, seen=Seen(100))
    for number in range(ingest.MAX_BATCH + 10):
        queue.put((GOOD[number % 40],), number)
    await queue.aclose()
    assert taker.batches == [ingest.MAX_BATCH, 10]


@pytest.mark.parametrize(("count", "size", "thread"), [(1, 0, False), (4, 0, False), (5, 0, True), (1, 100_000, True)])
async def test_only_what_is_large_goes_to_a_thread(count: int, size: int, thread: bool) -> None:
    """A few small events are checked at once, many or large ones in the ingest's own thread; they are delivered on the loop's."""
    before = set(threading.enumerate())
    seen: list[tuple[threading.Thread, bool]] = []

    def deliver(batch: list[tuple[int, bytes, Checked]]) -> None:
        seen.append((threading.current_thread(), bool(set(threading.enumerate()) - before)))

    queue = Ingest(deliver, seen=Seen(100))
    for number in range(count):
        queue.put((encode(sign(Draft(1, 5, "x" * size), ALICE)),), number)
    await queue.aclose()
    assert seen == [(threading.current_thread(), thread)]


@pytest.mark.parametrize(("high", "high_bytes"), [(8, 10**9), (10**9, 8 * len(GOOD[0]))])
async def test_back_pressure(high: int, high_bytes: int) -> None:
    """At the bound `put` says stop, once there is room `on_room` says go, and nothing that was put is lost."""
    taker = Taker()
    calls: list[bool] = []
    queue = Ingest(taker.deliver, seen=Seen(100), high=high, high_bytes=high_bytes, on_room=lambda: calls.append(queue.full))
    assert [queue.put((GOOD[0],), number) for number in range(10)] == [True] * 7 + [False] * 3
    assert queue.full
    await queue.aclose()
    assert calls == [False]
    assert taker.order() == list(range(10))


async def test_a_receiver_that_fails_loses_only_its_batch() -> None:
    """An exception of the receiver goes to the loop's handler; the queue goes on."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["exception"]))
    failure = RuntimeError("the receiver's fault")
    taken: list[int] = []

    def deliver(batch: list[tuple[int, bytes, Checked]]) -> None:
        taken.extend(context for context, _, _ in batch)
        if len(taken) in (1, 11):
            raise failure

    queue = Ingest(deliver, seen=Seen(100))
    for number, count in enumerate((1, 10, 1)):
        for _ in range(count):
            queue.put((GOOD[0],), number)
        queue.after(lambda: None)
    await queue.aclose()
    assert reported == [failure, failure]
    assert taken == [0, *[1] * 10, 2]


async def test_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no thread, events are checked all the same, and later ones in threads again."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    taker = Taker()
    queue = Ingest(taker.deliver, seen=Seen(100))
    with monkeypatch.context() as poor:
        poor.setattr(threading.Thread, "start", refuse)
        queue.put(GOOD, 1)
        await asyncio.sleep(0)
    queue.put(GOOD, 2)
    async with asyncio.timeout(10):
        await queue.aclose()
    assert taker.order() == [1] * len(GOOD) + [2] * len(GOOD)
    assert all(isinstance(checked, VerifiedEvent) for _, checked in taker.taken)


async def test_closed() -> None:
    """After `aclose` nothing can be put; closing an idle one, or twice, is no error."""
    queue: Ingest[int] = Ingest(lambda batch: None, seen=Seen(100))
    await queue.aclose()
    await queue.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        queue.put((GOOD[0],), 0)
