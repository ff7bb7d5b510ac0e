"""llama-server (llama.cpp) over HTTP: `/v1/chat/completions`, always streamed, with the chat template of the server.

Protocol: https://github.com/ggml-org/llama.cpp/tree/master/tools/server.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from pylon.backends import http
from pylon.backends.base import BackendBroken, Model, Prompt
from pylon.backends.chat import COUNT_S, ChatServer, Missing, messages, size, upper_bound

BYTES_PER_TOKEN = 64
"""A text with more bytes than this for every token of the context does not fit, whatever it is: it is refused without being counted
(counting 10 MB takes the server 15 s)."""

MAX_SLOTS = 1024


class Settings(msgspec.Struct, frozen=True):
    """`default_generation_settings` of /props: `n_ctx` is the context of one slot."""

    n_ctx: int


class Props(msgspec.Struct, frozen=True):
    """What /props says about the server."""

    total_slots: int
    default_generation_settings: Settings
    cors_proxy_enabled: bool = False


class Listed(msgspec.Struct, frozen=True):
    """A model of /v1/models."""

    id: str
    owned_by: str = ""


class Listing(msgspec.Struct, frozen=True):
    """/v1/models."""

    data: list[Listed]


class InputTokens(msgspec.Struct, frozen=True):
    """/v1/chat/completions/input_tokens."""

    input_tokens: int


class Templated(msgspec.Struct, frozen=True):
    """/apply-template."""

    prompt: str


class Tokens(msgspec.Struct, frozen=True):
    """/tokenize."""

    tokens: list[msgspec.Raw]


class LlamaServer(ChatServer):
    """One llama-server."""

    engine = "llama-server"

    async def models(self) -> Sequence[Model]:
        """What it serves now. Raises BackendBroken, or BackendBusy while a model loads."""
        listing = await self._ask("GET", "/v1/models", Listing)
        props = await self._ask("GET", "/props", Props)
        if not (listing.data and 1 <= props.total_slots <= MAX_SLOTS and props.default_generation_settings.n_ctx > 0):
            raise BackendBroken(f"{self.name} answers, and serves no model")
        self._models = tuple(
            Model(listed.id, props.default_generation_settings.n_ctx, loaded=True, slots=props.total_slots) for listed in listing.data
        )
        return self._models

    async def count(self, prompt: Prompt) -> int:
        """Tokens of the prompt with the chat template, exactly where the server can say it (every current one can).

        An old server without the routes for it gives an upper bound: no token has less than one byte. Raises ContextOverflow for a
        text so long that it need not be counted.
        """
        model = await self._model(prompt)
        length = size(prompt)
        if length > model.context * BYTES_PER_TOKEN:
            raise http.overflow(math.ceil(length / BYTES_PER_TOKEN), 0, model.context)
        asked = {"messages": messages(prompt)}
        try:
            return max(0, (await self._ask("POST", "/v1/chat/completions/input_tokens", InputTokens, asked, COUNT_S)).input_tokens)
        except Missing:
            pass
        try:
            templated = await self._ask("POST", "/apply-template", Templated, asked, COUNT_S)
            whole = {"content": templated.prompt, "add_special": True, "parse_special": True}
            return len((await self._ask("POST", "/tokenize", Tokens, whole, COUNT_S)).tokens)
        except Missing:
            return upper_bound(prompt)
