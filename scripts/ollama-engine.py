"""Stands where Ollama looks for `llama-server`: the same C++ server, out of the package xllamacpp, with the options that Ollama passes.

The address is written to the file that $PYLON_OLLAMA_ENGINE names, so that tests can look into the engine.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import xllamacpp  # type: ignore[import-untyped]  # the package ships no stubs

given = sys.argv[1:]


def option(*names: str, default: str) -> str:
    """The value behind the first of `names` that was given."""
    return next((given[given.index(name) + 1] for name in names if name in given), default)


if "--list-devices" in given:
    print("Available devices:")
    sys.exit()
if "--version" in given:
    print(f"version: {xllamacpp.__version__}")
    sys.exit()
parameters = xllamacpp.CommonParams()
parameters.model.path = option("--model", "-m", default="")
parameters.port = int(option("--port", default="0"))
parameters.n_ctx = int(option("-c", default="4096"))
parameters.n_parallel = int(option("-np", default="1"))
parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = int(option("-t", default="1"))
parameters.n_batch = int(option("-b", default="512"))
parameters.n_ubatch = int(option("-ub", default="512"))
parameters.ctx_shift = "--context-shift" in given
parameters.n_keep = int(option("--keep", default="0"))
parameters.embedding = "--embedding" in given
parameters.endpoint_metrics = parameters.endpoint_slots = True
if "--no-jinja" in given:
    parameters.use_jinja = False
    parameters.chat_template = option("--chat-template", default="")
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server = xllamacpp.Server(parameters)
print("server is listening on", server.listening_address, flush=True)
if place := os.environ.get("PYLON_OLLAMA_ENGINE"):
    Path(place).write_text(server.listening_address, "utf-8")
threading.Event().wait()
