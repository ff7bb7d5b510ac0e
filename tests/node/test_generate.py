"""Computing answers: so many at a time, paid jobs first, stopped and bounded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from pylon.market.job import ProviderJob, ProviderState
from pylon.market.prompt import Prompt
from pylon.market.signals import Generated, GenerateFailed
from pylon.node import generate
from pylon.node.generate import Generator, Slots
from tests.node import stage
from tests.node.stage import asks, now

SLOW = 'model = "scripted"\ndefault = "one two three"\nslots = 8\nlog = "runs.log"\nfail = "hang"\nafter = 1\n'


def running(state: ProviderState = ProviderState.RUNNING, *, salt: int = 0, left: int = 300, paid: bool = True) -> ProviderJob:
    """A job whose answer is to be computed."""
    request = asks(salt=salt)
    return ProviderJob(
        id=request.id, request=request, state=state, prompt=Prompt("What is 2+2?"), deadline=now() + left, created_at=time.time(),
        paid_at=time.time() if paid else None,
    )


class Room:
    """A generator over the scripted backend in `folder`."""

    def __init__(self, generator: Generator, folder: Path) -> None:
        self.generator = generator
        self.folder = folder

    def script(self, text: str) -> None:
        """Another script; it is read anew for every question."""
        (self.folder / "script.toml").write_text(text, "utf-8")

    def log(self) -> list[str]:
        """The starts and ends of answers."""
        return [line.split()[0] for line in self.lines()]

    def lines(self) -> list[str]:
        """The same with the number of the run and how it ended."""
        path = self.folder / "runs.log"
        return path.read_text("utf-8").splitlines() if path.exists() else []

    async def started(self, count: int) -> None:
        """Wait until so many answers have begun."""
        async with asyncio.timeout(10):
            while self.log().count("start") < count:  # noqa: ASYNC110 - the backend's log is a file
                await asyncio.sleep(0.01)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    """Two slots."""
    async with stage.backends(tmp_path) as found:
        yield Room(Generator(found, 2, ""), tmp_path)


async def test_an_answer(room: Room) -> None:
    """What the model said, its name, and the tokens."""
    assert await room.generator.run(running()) == Generated("It is 4.", "scripted", 3)


async def test_no_more_at_a_time_than_there_are_slots() -> None:
    """The third waits until one of two is done."""
    slots, begun, go = Slots(2), [], asyncio.Event()

    async def work(number: int) -> None:
        async with slots.hold(0):
            begun.append(number)
            await go.wait()

    tasks = [asyncio.create_task(work(number)) for number in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert (begun, slots.used) == ([0, 1], 2)
    go.set()
    await asyncio.gather(*tasks)
    assert (begun, slots.used) == ([0, 1, 2], 0)


async def test_paid_jobs_go_first() -> None:
    """Of those who wait, one who has paid is served before one who asked earlier for nothing."""
    slots, served = Slots(1), []

    async def work(name: str, priority: int) -> None:
        async with slots.hold(priority):
            await asyncio.sleep(0)
            served.append(name)

    await asyncio.gather(work("first", 1), work("free", 1), work("paid", 0))
    assert served == ["first", "paid", "free"]


async def test_one_who_stops_waiting_takes_no_slot() -> None:
    """A turn that is cancelled, before or after it was given, leaves the slots as they were."""
    slots = Slots(1)

    async def work() -> None:
        async with slots.hold(0):
            await asyncio.Event().wait()

    async with slots.hold(0):
        early, late = asyncio.create_task(work()), asyncio.create_task(work())
        await asyncio.sleep(0)
        early.cancel()
        await asyncio.sleep(0)
    late.cancel()  # its turn has just been given, and it does not know yet
    await asyncio.gather(early, late, return_exceptions=True)
    assert slots.used == 0


async def test_a_job_runs_once_at_a_time(room: Room) -> None:
    """Told to compute what is being computed: nothing."""
    room.script(SLOW)
    job = running()
    first = asyncio.create_task(room.generator.run(job))
    await room.started(1)
    async with asyncio.timeout(5):
        assert await room.generator.run(job) is None
        room.generator.stop(job.id)
        assert await first is None
    assert room.log() == ["start", "end"]


@pytest.mark.parametrize("state", [ProviderState.CANCELLED, ProviderState.DELIVERED, ProviderState.ANSWERED])
async def test_what_wants_no_answer_is_not_computed(room: Room, state: ProviderState) -> None:
    """The job has gone on since the effect was stored."""
    room.script(SLOW)
    assert await room.generator.run(running(state)) is None
    assert room.log() == []


async def test_a_stopped_computation_closes_its_stream(room: Room) -> None:
    """J7: the engine is freed at once, and so is the slot."""
    room.script(SLOW)
    job = running()
    work = asyncio.create_task(room.generator.run(job))
    await room.started(1)
    room.generator.stop(job.id)
    async with asyncio.timeout(5):
        assert await work is None
    assert (room.log(), room.generator.slots.used) == (["start", "end"], 0)


async def test_a_computation_ends_at_the_deadline(room: Room) -> None:
    """A free one whose time is over does not hold a slot for ever; it is not tried again."""
    room.script(SLOW)
    outcome = await room.generator.run(replace(running(paid=False), deadline=now()))
    assert isinstance(outcome, GenerateFailed)
    assert not outcome.again


async def test_a_paid_computation_gets_its_time(room: Room) -> None:
    """P18: the money came late; the answer is owed all the same."""
    assert isinstance(await room.generator.run(running(left=-60)), Generated)


async def test_an_endless_answer_is_cut(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A longer text fits into no event: the stream is closed there, and what was said is the answer."""
    monkeypatch.setattr(generate, "MOST_CHARACTERS", 10)
    room.script(f'model = "scripted"\nlog = "runs.log"\ndefault = "{"word " * 2000}"\ndelay_ms = 1\n')
    outcome = await room.generator.run(running())
    assert isinstance(outcome, Generated)
    assert outcome.text == "word word "
    assert room.lines()[-1].endswith("closed")


async def test_silence_is_no_answer(room: Room) -> None:
    """A model that says nothing has failed, and may do better the next time."""
    room.script('model = "scripted"\ndefault = ""\n')
    outcome = await room.generator.run(running())
    assert isinstance(outcome, GenerateFailed)
    assert outcome.again
