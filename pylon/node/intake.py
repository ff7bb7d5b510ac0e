"""What relays tell us, turned into signals: requests for the provider, offers and results for the buyer, deletions for both.

Everything here was verified (form, id, signature) before it came; what it says is still a stranger's word.
"""

from __future__ import annotations

import asyncio
import logging
import time

from msgspec.structs import replace

from pylon.backends.base import BackendBusy
from pylon.backends.registry import Backends
from pylon.errors import ContextOverflow, DecryptError, InvoiceRefused, NoBackend, NoModel, WireError
from pylon.market import spend, terms
from pylon.market.job import BuyerJob, ProviderJob, ProviderState, Role, Trouble
from pylon.market.kinds import KINDS
from pylon.market.signals import Answered, Cancelled, Declined, Quoted, Refused, Repeated, Signal, Working
from pylon.market.terms import NotForUs
from pylon.node.node import Node
from pylon.node.offers import OFFERS, Offers
from pylon.nostr import nip90
from pylon.nostr.event import VerifiedEvent, load, shortest
from pylon.nostr.filter import Filter
from pylon.nostr.nip09 import read_deletion
from pylon.nostr.nip90 import FEEDBACK, RESULT_OFFSET, JobError, Request

log = logging.getLogger("pylon.node")

JOBS = "jobs"
"""The provider's subscription."""
LOOK_BACK = 900
"""Seconds before the oldest unfinished job of ours (or now) from which offers and results are asked for."""
SKEW = 60
"""Seconds that an answer may seem older than its request: clocks differ."""
UNBOUNDED_LIFE = 600
"""Seconds that we give a request without an expiration, from when we hear of it."""
REPEAT_SECONDS = 2.0
"""Other relays bring the same event within moments; a customer who asks again comes later, and is heard as often."""
MOST_RECENT = 4096
"""Events whose coming is remembered, so that the copies of other relays cost no look into the ledger."""
HELD_SECONDS = 15.0
"""How long an offer holds a place in the queue while it is not paid."""
MOST_DELETED = 100
"""Jobs that one deletion may name."""
MOST_CONSIDERED = 1000
"""Requests that may be under consideration at once; beyond it a request is declined unread."""


def job_filters() -> list[Filter]:
    """Requests of our kinds, and their deletions."""
    kinds = tuple(KINDS)
    since = int(time.time()) - terms.OLDEST
    return [Filter(kinds=kinds, since=since), Filter(kinds=(5,), tags={"k": tuple(str(kind) for kind in kinds)}, since=since)]


def answer_filters(node: Node) -> list[Filter]:
    """Offers and results for both our accounts, from a little before our oldest unfinished job."""
    oldest = min((job.created_at for job in node.open_jobs(Role.BUYER)), default=time.time())
    people = tuple(keys.pubkey_hex for keys in node.accounts)
    kinds = (FEEDBACK, *(kind + RESULT_OFFSET for kind in KINDS))
    filters = [Filter(kinds=kinds, tags={"p": people}, since=int(oldest) - LOOK_BACK)]
    if ids := tuple(job.id for job in node.open_jobs(Role.BUYER))[:500]:
        filters.append(Filter(kinds=kinds, tags={"e": ids}, since=int(oldest) - LOOK_BACK))
    return filters


def late_filters(job: BuyerJob) -> list[Filter]:
    """The answer of a job that was paid and has ended without it, however long ago it came."""
    return [Filter(kinds=(FEEDBACK, job.request.kind + RESULT_OFFSET), tags={"e": (job.id,)})]


class Intake:
    """Takes verified events in."""

    def __init__(self, node: Node, backends: Backends | None, offers: Offers) -> None:
        self._node = node
        self._offers = offers
        self._backends = backends
        """None: this node has no provider's role."""
        self._considered: dict[str, asyncio.Task[None]] = {}
        self._live: set[str] = set()
        self._recent: dict[str, float] = {}
        self._closed = False

    def on_event(self, sub_id: str, event: VerifiedEvent, url: str) -> None:
        """The pool delivers an event, once."""
        self._came(event.id)
        if sub_id == OFFERS:
            self._offers.take(event)
        elif event.kind == FEEDBACK:
            self._feedback(event)
        elif event.kind - RESULT_OFFSET in KINDS:
            self._result(event)
        elif self._backends is not None and event.kind in KINDS:
            self._request(event, url)
        elif self._backends is not None and event.kind == 5:
            self._deletion(event)

    def on_eose(self, sub_id: str, url: str) -> None:
        """From now on this relay's requests are new ones, not stored ones."""
        if sub_id == JOBS:
            self._live.add(url)

    def on_repeat(self, event_id: str, url: str) -> None:
        """A verified event came again. For a request of a job that has its offer or answer: whoever sends it lacks that."""
        if self._backends is not None and url in self._live and time.time() > self._recent.get(event_id, 0.0) + REPEAT_SECONDS:
            self._came(event_id)
            self._repeat(event_id)

    def close(self) -> None:
        """Take no new request up; what is under way goes on."""
        self._closed = True

    async def aclose(self) -> None:
        """Stop considering; what was not accepted yet is told again by the relays."""
        for task in self._considered.values():
            task.cancel()
        await asyncio.gather(*self._considered.values(), return_exceptions=True)

    # The provider's side.

    def _came(self, event_id: str) -> None:
        self._recent.pop(event_id, None)
        self._recent[event_id] = time.time()
        if len(self._recent) > MOST_RECENT:
            del self._recent[next(iter(self._recent))]

    def _repeat(self, event_id: str) -> None:
        job = self._node.ledger.provider_job(event_id)
        if job is not None and time.time() > job.created_at + REPEAT_SECONDS:
            self._node.apply(Role.PROVIDER, event_id, Repeated())

    def _request(self, event: VerifiedEvent, url: str) -> None:
        if self._closed or event.id in self._considered:
            return
        if self._node.job(Role.PROVIDER, event.id) is not None:
            if url in self._live:
                self._repeat(event.id)
            return
        # Kept as long as the job is open: without what the relay that brought it may have filled it with.
        task = asyncio.get_running_loop().create_task(self._consider(load(shortest(event))))
        self._considered[event.id] = task
        task.add_done_callback(lambda done: self._decided(event.id, done))

    def _decided(self, event_id: str, task: asyncio.Task[None]) -> None:
        del self._considered[event_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("request %s was dropped by an error of ours", event_id, exc_info=error)

    async def _consider(self, event: VerifiedEvent) -> None:
        """Accept or decline a request. Nothing is stored before the decision."""
        now = time.time()
        job = ProviderJob(id=event.id, request=event, deadline=int(now) + UNBOUNDED_LIFE, created_at=now)
        signal: Signal
        try:
            request = self._read(event, now)
            job = ProviderJob(
                id=event.id, request=event, encrypted=request.encrypted, created_at=now,
                deadline=request.expiration or int(now) + UNBOUNDED_LIFE,
            )
            if len(self._considered) > MOST_CONSIDERED:
                raise JobError(nip90.RATE_LIMITED, "busy: too many requests at once, ask again later")
            signal = await self._decide(request)
        except NotForUs as reason:
            log.debug("request %s is passed over: %s", event.id, reason)
            return
        except JobError as error:
            signal = Declined(Trouble(error.code, error.message))
        if self._node.ledger.is_deleted(event.id, event.pubkey):
            return  # a deletion may arrive before, or while we think about, its request
        self._node.begin(job, signal)

    def _read(self, event: VerifiedEvent, now: float) -> Request:
        keys = self._node.provider_keys
        peer = bytes.fromhex(event.pubkey)
        named = event.values("p")
        if named and keys.pubkey_hex not in named:
            raise NotForUs("it names other providers")
        if event.first("encrypted") is not None and not named:
            raise NotForUs("it is encrypted for nobody that we know")
        request = nip90.read_request(event, lambda payload: keys.decrypt(peer, payload))
        terms.screen(event, request, self._node.terms, now=now)
        return request

    async def _decide(self, request: Request) -> Signal:
        if self._backends is None:
            raise AssertionError("a node without backends considers nothing")
        prompt = terms.read_prompt(request)
        try:
            backend, model = await self._backends.choose(prompt.model, self._node.config.provider.default_model)
            prompt = replace(prompt, model=model.name)  # what is quoted will be asked, also where the customer left the model to us
            tokens = await backend.count(prompt)
        except NoModel as error:
            raise JobError(nip90.INVALID_PARAMETER, error.message) from error
        except ContextOverflow as error:
            raise JobError(nip90.INVALID_PARAMETER, error.message) from error
        except BackendBusy as error:
            raise JobError(nip90.RATE_LIMITED, "busy: ask again later") from error
        except NoBackend as error:
            raise JobError(nip90.SERVICE_UNAVAILABLE, "this provider has no model running now") from error
        open_jobs = self._occupied(time.time())
        return terms.quote(request, prompt, tokens=tokens, context=model.context, open_jobs=open_jobs, terms=self._node.terms)

    def _occupied(self, now: float) -> int:
        """Places in the queue: jobs that are, or will be, computed, and for a short while those that were offered and may still be paid.
        An offer that nobody pays holds no place, or one stranger could fill the queue for nothing."""
        return sum(
            isinstance(job, ProviderJob)
            and (job.state in (ProviderState.RUNNING, ProviderState.ANSWERED) or (
                job.state in (ProviderState.OFFERED, ProviderState.INVOICED) and job.created_at > now - HELD_SECONDS
            ))
            for job in self._node.open_jobs(Role.PROVIDER)
        )

    def _deletion(self, event: VerifiedEvent) -> None:
        """NIP-09: only the author of an event may delete it."""
        for job_id in sorted(read_deletion(event).ids)[:MOST_DELETED]:
            self._node.ledger.delete(job_id, event.pubkey, time.time())
            job = self._node.ledger.provider_job(job_id)
            if job is not None and job.request.pubkey == event.pubkey:
                self._node.apply(Role.PROVIDER, job_id, Cancelled())

    # The buyer's side.

    def _mine(self, job_id: str, customer: str, event: VerifiedEvent) -> BuyerJob | None:
        job = self._node.job(Role.BUYER, job_id)
        if not isinstance(job, BuyerJob) or event.created_at < job.request.created_at - SKEW:
            return None
        return None if customer and customer != job.request.pubkey else job

    def _feedback(self, event: VerifiedEvent) -> None:
        try:
            feedback = nip90.read_feedback(event)
        except WireError as error:
            log.debug("feedback %s is passed over: %s", event.id, error)
            return
        job = self._mine(feedback.request, feedback.customer, event)
        if job is None:
            return
        signal: Signal
        if feedback.status == "payment-required":
            signal = Quoted(event.pubkey, feedback.bolt11, feedback.amount, self._spent(feedback.bolt11))
        elif feedback.status == "error":
            code, message = nip90.read_error(feedback)
            if feedback.encrypted:
                message = self._decrypt(event.pubkey, feedback.content) or message
            signal = Refused(event.pubkey, Trouble(code, message[:500] or "no reason was given"))
        elif feedback.status == "processing":
            signal = Working(event.pubkey)
        else:
            return  # `success`, `partial` and words that nobody has agreed on are tolerated, never payable, never an answer
        self._node.apply(Role.BUYER, job.id, signal)

    def _spent(self, bolt11: str) -> bool:
        try:
            return self._node.ledger.spent(spend.read(bolt11).payment_hash)
        except InvoiceRefused:
            return False  # the table refuses it anyway, with its reason

    def _result(self, event: VerifiedEvent) -> None:
        try:
            result = nip90.read_result(event)
        except WireError as error:
            log.debug("result %s is passed over: %s", event.id, error)
            return
        job = self._mine(result.request, result.customer, event)
        # NIP-90: "Result kind is always 1000 higher than the request kind"
        if job is None or result.kind != job.request.kind + RESULT_OFFSET:
            return
        if job.encrypted and not result.encrypted:
            log.warning("job %s: %s answered an encrypted job in clear; not taken", job.id, event.pubkey)
            return
        text = self._decrypt(event.pubkey, result.content) if result.encrypted else result.content
        if text is None or not text.strip():
            log.warning("job %s: %s sent an answer that is empty or cannot be decrypted", job.id, event.pubkey)
            return
        self._node.apply(Role.BUYER, job.id, Answered(event.pubkey, text, result.model[:200]))

    def _decrypt(self, author: str, payload: str) -> str | None:
        try:
            return self._node.buyer_keys.decrypt(bytes.fromhex(author), payload)
        except DecryptError:
            return None

