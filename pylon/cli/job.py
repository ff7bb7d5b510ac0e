"""`pylon job`: post a job, pay for it, collect its answer; from any process of this home."""

from __future__ import annotations

import re

import click

from pylon.cli.common import Context, command, err, fail, json_option, out, pass_context, printable, read_stdin, say, show_json
from pylon.cli.node import Document, ask, ask_once, read_ledger
from pylon.cli.options import COUNT, MSAT, Seconds, key_values, relay_urls
from pylon.cli.outcome import MONEY, error_of, summary
from pylon.errors import PylonError, UsageError
from pylon.market.job import Job, Role
from pylon.node import documents
from pylon.node.submission import SubmitArgs, request_of
from pylon.units import Msat, show_sats


@click.group()
def job() -> None:
    """Buy answers."""


@job.command()
@click.argument("prompt")
@click.option("--kind", type=click.IntRange(0, 65_535), metavar="KIND", default=5050, show_default=True,
              help="Kind of job: 5050 text generation, 5001 summary, 5002 translation, 5940 part of a recursive query.")
@click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="A parameter of the kind, e.g. language=de (repeat).")
@click.option("--model", default="", help="Only providers with this model.")
@click.option("--bid", type=MSAT, default=1000, show_default=True, metavar="MSAT", help="The most you pay, in msat.")
@click.option("--relay", "relays", multiple=True, metavar="URL", help="Post to this relay (repeat, or separate by commas).")
@click.option("--provider", default="", metavar="NPUB", help="Ask this provider only; the job is then encrypted (NIP-44).")
@click.option("--wait", is_flag=True, help="Wait for a price and print it.")
@click.option("--auto-pay", is_flag=True, help="Pay the first price within the bid, and wait for the answer.")
@click.option("--max-tokens", type=COUNT, metavar="N", help="The longest answer.")
@click.option("--timeout", type=Seconds(min_open=True), metavar="SECONDS", default=60.0, show_default=True, help="Seconds for everything.")
@json_option
@pass_context
@command
def submit(
    context: Context, prompt: str, kind: int, params: tuple[str, ...], model: str, bid: int, relays: tuple[str, ...], provider: str,
    wait: bool, auto_pay: bool, max_tokens: int | None, timeout: float, as_json: bool,
) -> int | None:
    """Post a job. PROMPT `-` reads it from standard input."""
    config = context.config()
    text = read_stdin() if prompt == "-" else prompt
    urls = relay_urls(relays)
    asked = SubmitArgs(
        prompt=text, kind=kind, model=model, bid=bid, relays=urls, provider=provider, auto_pay=auto_pay, timeout=timeout,
        max_tokens=max_tokens, params=key_values(params),
    )
    request_of(asked, config)  # here already, so that what is wrong with it needs no node to be said
    document = ask_once(context.home, "job.submit", asked)
    job_id = str(document["id"])
    story = Story(quiet=as_json)
    story.tell(document)
    error = error_of(document)
    if error is None and (wait or auto_pay):
        document = ask(context.home, "job.watch", {"id": job_id, "until": "end" if auto_pay else "quoted"}, on_update=story.tell)
        error = error_of(document, waited=auto_pay)
    if error is not None:
        return fail(error, as_json=as_json, document=document)
    if as_json:
        show_json(document)
    elif document["status"] == "done":
        show_answer(document)
    elif wait:
        _show_quote(document)
    else:
        out.print(f"Job {job_id}", markup=False)
        out.print(f"Next: `pylon job status {job_id[:12]}` shows the price, `pylon job pay {job_id[:12]}` pays it.", markup=False)
    return None


class Story:
    """Tells what happens to a job, on stderr, each thing once."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._told: set[str] = set()

    def tell(self, document: Document) -> None:
        """Say what is new in this version of the job."""
        if self._quiet:
            return
        legs = document["legs_ms"]
        if not isinstance(legs, dict):
            return
        if legs["posted"] is not None:
            self._once("posted", f"posted    job {document['id']} ({legs['posted']} ms)")
        if legs["quoted"] is not None and document["quote_msat"] is not None:
            amount = show_sats(Msat(int(str(document["quote_msat"]))))
            self._once("quoted", f"quoted    {amount} by {document['provider']} ({legs['quoted']} ms)")
        if legs["paid"] is not None:
            own = ", to ourselves" if document["own"] else ""
            self._once("paid", f"paid      {show_sats(Msat(int(str(document['amount_msat'] or 0))))}{own} ({legs['paid']} ms)")
        for row in document["refusals"] if isinstance(document["refusals"], list) else []:
            # Our own door for money, or our wallet, may say no as well.
            who = f"not paid  {row['provider']}" if row["code"] in MONEY else f"refused   by {row['provider']}"
            self._once(f"refused {row['provider']}", f"{who}: {printable(row['message'])}")

    def _once(self, key: str, text: str) -> None:
        if key not in self._told:
            self._told.add(key)
            err.print(text, markup=False, soft_wrap=True)


def show_answer(document: Document) -> None:
    """The answer, and under it what it cost."""
    answer = str(document["answer"])
    say(answer)
    out.print(f"\n{summary(document)}", markup=False)


def _show_quote(document: Document) -> None:
    amount = show_sats(Msat(int(str(document["quote_msat"]))))
    job_id = str(document["id"])
    out.print(f"Job {job_id}\nPrice: {amount}, by {document['provider']}\nNext: `pylon job pay {job_id[:12]}`", markup=False)


def find(context: Context, typed: str, role: Role | None = None) -> Job:
    """The job that a person means by its id, or by the beginning of it. Raises UsageError."""
    if not re.fullmatch(r"[0-9a-fA-F]{4,64}", typed):
        raise UsageError(f"{typed[:80]!r} is no job id", hint="give it whole, or its first 4 characters or more; see `pylon job list`")
    none: list[tuple[Role, str]] = []
    ids = read_ledger(context.home, lambda ledger: ledger.find(typed.lower()), none)
    fitting = [(side, job_id) for side, job_id in ids if role is None or side is role]
    if not fitting:
        raise UsageError(f"this home knows no job {typed}", hint="`pylon job list` shows those it knows")
    if len({job_id for _, job_id in fitting}) > 1:
        raise UsageError(f"{len(fitting)} jobs begin with {typed}", hint="give more of the id")
    side, job_id = min(fitting)  # the buyer's record first: who asks about a job of his own wants the answer
    found: Job | None = read_ledger(
        context.home, lambda ledger: ledger.buyer_job(job_id) if side is Role.BUYER else ledger.provider_job(job_id), None
    )
    if found is None:
        raise PylonError(f"the record of job {job_id} is missing")
    return found


@job.command()
@click.argument("job_id", metavar="ID")
@json_option
@pass_context
@command
def status(context: Context, job_id: str, as_json: bool) -> int | None:
    """Show how a job stands, with its price."""
    context.config()
    document = documents.job_document(find(context, job_id))
    if as_json:
        show_json(document)
        return None
    out.print(f"Job {document['id']}: {document['status']} ({document['role']})", markup=False)
    if document["role"] == "buyer" and document["quote_msat"] is not None:
        out.print(f"Price: {show_sats(Msat(int(str(document['quote_msat']))))}, by {document['provider']}", markup=False)
    if isinstance(trouble := document["trouble"], dict):
        out.print(f"Because: {printable(str(trouble['message']))}", markup=False)
    return None


@job.command()
@click.argument("job_id", metavar="ID")
@click.option("--timeout", type=Seconds(), metavar="SECONDS", default=60.0, show_default=True, help="Seconds to wait for it.")
@json_option
@pass_context
@command
def results(context: Context, job_id: str, timeout: float, as_json: bool) -> int | None:
    """Print the answer of a job, waiting for it where it is still due."""
    context.config()
    found = find(context, job_id, Role.BUYER)
    document = documents.job_document(found)
    if document["answer"] is None and not (found.ended and not found.paid):
        document = ask(context.home, "job.watch", {"id": found.id, "until": "answer", "timeout": timeout})
    if (error := error_of(document, waited=True)) is not None:
        return fail(error, as_json=as_json, document=document)
    if as_json:
        show_json(document)
    else:
        show_answer(document)
    return None


@job.command("list")
@click.option("-l", "--limit", type=COUNT, default=10, show_default=True, help="How many to list.")
@json_option
@pass_context
@command
def list_(context: Context, limit: int, as_json: bool) -> int | None:
    """List the jobs of this home, bought and sold."""
    context.config()
    jobs: list[Job] = read_ledger(context.home, lambda ledger: ledger.jobs(limit), [])
    if as_json:
        show_json(documents.list_document(jobs))
        return None
    if not jobs:
        out.print("No jobs yet.", markup=False)
    for found in jobs:
        document = documents.job_document(found)
        amount = document["amount_msat"]
        paid = "-" if amount is None else show_sats(Msat(int(str(amount))))
        line = " ".join(printable(str(document["prompt"])).split())
        out.print(f"{found.id[:12]}  {document['role']:<8}  {document['status']:<10}  {paid:>10}  {line[:50]}", markup=False)
    return None


@job.command()
@click.argument("job_id", metavar="ID")
@click.option("--timeout", type=Seconds(), metavar="SECONDS", default=60.0, show_default=True, help="Seconds to wait for the answer.")
@json_option
@pass_context
@command
def pay(context: Context, job_id: str, timeout: float, as_json: bool) -> int | None:
    """Pay the price of a job and wait for the answer."""
    context.config()
    found = find(context, job_id, Role.BUYER)
    ask(context.home, "job.pay", {"id": found.id})
    story = Story(quiet=as_json)
    document = ask(context.home, "job.watch", {"id": found.id, "until": "answer", "timeout": timeout}, on_update=story.tell)
    if (error := error_of(document, waited=True)) is not None:
        return fail(error, as_json=as_json, document=document)
    if as_json:
        show_json(document)
    else:
        show_answer(document)
    return None


@job.command()
@click.argument("job_id", metavar="ID")
@json_option
@pass_context
@command
def cancel(context: Context, job_id: str, as_json: bool) -> int | None:
    """Withdraw a job: its provider stops computing."""
    context.config()
    found = find(context, job_id, Role.BUYER)
    document = ask(context.home, "job.cancel", {"id": found.id})
    if as_json:
        show_json(document)
    elif document["status"] == "withdrawn":
        out.print(f"Job {found.id} is withdrawn.", markup=False)
    else:
        out.print(f"Job {found.id} is being paid right now: it is withdrawn if that fails, else its answer comes.", markup=False)
    return None
