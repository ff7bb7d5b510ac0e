"""Driving a run: asks at the same time, time-outs, cancelling. The asker is scripted and named so; the loop and the clock are real."""

from __future__ import annotations

import asyncio
import time

import pytest

from pylon.rlm.asking import Answer, Ask, Miss, Reason
from pylon.rlm.drive import drive
from pylon.rlm.plan import Plan, Progress, Report, Source
from pylon.units import Msat


class Scripted:
    """Answers when it is told to; counts how many asks were in flight at once."""

    def __init__(self, *, together: int = 1, hold: bool = False) -> None:
        self.flying = self.peak = self.cancelled = 0
        self.enough = asyncio.Event()
        self._together = together
        self._go = asyncio.Event() if hold else self.enough

    async def ask(self, ask: Ask) -> Answer | Miss:
        """Waits until `together` pieces are in flight; the coordinating model answers at once."""
        if ask.root:
            return Answer("joined", "here")
        self.flying += 1
        self.peak = max(self.peak, self.flying)
        if self.flying >= self._together:
            self.enough.set()
        try:
            await self._go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.flying -= 1
        return Answer(f"- about {ask.piece}", "swarm", Msat(1000))


def plan(pieces: int, fanout: int, timeout: float = 60.0) -> Plan:
    """A run over so many pieces."""
    return Plan(
        query="What?", pieces=tuple(Source(f"text {n}") for n in range(pieces)), fanout=fanout, budget=Msat(10**9), started=time.time(),
        timeout=timeout, window=4000, root_is_paid=False,
    )


async def test_as_many_asks_as_the_fanout_are_in_flight() -> None:
    """Forty pieces, twenty at a time: nobody answers before twenty are asked, so the peak is the fanout itself."""
    asker = Scripted(together=20)
    report = await drive(plan(40, 20), asker, asker, lambda progress: None)
    assert (report.answered, report.spent, asker.peak) == (40, 40_000, 20)


async def test_progress_is_told_with_every_turn() -> None:
    """Pieces that are answered, and asks in flight, up to the synthesis."""
    seen: list[Progress] = []
    asker = Scripted()
    await drive(plan(5, 2), asker, asker, seen.append)
    assert max(progress.in_flight for progress in seen) == 2
    assert (seen[0].phase, seen[-1].phase, seen[-1].answered) == ("asking", "joining", 5)


async def test_an_asker_that_does_not_come_back_is_left_at_the_deadline() -> None:
    """Its piece is reported; what was set aside for it counts as spent, since nobody knows."""

    class Silent(Scripted):
        async def ask(self, ask: Ask) -> Answer | Miss:
            """Piece 0 never ends."""
            if ask.piece == 0:
                await asyncio.Event().wait()
            return await super().ask(ask)

    asker = Silent()
    started = plan(2, 2, timeout=1.0)
    report = await drive(started, asker, asker, lambda progress: None)
    assert [(lack.piece, lack.reason) for lack in report.lacking] == [(0, Reason.SILENT.value)]
    assert report.spent == 1000 + started.budget // 2


async def test_an_asker_that_breaks_its_word_ends_the_run() -> None:
    """Its error is told at once, rather than waited for an answer that never comes; the others are cancelled."""

    class Broken(Scripted):
        async def ask(self, ask: Ask) -> Answer | Miss:
            """Piece 1 raises."""
            if ask.piece == 1:
                raise OSError("no more files")
            return await super().ask(ask)

    asker = Broken(hold=True)
    with pytest.raises(OSError, match="no more files"):
        await drive(plan(3, 3), asker, asker, lambda progress: None)
    assert asker.flying == 0


async def test_cancelling_a_run_cancels_what_is_in_flight() -> None:
    """Ctrl-C leaves no task behind."""
    asker = Scripted(together=10, hold=True)
    run: asyncio.Task[Report] = asyncio.create_task(drive(plan(10, 10), asker, asker, lambda progress: None))
    await asker.enough.wait()
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert (asker.cancelled, asker.flying) == (10, 0)
