"""The second act of the demo: `pylon rlm` over a paper of five pages, through two providers."""

from __future__ import annotations

import textwrap
import time

import msgspec

from pylon.cli.demo_stage import DemoFailed, Document, Stage, number
from pylon.cli.node import ask_running
from pylon.cli.paper import write_paper
from pylon.config import Home
from pylon.units import Msat, count_of, show_sats

QUERY = "Summarize the key points"
PIECE_BYTES = 2900
"""Five pieces of the paper."""
RUN_SECONDS = 150
MARKET_SECONDS = 30.0
"""Within which the buyer hears of both providers."""


class Coverage(msgspec.Struct, frozen=True):
    """How many pieces the text had, and how many were answered."""

    pieces: int
    answered: int


class Part(msgspec.Struct, frozen=True):
    """How many pieces a provider has answered."""

    provider: str
    pieces: int


class Outcome(msgspec.Struct, frozen=True):
    """What `pylon rlm --json` says, as far as the demo tells it."""

    answer: str | None
    coverage: Coverage
    spent_msat: int
    providers: list[Part]


def perform(stage: Stage, *, buyer: str, providers: tuple[str, ...]) -> None:
    """Ask about the paper, tell what came of it, and hold all books against each other. Raises DemoFailed."""
    paper = stage.place / "paper.pdf"
    write_paper(paper)
    _hears_of(stage, buyer, len(providers))
    stage.say(buyer, f"asks {QUERY!r} about paper.pdf (5 pages), in pieces of {PIECE_BYTES} bytes at most; its own model joins the notes")
    before = {name: _earned(stage, name) for name in providers}
    began = time.monotonic()
    words = ("rlm", QUERY, "--file", str(paper), "--fanout", "20", "--chunk-size", str(PIECE_BYTES), "--timeout", str(RUN_SECONDS))
    outcome = msgspec.convert(stage.ask(buyer, *words, seconds=RUN_SECONDS + 30), Outcome)
    seconds = time.monotonic() - began
    earned = {name: _earned(stage, name) - before[name] for name in providers}
    answer = (outcome.answer or "").strip()
    stage.say(buyer, f"answer    {textwrap.shorten(answer, 400, placeholder=' …')}")
    stage.say(buyer, f"pieces    {outcome.coverage.answered}/{outcome.coverage.pieces}")
    for part in outcome.providers:
        stage.say(buyer, f"          {count_of(part.pieces, 'piece')} by {part.provider}")
    stage.say(buyer, f"spent     {show_sats(Msat(outcome.spent_msat))}")
    for name in providers:
        stage.say(name, f"earned    {show_sats(Msat(earned[name]))} by it")
    stage.say(buyer, f"in all    {seconds:.1f} s")
    _check(outcome, answer, earned)


def _check(outcome: Outcome, answer: str, earned: dict[str, int]) -> None:
    coverage = outcome.coverage
    if not answer:
        raise DemoFailed("the answer about the paper is empty")
    if coverage.pieces < len(earned) or coverage.answered != coverage.pieces:
        raise DemoFailed(f"{coverage.answered} of {coverage.pieces} pieces were answered")
    if len([part for part in outcome.providers if part.pieces]) != len(earned):
        raise DemoFailed(f"not every one of {count_of(len(earned), 'provider')} has answered a piece")
    if outcome.spent_msat <= 0 or outcome.spent_msat != sum(earned.values()):
        raise DemoFailed(f"{outcome.spent_msat} msat were spent and {sum(earned.values())} earned")


def _earned(stage: Stage, home: str) -> int:
    return number(stage.ask(home, "earnings"), "total_msat")


def _hears_of(stage: Stage, buyer: str, wanted: int) -> None:
    """Look into the market until that many providers are announced there: a provider says so after it is ready."""
    end = time.monotonic() + MARKET_SECONDS
    while time.monotonic() < end:
        market: Document | None = ask_running(Home(stage.place / buyer), "market.offers")
        if market is None:
            raise DemoFailed("the buyer's node has ended")
        offers = market["offers"]
        if isinstance(offers, list) and len(offers) >= wanted:
            return
        time.sleep(0.1)
    raise DemoFailed(f"the buyer has not heard of {count_of(wanted, 'provider')} within {MARKET_SECONDS:.0f} s")
