"""Electrum of Debian as a process: a Lightning node that shares no line with ours, told what to do by its own JSON-RPC."""

from __future__ import annotations

import base64
import os
import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import msgspec

PATIENCE = 60.0
PROGRAM = ("electrum", "--regtest")


class ElectrumError(Exception):
    """What Electrum answered instead of a result."""


class Electrum:
    """One wallet of Electrum in a folder of its own. It speaks to one chain server, on loopback, and to nobody else."""

    def __init__(self, folder: Path, server: str) -> None:
        """`server`: HOST:PORT, without encryption."""
        self._folder = folder
        self._password = secrets.token_hex(16)
        self._port = free_port()
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        folder.mkdir()
        self._say("create", "--offline")
        settings = {"use_gossip": "true", "rpcuser": "proof", "rpcpassword": self._password, "rpcport": str(self._port)}
        for name, value in settings.items():
            self._say("setconfig", name, value, "--offline")
        with (folder / "electrum.log").open("wb") as log:
            self._process = subprocess.Popen(
                self._words("daemon", "--oneserver", "--server", f"{server}:t", "-v"), env=self._environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        try:
            self.until(self._answers, "the daemon of Electrum answers")
            self.ask("load_wallet")
            self.until(lambda: msgspec.convert(self.ask("getinfo"), dict[str, object])["connected"], "Electrum has reached the chain")
        except BaseException:
            self.close()
            raise

    def _words(self, *words: str) -> list[str]:
        return [*PROGRAM, "-D", str(self._folder), *words]

    def _say(self, *words: str) -> None:
        subprocess.run(self._words(*words), env=self._environment, check=True, capture_output=True, timeout=PATIENCE)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log[-2000:]
        try:
            self.ask("getinfo")
        except OSError:
            return False
        return True

    @property
    def log(self) -> str:
        """What it has written."""
        return (self._folder / "electrum.log").read_text("utf-8", "replace")

    def ask(self, method: str, *parameters: object, **named: object) -> object:
        """The result of a call. Raises ElectrumError."""
        question = msgspec.json.encode({"id": 1, "method": method, "params": named or parameters})
        word = base64.b64encode(f"proof:{self._password}".encode()).decode()
        headers = {"Authorization": f"Basic {word}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/", question, headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=2 * PATIENCE) as answer:
            document = msgspec.json.decode(answer.read(), type=dict[str, object])
        if document.get("error"):
            raise ElectrumError(f"{method}: {document['error']}")
        return document["result"]

    def document(self, method: str, *parameters: object, **named: object) -> dict[str, object]:
        """The result, where it is a document."""
        return msgspec.convert(self.ask(method, *parameters, **named), dict[str, object])

    def documents(self, method: str, *parameters: object, **named: object) -> list[dict[str, object]]:
        """The result, where it is a list of documents."""
        return msgspec.convert(self.ask(method, *parameters, **named), list[dict[str, object]])

    def until(self, holds: Callable[[], object], what: str) -> None:
        """Wait for something that other processes bring about."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, f"never came: {what}\n{self.log[-3000:]}"
            time.sleep(0.05)

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
