"""`pylon doctor`: what works here and what does not, each thing really tried, with what to do about it."""

from __future__ import annotations

import time
from contextlib import aclosing

import click

from pylon import __version__, _native
from pylon.backends.base import Prompt
from pylon.backends.registry import Backends
from pylon.cli.check import FAIL, MARKS, OK, WARN, Check, tried
from pylon.cli.common import Context, command, json_option, out, pass_context, printable, run, show_json
from pylon.cli.doctor_wallet import lightning_build, wallet_checks
from pylon.cli.identity import open_identity
from pylon.cli.node import Document, ask, read_ledger
from pylon.cli.wallet_money import journal_check
from pylon.config import Config
from pylon.errors import NoBackend, NotSetUp, PylonError
from pylon.market.job import BuyerState, ProviderJob, ProviderState
from pylon.node.ledger import Ledger

TEST_TOKENS = 8
LATE = "provider.late"


@click.command()
@click.option("-v", "--verbose", is_flag=True, help="Show every relay, model and file.")
@json_option
@pass_context
@command
def doctor(context: Context, verbose: bool, as_json: bool) -> int | None:
    """Check identity, backends, relays, wallet, clock, native build and what is owed."""
    config = context.config()
    checks = [_native_build(), *lightning_build(config)]
    identity = tried("identity", lambda: _identity(context))
    checks.append(identity)
    checks += run(lambda: _backends(config, verbose))
    if identity.level == OK:
        checks += _relays(context, config, verbose)
        checks += wallet_checks(context.home, config)
        checks.append(tried("journal", lambda: journal_check(context.home)))
        checks += _owed(context)
    ok = all(check.level != FAIL for check in checks)
    if as_json:
        show_json({"ok": ok, "checks": checks})
    else:
        for check in checks:
            out.print(f"{MARKS[check.level]} {check.name}: {printable(check.detail).replace('[', chr(92) + '[')}", soft_wrap=True)
            if check.hint and check.level != OK:
                out.print(f"       {check.hint}", markup=False, soft_wrap=True)
        out.print("Everything works." if ok else "Something needs attention.", markup=False)
    if identity.level == FAIL:
        return NotSetUp.exit_status
    return 0 if ok else 1


def _native_build() -> Check:
    if _native.BUILD_PROFILE == "release":
        return Check("native", OK, f"extension {__version__}, release build")
    detail = f"extension {__version__}, {_native.BUILD_PROFILE} build: slow"
    return Check("native", WARN, detail, "build it anew: `pip install .`")


def _identity(context: Context) -> Check:
    keys = open_identity(context.home).account(0)
    mode = context.home.identity.stat().st_mode & 0o777
    if mode & 0o077:
        return Check("identity", WARN, f"{keys.npub}, readable by others (mode {mode:o})", f"chmod 600 {context.home.identity}")
    return Check("identity", OK, keys.npub)


async def _backends(config: Config, verbose: bool) -> list[Check]:
    """Every backend is asked for a few tokens: a green health page proves nothing."""
    backends = Backends()
    checks = []
    try:
        await backends.start(config.backends)
        for backend, models in backends.available():
            started = time.monotonic()
            asked = Prompt("Say hello.", model=models[0].name, max_tokens=TEST_TOKENS)
            try:
                async with aclosing(backend.generate(asked)) as stream:
                    tokens = [chunk.usage.completion_tokens async for chunk in stream if chunk.usage]
            except NoBackend as error:
                checks.append(Check("backend", FAIL, f"{backend.name}: {error.message}", error.hint))
                continue
            names = ", ".join(f"{model.name} ({model.context} tokens, {model.slots} slots)" for model in models)
            took = f", {sum(tokens)} tokens in {time.monotonic() - started:.2f} s" if verbose else ""
            checks.append(Check("backend", OK, f"{backend.name}: {names}{took}"))
        checks += [Check("backend", WARN, remark) for remark in backends.remarks()]
        if not backends.available():
            checks.append(Check("backend", FAIL, "no model is running here", "run `pylon models pull`, or start a llama-server"))
    finally:
        await backends.aclose()
    return checks


def _relays(context: Context, config: Config, verbose: bool) -> list[Check]:
    """Really connected, AUTH included; one of several away is a warning."""
    if not config.relays:
        return [Check("relays", FAIL, "none is configured", "add one to `relays` in config.toml")]
    try:
        answer = ask(context.home, "relays")
    except PylonError as error:
        return [Check("relays", FAIL, error.message, error.hint)]
    rows = [row for row in _rows(answer, "relays") if str(row["url"]).rstrip("/") in {url.rstrip("/") for url in config.relays}]
    good = [row for row in rows if row["authenticated"] or row["state"] == "open"]
    checks = []
    for row in rows:
        if row in good:
            rtt = f", {row['rtt_ms']:.1f} ms" if isinstance(row["rtt_ms"], float) else ""
            auth = "authenticated" if row["authenticated"] else "open without AUTH"
            checks.append(Check("relay", OK, f"{row['url']}: {auth}{rtt if verbose else ''}"))
        else:
            level = WARN if good else FAIL
            checks.append(Check("relay", level, f"{row['url']}: {row['state']} ({row['reason']})", "is it running? is the address right?"))
    # NIP-42: a relay takes an AUTH only within 10 minutes of its own time.
    if any(row["authenticated"] for row in rows):
        checks.append(Check("clock", OK, "a relay accepts our time"))
    elif good:
        checks.append(Check("clock", OK, time.strftime("%Y-%m-%d %H:%M:%S %Z")))
    return checks


def _rows(document: Document, name: str) -> list[Document]:
    rows = document.get(name)
    return rows if isinstance(rows, list) else []


def _owed(context: Context) -> list[Check]:
    """Money and answers that are on their way, or lost on it."""
    now = time.time()
    none: dict[str, int] = {}

    def counts(ledger: Ledger) -> dict[str, int]:
        late = [
            job for job in ledger.open_jobs()
            if isinstance(job, ProviderJob) and job.state is ProviderState.RUNNING and job.paid and job.deadline < now
        ]
        return {**ledger.counts(), LATE: len(late)}

    found = read_ledger(context.home, counts, none)
    sentences = {
        LATE: ("were paid and are still computed after their customer's time", "they are delivered when the model has answered"),
        f"provider.{ProviderState.OWING}": ("were paid and their answer is owed", "they are tried again at every start of the provider"),
        f"provider.{ProviderState.ANSWERED}": ("have an answer that no relay has taken yet", "they are sent as soon as a relay takes them"),
        f"buyer.{BuyerState.LOST}": ("were paid by us and not answered", "`pylon job results ID` collects a late answer"),
        f"buyer.{BuyerState.UNSURE}": ("have a payment whose outcome is not known", "it is looked up; do not pay again"),
    }
    owed = [Check("jobs", WARN, f"{found[state]} {what}", hint) for state, (what, hint) in sentences.items() if found.get(state)]
    return owed or [Check("jobs", OK, "nothing is owed")]
