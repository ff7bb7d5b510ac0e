"""Any other server of OpenAI's chat protocol that the operator names: vLLM, LM Studio, SGLang, mlx_lm.server, LocalAI and their like.

Never looked for by itself: such an address may be somebody's paid account, and selling its answers must be the operator's own decision.
What it serves is read from /v1/models. The context of a model is what the server says in one of the fields in use (vLLM and SGLang
`max_model_len`, llama.cpp's relatives `meta.n_ctx`, others `context_length` or `context_window`; LM Studio in /api/v0/models), else
`DEFAULT_CONTEXT`. One answer at a time is asked of it, unless `provider.slots` in config.toml says more.

A prompt is counted exactly by vLLM (/tokenize); of any other server only an upper bound is known: a token for every byte.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pylon.backends import http
from pylon.backends.base import BackendBroken, BackendBusy, Model, Prompt
from pylon.backends.chat import COUNT_S, FIRST_TOKEN_S, GAP_S, ChatServer, Missing, messages, upper_bound
from pylon.errors import NoBackend

DEFAULT_CONTEXT = 4096
"""Tokens, where the server does not say: little, so that no answer is sold that does not fit."""

MOST_CONTEXT = 1 << 26
"""Tokens; a larger number is not believed."""

MOST_MODELS = 1000


class Meta(msgspec.Struct, frozen=True):
    """What relatives of llama.cpp add to a model."""

    n_ctx: int | None = None


class Listed(msgspec.Struct, frozen=True):
    """A model of /v1/models, with what various servers add."""

    id: str
    owned_by: str | None = None
    max_model_len: int | None = None
    meta: Meta | None = None
    context_length: int | None = None
    context_window: int | None = None

    @property
    def context(self) -> int | None:
        """Its context, where it is said."""
        said = (self.max_model_len, self.meta and self.meta.n_ctx, self.context_length, self.context_window)
        return next((tokens for tokens in said if tokens and 0 < tokens <= MOST_CONTEXT), None)


class Listing(msgspec.Struct, frozen=True):
    """/v1/models."""

    data: list[Listed]


class Detailed(msgspec.Struct, frozen=True):
    """A model of LM Studio's /api/v0/models."""

    id: str
    type: str = "llm"
    state: str = "loaded"
    max_context_length: int = 0
    loaded_context_length: int = 0


class Details(msgspec.Struct, frozen=True):
    """/api/v0/models."""

    data: list[Detailed]


class Tokens(msgspec.Struct, frozen=True):
    """vLLM's /tokenize."""

    count: int


class OpenAIServer(ChatServer):
    """One such server."""

    says_usage = False

    def __init__(
        self, url: str, *, connect_s: float = http.CONNECT_S, first_token_s: float = FIRST_TOKEN_S, gap_s: float = GAP_S
    ) -> None:
        super().__init__(url.removesuffix("/v1"), connect_s=connect_s, first_token_s=first_token_s, gap_s=gap_s)
        self._counts: frozenset[str] = frozenset()
        """Models whose prompts the server counts."""

    async def models(self) -> Sequence[Model]:
        """What it serves now. Raises BackendBroken, BackendBusy."""
        listing = await self._ask("GET", "/v1/models", Listing)
        details = await self._details()
        found = []
        for listed in listing.data[:MOST_MODELS]:
            detail = details.get(listed.id)
            if detail is not None and detail.type == "embeddings":
                continue
            loaded, context = True, listed.context or DEFAULT_CONTEXT
            if detail is not None:
                loaded = detail.state == "loaded"
                context = next((n for n in (detail.loaded_context_length, detail.max_context_length) if 0 < n <= MOST_CONTEXT), context)
            found.append(Model(listed.id, context, loaded=loaded))
        if not found:
            raise BackendBroken(f"{self.name} answers, and serves no model")
        self._models = tuple(found)
        self._counts = frozenset(listed.id for listed in listing.data if listed.owned_by == "vllm")
        return self._models

    async def count(self, prompt: Prompt) -> int:
        """Tokens of the prompt: exact where the server says it, else an upper bound."""
        model = await self._model(prompt)
        if model.name in self._counts and upper_bound(prompt) <= model.context * 64:
            try:
                asked = {"model": model.name, "messages": messages(prompt), "add_generation_prompt": True}
                return max(0, (await self._ask("POST", "/tokenize", Tokens, asked, COUNT_S)).count)
            except (BackendBusy, BackendBroken) as error:
                if not isinstance(error, Missing):
                    raise
            except NoBackend:  # it counts otherwise than we ask: the bound holds all the same
                pass
        return upper_bound(prompt)

    async def _details(self) -> dict[str, Detailed]:
        """LM Studio's own list; empty for every other server."""
        try:
            listing = await self._ask("GET", "/api/v0/models", Details)
        except NoBackend:  # another server has another page there, or none
            return {}
        return {detail.id: detail for detail in listing.data[:MOST_MODELS]}
