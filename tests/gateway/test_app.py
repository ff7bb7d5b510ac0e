"""Health, models and cross-origin requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from pylon import __version__
from pylon.config import BackendsConfig
from tests.backends.site import PROPS, WELL, reply, site
from tests.gateway.conftest import Stage, gateway
from tests.gateway.raw import CHAT, error_of, question


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """A web page's view of the gateway."""
    async with httpx.AsyncClient(base_url=stage.url, trust_env=False) as client:
        yield client


async def test_health(client: httpx.AsyncClient) -> None:
    """Status, version, and what can answer."""
    answer = await client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "version": __version__, "backends": [{"name": "scripted", "models": ["actor"]}]}


async def test_an_engine_that_is_gone(stage: Stage, client: httpx.AsyncClient) -> None:
    """A backend lost later: health says so with 503, no model is listed, a question is a 503; it comes back by itself."""
    script = stage.folder / "script.toml"
    text = script.read_text("utf-8")
    script.unlink()
    await stage.backends.refresh()
    assert (await client.get("/health")).json()["status"] == "no_backend"
    assert (await client.get("/health")).status_code == 503
    assert (await client.get("/v1/models")).json() == {"object": "list", "data": []}
    answer = await client.post(CHAT, content=question("2+2"))
    assert answer.status_code == 503
    assert error_of(answer.content).code == "no_backend"
    assert "pylon models pull" in error_of(answer.content).message
    script.write_text(text, "utf-8")
    assert (await client.post(CHAT, content=question("2+2"))).status_code == 200


async def test_pages_of_any_origin_may_ask(client: httpx.AsyncClient) -> None:
    """Every answer, errors too, may be read by any page, without its cookies."""
    page = {"Origin": "https://example.com"}
    for method, path, body in (("GET", "/v1/models", b""), ("POST", CHAT, question("2+2")), ("POST", CHAT, b"{"), ("GET", "/x", b"")):
        answer = await client.request(method, path, content=body, headers=page)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_page_may_send_few_headers(client: httpx.AsyncClient) -> None:
    """The preflight allows the key, the type and those of OpenAI's client; nothing else, and no private network."""
    ask = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    wanted = "authorization,content-type,x-stainless-os"
    allowed = await client.options(CHAT, headers={**ask, "Access-Control-Request-Headers": wanted})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "*"
    assert "Authorization" in allowed.headers["access-control-allow-headers"]
    refused = await client.options(CHAT, headers={**ask, "Access-Control-Request-Headers": "x-evil"})
    assert refused.status_code == 400
    assert "x-evil" not in refused.headers["access-control-allow-headers"].lower()
    delete = await client.options(CHAT, headers={**ask, "Access-Control-Request-Method": "DELETE"})
    assert delete.status_code == 400
    private = await client.options(CHAT, headers={**ask, "Access-Control-Request-Private-Network": "true"})
    assert "access-control-allow-private-network" not in private.headers


async def test_what_the_key_protects(scripted: BackendsConfig, tmp_path: Path) -> None:
    """All below /v1 is refused without the key, readable by pages; health and the preflight need none."""
    page = {"Origin": "https://example.com"}
    async with gateway(scripted, tmp_path, key="s3cret") as stage, httpx.AsyncClient(base_url=stage.url, trust_env=False) as client:
        for given in ("", "Bearer", "Bearer s3cre", "Bearer s3crets", "Bearer  s3cret", "Basic s3cret", "s3cret", "Bearer \u00e9"):
            headers = [(b"Origin", b"https://example.com"), (b"Authorization", given.encode())]
            for path in ("/v1/models", "/v1/models/actor", "/v1/none"):
                answer = await client.get(path, headers=headers)
                assert answer.status_code == 401, (given, path)
                error_of(answer.content)
            answer = await client.post(CHAT, content=question("2+2"), headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["access-control-allow-origin"] == "*"
        for given in ("Bearer s3cret", "bearer s3cret"):
            assert (await client.get("/v1/models", headers={**page, "Authorization": given})).status_code == 200
        assert (await client.get("/health")).status_code == 200
        assert (await client.options(CHAT, headers={**page, "Access-Control-Request-Method": "POST"})).status_code == 200


async def test_another_engine_answers(scripted: BackendsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that breaks when it is asked, or when it counts, is replaced by another one with the same model; no client sees it."""
    model = {
        "/v1/models": reply(200, {"object": "list", "data": [{"id": "actor", "owned_by": "llamacpp"}]}),
        "/props": reply(200, {**PROPS, "default_generation_settings": {"n_ctx": 400}}),
    }
    for broken in ("/v1/chat/completions", "/v1/chat/completions/input_tokens"):
        async with site({**WELL, **model, broken: reply(500, {"error": {"message": "no", "type": "server_error"}})}) as url:
            monkeypatch.setenv("PYLON_BACKENDS", url)
            async with gateway(scripted, tmp_path) as stage, httpx.AsyncClient(base_url=stage.url, trust_env=False) as client:
                assert [engine.name for engine, _ in stage.backends.available()] == [f"llama-server {url}", "scripted"]
                answer = await client.post(CHAT, content=question("2+2"))
                assert answer.json()["choices"][0]["message"]["content"] == "It is 4."
                assert len(stage.backends.available()) == 1
