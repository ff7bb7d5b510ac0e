"""How the gateway says no: always OpenAI's shape, `{"error": {message, type, param, code}}`, with the status that clients act on.

Protocol: https://platform.openai.com/docs/guides/error-codes. The PyPI `openai` client makes BadRequestError of 400, AuthenticationError of
401, NotFoundError of 404, RateLimitError of 429 and InternalServerError of what is over.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from pylon.errors import BackendBroken, BackendBusy, ContextOverflow, NoBackend, NoModel, PylonError

INVALID: Final = "invalid_request_error"
LIMITED: Final = "rate_limit_error"
BROKEN: Final = "server_error"

RETRY_S: Final = 1
"""What `Retry-After` says where nobody knows better."""


class ErrorBody(msgspec.Struct, frozen=True):
    """The inside of an error answer."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorDocument(msgspec.Struct, frozen=True):
    """An error answer."""

    error: ErrorBody


class ApiError(Exception):
    """An answer that is an error: `status` of HTTP, the members of its body, and further `headers`."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None,
        type: str = INVALID,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.document = ErrorDocument(ErrorBody(message, type, param, code))
        self.headers = headers or {}


def no_engine(error: NoBackend) -> ApiError:
    """Nothing was asked yet: the model is not here (404), or nothing can be asked now (503)."""
    if isinstance(error, NoModel):
        return ApiError(404, _sentence(error), code="model_not_found", param="model")
    return ApiError(503, _sentence(error), code=error.code, type=BROKEN, headers=_retry(error))


def no_answer(error: PylonError) -> ApiError:
    """The engine was asked: the prompt is too long (400), it is busy (429) or lost (503), or refuses this one request (400)."""
    match error:
        case ContextOverflow():
            return ApiError(400, _sentence(error), code="context_length_exceeded")
        case NoModel() | BackendBroken():
            # A model that was chosen and is gone now is an engine lost, not a wrong name.
            return ApiError(503, _sentence(error), code=error.code, type=BROKEN, headers=_retry(error))
        case BackendBusy():
            return ApiError(429, _sentence(error), code=error.code, type=LIMITED, headers=_retry(error))
        case NoBackend():
            return ApiError(400, _sentence(error), code="refused")
    return ApiError(500, _sentence(error), code=error.code, type=BROKEN)


def _retry(error: PylonError) -> dict[str, str]:
    """RFC 9110, 10.2.3: whole seconds."""
    return {"Retry-After": str(max(RETRY_S, math.ceil(error.after_s)) if isinstance(error, BackendBusy) else RETRY_S)}


def _sentence(error: PylonError) -> str:
    """The error and what to do about it."""
    return f"{error.message}; {error.hint}" if error.hint else error.message
