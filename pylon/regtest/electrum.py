"""An Electrum server over the private chain, on loopback: sessions, subscriptions, limits. What it says is in `answers.py`.

A line is a request or a batch of them. Whatever is wrong with it gets an error; who sends a line without end, or does not read, is hung up
on. What changes between a request and its answer is told after the answer, so a subscription misses nothing and ends with the newest.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final

import orjson

from pylon.errors import PylonError
from pylon.regtest.answers import (
    BAD_REQUEST,
    DAEMON_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    UNKNOWN_METHOD,
    Answers,
    Fault,
    Method,
    arguments,
    digest,
)
from pylon.regtest.blocks import shown
from pylon.regtest.chain import Chain, Change

log = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
MAX_LINE: Final = 1 << 20
"""Bytes of a request: the largest transaction that waits, as hex, fits."""
MAX_ANSWER: Final = 16 << 20
MAX_UNREAD: Final = 8 << 20
"""Bytes that a session may leave unread."""
MAX_BATCH: Final = 1_000
MAX_SUBSCRIPTIONS: Final = 10_000
"""Of one session."""
MAX_SESSIONS: Final = 100
LATELY_SECONDS: Final = 15.0
"""A node that follows the chain by asking does so within this time; who has subscribed and only listens is not waited for."""
LOOK_SECONDS: Final = 0.02
SLOW_SECONDS: Final = 30.0
"""How long a reader may take for an answer."""


class Session:
    """One connection: what it listens to, and what it was told last."""

    def __init__(self, answers: Answers, writer: asyncio.StreamWriter) -> None:
        self._answers = answers
        self._writer = writer
        self._headers = False
        self.seen = 0
        """The height that it was last told when it asked."""
        self.asked = 0.0
        self.follows = False
        """Whether it has asked more than once: it looks, and is not just told."""
        self._told: dict[bytes, str | None] = {}
        self._held: list[bytes] | None = None
        """What is to be told after the answer that is being made."""
        self._methods = {
            **answers.methods,
            "blockchain.headers.subscribe": Method(self._subscribe_headers),
            "blockchain.scripthash.subscribe": Method(self._subscribe, ("scripthash",), 1),
            "blockchain.scripthash.unsubscribe": Method(self._unsubscribe, ("scripthash",), 1),
        }

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Answer line by line, until the other side or we hang up."""
        try:
            while line := await reader.readline():
                self._held = []
                if (said := await self.answer(line)) is not None:
                    self._writer.write(said)
                self._writer.writelines(self._held)
                self._held = None
                async with asyncio.timeout(SLOW_SECONDS):
                    await self._writer.drain()
        except ValueError:  # of readline, for a line without end
            self._writer.write(_line(_failed(None, Fault(INVALID_REQUEST, f"a line has at most {MAX_LINE} bytes"))))
        except TimeoutError:
            self.hang_up()
        except ConnectionError:
            log.debug("electrum: the client hung up")

    def hang_up(self) -> None:
        """End the connection now, whatever is still to be said."""
        self._writer.transport.abort()

    async def answer(self, line: bytes) -> bytes | None:
        """The answer to a line; None where it asks for none. After each request the others have their turn."""
        try:
            asked = orjson.loads(line)
        except orjson.JSONDecodeError:
            return _line(_failed(None, Fault(PARSE_ERROR, "invalid JSON")))
        if isinstance(asked, list) and not 1 <= len(asked) <= MAX_BATCH:
            return _line(_failed(None, Fault(INVALID_REQUEST, f"a batch has 1 to {MAX_BATCH} requests")))
        parts: list[bytes] = []
        room = MAX_ANSWER
        for one in asked if isinstance(asked, list) else [asked]:
            part = self._one(one, room)
            if part is not None:
                parts.append(part)
                room -= len(part)
            await asyncio.sleep(0)
        if not parts:
            return None
        return b"[" + b",".join(parts) + b"]\n" if isinstance(asked, list) else parts[0] + b"\n"

    def _one(self, asked: object, room: int) -> bytes | None:
        number: object = None
        try:
            if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
                raise Fault(INVALID_REQUEST, "a request is an object with a method")
            if isinstance(asked.get("id"), list | dict):
                raise Fault(INVALID_REQUEST, "an id is a number or a text")
            number = asked.get("id")
            method = self._methods.get(asked["method"])
            if method is None:
                raise Fault(UNKNOWN_METHOD, f"unknown method {asked['method'][:100]!r}")
            ordered = arguments(method, asked.get("params", []))
            if room <= 0:
                raise Fault(BAD_REQUEST, "response too large")
            said = orjson.dumps({"jsonrpc": "2.0", "result": method.answer(*ordered), "id": number})
            if len(said) > MAX_ANSWER:
                raise Fault(BAD_REQUEST, "response too large")
        except Fault as fault:
            said = orjson.dumps(_failed(number, fault))
        except PylonError as error:
            log.error("electrum: %s", error.message)
            said = orjson.dumps(_failed(number, Fault(DAEMON_ERROR, error.message)))
        # JSON-RPC 2.0: what has no id is not answered.
        return None if isinstance(asked, dict) and "id" not in asked else said

    def _subscribe_headers(self) -> dict[str, object]:
        self._headers = True
        tip = self._answers.tip()
        self.follows = bool(self.asked)
        self.seen, self.asked = int(str(tip["height"])), time.monotonic()
        return tip

    def _subscribe(self, place: object) -> str | None:
        where = digest(place, "scripthash")
        if where not in self._told and len(self._told) >= MAX_SUBSCRIPTIONS:
            raise Fault(BAD_REQUEST, f"no more than {MAX_SUBSCRIPTIONS} subscriptions")
        status = self._answers.status(where)
        self._told[where] = status
        return status

    def _unsubscribe(self, place: object) -> bool:
        where = digest(place, "scripthash")
        there = where in self._told
        self._told.pop(where, None)
        return there

    def tell(self, change: Change, statuses: dict[bytes, str | None]) -> None:
        """What changed for this session. `statuses` is shared by all sessions: each is computed once."""
        if change.tip and self._headers:
            self._push("blockchain.headers.subscribe", [self._answers.tip()])
        for place in change.places & self._told.keys():
            if place not in statuses:
                statuses[place] = self._answers.status(place)
            if statuses[place] != self._told[place]:
                self._told[place] = statuses[place]
                self._push("blockchain.scripthash.subscribe", [shown(place), statuses[place]])

    def _push(self, method: str, params: list[object]) -> None:
        line = _line({"jsonrpc": "2.0", "method": method, "params": params})
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD:
            self.hang_up()
        elif self._held is not None:
            self._held.append(line)
        elif not self._writer.is_closing():
            self._writer.write(line)


def _line(said: dict[str, Any]) -> bytes:
    return orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)


def _failed(number: object, fault: Fault) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": {"code": fault.code, "message": fault.message}, "id": number}


class ElectrumServer:
    """The server over a chain. `start`, then `aclose`."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._answers = Answers(chain)
        self._sessions: dict[asyncio.Task[None], Session] = {}
        self._server: asyncio.Server | None = None
        self._unwatch = chain.watch(self._changed)

    async def start(self, port: int = 0) -> int:
        """Listen on loopback; 0 is any free port. Answers the port."""
        self._server = await asyncio.start_server(self._serve, HOST, port, limit=MAX_LINE)
        return int(self._server.sockets[0].getsockname()[1])

    async def aclose(self) -> None:
        """Hang up on all and listen no more."""
        self._unwatch()
        if self._server:
            self._server.close()
        for session in self._sessions.values():
            session.hang_up()
        if self._sessions:
            await asyncio.wait(self._sessions)

    async def followed(self, seconds: float) -> bool:
        """Until all who asked for the tip lately have asked again since the last block, or so many seconds have gone."""
        deadline = time.monotonic() + seconds
        while (now := time.monotonic()) < deadline:
            asking = [session for session in self._sessions.values() if session.follows and now - session.asked < LATELY_SECONDS]
            if all(session.seen >= self._chain.height for session in asking):
                return True
            await asyncio.sleep(LOOK_SECONDS)
        return False

    def _changed(self, change: Change) -> None:
        statuses: dict[bytes, str | None] = {}
        for session in self._sessions.values():
            try:
                session.tell(change, statuses)
            except (Fault, PylonError) as error:
                # It cannot be told what it waits for: it connects again, asks, and gets the error.
                log.error("electrum: a session cannot be told of a change: %s", error)
                session.hang_up()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        session = Session(self._answers, writer)
        self._sessions[task] = session
        try:
            if len(self._sessions) <= MAX_SESSIONS:
                await session.serve(reader)
        finally:
            del self._sessions[task]
            writer.close()
