"""How one question becomes many and one answer again. A generator without I/O, clock or randomness: it says what to ask, it is told
what came.

    talk = conduct(plan)
    turn = next(talk)                        # start turn.asks
    turn = talk.send((happening, now))       # an answer, a miss, or turn.wake has come
    StopIteration.value                      # the Report

The order is fixed by the engine, no model writes code: break the question down where there is no document, ask about every piece, join the
notes as a tree. (Recursive language models, Zhang, Kraska and Khattab 2025, in their engine-driven form.)
"""

from __future__ import annotations

from collections.abc import Generator

from pylon.market.purse import Purse
from pylon.rlm import prompts
from pylon.rlm.asking import Ask
from pylon.rlm.joining import Joining
from pylon.rlm.mapping import Mapping, Part
from pylon.rlm.plan import Answered, Happening, Missed, Plan, Progress, Report, Turn
from pylon.units import Msat

NOTES_A_SYNTHESIS = 8
"""Pieces that one synthesis is reckoned to join, when the share of the coordinating model is set aside."""


def conduct(plan: Plan) -> Generator[Turn, tuple[Happening, float], Report]:
    """Conduct a run. The first `now` is `plan.started`."""
    purse = Purse(plan.budget)
    notes: list[str] = []
    now = plan.started
    number = 0
    if plan.pieces:
        total = len(plan.pieces)
        parts = [
            Part(prompts.of_piece(plan.query, piece.text, number, total, piece.name), piece.text, piece.name)
            for number, piece in enumerate(plan.pieces)
        ]
    else:
        most = min(prompts.MOST_SUBQUESTIONS, max(2, plan.fanout))
        questions, number, now = yield from _decompose(plan, purse, most, notes, now)
        parts = [Part(prompts.of_subquestion(question, plan.query), title=question) for question in questions]
    limit = _root_limit(plan, purse.left, len(parts))
    kept_back = Msat(min((limit + plan.root_fee) * _syntheses(len(parts)), purse.left // 2))  # the pieces cannot eat it
    mapping = Mapping(plan, purse, parts, kept_back=kept_back, first_number=number)
    _say_if_too_small(plan, mapping, notes)
    yield from mapping.run(now)
    said = [(piece, record) for piece, record in sorted(mapping.records.items()) if record.points]
    answer = ""
    if len(parts) == 1 and mapping.raw:
        answer = mapping.raw[0] if said else "The text says nothing about it."
    elif said:
        texts = [f"{parts[piece].title}\n{record.text}" if parts[piece].title else record.text for piece, record in said]
        joining = Joining(plan, purse, limit=limit, first_number=mapping.number, progress=mapping.progress("joining"))
        # The clock goes on with the first thing that happens; until then nothing in there depends on it.
        answer = yield from joining.run(texts, plan.started)
        notes += joining.notes
    elif mapping.records:
        answer = "None of the pieces says anything about it."
    return Report(
        answer=answer, pieces=len(parts), answered=len(mapping.records), spent=purse.spent, providers=mapping.providers, notes=tuple(notes),
        lacking=tuple(lack for piece, lack in sorted(mapping.lacking.items()) if piece not in mapping.records),
    )


def _root_limit(plan: Plan, left: Msat, pieces: int) -> Msat:
    """What one ask of the coordinating model may cost, without the fee: an equal share of what is left, where it is paid."""
    if not plan.root_is_paid:
        return Msat(0)
    asks = pieces + _syntheses(pieces)
    return Msat(max(plan.floor, left // max(1, asks) - plan.fee))


def _syntheses(pieces: int) -> int:
    return 0 if pieces <= 1 else -(-pieces // NOTES_A_SYNTHESIS) + (1 if pieces > NOTES_A_SYNTHESIS else 0)


def _say_if_too_small(plan: Plan, mapping: Mapping, notes: list[str]) -> None:
    price = mapping.bid + plan.fee
    if plan.free or price * len(mapping.parts) <= mapping.purse.left:
        return
    bought = mapping.purse.left // price
    notes.append(
        f"the budget of {plan.budget} msat buys {bought} of {len(mapping.parts)} pieces at {mapping.bid} msat; the rest is left out"
        " unless some cost less"
    )


def _decompose(
    plan: Plan, purse: Purse, most: int, notes: list[str], now: float
) -> Generator[Turn, tuple[Happening, float], tuple[list[str], int, float]]:
    """Ask the coordinating model for sub-questions; without any, the question itself is asked."""
    limit = _root_limit(plan, purse.left, most)
    price = Msat(limit + plan.root_fee)
    if not purse.reserve(price):
        notes.append("the budget does not reach for breaking the question down")
        return [plan.query], 0, now
    ask = Ask(0, -1, prompts.of_decomposition(plan.query, most), plan.answer_tokens, limit, plan.map_deadline, root=True)
    turn = Turn((ask,), Progress("breaking down", 0, 0, 1, purse.spent))
    while True:
        happening, now = yield turn
        if isinstance(happening, Answered):
            purse.settle(price, happening.answer.cost)
            questions = prompts.read_subquestions(happening.answer.text, most)
            if not questions:
                notes.append("the coordinating model named no sub-questions; the question was asked as it is")
            return questions or [plan.query], 1, now
        if isinstance(happening, Missed):
            purse.settle(price, happening.miss.cost)
            notes.append(f"the question was not broken down: {happening.miss.message}")
            return [plan.query], 1, now
        turn = Turn((), Progress("breaking down", 0, 0, 1, purse.spent))
