"""What Ollama's native API says (https://github.com/ollama/ollama/blob/main/docs/api.md), as values, and which of its models may be sold.

A model may not whose answers come from somewhere else: Ollama lists models that run on ollama.com, under the operator's account, among
the local ones. Nor one that only makes embeddings.
"""

from __future__ import annotations

import re

import httpx
import msgspec

from pylon.backends import http
from pylon.backends.base import BackendBroken, BackendBusy
from pylon.errors import ContextOverflow, NoBackend, NoModel, PylonError

SMALLEST_MODEL = 1 << 20
"""Bytes; what is smaller is a name for a model that is elsewhere."""

MOST_CONTEXT = 1 << 26
"""Tokens; a larger number is not believed."""


class Tag(msgspec.Struct, frozen=True):
    """A model of /api/tags or /api/ps. `context_length` is said by /api/ps alone: what the loaded model has now."""

    name: str
    digest: str = ""
    size: int = 0
    remote_host: str = ""
    remote_model: str = ""
    context_length: int = 0

    @property
    def local(self) -> bool:
        """Whether it is computed on that machine."""
        cloud = re.search(r"[-:]cloud$", self.name) is not None
        return not (self.remote_host or self.remote_model or cloud) and self.size >= SMALLEST_MODEL


class Tags(msgspec.Struct, frozen=True):
    """/api/tags and /api/ps."""

    models: list[Tag] = []


class Details(msgspec.Struct, frozen=True):
    """`details` of /api/show."""

    family: str = ""


class Shown(msgspec.Struct, frozen=True):
    """/api/show. `parameters` are lines of the model's own settings."""

    parameters: str = ""
    details: Details = Details()
    model_info: dict[str, msgspec.Raw] = {}
    capabilities: list[str] | None = None
    remote_host: str = ""
    remote_model: str = ""

    @property
    def talks(self) -> bool:
        """Whether it is a local model that answers with text. Servers that list no capabilities are older than models of other kinds,
        the relatives of BERT (which make embeddings) aside."""
        if self.remote_host or self.remote_model:
            return False
        return "bert" not in self.details.family if self.capabilities is None else "completion" in self.capabilities

    @property
    def trained_context(self) -> int:
        """The longest context that the model has learnt; 0 where it is not said."""
        for key, raw in self.model_info.items():
            if key.endswith(".context_length"):
                try:
                    return sane(msgspec.json.decode(raw, type=int))
                except msgspec.DecodeError:
                    return 0
        return 0

    @property
    def set_context(self) -> int:
        """`num_ctx` of the model's own settings; 0 where there is none."""
        found = re.search(r"^num_ctx\s+([0-9]{1,9})\s*$", self.parameters, re.MULTILINE | re.ASCII)
        return sane(int(found[1])) if found else 0


class Said(msgspec.Struct, frozen=True):
    """`message` of a line. `thinking` is tokens too, and no part of the answer."""

    content: str = ""
    thinking: str = ""


class Line(msgspec.Struct, frozen=True):
    """A line of /api/chat; the last one is `done` and counts the tokens. An error may come in the middle, with status 200."""

    message: Said = Said()
    done: bool = False
    done_reason: str = ""
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: msgspec.Raw = msgspec.Raw()


class ErrorAnswer(msgspec.Struct, frozen=True):
    """`{"error": "…"}`; from a model's own process a string that is itself llama-server's JSON."""

    error: str | http.ErrorBody


def sane(tokens: int) -> int:
    """A number of tokens, or 0 for one that cannot be."""
    return tokens if 0 < tokens <= MOST_CONTEXT else 0


def failure(name: str, response: httpx.Response, body: bytes) -> PylonError:
    """The error that an answer other than 200 stands for."""
    error = error_of(name, response.status_code, body)
    if isinstance(error, BackendBusy):
        error.after_s = http.retry_after(response)
    return error


def error_of(name: str, status: int, body: bytes) -> PylonError:
    """The error that a status and a body stand for: busy (429, 503), an overflow, a missing model (404), a refusal, or something broken."""
    error = said(body)
    text = error.message[:300] or f"HTTP {status}"
    if error.type == "exceed_context_size_error":
        return http.overflow(error.n_prompt_tokens, 0, error.n_ctx)
    if status < 500 and re.search(r"context (length|size)", text):
        return ContextOverflow(f"{name}: {text}", hint="shorten the prompt")
    if status in (429, 503):
        return BackendBusy(f"{name} is busy: {text}")
    if status == 404:
        return NoModel(f"{name}: {text}")
    if status < 500 or "system memory" in text:  # a model too large for the machine: the others are well
        return NoBackend(f"{name} refused the request: {text}")
    return BackendBroken(f"{name} failed: {text}")


def said(body: bytes) -> http.ErrorBody:
    """The inside of an error answer, as far as it is well formed."""
    try:
        error = http.decode(body, ErrorAnswer).error
    except http.Nonsense:
        return http.ErrorBody()
    if isinstance(error, http.ErrorBody):
        return error
    try:
        return http.decode(error.encode("utf-8", "replace"), http.ErrorAnswer).error
    except http.Nonsense:
        return http.ErrorBody(message=error)
