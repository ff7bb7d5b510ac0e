"""Who answers the parts of a recursive query: a model of this machine, or, through the node of a home, the swarm."""

from __future__ import annotations

import asyncio
import errno
import time
from contextlib import aclosing

import msgspec

from pylon.backends.base import BackendBusy, Prompt
from pylon.backends.registry import Backends
from pylon.config import Home
from pylon.control.client import Gone, NotThere
from pylon.errors import ContextOverflow, InsufficientFunds, NoBackend, NoRelay, OverBudget, PylonError
from pylon.node import client
from pylon.nostr import nip90
from pylon.nostr.nip90 import SUB_QUERY
from pylon.rlm.asking import Answer, Ask, Miss, Reason
from pylon.units import Msat


class LocalAsker:
    """Asks the backends of this machine, as many at a time as they have slots. It costs nothing and touches no network."""

    def __init__(self, backends: Backends, model: str = "", default: str = "") -> None:
        self._backends = backends
        self._model = model
        self._default = default
        self._slots = asyncio.Semaphore(max(1, backends.slots()))

    async def ask(self, ask: Ask) -> Answer | Miss:
        """One answer, or why there is none."""
        try:
            async with asyncio.timeout(max(0.0, ask.deadline - time.time())), self._slots:
                backend, model = await self._backends.choose(self._model, self._default)
                prompt = Prompt(ask.text, model=model.name, max_tokens=ask.max_tokens)
                async with aclosing(backend.generate(prompt)) as stream:
                    text = "".join([chunk.text async for chunk in stream])
        except TimeoutError:
            return Miss(Reason.SILENT, "no answer in time")
        except ContextOverflow as error:
            return Miss(Reason.OVERFLOW, error.message)
        except BackendBusy as error:
            return Miss(Reason.BUSY, error.message)
        except NoBackend as error:
            return Miss(Reason.FAILED, error.message)
        return Answer(text, backend.name, Msat(0), model.name)


class Asked(msgspec.Struct, frozen=True):
    """What the node answers to `job.ask`: the parts of a job document that matter here."""

    status: str
    answer: str | None
    provider: str | None
    model: str | None
    amount_msat: int | None
    fee_msat: int
    trouble: dict[str, str] | None


class SwarmAsker:
    """Asks the swarm through the node of a home: every ask is a job of its own, paid within its limit."""

    def __init__(self, home: Home, relays: list[str], model: str, fee: Msat) -> None:
        self._home = home
        self._relays = relays
        self._model = model
        self._fee = fee

    async def ask(self, ask: Ask) -> Answer | Miss:
        """One answer, or why there is none and what it cost all the same."""
        seconds = ask.deadline - time.time()
        if seconds <= 0:
            return Miss(Reason.SILENT, "no time is left")
        wish: dict[str, object] = {
            "prompt": ask.text, "kind": SUB_QUERY, "bid": ask.limit, "relays": self._relays, "model": self._model, "timeout": seconds,
            "max_tokens": ask.max_tokens, "avoid": list(ask.avoid), "max_fee": self._fee,
            "patience": max(0.001, ask.patience - time.time()) if ask.patience else None,
        }
        try:
            job = msgspec.json.decode(await client.call(self._home, "job.ask", wish), type=Asked)
        except NotThere as error:
            return Miss(Reason.GONE, str(error))
        except Gone as error:
            # The job may go on, and be paid, without us.
            return Miss(Reason.GONE, f"{error}; the job may have been paid", cost=Msat(ask.limit + self._fee))
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            return Miss(Reason.BUSY, "this process has as many connections open as the system allows")
        except PylonError as error:
            return Miss(Reason.UNREACHABLE if error.code == NoRelay.code else Reason.FAILED, error.message)
        cost = Msat((job.amount_msat or 0) + job.fee_msat)
        provider = job.provider or ""
        if job.answer is not None:
            return Answer(job.answer, provider, cost, job.model or "")
        if job.status in ("paying", "unsure"):
            return Miss(Reason.SILENT, "whether its payment went through is not known", provider, Msat(ask.limit + self._fee))
        trouble = job.trouble or {"code": "", "message": "no answer in time"}
        return Miss(_reason(trouble["code"], trouble["message"]), trouble["message"], provider, cost)


def _reason(code: str, message: str) -> Reason:
    """Why a job ended, in the words of a run."""
    if code == NoRelay.code:
        return Reason.UNREACHABLE
    if code in (InsufficientFunds.code, "payment_failed", "invoice_refused"):
        return Reason.MONEY
    if code == nip90.RATE_LIMITED:
        return Reason.BUSY
    if code in (nip90.POLICY_VIOLATION, OverBudget.code):
        return Reason.PRICE
    if code == nip90.INVALID_PARAMETER and "tokens" in message:
        return Reason.OVERFLOW
    if code == nip90.SERVICE_UNAVAILABLE:
        return Reason.FAILED
    return Reason.REFUSED if code and code != "answer_owed" else Reason.SILENT
