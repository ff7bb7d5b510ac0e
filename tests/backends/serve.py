"""A real llama-server in a process of its own: `python -m tests.backends.serve MODEL SLOTS CONTEXT [tools]`; prints its address."""

from __future__ import annotations

import sys
import threading

import xllamacpp  # type: ignore[import-untyped]  # the package ships no stubs

parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.model_alias = {"smollm2-135m"}
parameters.port = 0
parameters.n_parallel = int(sys.argv[2])
parameters.n_ctx = int(sys.argv[2]) * int(sys.argv[3])
parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
parameters.endpoint_slots = parameters.endpoint_metrics = True
parameters.server_tools = sys.argv[4:]
parameters.verbosity = 1
server = xllamacpp.Server(parameters)
print(server.listening_address, flush=True)
threading.Event().wait()
