"""The process of the embedded engine: `python -m pylon.backends.engine SPEC`, started by `pylon.backends.link`.

It serves llama-server's HTTP protocol (the C++ server inside PyPI `xllamacpp`) on a free port of 127.0.0.1, and listens on a Unix
socket, inherited from its starter, for its users: each one gets a line of JSON (`Hello`) once the model is loaded, and keeps the
connection open for as long as it uses the engine. When the last connection has been gone for the grace time, the process ends. So a
user that is killed is forgotten, and one whose engine dies learns it at once, both from the kernel.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType

import msgspec

LOAD_LIMIT_S = 120
"""Loading a model that takes longer than this has hung: the kernel ends the process (SIGALRM)."""

LOG_LIMIT = 4 << 20
"""Bytes of log after which it starts anew."""


class Spec(msgspec.Struct, frozen=True):
    """What the starter asks for. `listener` is the inherited file descriptor; `context` is tokens of one slot."""

    listener: int
    socket: str
    record: str
    name: str
    path: str
    slots: int
    context: int
    threads: int
    grace_s: float


class Hello(msgspec.Struct, frozen=True):
    """What a user gets: where the engine answers, and the key without which it does not."""

    pid: int
    url: str
    key: str
    model: str


class Record(msgspec.Struct, frozen=True):
    """The file that people and `doctor` can read; it vanishes with the engine, and never holds the key."""

    pid: int
    port: int
    model: str
    started: int


def serve(spec: Spec) -> None:
    """Load the model, then serve until nobody has used the engine for the grace time, or SIGTERM."""
    listener = socket.socket(fileno=spec.listener)
    listener.setblocking(False)
    signal.alarm(LOAD_LIMIT_S)
    key = secrets.token_urlsafe(32)
    url = _load(spec, key)
    signal.alarm(0)
    hello = msgspec.json.encode(Hello(os.getpid(), url, key, spec.name)) + b"\n"
    _write(Path(spec.record), Record(os.getpid(), int(url.rpartition(":")[2]), spec.name, int(time.time())))
    try:
        _attend(listener, hello, spec.grace_s)
    finally:
        # The name goes before the listener: who connects too late is cut off, finds no name, and starts a new engine.
        for path in (spec.record, spec.socket):
            Path(path).unlink(missing_ok=True)
        listener.close()


def _load(spec: Spec, key: str) -> str:
    """Start the server; returns its address when the model is loaded."""
    import xllamacpp  # type: ignore[import-untyped]  # the package ships no stubs

    parameters = xllamacpp.CommonParams()
    parameters.model.path = spec.path
    parameters.model_alias = {spec.name}
    parameters.port = 0  # any free one, on 127.0.0.1
    parameters.n_parallel = spec.slots
    parameters.n_ctx = spec.slots * spec.context
    parameters.cpuparams.n_threads = spec.threads
    parameters.cpuparams_batch.n_threads = spec.threads
    parameters.api_keys = [key]
    parameters.cors_origins = "http://127.0.0.1"  # the default lets every web page ask
    # What the model's makers recommend, for askers that leave it open; the engine's own 0.8 makes a small model ramble.
    parameters.sampling.temp = 0.2
    parameters.sampling.top_p = 0.9
    # Against saying one sentence over and over: only sequences that came before cost something, not single tokens, so that the numbers of
    # a question can be said again.
    parameters.sampling.dry_multiplier = 0.8
    parameters.sampling.dry_allowed_length = 3
    parameters.sampling.dry_penalty_last_n = 256
    parameters.endpoint_slots = True
    parameters.cache_ram_mib = 64  # kept prompts; the default is 8 GiB
    parameters.offline = True
    parameters.ui = False
    parameters.verbosity = 2  # warnings and errors
    server = xllamacpp.Server(parameters)
    _SERVERS.append(server)
    return str(server.listening_address)


_SERVERS: list[object] = []
"""Keeps the server alive: dropping the last reference would end it."""


def _attend(listener: socket.socket, hello: bytes, grace_s: float) -> None:
    """Greet users and count them; returns when there has been none for `grace_s`, or on SIGTERM."""
    stop = False

    def on_term(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stop
        stop = True

    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.signal(signal.SIGTERM, on_term)
    signal.set_wakeup_fd(wake.fileno())
    users: set[socket.socket] = set()
    idle_since = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while not stop:
            left = None if users else idle_since + grace_s - time.monotonic()
            ready = selector.select(left)
            if not ready and left is not None and time.monotonic() - idle_since >= grace_s:
                return
            for chosen, _ in ready:
                if chosen.fileobj is listener:
                    with contextlib.suppress(BlockingIOError, ConnectionError):  # it left before it was greeted
                        user, _ = listener.accept()
                        user.sendall(hello)
                        user.setblocking(False)
                        users.add(user)
                        selector.register(user, selectors.EVENT_READ)
                elif isinstance(chosen.fileobj, socket.socket) and chosen.fileobj in users:
                    _read(chosen.fileobj, users, selector)
                    idle_since = time.monotonic()
            _bound_log()


def _read(user: socket.socket, users: set[socket.socket], selector: selectors.BaseSelector) -> None:
    """A user has nothing to say: what can be read is its end, or is thrown away."""
    try:
        if user.recv(4096):
            return
    except BlockingIOError:
        return
    except ConnectionError:
        pass
    selector.unregister(user)
    users.discard(user)
    user.close()


def _bound_log() -> None:
    """Start the log (this process's stdout, opened for appending) anew when it has grown too long."""
    if os.fstat(1).st_size > LOG_LIMIT:
        os.ftruncate(1, 0)


def _write(path: Path, record: Record) -> None:
    """Put the record in place in one step."""
    part = path.with_suffix(f".{os.getpid()}")
    part.write_bytes(msgspec.json.encode(record) + b"\n")
    part.replace(path)


if __name__ == "__main__":
    serve(msgspec.json.decode(sys.argv[1], type=Spec))
    # The C++ server's destructor waits for its clients; nothing here needs them to leave first.
    sys.stdout.flush()
    os._exit(0)
