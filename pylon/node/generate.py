"""Computing answers: so many at a time as there are slots, paid jobs first, stopped when the job is cancelled or its time is over."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from pylon.backends.base import BackendBroken, BackendBusy
from pylon.backends.registry import Backends
from pylon.errors import ContextOverflow, NoBackend, NoModel
from pylon.market.job import ProviderJob, ProviderState, Trouble
from pylon.market.signals import Generated, GenerateFailed
from pylon.nostr.nip90 import SERVICE_UNAVAILABLE

PAID_SECONDS = 300.0
"""The least time that a paid computation gets, however late the money came."""
MOST_CHARACTERS = 400_000
"""A longer answer fits into no event that a relay takes; the stream is closed there."""


class Slots:
    """A semaphore whose waiting line has an order: paid jobs first, then by arrival."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._used = 0
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @property
    def used(self) -> int:
        """Slots in use."""
        return self._used

    @asynccontextmanager
    async def hold(self, priority: int) -> AsyncIterator[None]:
        """Hold a slot; the lower priority goes first."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._order), turn))
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._free()  # the slot had just been given to us
            raise
        try:
            yield
        finally:
            self._free()

    def _free(self) -> None:
        self._used -= 1
        self._grant()

    def _grant(self) -> None:
        while self._waiting and self._used < self.size:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                self._used += 1
                turn.set_result(None)


class Generator:
    """Runs the computations of provider jobs."""

    def __init__(self, backends: Backends, slots: int, default_model: str) -> None:
        self._backends = backends
        self._default_model = default_model
        self._running: dict[str, asyncio.Task[Generated | GenerateFailed]] = {}
        self.slots = Slots(slots)

    def stop(self, job_id: str) -> None:
        """Stop the computation of a job: its stream is closed, its slot is free."""
        if (task := self._running.get(job_id)) is not None:
            task.cancel()

    async def run(self, job: ProviderJob) -> Generated | GenerateFailed | None:
        """Compute the answer of a job. None where it was stopped, or no longer wants one."""
        if job.state not in (ProviderState.RUNNING, ProviderState.OWING) or job.id in self._running:
            return None
        task = asyncio.get_running_loop().create_task(self._within_time(job))
        self._running[job.id] = task
        try:
            return await task
        except asyncio.CancelledError:
            if (current := asyncio.current_task()) is not None and current.cancelling():
                task.cancel()  # we are shutting down: the effect stays stored
                await asyncio.gather(task, return_exceptions=True)
                raise
            return None
        finally:
            del self._running[job.id]

    async def _within_time(self, job: ProviderJob) -> Generated | GenerateFailed:
        async with self.slots.hold(0 if job.paid else 1):
            limit = job.deadline - time.time()
            if job.paid:
                limit = max(limit, PAID_SECONDS)
            try:
                async with asyncio.timeout(max(0.0, limit)):
                    return await self._compute(job)
            except TimeoutError:
                return _failed("the deadline has passed", again=False)

    async def _compute(self, job: ProviderJob) -> Generated | GenerateFailed:
        try:
            parts: list[str] = []
            length = tokens = 0
            name = ""
            async with aclosing(self._backends.answer(job.prompt, self._default_model)) as stream:
                async for chunk in stream:
                    parts.append(chunk.text)
                    length += len(chunk.text)
                    name = chunk.model or name
                    tokens = chunk.usage.completion_tokens if chunk.usage else tokens
                    if length > MOST_CHARACTERS:
                        break
        except (BackendBusy, BackendBroken) as error:
            return _failed(error.message, again=True)
        except (NoModel, ContextOverflow) as error:
            return _failed(error.message, again=False)
        except NoBackend as error:
            return _failed(error.message, again=True)
        text = "".join(parts)[:MOST_CHARACTERS]
        if not text.strip():
            return _failed("the model said nothing", again=True)
        return Generated(text, name, tokens)


def _failed(message: str, *, again: bool) -> GenerateFailed:
    return GenerateFailed(Trouble(SERVICE_UNAVAILABLE, message), again)
