"""Conducting a run for real: the one place of this room where time passes and questions are asked.

`conduct` says what to ask; here every ask becomes a task, what comes back is told to it in the order of arrival, and a clock wakes it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from pylon.rlm.asking import Answer, Ask, Asker, Miss, Reason
from pylon.rlm.conduct import conduct
from pylon.rlm.plan import Answered, Happening, Missed, Plan, Progress, Report, Tick
from pylon.units import Msat

GRACE_SECONDS = 2.0
"""After its deadline an asker that has not kept it is left alone."""


async def drive(plan: Plan, pieces: Asker, root: Asker, show: Callable[[Progress], None]) -> Report:
    """Conduct `plan`: pieces are asked of `pieces`, the coordinating model is `root`. Cancelling it cancels what is in flight."""
    happenings: asyncio.Queue[Happening | BaseException] = asyncio.Queue()
    tasks: set[asyncio.Task[None]] = set()

    async def ask(question: Ask) -> None:
        asker = root if question.root else pieces
        try:
            async with asyncio.timeout(max(0.0, question.deadline - time.time()) + GRACE_SECONDS):
                outcome = await asker.ask(question)
        except TimeoutError:
            # What it may have cost is not known: nothing of what was set aside for it is taken back.
            fee = plan.root_fee if question.root else plan.fee
            outcome = Miss(Reason.SILENT, "no answer in time", cost=Msat(question.limit + fee))
        happenings.put_nowait(Answered(question, outcome) if isinstance(outcome, Answer) else Missed(question, outcome))

    def ended(task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            happenings.put_nowait(error)  # an asker that breaks its word ends the run: nobody would ever answer that ask

    talk = conduct(plan)
    try:
        turn = next(talk)
        while True:
            show(turn.progress)
            for question in turn.asks:
                task = asyncio.create_task(ask(question))
                tasks.add(task)
                task.add_done_callback(ended)
            turn = talk.send(await _next(happenings, turn.wake))
    except StopIteration as end:
        report = end.value
        if not isinstance(report, Report):
            raise AssertionError("a run ends with its report") from None
        return report
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _next(happenings: asyncio.Queue[Happening | BaseException], wake: float | None) -> tuple[Happening, float]:
    """What happens next, and when. Raises what an asker has raised."""
    try:
        async with asyncio.timeout(None if wake is None else max(0.001, wake - time.time())):
            happening = await happenings.get()
    except TimeoutError:
        return Tick(), time.time()
    if isinstance(happening, BaseException):
        raise happening
    return happening, time.time()
