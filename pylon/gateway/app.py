"""The gateway as an ASGI application: routes, errors, cross-origin requests, the key.

Protocol: https://platform.openai.com/docs/api-reference. Web pages of any origin may ask (CORS), as they may ask the engine itself;
with a key only those that know it, since `Authorization` is sent by no page that was not given it.
"""

from __future__ import annotations

import hmac
import logging
import time
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pylon import __version__
from pylon.gateway.ask import Ask, Places
from pylon.gateway.engines import Engines
from pylon.gateway.errors import BROKEN, ApiError
from pylon.gateway.shapes import Chat, Completion, ModelDocument, ModelsDocument
from pylon.gateway.wishes import read_chat, read_completion

log = logging.getLogger(__name__)

STAINLESS: Final = (
    "Arch", "Async", "Helper-Method", "Lang", "OS", "Package-Version", "Retry-Count", "Runtime", "Runtime-Version", "Timeout",
)  # fmt: skip
ALLOWED_HEADERS: Final = ["Authorization", "Content-Type", *(f"X-Stainless-{name}" for name in STAINLESS)]
"""What a web page may send: the key, the type, and what OpenAI's own clients say about themselves."""


class Health(msgspec.Struct, frozen=True):
    """GET /health: `status` is `ok`, or `no_backend` (then with HTTP 503)."""

    status: str
    version: str
    backends: list[HealthBackend]


class HealthBackend(msgspec.Struct, frozen=True):
    """An engine that can be asked now."""

    name: str
    models: list[str]


def make_app(engines: Engines, *, default_model: str = "", key: str = "", places: Places | None = None) -> Starlette:
    """The application. `key`, where there is one, is asked for below `/v1`."""
    started = int(time.time())
    places = places or Places()

    async def health(_: Request) -> Response:
        backends = [HealthBackend(engine.name, [model.name for model in models]) for engine, models in engines.available()]
        return _json(Health("ok" if backends else "no_backend", __version__, backends), 200 if backends else 503)

    def documents() -> list[ModelDocument]:
        """The models; one that several engines have belongs to the first."""
        found: dict[str, ModelDocument] = {}
        for engine, models in engines.available():
            for model in models:
                found.setdefault(model.name, ModelDocument(model.name, started, engine.name, model.context))
        return list(found.values())

    async def models(_: Request) -> Response:
        return _json(ModelsDocument(documents()))

    async def model(request: Request) -> Response:
        name = request.path_params["model"]
        for document in documents():
            if document.id == name:
                return _json(document)
        raise ApiError(404, f"the model {name!r} is not here", code="model_not_found", param="model")

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/v1/models", models),
            Route("/v1/models/{model:path}", model),
            Route("/v1/chat/completions", Ask(engines, default_model, places, read_chat, Chat()), methods=["POST"]),
            Route("/v1/completions", Ask(engines, default_model, places, read_completion, Completion()), methods=["POST"]),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["GET", "POST"],
                allow_headers=ALLOWED_HEADERS,
                expose_headers=["Retry-After", "X-Request-Id"],
            ),
            *([Middleware(KeyCheck, key=key)] if key else []),
        ],
        exception_handlers={ApiError: _api_error, HTTPException: _http_error, Exception: _unexpected},
    )


class KeyCheck:
    """Asks for the key (RFC 6750, bearer) below `/v1`."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what has the key."""
        if scope["type"] == "http" and scope["path"].startswith("/v1"):
            given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            scheme, _, token = given.partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(token, self._key):
                headers = {"WWW-Authenticate": "Bearer"}
                error = ApiError(401, "the API key is missing or wrong", code="invalid_api_key", headers=headers)
                await _answer(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _answer(error: ApiError) -> Response:
    return _json(error.document, error.status, error.headers)


def _json(document: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(document), status, headers, "application/json")


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _answer(error)


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router says: no such path (404), no such method (405)."""
    assert isinstance(error, HTTPException)
    said = {404: f"there is nothing at {request.url.path}", 405: f"{request.method} is not answered at {request.url.path}"}
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
    message = said.get(error.status_code, HTTPStatus(error.status_code).phrase)
    return _answer(ApiError(error.status_code, message, code=code, headers=dict(error.headers or {})))


async def _unexpected(request: Request, error: Exception) -> Response:
    """A fault of ours: the log has the traceback, the client a sentence."""
    log.error("%s failed", request.url.path, exc_info=error)
    return _answer(ApiError(500, "something is broken here; the log of `pylon api` says more", code="internal_error", type=BROKEN))
