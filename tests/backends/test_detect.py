"""Detection: a server is known by what it answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylon.backends import detect
from pylon.backends.detect import LlamaServers, candidates
from pylon.config import BackendsConfig
from pylon.errors import ConfigError
from tests.backends.conftest import llama_server
from tests.backends.site import HANG, MODELS, PROPS, WELL, reply, site
from tests.conformance.backend import soon

NO_NAME = ""
"""No `Server` header."""

TABLE: dict[str, tuple[dict[str, bytes], str | None]] = {
    "llama-server": (WELL, None),
    "llama-server behind a proxy that renames it": (
        WELL | {"/v1/models": reply(200, MODELS, "Server: nginx\r\n"), "/props": reply(200, PROPS, NO_NAME)}, None,
    ),
    "llama-server of an older build, without /tools": ({path: WELL[path] for path in ("/v1/models", "/props")}, None),
    "llama-server that loads its model": (
        WELL | {path: reply(503, {"error": {"message": "Loading model"}}) for path in ("/v1/models", "/props")},
        "loading",
    ),
    "llama-server with tools": (WELL | {"/tools": reply(200, [{"tool": "read_file"}])}, "tools"),
    "llama-server with the MCP proxy": (WELL | {"/props": reply(200, PROPS | {"cors_proxy_enabled": True})}, "tools"),
    "llama-server with a key": (WELL | {"/v1/models": reply(401, {"error": {"message": "Invalid API Key"}})}, "key"),
    "llama-server as a router": (WELL | {"/props": reply(200, {"role": "router"})}, "/props"),
    "a development server": (
        {"/": reply(200, b"<h1>hello</h1>", NO_NAME), "/health": reply(200, {"status": "ok"}, NO_NAME)}, "not a llama-server",
    ),
    "another OpenAI-like server": (
        {"/v1/models": reply(200, {"data": [{"id": "x", "owned_by": "vllm"}]}, "Server: uvicorn\r\n")}, "not a llama-server",
    ),
    "a page for every path": (
        {path: reply(200, b"<!doctype html>", NO_NAME) for path in ("/v1/models", "/props", "/tools")}, "not a llama-server",
    ),
    "models of the wrong type": ({"/v1/models": reply(200, {"data": "llamacpp"}, NO_NAME)}, "not a llama-server"),
    "no HTTP": ({"/v1/models": b"220 smtp ready\r\n"}, ""),
    "silence": ({"/v1/models": HANG}, ""),
    "an endless answer": ({"/v1/models": reply(200, b" " * (5 << 20))}, ""),
}  # fmt: skip
"""What a server answers; None where it is used, else a word of the remark about it (empty: nothing worth a remark)."""


@pytest.mark.parametrize("case", TABLE)
async def test_what_a_server_answers_decides(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of server is recognised, or not, with a remark that says why."""
    answers, remark = TABLE[case]
    if HANG in answers.values():
        monkeypatch.setattr(detect, "ANSWER_S", 0.2)
    async with site(answers) as url:
        monkeypatch.setenv("PYLON_BACKENDS", url)
        source = LlamaServers(BackendsConfig())
        found = await soon(source.find())
        assert [backend.name for backend in found] == ([] if remark is not None else [f"llama-server {url}"])
        if remark:
            assert remark in source.remarks()[0]
        else:
            assert source.remarks() == []
        await source.aclose()


async def test_a_real_llama_server_is_found(llama: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real thing, wherever it listens, with its context and slots."""
    monkeypatch.setenv("PYLON_BACKENDS", llama)
    source = LlamaServers(BackendsConfig())
    (backend,) = await soon(source.find())
    (model,) = await soon(backend.models())
    assert (model.name, model.context, model.loaded, model.slots) == ("smollm2-135m", 2048, True, 2)
    assert (await source.find())[0] is backend
    await source.aclose()


async def test_a_real_llama_server_with_tools_is_refused(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that could run commands is not offered to strangers."""
    with llama_server(model_file, "all") as (url, _):
        monkeypatch.setenv("PYLON_BACKENDS", url)
        source = LlamaServers(BackendsConfig())
        assert await soon(source.find()) == []
        assert "tools" in source.remarks()[0]
        await source.aclose()


async def test_either_loopback_and_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on [::1] alone is found under `localhost`; one on both loopbacks counts once."""
    async with site(WELL, "::1") as url:
        port = int(url.rpartition(":")[2])
        monkeypatch.setenv("PYLON_BACKENDS", f"http://localhost:{port}")
        source = LlamaServers(BackendsConfig())
        assert [backend.name for backend in await soon(source.find())] == [f"llama-server http://[::1]:{port}"]
        async with site(WELL, "127.0.0.1", port):
            assert [backend.name for backend in await soon(source.find())] == [f"llama-server http://127.0.0.1:{port}"]
        await source.aclose()


async def test_a_server_that_comes_later_and_leaves_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look probes anew."""
    async with site(WELL) as url:
        port = int(url.rpartition(":")[2])
    monkeypatch.setenv("PYLON_BACKENDS", url)
    source = LlamaServers(BackendsConfig())
    assert await soon(source.find()) == []
    async with site(WELL, port=port):
        assert len(await soon(source.find())) == 1
    assert await soon(source.find()) == []
    await source.aclose()


HERE = ("http://127.0.0.1:8080", "http://[::1]:8080")


@pytest.mark.parametrize(
    ("environment", "urls", "expected"),
    [
        ({}, [], [HERE]),
        ({"LLAMA_ARG_PORT": "9001"}, [], [("http://127.0.0.1:9001", "http://[::1]:9001")]),
        ({}, ["http://gpu.lan:8081/"], [HERE, ("http://gpu.lan:8081",)]),
        ({}, ["http://127.0.0.1:8080", "http://localhost:8080/"], [HERE]),
        ({"PYLON_BACKENDS": ""}, ["http://gpu.lan:8081"], []),
        ({"PYLON_BACKENDS": " http://a:1 , https://b/x"}, ["http://gpu.lan:8081"], [("http://a:1",), ("https://b/x",)]),
    ],
)
def test_candidates(environment: dict[str, str], urls: list[str], expected: list[tuple[str, ...]]) -> None:
    """The usual port, the configured addresses, or what PYLON_BACKENDS says in their place."""
    assert candidates(BackendsConfig(urls=urls), environment) == expected


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://x", "http://", "http://x:99999", "http://[::1", "\x00"])
def test_addresses_that_are_none(url: str) -> None:
    """A setting that is no address is named, with the place where it stands."""
    with pytest.raises(ConfigError, match=r"backends\.urls"):
        candidates(BackendsConfig(urls=[url]), {})
    with pytest.raises(ConfigError, match="PYLON_BACKENDS"):
        candidates(BackendsConfig(), {"PYLON_BACKENDS": url})
