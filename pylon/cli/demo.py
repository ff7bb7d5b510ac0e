"""`make demo`: the first paid answer and a question about a paper, on real parts and told as it happens; `python -m pylon.cli.demo` runs
it alone.

A Nexus, two providers and a buyer as processes of their own, with temporary homes and free ports, the real model, and a private Lightning
network. Everything is done by the same commands that a person types. It fails where a leg is missing, an answer is empty, what was paid is
not what was earned, or where a millisat of all three wallets is not accounted for.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import msgspec

from pylon.cli import demo_money, demo_query
from pylon.cli.demo_stage import DemoFailed, Document, Stage, line, number
from pylon.cli.worth import worth
from pylon.units import Msat, show_sats

QUESTION = "What is 2+2?"
BUYER_SATS = 1000


def perform(stage: Stage) -> None:
    """The whole story. Raises DemoFailed."""
    with ExitStack() as stack:
        nexus = stack.enter_context(stage.process("nexus", "nexus", "--port", "0", "--data", str(stage.place / "nexus-data")))
        relay = line(nexus, "Nexus listens on").split()[-1]
        stage.say("nexus", f"a relay of our own listens on {relay}")
        stack.callback(stage.run, "buyer", "regtest", "stop")  # the last to end
        seller = stage.settle_in("provider", relay)
        buyer = stage.settle_in("buyer", relay)
        stage.say("provider", f"is {seller['npub']}")
        stage.say("buyer", f"is {buyer['buyer_npub']}")
        provider = stack.enter_context(stage.process("provider", "start", "-f", "-m", "provider"))
        line(provider, "Ready")
        status = stage.ask("provider", "status")
        stage.say("provider", f"is ready: {_names(status)}, price 1 sat a request")
        stack.callback(stage.run, "buyer", "stop")
        funded = stage.ask("buyer", "wallet", "fund", str(BUYER_SATS))
        stage.say("buyer", f"got {show_sats(Msat(number(funded, 'spendable_msat')))} from the faucet ({worth(funded)})")
        demo_money.tell_network(stage, funded)
        stage.say("buyer", f"asks {QUESTION!r}, pays by itself:")
        stage.run("buyer", "job", "submit", QUESTION, "--auto-pay")
        (row,) = msgspec.convert(stage.ask("buyer", "job", "list", "-l", "1")["jobs"], list[Document])
        told(stage, stage.ask("buyer", "job", "results", str(row["id"])), funded)
        stage.settle_in("second", relay)
        second = stack.enter_context(stage.process("second", "start", "-f", "-m", "provider"))
        line(second, "Ready")
        stage.say("second", "is ready too, another provider with another home")
        books = demo_money.Books(stage, buyer="buyer", providers=("provider", "second"))
        demo_query.perform(stage, buyer="buyer", providers=("provider", "second"))
        books.balance()


def _names(status: Document) -> str:
    backends = msgspec.convert(status["backends"], list[Document])
    return ", ".join(f"{backend['name']} with {', '.join(msgspec.convert(backend['models'], list[str]))}" for backend in backends)


def told(stage: Stage, job: Document, funded: Document) -> None:
    """Tell the result, and hold both sides' books against each other."""
    legs = msgspec.convert(job["legs_ms"], dict[str, float | None])
    earnings = stage.ask("provider", "earnings")
    balance = stage.ask("buyer", "wallet", "balance")
    paid, fee, earned = number(job, "amount_msat"), number(job, "fee_msat"), number(earnings, "total_msat")
    spent = number(funded, "spendable_msat") - number(balance, "spendable_msat")
    answer = str(job["answer"] or "").strip()
    stage.say("buyer", f"request   {job['id']}")
    stage.say("buyer", f"quote     {show_sats(Msat(number(job, 'quote_msat')))} by {job['provider']}")
    stage.say("buyer", f"payment   {show_sats(Msat(paid))}, fee {fee} msat; the wallet went from "
              f"{show_sats(Msat(number(funded, 'spendable_msat')))} to {show_sats(Msat(number(balance, 'spendable_msat')))}")
    stage.say("provider", f"earned    {show_sats(Msat(earned))} by {earnings['jobs']} job")
    stage.say("buyer", f"answer    {answer}")
    for name in ("posted", "quoted", "paid", "answered"):
        stage.say("buyer", f"{name:<9} {legs.get(name)} ms")
    stage.say("buyer", f"in all    {job['total_ms']} ms")
    if not answer:
        raise DemoFailed("the answer is empty")
    if missing := [name for name in ("posted", "quoted", "paid", "answered") if legs.get(name) is None]:
        raise DemoFailed(f"legs are missing: {', '.join(missing)}")
    if paid <= 0 or earned != paid:
        raise DemoFailed(f"paid {paid} msat and earned {earned}")
    if spent != paid + fee:
        raise DemoFailed(f"the wallet lost {spent} msat and {paid + fee} were paid")


def main() -> int:
    """Play it once in a temporary place, clean up, and say whether it went as promised."""
    with tempfile.TemporaryDirectory(prefix="pylon-demo-") as place:
        stage = Stage(Path(place))
        try:
            perform(stage)
        except (DemoFailed, subprocess.TimeoutExpired, OSError) as error:
            for log in sorted(Path(place).glob("*.log")):
                print(f"--- {log.name}\n{log.read_text('utf-8', 'replace')[-2000:]}", file=sys.stderr)
            print(f"The demo failed: {error}", file=sys.stderr)
            return 1
        stage.say("all", "paid, answered, earned; every leg and every piece is there, and the books agree to the msat.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
