"""`make demo`: the first paid answer, on real parts and told as it happens; `python -m pylon.cli.demo` runs it alone.

A Nexus, a provider and a buyer as processes of their own, with temporary homes and free ports, and the real model. Everything is done by
the same commands that a person types. It fails where a leg is missing, the answer is empty, or what was paid is not what was earned.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from pylon.config import LOCAL_RELAY
from pylon.units import Msat, show_sats

QUESTION = "What is 2+2?"
BUYER_SATS = 100
COMMAND_SECONDS = 90.0
END_SECONDS = 40.0
Document = dict[str, object]


class DemoFailed(Exception):
    """Something did not go as promised; the text says what."""


class Stage:
    """A temporary place with its own state folder, and the commands run in it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.environment = {**os.environ, "PYLON_STATE_DIR": str(place / "state"), "PYLON_ENGINE_GRACE": "0"}
        self.environment.pop("PYLON_PASSPHRASE", None)
        self._started = time.monotonic()

    def say(self, who: str, text: str) -> None:
        """One line of the story, with the seconds since its beginning."""
        print(f"[{time.monotonic() - self._started:6.2f} s] {who:<8} {text}", flush=True)

    def command(self, home: str, *words: str) -> list[str]:
        """The command line of `pylon` for that home."""
        return [sys.executable, "-m", "pylon", "--home", str(self.place / home), *words]

    def run(self, home: str, *words: str) -> str:
        """Run a command to its end: its stdout. Its stderr is ours, so that the story is seen as it happens."""
        done = subprocess.run(
            self.command(home, *words), env=self.environment, stdout=subprocess.PIPE, timeout=COMMAND_SECONDS, check=False, text=True
        )
        if done.returncode != 0:
            raise DemoFailed(f"`pylon {' '.join(words)}` ended with status {done.returncode}: {done.stdout.strip()}")
        return done.stdout

    def ask(self, home: str, *words: str) -> Document:
        """Run a command with `--json`: its document."""
        return msgspec.json.decode(self.run(home, *words, "--json"), type=Document)

    @contextmanager
    def process(self, home: str, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A command that stays; ended on the way out."""
        log = (self.place / f"{home}.log").open("w")
        process = subprocess.Popen(
            self.command(home, *words), env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()

    def settle_in(self, home: str, relay: str) -> Document:
        """Make a home that uses our relay."""
        made = self.ask(home, "init")
        config = self.place / home / "config.toml"
        config.write_text(config.read_text("utf-8").replace(f'relays = ["{LOCAL_RELAY}"]', f'relays = ["{relay}"]'), "utf-8")
        return made


def _line(process: subprocess.Popen[str], wanted: str) -> str:
    """Read a process's output up to the line that begins with `wanted`."""
    if process.stdout is None:
        raise AssertionError("the output is piped")
    for line in process.stdout:
        if line.startswith(wanted):
            return line
    raise DemoFailed(f"{' '.join(process.args[3:]) if isinstance(process.args, list) else 'a process'} ended before it was ready")


def _number(document: Document, name: str) -> int:
    value = document[name]
    if not isinstance(value, int):
        raise DemoFailed(f"{name} is {value!r}, not an amount")
    return value


def perform(stage: Stage) -> None:
    """The whole story. Raises DemoFailed."""
    with ExitStack() as stack:
        nexus = stack.enter_context(stage.process("nexus", "nexus", "--port", "0", "--data", str(stage.place / "nexus-data")))
        relay = _line(nexus, "Nexus listens on").split()[-1]
        stage.say("nexus", f"a relay of our own listens on {relay}")
        seller = stage.settle_in("provider", relay)
        buyer = stage.settle_in("buyer", relay)
        stage.say("provider", f"is {seller['npub']}")
        stage.say("buyer", f"is {buyer['buyer_npub']}")
        provider = stack.enter_context(stage.process("provider", "start", "-f", "-m", "provider"))
        _line(provider, "Ready")
        status = stage.ask("provider", "status")
        stage.say("provider", f"is ready: {_names(status)}, price 1 sat a request")
        stack.callback(stage.run, "buyer", "stop")
        funded = stage.ask("buyer", "wallet", "fund", str(BUYER_SATS))
        stage.say("buyer", f"got {show_sats(Msat(_number(funded, 'spendable_msat')))} from the faucet (simulated: not Lightning, no value)")
        stage.say("buyer", f"asks {QUESTION!r}, pays by itself:")
        stage.run("buyer", "job", "submit", QUESTION, "--auto-pay")
        (row,) = msgspec.convert(stage.ask("buyer", "job", "list", "-l", "1")["jobs"], list[Document])
        told(stage, stage.ask("buyer", "job", "results", str(row["id"])), funded)


def _names(status: Document) -> str:
    backends = msgspec.convert(status["backends"], list[Document])
    return ", ".join(f"{backend['name']} with {', '.join(msgspec.convert(backend['models'], list[str]))}" for backend in backends)


def told(stage: Stage, job: Document, funded: Document) -> None:
    """Tell the result, and hold both sides' books against each other."""
    legs = msgspec.convert(job["legs_ms"], dict[str, float | None])
    earnings = stage.ask("provider", "earnings")
    balance = stage.ask("buyer", "wallet", "balance")
    paid, fee, earned = _number(job, "amount_msat"), _number(job, "fee_msat"), _number(earnings, "total_msat")
    spent = _number(funded, "spendable_msat") - _number(balance, "spendable_msat")
    answer = str(job["answer"] or "").strip()
    stage.say("buyer", f"request   {job['id']}")
    stage.say("buyer", f"quote     {show_sats(Msat(_number(job, 'quote_msat')))} by {job['provider']}")
    stage.say("buyer", f"payment   {show_sats(Msat(paid))}, fee {fee} msat; the wallet went from "
              f"{show_sats(Msat(_number(funded, 'spendable_msat')))} to {show_sats(Msat(_number(balance, 'spendable_msat')))}")
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
        stage.say("all", "paid, answered, earned; every leg is there. This was a simulated wallet, not Lightning.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
