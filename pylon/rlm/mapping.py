"""The middle of a run: every piece is asked about, so many at a time, within the purse and the time. A generator without I/O.

A piece that is refused as busy is asked again until the time for pieces is over. A piece that goes missing otherwise is asked once more,
elsewhere; then it is reported. An answer that says nothing is paid and therefore final.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence

import msgspec

from pylon.market.purse import Purse
from pylon.rlm import prompts
from pylon.rlm.asking import Answer, Ask, Miss, Reason
from pylon.rlm.plan import Answered, Happening, Lack, Missed, Plan, Progress, Turn
from pylon.rlm.prompts import Record
from pylon.units import Msat

BUSY_FIRST, BUSY_LONGEST = 0.5, 5.0
"""Seconds before a busy piece is asked again: doubled each time."""

Talk = Generator[Turn, tuple[Happening, float], None]


class Part(msgspec.Struct, frozen=True):
    """One thing to ask: the whole prompt, and the bare text that quotations are looked up in (empty for a sub-question)."""

    prompt: str
    text: str = ""
    title: str = ""


class _Want(msgspec.Struct):
    piece: int
    at: float = 0.0
    avoid: tuple[str, ...] = ()
    busy: int = 0
    missed: bool = False


class Mapping:
    """The state of this phase, and what it leaves behind: `records` and `raw` by piece, `lacking`, `providers`."""

    def __init__(self, plan: Plan, purse: Purse, parts: Sequence[Part], *, kept_back: Msat, first_number: int) -> None:
        self.plan = plan
        self.purse = purse
        self.parts = parts
        self.records: dict[int, Record] = {}
        self.raw: dict[int, str] = {}
        self.lacking: dict[int, Lack] = {}
        self.providers: dict[str, int] = {}
        self.number = first_number
        self._kept_back = kept_back
        self._share = (purse.left - kept_back) // max(1, len(parts)) - plan.fee
        self._queue = deque(_Want(piece) for piece in range(len(parts)))
        self._flying: dict[int, _Want] = {}

    @property
    def bid(self) -> Msat:
        """What a piece is offered: its share of the budget, or the least that anybody takes."""
        if self.plan.free:
            return Msat(0)
        return Msat(max(self.plan.floor, self._share))

    @property
    def _price(self) -> Msat:
        return Msat(0) if self.plan.free else Msat(self.bid + self.plan.fee)

    def run(self, now: float) -> Talk:
        """Ask until every piece has its record or its lack."""
        while True:
            asks = self._fill(now)
            if not self._flying:
                if not self._queue:
                    return
                if now >= self.plan.map_deadline:
                    for want in self._queue:
                        self._lack(want.piece, "time", "the time was over before it could be asked")
                    self._queue.clear()
                    return
            happening, now = yield Turn(asks, self.progress("asking"), self._wake())
            if isinstance(happening, Answered):
                self._answered(happening.ask, happening.answer)
                self._hurry(now)
            elif isinstance(happening, Missed):
                self._missed(happening.ask, happening.miss, now)

    def progress(self, phase: str) -> Progress:
        """How far this phase is."""
        return Progress(phase, len(self.parts), len(self.records), len(self._flying), self.purse.spent)

    def _wake(self) -> float | None:
        times = [want.at for want in self._queue if want.at]
        return min([*times, self.plan.map_deadline]) if times else None

    def _fill(self, now: float) -> tuple[Ask, ...]:
        """Start what may be started: within the fanout, the purse and the time."""
        asks: list[Ask] = []
        for _ in range(len(self._queue)):
            if len(self._flying) >= self.plan.fanout or now >= self.plan.map_deadline:
                break
            want = self._queue.popleft()
            if want.at > now:
                self._queue.append(want)
                continue
            if self.purse.left - self._kept_back < self._price or not self.purse.reserve(self._price):
                self._queue.appendleft(want)
                if not self._flying:  # nothing will come back any more
                    self._unbought()
                break
            self._flying[self.number] = want
            asks.append(Ask(
                number=self.number, piece=want.piece, text=self.parts[want.piece].prompt, max_tokens=self.plan.max_tokens, limit=self.bid,
                deadline=self.plan.map_deadline, patience=0.0 if want.missed else (now + self.plan.map_deadline) / 2, avoid=want.avoid,
            ))
            self.number += 1
        return tuple(asks)

    def _hurry(self, now: float) -> None:
        """Somebody has room again: the first piece that was refused as busy need not wait any longer."""
        for want in self._queue:
            if want.at > now:
                want.at = now
                return

    def _unbought(self) -> None:
        for want in self._queue:
            if want.missed:  # why it is missing comes first
                self._lack(want.piece, self.lacking[want.piece].reason, "it cannot be asked again: the budget is used up")
            else:
                self._lack(want.piece, "budget", "the budget did not reach for it")
        self._queue.clear()

    def _lack(self, piece: int, reason: str, message: str) -> None:
        before = self.lacking.get(piece)
        self.lacking[piece] = Lack(piece, reason, message if before is None else f"{before.message}; {message}")

    def _answered(self, ask: Ask, answer: Answer) -> None:
        want = self._flying.pop(ask.number)
        self.purse.settle(self._price, answer.cost)
        part = self.parts[want.piece]
        record = None
        if prompts.is_useful(answer.text, part.prompt):
            record = (
                prompts.read_record(answer.text, want.piece, part.text, answer.provider)
                if part.text else Record(want.piece, (answer.text.strip(),), 0, answer.provider)
            )
        if record is None:
            self._lack(want.piece, "useless", f"{answer.provider} answered nothing useful")
            return
        self.records[want.piece] = record
        self.raw[want.piece] = answer.text.strip()
        self.lacking.pop(want.piece, None)
        self.providers[answer.provider] = self.providers.get(answer.provider, 0) + 1

    def _missed(self, ask: Ask, miss: Miss, now: float) -> None:
        want = self._flying.pop(ask.number)
        self.purse.settle(self._price, miss.cost)
        if miss.reason is Reason.BUSY and not miss.cost:
            want.at = now + min(BUSY_FIRST * 2**want.busy, BUSY_LONGEST)
            want.busy += 1
            self._queue.append(want)
            return
        self._lack(want.piece, miss.reason.value, miss.message)
        if not want.missed and now < self.plan.map_deadline and miss.reason is not Reason.GONE:
            want.missed = True
            want.avoid = (*want.avoid, miss.provider) if miss.provider else want.avoid
            self._queue.append(want)
