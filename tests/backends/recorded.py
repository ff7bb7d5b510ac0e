"""What a real Ollama 0.32.15 answered, recorded once, for a small real HTTP server that says it again.

The recording (tests/vectors) has one request of each kind with its answer; of a stream it has the first three and the last three lines.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.backends.site import Answer, reply

PLACE = Path(__file__).parents[1] / "vectors" / "ollama_0.32.15_recorded.json"
NDJSON = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"


Instead = bytes | Callable[[dict[str, object]], bytes]
"""Another answer than the recorded one: given, or made of the request's body."""


class Recorded(msgspec.Struct, frozen=True):
    """One answer."""

    status: int
    response: msgspec.Raw = msgspec.Raw(b"null")
    lines: list[msgspec.Raw] = []

    def whole(self) -> bytes:
        """The answer as it went over the wire."""
        if self.lines:
            return lines(*(json.loads(bytes(line)) for line in self.lines if bytes(line) != b'"..."'))
        body = msgspec.json.decode(self.response)
        return reply(self.status, body.encode() if isinstance(body, str) else bytes(self.response), "")


def lines(*said: object) -> bytes:
    """A stream of /api/chat; each line is bytes, or made JSON."""
    return NDJSON.encode() + b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in said)


def recording() -> dict[str, Recorded]:
    """All answers by what was asked."""
    raw = msgspec.json.decode(PLACE.read_bytes(), type=dict[str, msgspec.Raw])
    return {key: msgspec.json.decode(value, type=Recorded) for key, value in raw.items() if b'"status"' in bytes(value)}


def ollama(heard: list[dict[str, object]] | None = None, /, **instead: Instead) -> dict[str, Answer]:
    """The recorded Ollama by path. `instead`: other answers to `tags`, `ps`, `show`, `stream` (an answer is asked for), `refuse` (a request
    longer than the context) and `one` (a request of one token). `heard` gets what /api/chat was asked.
    """
    said = recording()

    def show(body: bytes) -> bytes:
        return pick("show", "show" if json.loads(body)["model"].startswith("smollm2") else "show_missing", json.loads(body))

    def pick(name: str, recorded: str, body: dict[str, object]) -> bytes:
        answer = instead.get(name, said[recorded].whole())
        return answer if isinstance(answer, bytes) else answer(body)

    def chat(body: bytes) -> bytes:
        asked = json.loads(body)
        if heard is not None:
            heard.append(asked)
        if not asked["model"].startswith("smollm2"):
            return said["chat_missing_model"].whole()
        if asked["stream"]:
            return pick("stream", "chat_stream", asked)
        if len(asked["messages"]) > 1:
            return pick("refuse", "overflow_truncate_shift_false", asked)
        return pick("one", "chat_nostream", asked)

    return {
        "/": said["root"].whole(), "/api/version": said["version"].whole(), "/api/chat": chat, "/api/show": show,
        "/v1/models": said["v1_models"].whole(), "/api/tags": lambda _: pick("tags", "tags", {}),
        "/api/ps": lambda _: pick("ps", "ps_loaded", {}),
    }  # fmt: skip
