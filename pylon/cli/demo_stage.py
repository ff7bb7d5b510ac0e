"""What the demo is played on: a temporary place, and the commands of Pylon run in it by processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pylon.config import LOCAL_RELAY

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

    def run(self, home: str, *words: str, seconds: float = COMMAND_SECONDS) -> str:
        """Run a command to its end: its stdout. Its stderr is ours, so that the story is seen as it happens."""
        done = subprocess.run(
            self.command(home, *words), env=self.environment, stdout=subprocess.PIPE, timeout=seconds, check=False, text=True
        )
        if done.returncode != 0:
            raise DemoFailed(f"`pylon {' '.join(words)}` ended with status {done.returncode}: {done.stdout.strip()}")
        return done.stdout

    def ask(self, home: str, *words: str, seconds: float = COMMAND_SECONDS) -> Document:
        """Run a command with `--json`: its document."""
        return msgspec.json.decode(self.run(home, *words, "--json", seconds=seconds), type=Document)

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


def line(process: subprocess.Popen[str], wanted: str) -> str:
    """Read a process's output up to the line that begins with `wanted`."""
    if process.stdout is None:
        raise AssertionError("the output is piped")
    for line in process.stdout:
        if line.startswith(wanted):
            return line
    raise DemoFailed(f"{' '.join(process.args[3:]) if isinstance(process.args, list) else 'a process'} ended before it was ready")


def number(document: Document, name: str) -> int:
    """A whole number of a document. Raises DemoFailed."""
    value = document[name]
    if not isinstance(value, int):
        raise DemoFailed(f"{name} is {value!r}, not an amount")
    return value
