"""`pylon rlm`: a recursive query. One question becomes many, the swarm (or this machine) answers them, one answer comes back, within one
budget.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from pylon.backends.base import Model
from pylon.backends.registry import Backends
from pylon.cli.common import Context, command, err, fail, json_option, out, pass_context, printable, run, say, show_json
from pylon.cli.node import ask, need_identity
from pylon.cli.options import Seconds, relay_urls
from pylon.cli.verdict import Run, verdict
from pylon.config import Config
from pylon.errors import NoBackend, UsageError
from pylon.node.askers import LocalAsker, SwarmAsker
from pylon.node.main import more_files
from pylon.node.offers import Offer
from pylon.rlm.chunk import cut
from pylon.rlm.drive import drive
from pylon.rlm.plan import Plan, Progress, Report, Source
from pylon.rlm.read import read
from pylon.units import MAX_MSAT, Msat, count_of, msat_of_sats, show_sats

PIECE_TOKENS, ANSWER_TOKENS, PROMPT_TOKENS = 160, 320, 200
CHARACTERS_A_TOKEN = 2.5
"""A cautious figure: English has about four, other languages fewer."""
SWARM_CHUNK, SMALLEST_CHUNK, LARGEST_CHUNK = 6000, 200, 32_000
"""Bytes of a piece: what a window of 4,096 tokens takes in any language, and the bounds of `--chunk-size`."""
SWARM_WINDOW = 8000
"""Characters of notes for a coordinating model that is one of the swarm."""
DEFAULT_FLOOR = Msat(1000)


class Market(msgspec.Struct, frozen=True):
    """What the node says about the market."""

    offers: list[Offer]
    fee_msat: int


class Wish(msgspec.Struct, frozen=True):
    """What the command line asks for."""

    query: str
    pieces: tuple[Source, ...]
    fanout: int
    budget: Msat
    timeout: float
    model: str
    relays: list[str]


@click.command()
@click.argument("query")
@click.option("--file", "-f", "files", multiple=True, type=click.Path(path_type=Path), help="A text, source or PDF file (repeat).")
@click.option("--fanout", type=click.IntRange(1, 10_000), default=10, show_default=True, help="Pieces asked at a time.")
@click.option("--budget", type=click.IntRange(min=0), default=1000, show_default=True, metavar="SATS", help="The most it may cost in all.")
@click.option("--chunk-size", type=click.IntRange(SMALLEST_CHUNK, LARGEST_CHUNK), metavar="BYTES", help="Size of a piece.")
@click.option("--timeout", type=Seconds(min_open=True), default=300.0, show_default=True, help="Seconds for everything.")
@click.option("--local-only", is_flag=True, help="Use the models of this machine alone: no network, no payment.")
@click.option("--model", default="", help="Only this model.")
@click.option("--relay", "relays", multiple=True, metavar="URL", help="Ask by this relay (repeat, or separate by commas).")
@json_option
@pass_context
@command
def rlm(
    context: Context, query: str, files: tuple[Path, ...], fanout: int, budget: int, chunk_size: int | None, timeout: float,
    local_only: bool, model: str, relays: tuple[str, ...], as_json: bool,
) -> int | None:
    """Ask a question that is too big for one prompt."""
    config = context.config()
    if not query.strip():
        raise UsageError("the question is empty")
    if msat_of_sats(budget) > MAX_MSAT:
        raise UsageError("the budget is more than all bitcoin")
    urls = relay_urls(relays)
    if not local_only:
        need_identity(context.home)
    documents = [read(path) for path in files]
    for document in documents:
        if document.note and not as_json:
            err.print(f"{printable(document.name)}: {printable(document.note)}", markup=False)
    budget_msat = Msat(0) if local_only else msat_of_sats(budget)
    size = chunk_size or SWARM_CHUNK

    def wish(bytes_of_piece: int) -> Wish:
        pieces = tuple(Source(piece.text, piece.source) for piece in cut(documents, bytes_of_piece))
        if documents and not pieces:
            raise UsageError("there is no text in the files")
        return Wish(query, pieces, fanout, budget_msat, timeout, model, urls)

    if local_only:
        report = run(lambda: _local(config, model, lambda room: wish(chunk_size or room), shows=not as_json))
    else:
        more_files()
        market = msgspec.convert(ask(context.home, "market.offers", {"relays": urls, "model": model}), Market)
        report = run(lambda: _swarm(context, config, market, wish(size), shows=not as_json))
    outcome = Run(secrets.token_hex(32), report, budget_msat, local=local_only)
    error = verdict(outcome)
    if error is not None and not report.answered:
        return fail(error, as_json=as_json, document=outcome.document())
    if as_json:
        if error is not None:
            return fail(error, as_json=True, document=outcome.document())
        show_json(outcome.document())
        return None
    _show(outcome)
    return fail(error, as_json=False) if error is not None else None


async def _local(config: Config, wanted: str, wish_for: Callable[[int], Wish], *, shows: bool) -> Report:
    """All by the models of this machine."""
    backends = Backends()
    try:
        await backends.start(config.backends)
        if not backends.available():
            raise NoBackend("nothing here can answer: no model is running", hint="run `pylon models pull`, or start a llama-server")
        _, model = await backends.choose(wanted, config.provider.default_model)
        wish = wish_for(_room(model, PIECE_TOKENS, LARGEST_CHUNK))
        asker = LocalAsker(backends, wish.model, config.provider.default_model)
        return await _conduct(_plan(wish, DEFAULT_FLOOR, Msat(0), _room(model, ANSWER_TOKENS, 10**6), free=True), asker, asker, shows=shows)
    finally:
        await backends.aclose()


async def _swarm(context: Context, config: Config, market: Market, wish: Wish, *, shows: bool) -> Report:
    """Pieces by the swarm; the coordinating model is one of this machine where there is one, else of the swarm as well."""
    backends = Backends()
    try:
        await backends.start(config.backends)
        fee = Msat(market.fee_msat)
        swarm = SwarmAsker(context.home, wish.relays, wish.model, fee)
        prices = [offer.price for offer in market.offers if offer.price is not None]
        floor = min(prices, default=DEFAULT_FLOOR)
        if backends.available():
            _, model = await backends.choose("", config.provider.default_model)
            plan = _plan(wish, floor, fee, _room(model, ANSWER_TOKENS, 10**6), root_is_paid=False)
            return await _conduct(plan, swarm, LocalAsker(backends, "", config.provider.default_model), shows=shows)
        return await _conduct(_plan(wish, floor, fee, SWARM_WINDOW, root_is_paid=True), swarm, swarm, shows=shows)
    finally:
        await backends.aclose()


def _room(model: Model, answer_tokens: int, most: int) -> int:
    """Characters that fit into a prompt of this model, beside the instructions and the answer."""
    return max(SMALLEST_CHUNK, min(most, int((model.context - answer_tokens - PROMPT_TOKENS) * CHARACTERS_A_TOKEN)))


def _plan(wish: Wish, floor: Msat, fee: Msat, window: int, *, root_is_paid: bool = False, free: bool = False) -> Plan:
    return Plan(
        query=wish.query, pieces=wish.pieces, fanout=wish.fanout, budget=wish.budget, floor=max(Msat(1), floor), fee=fee,
        started=time.time(), timeout=wish.timeout, window=window, root_is_paid=root_is_paid, free=free, max_tokens=PIECE_TOKENS,
        answer_tokens=ANSWER_TOKENS,
    )


async def _conduct(plan: Plan, pieces: LocalAsker | SwarmAsker, root: LocalAsker | SwarmAsker, *, shows: bool) -> Report:
    """Drive the run; on a terminal a bar shows how far it is."""
    if not (shows and sys.stderr.isatty()):
        return await drive(plan, pieces, root, lambda progress: None)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[money]}"))
    with Bar(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=None, money="")

        def show(progress: Progress) -> None:
            flying = f"{progress.phase} ({progress.in_flight} in flight)"
            bar.update(
                task, description=flying, total=progress.pieces or None, completed=progress.answered,
                money="" if plan.free else show_sats(progress.spent),
            )

        return await drive(plan, pieces, root, show)


def _show(outcome: Run) -> None:
    """The answer, and under it how much of the text it stands on and what it cost."""
    report = outcome.report
    say(report.answer)
    spent = "computed here" if outcome.local else f"{show_sats(report.spent)} spent of {show_sats(outcome.budget)}"
    names = ", ".join(f"{name} {count}" for name, count in sorted(report.providers.items(), key=lambda item: -item[1]))
    by = f"{count_of(len(report.providers), 'provider')}: {names}" if names else "nobody answered"
    out.print(f"\n{report.answered}/{report.pieces} pieces · {spent} · {by}", markup=False)
    for note in report.notes:
        out.print(f"Note: {printable(note)}", markup=False)
    for lack in report.lacking[:10]:
        out.print(f"Missing: piece {lack.piece + 1} ({lack.reason}: {printable(lack.message)})", markup=False)
    if len(report.lacking) > 10:
        out.print(f"Missing: {len(report.lacking) - 10} more", markup=False)
