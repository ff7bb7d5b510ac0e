"""An event on its way to several relays, and what each of them answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from pylon.errors import NoRelay
from pylon.nostr.event import VerifiedEvent


class PublishAnswer(msgspec.Struct, frozen=True):
    """`ok`: taken, refused, or None while there is no answer. `reason`: the relay's words."""

    ok: bool | None = None
    reason: str = ""


class Publication:
    """`answers` by relay, live. `why(url)` says in a few words why a relay has not answered."""

    def __init__(self, event: VerifiedEvent, urls: Iterable[str], why: Callable[[str], str]) -> None:
        self.event = event
        self.answers: dict[str, PublishAnswer] = {url: PublishAnswer() for url in urls}
        self._why = why
        self._first: str | None = None
        self._moved = asyncio.Event()

    @property
    def complete(self) -> bool:
        """Every relay has answered."""
        return all(answer.ok is not None for answer in self.answers.values())

    def answered(self, url: str, ok: bool, reason: str) -> None:
        """Note the answer of one relay; the first one counts."""
        if url in self.answers and self.answers[url].ok is None:
            self.answers[url] = PublishAnswer(ok, reason)
            if ok and self._first is None:
                self._first = url
            self._moved.set()

    async def accepted(self, timeout: float) -> str:  # noqa: ASYNC109 - at the end of the time stands an error with every relay's reason
        """The address of the first relay that took the event. Raises NoRelay when all refused it, or at `timeout` (seconds)."""
        try:
            async with asyncio.timeout(timeout):
                while self._first is None and not self.complete:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            pass  # who has not answered by now is named below
        if self._first is not None:
            return self._first
        reasons = "; ".join(f"{url}: {self._said(url, answer)}" for url, answer in self.answers.items())
        raise NoRelay(f"no relay took the event ({reasons})" if reasons else "there is no relay to publish to")

    def _said(self, url: str, answer: PublishAnswer) -> str:
        return answer.reason or (self._why(url) if answer.ok is None else "refused without a reason")
