"""The line to one relay: a picows connection that feeds one `Session`, made again whenever it ends.

Whatever goes wrong is a state with a reason, never an exception out of the task. Waiting times are full-jitter exponential; a relay that
misbehaves waits longer, one that stayed for a while starts afresh.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from random import Random
from typing import Protocol

from picows import WSCloseCode, WSMsgType, WSTransport

from pylon._native import Delivered
from pylon._native.frames import FrameListener
from pylon.nostr.happening import EventsRepeated, Happening, SubscriptionClosed
from pylon.nostr.said import readable
from pylon.nostr.session import Session
from pylon.relay.backoff import Backoff
from pylon.relay.dial import Unreachable, dial
from pylon.relay.options import MAX_CLOSE_REASON, Options, State


class Owner(Protocol):
    """Who listens to a line."""

    def opening(self, link: Link, /) -> None:
        """A connection is there and nothing was said yet."""

    def happened(self, link: Link, happening: Happening, /) -> None:
        """The relay said something that matters."""

    def changed(self, link: Link, /) -> None:
        """State, authentication or reason may have changed."""


class Link:
    """The line to `session.url`; copies of what was `delivered` are dropped. `clock` gives Unix seconds. All is on the loop's thread."""

    def __init__(
        self, session: Session, owner: Owner, options: Options, delivered: Delivered, clock: Callable[[], float], rng: Random,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.session = session
        self.url = session.url
        self.reason = ""
        self.rtt_ms: float | None = None
        self._state = State.CLOSED
        self._owner = owner
        self._options = options
        self._delivered = delivered
        self._clock = clock
        self._tls = tls
        self._backoff = Backoff(options.backoff_base, options.backoff_cap, rng)
        self._rng = rng
        self._transport: WSTransport | None = None
        self._paused = False
        self._turning = False
        self._closing = False
        self._why = ""
        self._abused = False
        self._heard_at = 0.0
        self._wake = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []
        self._auth_timer: asyncio.TimerHandle | None = None
        self._retries: dict[str, Backoff] = {}
        self._ended: asyncio.Future[str] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> State:
        """Where this line stands."""
        if self._transport is None:
            return self._state
        return State.AUTHENTICATED if self.session.authenticated else State.OPEN

    @property
    def usable(self) -> bool:
        """Open, and authenticated where the relay wants that."""
        return self._transport is not None and self.session.usable

    def start(self) -> None:
        """Connect, now and whenever the connection ends."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"relay {self.url}")

    def wake(self) -> None:
        """Try again now instead of waiting."""
        self._wake.set()

    async def aclose(self) -> None:
        """End the connection with a closing handshake, and the task."""
        self._closing = True
        self._wake.set()
        if self._task is None:
            return
        if self._transport is None:
            self._task.cancel()
        else:
            self.hang_up(WSCloseCode.OK, "")
        await asyncio.wait((self._task,))
        if not self._task.cancelled():
            self._task.result()

    def turn(self) -> None:
        """Pass on what the session learned and send what it wants to say, until there is neither."""
        if self._turning:
            return
        self._turning = True
        try:
            while True:
                told = self.session.happenings()
                for happening in told:
                    self._happened(happening)
                texts = [] if self._transport is None or self._paused else self.session.data_to_send()
                for text in texts:
                    if self._transport is not None:
                        self._transport.send(WSMsgType.TEXT, text)
                if not told and not texts:
                    break
        finally:
            self._turning = False
        self._watch_auth()
        if self.session.abusive and not self._why:
            self._abused = True
            self.hang_up(WSCloseCode.POLICY_VIOLATION, "it sends garbage or events that nobody asked for")

    def strike(self) -> None:
        """This relay sent something that it should not have sent."""
        self.session.strike()
        self.turn()

    def hang_up(self, code: WSCloseCode, why: str) -> None:
        """Close this connection for a reason of ours; a peer that does not answer is cut off."""
        if self._transport is None or self._why:
            return
        self._why = why or "closed"
        self._transport.send_close(code, why.encode()[:MAX_CLOSE_REASON])
        self._timers.append(asyncio.get_running_loop().call_later(self._options.close_timeout, self._transport.disconnect, False))

    def pause_reading(self) -> None:
        """Back-pressure: take nothing more from the socket."""
        if self._transport is not None:
            self._transport.underlying_transport.pause_reading()

    def resume_reading(self) -> None:
        """There is room again."""
        if self._transport is not None:
            self._transport.underlying_transport.resume_reading()

    # What the listener says (pylon._native.frames.Repeats)

    def connected(self, transport: WSTransport, /) -> None:
        """The handshake is done: say what waits."""
        self._transport = transport
        self._paused = False
        self._why = self.reason = ""
        self._abused = False
        self._heard_at = asyncio.get_running_loop().time()
        self._owner.opening(self)
        self.session.opened(int(self._clock()))
        self.turn()
        self._owner.changed(self)

    def messages(self, texts: list[bytes], /) -> None:
        """Whole texts of one read."""
        if self._why:
            return  # this connection is being closed
        self._heard_at = asyncio.get_running_loop().time()
        self.session.receive(texts, int(self._clock()))
        self.turn()

    def repeated(self, ids: bytes, /) -> None:
        """The listener dropped copies of what was delivered: the relay was heard all the same."""
        self.messages([])
        self._owner.happened(self, EventsRepeated(ids))

    def closed(self, code: int | None, reason: str, /) -> None:
        """The connection has ended."""
        self._transport = None
        self.rtt_ms = None
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._retries.clear()
        self.session.closed(code)
        self.turn()
        if self._ended is not None and not self._ended.done():
            said = f"the relay closed the connection ({code} {readable(reason)}".rstrip() + ")" if code is not None else reason
            self._ended.set_result(self._why or said or "the connection was lost")

    def paused(self, /) -> None:
        """The relay reads slower than we write: nothing more for now."""
        self._paused = True

    def resumed(self, /) -> None:
        """It has caught up."""
        self._paused = False
        self.turn()

    # The task

    async def _run(self) -> None:
        try:
            while not self._closing:
                self._enter(State.CONNECTING, self.reason)
                reason = await self._converse()
                if not self._closing:
                    self._enter(State.WAITING, reason)
                    await self._pause()
        except asyncio.CancelledError:
            if not self._closing:
                raise
        finally:
            self._enter(State.CLOSED, "")

    async def _converse(self) -> str:
        """One connection from its beginning to its end; why it ended."""
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        try:
            transport = await dial(
                self.url, lambda: FrameListener(self, self._options.max_message, self._delivered), seconds=self._options.connect_timeout,
                max_message=self._options.max_message, tls=self._tls,
            )
        except Unreachable as error:
            if self._transport is None:
                return str(error)
            transport = self._transport  # it opened in the moment in which the time was up
        since = loop.time()
        pings = loop.create_task(self._ping(transport))
        try:
            reason = await self._ended
        finally:
            pings.cancel()
            await asyncio.wait((pings,))
        if loop.time() - since >= self._options.steady_after:
            self._backoff.reset()
        if self._abused:
            self._backoff.penalize()
        try:
            await transport.wait_disconnected()
        except Exception as error:  # a stranger's bytes must not end this task, whatever picows makes of them
            reason = readable(str(error)) or type(error).__name__
        return reason

    async def _pause(self) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(self._backoff.next()):
                await self._wake.wait()
        except TimeoutError:
            return  # the wait is over

    async def _ping(self, transport: WSTransport) -> None:
        """Measure the round trip; a relay that neither answers nor says anything else is gone (RFC 6455, 5.5.2)."""
        loop = asyncio.get_running_loop()
        while True:
            # Never cancelled: picows answers it with the pong or, when the connection ends, with an error.
            measuring = loop.create_task(transport.measure_roundtrip_time(1))
            measuring.add_done_callback(asyncio.Task.exception)
            asked = loop.time()
            while not (await asyncio.wait((measuring,), timeout=self._options.pong_timeout))[0]:
                if self._heard_at < asked:
                    self.hang_up(WSCloseCode.GOING_AWAY, f"no pong within {self._options.pong_timeout:g} s")
                    return
                asked = loop.time()
            if measuring.exception() is not None:
                return
            self.rtt_ms = measuring.result()[0] * 1000
            await asyncio.sleep(self._options.ping_interval)

    def _enter(self, state: State, reason: str) -> None:
        self._state, self.reason = state, reason
        self._owner.changed(self)

    def _happened(self, happening: Happening) -> None:
        if isinstance(happening, SubscriptionClosed) and not happening.final:
            backoff = self._retries.setdefault(happening.sub, Backoff(self._options.backoff_base, self._options.backoff_cap, self._rng))
            self._timers.append(asyncio.get_running_loop().call_later(backoff.next(), self._retry, happening.sub))
        self._owner.happened(self, happening)

    def _retry(self, sub: str) -> None:
        self.session.retry(sub)
        self.turn()

    def _watch_auth(self) -> None:
        """The session has no clock: tell it when the relay has been silent about our AUTH for too long."""
        if self.session.authenticating and self._auth_timer is None:
            self._auth_timer = asyncio.get_running_loop().call_later(self._options.auth_timeout, self._auth_late)
        elif not self.session.authenticating and self._auth_timer is not None:
            self._auth_timer.cancel()
            self._auth_timer = None

    def _auth_late(self) -> None:
        self._auth_timer = None
        self.session.auth_timed_out()
        self.turn()
