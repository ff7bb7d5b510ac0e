"""A world of its own for each test: homes, a state folder, relays, providers, all as the processes that people run.

What happens is done by commands, as people type them; what came of it is read from the ledgers and the bank.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from pylon import _native
from pylon.cli.node import read_ledger
from pylon.config import Home
from pylon.node.accounts import history_document
from pylon.node.documents import job_document
from pylon.node.ledger import Ledger, role_of
from pylon.nostr.keys import Identity
from pylon.units import Msat
from pylon.wallets.bank import Bank

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds after which something that should have happened never will."""

T = TypeVar("T")
Document = dict[str, object]


class Done(msgspec.Struct, frozen=True):
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Document:
        """The JSON document on stdout."""
        return msgspec.json.decode(self.out, type=Document)

    @property
    def error(self) -> dict[str, str]:
        """The `error` member of the document."""
        return msgspec.convert(self.document["error"], dict[str, str])


class Running:
    """A command that runs; its lines are kept as they come."""

    def __init__(self, words: list[str], environment: dict[str, str], stdin: bytes | None = None) -> None:
        self._process = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._news = threading.Condition()
        self._texts: dict[str, list[str]] = {"out": [], "err": []}
        pipes = {"out": self._process.stdout, "err": self._process.stderr}
        self._readers = [threading.Thread(target=self._read, args=(name, pipe), daemon=True) for name, pipe in pipes.items()]
        for reader in self._readers:
            reader.start()
        if stdin is not None and self._process.stdin is not None:
            self._process.stdin.write(stdin)
            self._process.stdin.close()

    def _read(self, name: str, pipe: Iterator[bytes] | None) -> None:
        for line in pipe or ():
            with self._news:
                self._texts[name].append(line.decode("utf-8", "replace"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def out(self) -> str:
        """Its standard output so far."""
        with self._news:
            return "".join(self._texts["out"])

    @property
    def err(self) -> str:
        """Its standard error so far."""
        with self._news:
            return "".join(self._texts["err"])

    def line(self, wanted: str) -> str:
        """Wait for the first line, of either stream, with `wanted` in it."""
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while True:
                for line in (*self._texts["out"], *self._texts["err"]):
                    if wanted in line:
                        return line
                over = self._process.poll() is not None and not any(reader.is_alive() for reader in self._readers)
                if over or time.monotonic() > deadline:
                    raise AssertionError(f"no line with {wanted!r}: {self._texts}")
                self._news.wait(0.2)

    def done(self) -> Done:
        """Wait for its end. There is never a traceback."""
        try:
            status = self._process.wait(PATIENCE + 30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it does not end: {self._texts}") from None
        for reader in self._readers:
            reader.join(PATIENCE)
        self._close()
        assert "Traceback" not in self.err, self.err
        return Done(status, self.out, self.err)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """`kill -9`, and wait until the kernel has done it."""
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(PATIENCE)
        self._close()

    def _close(self) -> None:
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def end(self) -> None:
        """The test is over: end it if it still runs."""
        if self._process.poll() is None:
            self.send(signal.SIGTERM)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for reader in self._readers:
            reader.join(PATIENCE)
        self._close()


class World:
    """Homes below one folder, with a state folder of their own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.environment = {
            **os.environ,
            "PYLON_STATE_DIR": str(place / "state"),
            "PYLON_ENGINE_GRACE": "0",
            "PYLON_BACKENDS": "",  # no test asks a server that happens to run on this machine
            "XDG_CACHE_HOME": str(place / "cache"),  # and none loads the real model but those that say so
        }
        for name in ("PYLON_HOME", "PYLON_PASSPHRASE"):
            self.environment.pop(name, None)
        self._running: list[Running] = []

    def use_the_model(self) -> None:
        """Let this world have the real model, from the user's cache."""
        del self.environment["XDG_CACHE_HOME"]
        if "XDG_CACHE_HOME" in os.environ:
            self.environment["XDG_CACHE_HOME"] = os.environ["XDG_CACHE_HOME"]

    # Commands.

    def words(self, home: str, *words: str) -> list[str]:
        """The command line of `pylon` for a home."""
        return [sys.executable, "-m", "pylon", "--home", str(self.place / home), *words]

    def start(self, home: str, *words: str, stdin: bytes | None = None) -> Running:
        """Start a command and leave it running."""
        running = Running(self.words(home, *words), self.environment, stdin)
        self._running.append(running)
        return running

    def run(self, home: str, *words: str, stdin: bytes | None = None) -> Done:
        """Run a command to its end, whatever its status."""
        return self.start(home, *words, stdin=stdin).done()

    def ask(self, home: str, *words: str) -> Document:
        """Run a command that must succeed, with `--json`: its document."""
        done = self.run(home, *words, "--json")
        assert done.status == 0, done
        return done.document

    # Places.

    def nexus(self, port: int = 0, data: str = "nexus") -> tuple[Running, str]:
        """A relay, and its address."""
        running = self.start(data, "nexus", "--port", str(port), "--data", str(self.place / data / "events"))
        return running, running.line("Nexus listens on").split()[-1]

    def home(
        self, name: str, *relays: str, sats: int = 0, more: str = "", network: str = "regtest", script: str = "", wallet: str = "sim"
    ) -> Document:
        """Make a home that uses these relays and this wallet; with `sats` in the simulated one, and the scripted backend where there is
        a `script`."""
        identity = Identity.generate(12)
        Home(self.place / name).create()
        identity.save(self.place / name / "identity.json", None)
        listed = ", ".join(f'"{url}"' for url in relays)
        config = f'relays = [{listed}]\nnetwork = "{network}"\n{more}\n[wallet]\nbackend = "{wallet}"\n'
        if script:
            self.script(name, script)
            config += f'[backends]\nuse = ["scripted"]\nscript = "{self.place / name / "script.toml"}"\n'
        (self.place / name / "config.toml").write_text(config, "utf-8")
        if sats:
            self._give(name, sats)
        seller, buyer = identity.account(0), identity.account(1)
        return {"npub": seller.npub, "pubkey": seller.pubkey_hex, "buyer_npub": buyer.npub, "buyer_pubkey": buyer.pubkey_hex}

    def _give(self, name: str, sats: int) -> None:
        with self._bank() as bank:
            bank.fund(self._account(name), Msat(sats * 1000))

    def script(self, home: str, script: str) -> None:
        """What the scripted backend of a home says from now on; its log is kept."""
        (self.place / home / "script.toml").write_text(f'log = "runs.log"\n{script}', "utf-8")

    def runs(self, home: str) -> list[str]:
        """What the scripted backend has done: `start`, and `done`, `closed` or `broken` for each end."""
        log = self.place / home / "runs.log"
        lines = log.read_text("utf-8").splitlines() if log.exists() else []
        return [line.split()[0] if line.startswith("start") else line.split()[-1] for line in lines]

    def provider(self, home: str, *words: str) -> Running:
        """The provider of a home, in the foreground and ready."""
        running = self.start(home, "start", "-f", "-m", "provider", *words)
        running.line("Ready")
        return running

    def log(self, home: str) -> str:
        """The log of the node in the background."""
        log = self.place / home / "node.log"
        return log.read_text("utf-8", "replace") if log.exists() else ""

    # What is true now, read from the files, so that looking costs little and asks no command to be right.

    def _account(self, home: str) -> bytes:
        return _native.public_key(Identity.load(self.place / home / "identity.json").wallet_secret())

    @contextmanager
    def _bank(self) -> Iterator[Bank]:
        bank = Bank.open(self.place / "state" / "sim" / "bank.sqlite3")
        try:
            yield bank
        finally:
            bank.close()

    def spendable(self, home: str) -> int:
        """What the bank owes to a home (msat)."""
        with self._bank() as bank:
            return bank.balance(self._account(home), int(time.time())).spendable

    def _read(self, home: str, read: Callable[[Ledger], T], empty: T) -> T:
        return read_ledger(Home(self.place / home), read, empty)

    def jobs(self, home: str, role: str) -> list[Document]:
        """The jobs of one side, newest first, as `job status` shows them."""
        nothing: list[Document] = []
        return self._read(home, lambda ledger: [job_document(job) for job in ledger.jobs(1000) if role_of(job) == role], nothing)

    def states(self, home: str, role: str) -> list[object]:
        """The states of the jobs of one side, newest first."""
        return [row["status"] for row in self.jobs(home, role)]

    def earned(self, home: str) -> tuple[int, int]:
        """What was earned (msat), and by how many jobs."""
        nothing: tuple[int, int] = (0, 0)
        return self._read(home, lambda ledger: ledger.earnings(), nothing)

    def payments(self, home: str) -> list[Document]:
        """The payments of a home, newest first, as `wallet history` shows them."""
        nothing: list[Document] = []
        return self._read(
            home, lambda ledger: msgspec.convert(history_document(ledger.history(1000))["payments"], list[Document]), nothing
        )

    def until(self, holds: Callable[[], object], what: str = "") -> None:
        """Wait for something that other processes bring about."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, f"never came: {what}"
            time.sleep(0.03)

    def until_state(self, home: str, role: str, state: str) -> None:
        """Wait until the newest job of that side is in a state."""
        self.until(lambda: self.states(home, role)[:1] == [state], f"{home} {role} {state}, it is {self.states(home, role)}")

    def node_pid(self, home: str) -> int:
        """The process that runs a home."""
        return int((self.place / home / "node.pid").read_text("ascii"))

    def kill_node(self, home: str) -> None:
        """`kill -9` of the node in the background, and wait until it is gone."""
        pid = self.node_pid(home)
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: not _alive(pid), f"the end of process {pid}")

    @contextmanager
    def bank_held(self) -> Iterator[None]:
        """Nobody can make or pay an invoice meanwhile: another process writes in the bank's file, and takes its time."""
        db = sqlite3.connect(self.place / "state" / "sim" / "bank.sqlite3", timeout=PATIENCE, isolation_level=None)
        try:
            db.execute("BEGIN IMMEDIATE")
            yield
        finally:
            db.close()

    # The end.

    def close(self) -> None:
        """End all that was started, and see that no log holds a traceback."""
        for running in reversed(self._running):
            running.end()
        for pid in sorted(self.place.glob("*/node.pid")):
            self.run(pid.parent.name, "stop")
        for running in self._running:
            assert "Traceback" not in running.err, running.err
        for log in (*self.place.glob("*/node.log"), *self.place.glob("state/*.log")):
            text = log.read_text("utf-8", "replace")
            assert "Traceback" not in text, f"{log}: {text}"


def _alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def number(document: Document, name: str) -> int:
    """A number of a document."""
    return msgspec.convert(document[name], int)


def port_of(url: str) -> int:
    """The port of a relay's address."""
    return int(url.rstrip("/").rpartition(":")[2])
