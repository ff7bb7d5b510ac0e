"""Detection: a server is known by what it answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylon.backends import detect
from pylon.backends.detect import Addresses, LlamaServers, Ollamas, llama_place, named, ollama_place, usual
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
    "a list of no models": ({"/v1/models": reply(200, {"data": []}, NO_NAME)}, "not a llama-server"),
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
        source = Addresses(BackendsConfig())
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
    source = Addresses(BackendsConfig())
    (backend,) = await soon(source.find())
    (model,) = await soon(backend.models())
    assert (model.name, model.context, model.loaded, model.slots) == ("smollm2-135m", 2048, True, 2)
    assert (await source.find())[0] is backend
    await source.aclose()


async def test_a_real_llama_server_with_tools_is_refused(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that could run commands is not offered to strangers."""
    with llama_server(model_file, "all") as (url, _):
        monkeypatch.setenv("PYLON_BACKENDS", url)
        source = Addresses(BackendsConfig())
        assert await soon(source.find()) == []
        assert "tools" in source.remarks()[0]
        await source.aclose()


async def test_either_loopback_and_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on [::1] alone is found under `localhost`; one on both loopbacks counts once."""
    async with site(WELL, "::1") as url:
        port = int(url.rpartition(":")[2])
        monkeypatch.setenv("PYLON_BACKENDS", f"http://localhost:{port}")
        source = Addresses(BackendsConfig())
        assert [backend.name for backend in await soon(source.find())] == [f"llama-server http://[::1]:{port}"]
        async with site(WELL, "127.0.0.1", port):
            assert [backend.name for backend in await soon(source.find())] == [f"llama-server http://127.0.0.1:{port}"]
        await source.aclose()


async def test_a_server_that_comes_later_and_leaves_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look probes anew."""
    async with site(WELL) as url:
        port = int(url.rpartition(":")[2])
    monkeypatch.setenv("PYLON_BACKENDS", url)
    source = Addresses(BackendsConfig())
    assert await soon(source.find()) == []
    async with site(WELL, port=port):
        assert len(await soon(source.find())) == 1
    assert await soon(source.find()) == []
    await source.aclose()


HERE = ("http://127.0.0.1:8080", "http://[::1]:8080")


@pytest.mark.parametrize(
    ("environment", "urls", "expected"),
    [
        ({}, [], []),
        ({}, ["http://gpu.lan:8081/"], [("http://gpu.lan:8081",)]),
        ({}, ["http://127.0.0.1:8080", "http://localhost:8080/"], [("http://127.0.0.1:8080",)]),
        ({"PYLON_BACKENDS": ""}, ["http://gpu.lan:8081"], []),
        ({"PYLON_BACKENDS": " http://a:1 , https://b/x"}, ["http://gpu.lan:8081"], [("http://a:1",), ("https://b/x",)]),
    ],
)
def test_named_addresses(environment: dict[str, str], urls: list[str], expected: list[tuple[str, ...]]) -> None:
    """The configured addresses, or what PYLON_BACKENDS says in their place, each once."""
    assert named(BackendsConfig(urls=urls), environment) == expected


@pytest.mark.parametrize(
    ("environment", "urls", "expected"),
    [
        ({}, [], [HERE]),
        ({"LLAMA_ARG_PORT": "9001"}, [], [("http://127.0.0.1:9001", "http://[::1]:9001")]),
        ({}, ["http://127.0.0.1:8080"], []),
        ({"PYLON_BACKENDS": ""}, [], []),
        ({"PYLON_BACKENDS": "http://a:1"}, [], []),
    ],
)
def test_the_usual_place_of_a_llama_server(environment: dict[str, str], urls: list[str], expected: list[tuple[str, ...]]) -> None:
    """Port 8080, or where llama-server's own setting puts it; not where PYLON_BACKENDS is set, and not twice."""
    assert usual(llama_place(environment), BackendsConfig(urls=urls), environment) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("", "http://localhost:11434"), ("127.0.0.1", "http://127.0.0.1:11434"), ("127.0.0.1:1234", "http://127.0.0.1:1234"),
        ("gpu.lan", "http://gpu.lan:11434"), ("0.0.0.0", "http://localhost:11434"), ("0.0.0.0:99", "http://localhost:99"),
        (":1234", "http://localhost:1234"), ("http://gpu.lan:80/ollama", "http://gpu.lan/ollama"), ("https://gpu.lan", "https://gpu.lan"),
        ("http://0.0.0.0:5", "http://localhost:5"), ("[::1]:7", "http://[::1]:7"), ("::1", "http://[::1]:11434"),
        ("[::]:7", "http://localhost:7"), (' "gpu.lan:9" ', "http://gpu.lan:9"),
    ],
)  # fmt: skip
def test_ollama_host_is_read_as_ollama_reads_it(host: str, expected: str) -> None:
    """Its forms, its default port, and an address to listen on everywhere, which is asked for on this machine."""
    assert str(ollama_place({"OLLAMA_HOST": host})) == expected


@pytest.mark.parametrize("host", ["gpu.lan:99999", "ftp://x", "http://[::1", "\x00"])
def test_an_ollama_host_that_is_none(host: str) -> None:
    """It is named, as every wrong setting."""
    with pytest.raises(ConfigError, match="OLLAMA_HOST"):
        ollama_place({"OLLAMA_HOST": host})


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://x", "http://", "http://x:99999", "http://[::1", "\x00"])
def test_addresses_that_are_none(url: str) -> None:
    """A setting that is no address is named, with the place where it stands."""
    with pytest.raises(ConfigError, match=r"backends\.urls"):
        named(BackendsConfig(urls=[url]), {})
    with pytest.raises(ConfigError, match="PYLON_BACKENDS"):
        named(BackendsConfig(), {"PYLON_BACKENDS": url})


VLLM = {"/v1/models": reply(200, {"data": [{"id": "x", "owned_by": "vllm", "max_model_len": 9000}]}, "Server: uvicorn\r\n")}
OLLAMA = {
    "/": reply(200, b"Ollama is running", ""), "/api/version": reply(200, {"version": "0.0.0"}, ""),
    "/v1/models": reply(200, {"data": [{"id": "x:latest", "owned_by": "library"}]}, ""),
}
KINDS = {
    "llama-server": (WELL, "llama-server"), "vLLM": (VLLM, "OpenAI-compatible"), "Ollama without a version number": (OLLAMA, "Ollama"),
    "one that imitates half of Ollama": (OLLAMA | {"/": reply(200, b"KoboldCpp", "")}, "OpenAI-compatible"),
    "one that imitates the other half": (OLLAMA | {"/api/version": reply(200, b"0.1", "")}, "OpenAI-compatible"),
}


@pytest.mark.parametrize("case", KINDS)
async def test_the_answer_chooses_the_adapter(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A named address gets the adapter of what answers there."""
    answers, name = KINDS[case]
    async with site(answers) as url:
        monkeypatch.setenv("PYLON_BACKENDS", url)
        source = Addresses(BackendsConfig())
        assert [backend.name for backend in await soon(source.find())] == [f"{name} {url}"]
        await source.aclose()


async def test_usual_places_take_their_own_engine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown server on port 8080 is not sold; Ollama is found where OLLAMA_HOST says."""
    monkeypatch.delenv("PYLON_BACKENDS")
    async with site(VLLM) as other, site(OLLAMA) as ollama:
        monkeypatch.setenv("LLAMA_ARG_PORT", other.rpartition(":")[2])
        monkeypatch.setenv("OLLAMA_HOST", ollama)
        llamas, ollamas = LlamaServers(BackendsConfig()), Ollamas(BackendsConfig())
        assert await soon(llamas.find()) == []
        assert "not a llama-server" in llamas.remarks()[0]
        assert [backend.name for backend in await soon(ollamas.find())] == [f"Ollama {ollama}"]
        await llamas.aclose()
        await ollamas.aclose()
