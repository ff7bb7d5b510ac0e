"""The adapter of llama-server: what it makes of good, bad and hostile answers, and of a real server."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from pylon.backends import http
from pylon.backends.base import BackendBroken, BackendBusy, Chunk, Prompt, Usage
from pylon.backends.chat import TEMPLATE_TOKENS
from pylon.backends.llama_server import LlamaServer
from pylon.errors import ContextOverflow, NoBackend, PylonError
from tests.backends.conftest import llama_server
from tests.backends.site import DONE, HANG, HANGS, MODELS, PROPS, STOP, USAGE, WELL, event, reply, site, stream, text
from tests.conformance.backend import answer, soon, text_of

CHAT = "/v1/chat/completions"
COUNT = "/v1/chat/completions/input_tokens"


async def ask(answers: dict[str, bytes], prompt: Prompt = Prompt("2+2?", max_tokens=8)) -> tuple[str, Usage | None, str]:  # noqa: B008  # frozen
    """Text, usage and reason of an answer of a server that says `answers`."""
    async with site(WELL | answers) as url:
        backend = LlamaServer(url, gap_s=0.2, first_token_s=5)
        try:
            chunks = await answer(backend, prompt)
            return text_of(chunks), chunks[-1].usage, chunks[-1].finish_reason
        finally:
            await backend.aclose()


async def test_a_good_answer() -> None:
    """Text, usage and reason arrive as they were sent."""
    assert await ask({}) == ("Four.", Usage(3, 2), "stop")


def error(code: int, kind: str, **more: int) -> bytes:
    """llama-server's form of an error."""
    return reply(code, {"error": {"code": code, "message": "as it is", "type": kind, **more}})


def usage(prompt_tokens: int) -> bytes:
    """A chunk with this usage."""
    return event({"choices": [], "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": 1}})


BAD: dict[str, tuple[dict[str, bytes], type[PylonError]]] = {
    "overflow": ({CHAT: error(400, "exceed_context_size_error", n_prompt_tokens=9031, n_ctx=512)}, ContextOverflow),
    "overflow while counting": ({COUNT: error(400, "exceed_context_size_error")}, ContextOverflow),
    "busy": ({CHAT: error(503, "unavailable_error")}, BackendBusy),
    "too many requests": ({CHAT: error(429, "rate_limit")}, BackendBusy),
    "server error": ({CHAT: error(500, "server_error")}, BackendBroken),
    "a bad gateway's page": ({CHAT: reply(502, b"<html>")}, BackendBroken),
    "nothing in the stream": ({CHAT: stream()}, BackendBroken),
    "the end in the middle": ({CHAT: stream(text("Fo"))}, BackendBroken),
    "no usage": ({CHAT: stream(text("Four"), STOP, DONE)}, BackendBroken),
    "no end": ({CHAT: stream(text("Four"), USAGE, DONE)}, BackendBroken),
    "an error in the stream": ({CHAT: stream(text("Fo"), event({"error": {"message": "gone", "code": 500}}))}, BackendBroken),
    "an overflow in the stream": ({CHAT: stream(event({"error": {"type": "exceed_context_size_error"}}))}, ContextOverflow),
    "no JSON": ({CHAT: stream(b"data: {nonsense\n\n")}, BackendBroken),
    "no UTF-8": ({CHAT: stream(b'data: {"choices":[{"delta":{"content":"\xff\xfe"}}]}\n\n')}, BackendBroken),
    "a lone surrogate": ({CHAT: stream(b'data: {"choices":[{"delta":{"content":"\\ud800"}}]}\n\n')}, BackendBroken),
    "wrong types": ({CHAT: stream(event({"choices": [{"delta": {"content": 7}}]}))}, BackendBroken),
    "a list": ({CHAT: stream(event([]))}, BackendBroken),
    "deep nesting": ({CHAT: stream(b'data: {"choices":' + b"[" * 100_000 + b"\n\n")}, BackendBroken),
    "a negative usage": ({CHAT: stream(text("4"), STOP, usage(-1), DONE)}, BackendBroken),
    "a huge usage": ({CHAT: stream(text("4"), STOP, usage(10**40), DONE)}, BackendBroken),
    "an endless line": ({CHAT: stream(b"data: ", b"x" * (http.LINE_LIMIT + 10), HANGS.strip())}, BackendBroken),
    "silence after a token": ({CHAT: stream(text("Fo"), HANGS)}, BackendBroken),
    "events without text and end": ({CHAT: stream(*[event({"choices": []})] * 1000, HANGS)}, BackendBroken),
    "no HTTP": ({CHAT: b"SSH-2.0-OpenSSH_9.2\r\n"}, BackendBroken),
    "a compressed answer": ({COUNT: reply(200, b"\x1f\x8b", "Content-Encoding: gzip\r\n")}, BackendBroken),
    "a huge answer": ({COUNT: reply(200, b" " * (http.ANSWER_LIMIT + 1))}, BackendBroken),
    "a count that is none": ({COUNT: reply(200, {"input_tokens": "three"})}, BackendBroken),
    "no models": ({"/v1/models": reply(200, {"data": []})}, BackendBroken),
    "a million slots": ({"/props": reply(200, PROPS | {"total_slots": 10**6})}, BackendBroken),
    "no context": ({"/props": reply(200, PROPS | {"default_generation_settings": {}})}, BackendBroken),
    "loading": ({"/props": error(503, "unavailable_error")}, BackendBusy),
}


WORDS = {
    "an endless line": "a line of more than",
    "silence after a token": "in time",
    "events without text and end": "a stream without end",
    "a compressed answer": "compressed",
    "a huge answer": "more than",
    "a negative usage": "cannot be",
    "a huge usage": "cannot be",
}
"""Where several guards would end the same case, the words of the one that must."""


@pytest.mark.parametrize("case", BAD)
async def test_bad_answers_have_their_class(case: str) -> None:
    """Whatever a server sends becomes one of the errors of the port."""
    answers, expected = BAD[case]
    with pytest.raises(expected, match=WORDS.get(case)):
        await ask(answers)


async def test_a_huge_text_is_not_sent_to_be_counted() -> None:
    """A text that cannot fit is refused without keeping the server busy for seconds."""
    async with site(WELL | {COUNT: HANG}) as url:
        backend = LlamaServer(url)
        with pytest.raises(ContextOverflow):
            await soon(backend.count(Prompt("a" * 1_000_000)))
        await backend.aclose()


async def test_a_refused_request_does_not_count_as_broken() -> None:
    """Another 4xx refuses this request; the engine is well."""
    with pytest.raises(NoBackend) as caught:
        await ask({CHAT: error(400, "invalid_request_error")})
    assert type(caught.value) is NoBackend


async def test_nobody_there() -> None:
    """A refused connection is a broken backend."""
    async with site(WELL) as url:
        pass
    backend = LlamaServer(url)
    with pytest.raises(BackendBroken, match="cannot be reached"):
        await soon(backend.models())
    await backend.aclose()


async def test_max_tokens_is_kept_to_by_us() -> None:
    """A server that sends more than `max_tokens` is cut off, and the answer says `length`."""
    chatter = stream(*[text("la ")] * 500, HANGS)
    assert await ask({CHAT: chatter}, Prompt("2+2?", max_tokens=5)) == ("la la la la la ", Usage(3, 5), "length")


async def test_thoughts_are_counted_and_not_shown() -> None:
    """A thinking model's thoughts are tokens, and no part of the answer."""
    thought = event({"choices": [{"index": 0, "finish_reason": None, "delta": {"reasoning_content": "hm"}}]})
    assert (await ask({CHAT: stream(thought, text("4"), STOP, USAGE, DONE)}))[0] == "4"
    assert (await ask({CHAT: stream(*[thought] * 9, HANGS)}, Prompt("2+2?", max_tokens=3)))[1:] == (Usage(3, 3), "length")


async def test_pieces_may_break_anywhere() -> None:
    """Comments, CR LF, and lines that arrive in several packets are read as one stream."""
    body = (b": ping\r\n\r\n" + text("héllo ") + text("wörld") + STOP + USAGE + DONE).replace(b"\n", b"\r\n")
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[at : at + 7] for at in range(0, len(body), 7))) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert (await ask({CHAT: head + chunked}))[0] == "héllo wörld"


async def test_counting_on_an_older_server() -> None:
    """Without the exact route the template and the tokenizer are asked; without those the bytes are an upper bound."""
    missing = reply(404, {"error": {"message": "File Not Found"}})
    older = WELL | {COUNT: missing, "/apply-template": reply(200, {"prompt": "<|u|>?"}), "/tokenize": reply(200, {"tokens": [1, 2, 3, 4]})}
    for answers, expected in ((older, 4), (WELL | {COUNT: missing}, len("é?".encode()) + TEMPLATE_TOKENS)):
        async with site(answers) as url:
            backend = LlamaServer(url)
            assert await soon(backend.count(Prompt("é?"))) == expected
            await backend.aclose()


async def test_both_ways_of_counting_agree(llama: str) -> None:
    """On a real server the template and the tokenizer give the number of the exact route."""
    backend = LlamaServer(llama)
    exact = await soon(backend.count(Prompt("What is 2+2? 😀")))
    ask_for = backend._ask

    async def without(method: str, path: str, *rest: object, **more: object) -> object:
        return await ask_for(method, "/nowhere" if path == COUNT else path, *rest, **more)  # type: ignore[arg-type]  # passed on as it came

    backend._ask = without  # type: ignore[method-assign,assignment]  # an old server
    assert await soon(backend.count(Prompt("What is 2+2? 😀"))) == exact
    await backend.aclose()


async def rest(chunks: AsyncIterator[Chunk]) -> None:
    """Read an answer to its end."""
    async for _ in chunks:
        pass


@pytest.fixture
async def mortal(model_file: Path) -> AsyncIterator[tuple[LlamaServer, int]]:
    """A real llama-server that may be killed."""
    with llama_server(model_file) as (url, pid):
        backend = LlamaServer(url)
        yield backend, pid
        await backend.aclose()


async def test_a_server_killed_in_the_middle_of_an_answer(mortal: tuple[LlamaServer, int]) -> None:
    """kill -9 in mid-stream is BackendBroken, after the text that came."""
    backend, pid = mortal
    async with aclosing(backend.generate(Prompt("Tell a long story.", max_tokens=1000, temperature=0))) as chunks:
        assert (await soon(anext(chunks))).text
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(BackendBroken):
            await soon(rest(chunks))


async def test_a_real_server_computes_less_when_the_stream_is_closed(mortal: tuple[LlamaServer, int]) -> None:
    """After the close the server's own count of computed tokens stands far below `max_tokens`."""
    backend, _ = mortal
    chunks = backend.generate(Prompt("Write a very long story about a dragon who counts sheep.", max_tokens=1500, temperature=0))
    await soon(anext(chunks))
    await chunks.aclose()
    await answer(backend, Prompt("Hello", max_tokens=1))
    _, _, metrics = await backend.get("/metrics")
    computed = next(float(line.split()[1]) for line in metrics.decode().splitlines() if line.startswith("llamacpp:tokens_predicted_total "))
    assert computed < 500


async def test_a_silent_server_is_given_up() -> None:
    """A first token that does not come in time is BackendBroken."""
    async with site(WELL | {CHAT: HANG}) as url:
        backend = LlamaServer(url, first_token_s=0.2)
        with pytest.raises(BackendBroken, match="in time"):
            await answer(backend, Prompt("2+2?", max_tokens=8))
        await backend.aclose()


def test_the_pieces_of_the_table_are_used() -> None:
    """The good server of this file is one that detection accepts too."""
    assert WELL["/v1/models"] == reply(200, MODELS)
