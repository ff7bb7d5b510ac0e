"""The end of a run: notes become one answer, as a tree whose every prompt fits the coordinating model's window. A generator without I/O.

A group whose synthesis fails is tried once more, then its notes stand as they are: what was paid for is never thrown away.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pylon.market.purse import Purse
from pylon.rlm import prompts
from pylon.rlm.asking import Ask, Miss, Reason
from pylon.rlm.plan import Answered, Happening, Missed, Plan, Progress, Turn
from pylon.units import Msat

LEAST_WINDOW = 500
"""Characters: a window that is halved (a prompt did not fit) never gets smaller."""
AGAIN_SECONDS = 0.5

Talk = Generator[Turn, tuple[Happening, float], str]


def pack(notes: Sequence[str], window: int) -> list[list[str]]:
    """Groups of notes, in order, each within `window` characters and, where there is more than one note, fewer than there are notes."""
    longest = window if len(notes) == 1 else window // 2  # so that two always fit, and every level is smaller than the one before
    groups: list[list[str]] = []
    size = 0
    for note in notes:
        note = note[:longest]
        if not groups or size + len(note) > window:
            groups.append([])
            size = 0
        groups[-1].append(note)
        size += len(note)
    return groups


class Joining:
    """The state of this phase; `notes` says what went wrong on the way."""

    def __init__(self, plan: Plan, purse: Purse, *, limit: Msat, first_number: int, progress: Progress) -> None:
        self.plan = plan
        self.purse = purse
        self.number = first_number
        self.notes: list[str] = []
        self._limit = limit
        self._price = Msat(limit + plan.root_fee)
        self._window = plan.window
        self._progress = progress

    def run(self, notes: Sequence[str], now: float) -> Talk:
        """One answer from all notes."""
        level = list(notes)
        while True:
            groups = pack(level, self._window)
            final = len(groups) == 1
            level, overflowed, now = yield from self._level(groups, final, now)
            if overflowed and self._window > LEAST_WINDOW:
                self._window = max(LEAST_WINDOW, self._window // 2)
                level = [note for group in groups for note in group]
            elif final:
                return level[0]

    def _level(
        self, groups: list[list[str]], final: bool, now: float
    ) -> Generator[Turn, tuple[Happening, float], tuple[list[str], bool, float]]:
        """One synthesis for each group, at the same time. Returns the texts, whether a prompt was too long, and the time."""
        texts: dict[int, str] = {}
        waiting = list(range(len(groups)))
        flying: dict[int, int] = {}
        tried: dict[int, int] = {}
        again: float | None = None
        overflowed = False
        while waiting or flying:
            asks: list[Ask] = []
            while waiting and len(flying) < self.plan.fanout and (again is None or now >= again):
                group = waiting.pop(0)
                late = now >= self.plan.deadline
                if late or not self.purse.reserve(self._price):
                    texts[group] = self._as_they_are(groups[group], "the time is over" if late else "no budget is left")
                    continue
                text = prompts.of_synthesis(self.plan.query, groups[group], final=final)
                asks.append(Ask(self.number, -1, text, self.plan.answer_tokens, self._limit, self.plan.deadline, root=True))
                flying[self.number] = group
                self.number += 1
            if not flying and not waiting:
                break
            wake = again if waiting and not flying else None
            happening, now = yield Turn(tuple(asks), self._shown(len(flying)), wake)
            if isinstance(happening, Answered):
                group = flying.pop(happening.ask.number)
                self.purse.settle(self._price, happening.answer.cost)
                text = happening.answer.text.strip()
                useful = prompts.says_something(text)
                texts[group] = text if useful else self._as_they_are(groups[group], "the coordinating model says nothing")
            elif isinstance(happening, Missed):
                group = flying.pop(happening.ask.number)
                self.purse.settle(self._price, happening.miss.cost)
                tried[group] = tried.get(group, 0) + 1
                if happening.miss.reason is Reason.OVERFLOW:
                    overflowed = True
                    texts[group] = "\n\n".join(groups[group])
                elif self._worth(happening.miss, tried[group]) and now + AGAIN_SECONDS < self.plan.deadline:
                    waiting.append(group)
                    again = now + AGAIN_SECONDS
                else:
                    texts[group] = self._as_they_are(groups[group], happening.miss.message)
        return [texts[group] for group in range(len(groups))], overflowed, now

    def _worth(self, miss: Miss, tries: int) -> bool:
        return miss.reason is Reason.BUSY or tries < 2

    def _shown(self, flying: int) -> Progress:
        shown = self._progress
        return Progress("joining", shown.pieces, shown.answered, flying, self.purse.spent)

    def _as_they_are(self, group: Sequence[str], why: str) -> str:
        note = f"the notes stand as they are, without a synthesis: {why}"
        if note not in self.notes:
            self.notes.append(note)
        return "\n\n".join(group)
