"""Reading a request's body, which may be huge, slow or broken off."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Receive

from pylon.gateway.errors import ApiError

BODY_LIMIT: Final = 1 << 20
"""Bytes. The text of a large context fits many times."""

DRAIN_LIMIT: Final = 16 << 20
"""Bytes of a body that is too large which are read and thrown away, so that its sender gets to read why."""

BODY_S = 30.0
"""Seconds in which the whole body must have come."""


class Gone(Exception):
    """The client has closed the connection: nobody is there to be answered."""


async def read_body(receive: Receive) -> bytes:
    """The whole body. Raises ApiError (413, 408) and Gone."""
    body = bytearray()
    size, more = 0, True
    try:
        async with asyncio.timeout(BODY_S):
            while more and size <= DRAIN_LIMIT:
                part = await receive()
                if part["type"] != "http.request":
                    raise Gone
                piece = part.get("body", b"")
                more = part.get("more_body", False)
                size += len(piece)
                if size <= BODY_LIMIT:
                    body += piece
    except TimeoutError as error:
        message = f"the body did not come within {BODY_S:g} s"
        raise ApiError(408, message, code="request_timeout", headers={"Connection": "close"}) from error
    if size > BODY_LIMIT:
        headers = {"Connection": "close"} if more else {}
        raise ApiError(413, f"the body is larger than {BODY_LIMIT} bytes", code="request_too_large", headers=headers)
    return bytes(body)


async def gone(receive: Receive) -> None:
    """Return when the client has closed the connection. The body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
