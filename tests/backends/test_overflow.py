"""Prompt and answer together must fit into a slot's context, whatever the server would do with what does not."""

from __future__ import annotations

import pytest

from pylon.backends.base import Prompt
from pylon.backends.llama_server import LlamaServer
from pylon.errors import ContextOverflow
from tests.backends.site import PROPS, WELL, reply, site
from tests.conformance.backend import answer, text_of

CONTEXT = 512


@pytest.mark.parametrize(("tokens", "fits"), [(CONTEXT - 8, True), (CONTEXT - 7, False), (CONTEXT, False)])
async def test_the_answer_must_fit_too(tokens: int, fits: bool) -> None:
    """Eight tokens are asked for: with exactly so much room it is computed, with one less it is refused, by us, unasked."""
    assert PROPS["default_generation_settings"] == {"n_ctx": CONTEXT}
    async with site(WELL | {"/v1/chat/completions/input_tokens": reply(200, {"input_tokens": tokens})}) as url:
        backend = LlamaServer(url)
        try:
            if fits:
                assert text_of(await answer(backend, Prompt("2+2?", max_tokens=8))) == "Four."
            else:
                with pytest.raises(ContextOverflow):
                    await answer(backend, Prompt("2+2?", max_tokens=8))
        finally:
            await backend.aclose()
