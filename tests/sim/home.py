"""A home in a simulated world: the real node with its real ledger and tables; a small performer does its effects in steps.

Between any two steps the home may be killed: what is scheduled for it is forgotten, the ledger is opened anew, and `resume` does what is
unfinished.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from pylon.config import Config
from pylon.errors import InsufficientFunds, PaymentFailed, PaymentUnknown
from pylon.market import terms
from pylon.market.effects import (
    CancelInvoice,
    Generate,
    LookUp,
    MakeInvoice,
    Pay,
    Publish,
    Resend,
    Send,
    StopGenerating,
    Then,
    Wake,
)
from pylon.market.job import ProviderJob, ProviderState, Role, Trouble
from pylon.market.limits import Limits
from pylon.market.payment import Status
from pylon.market.signals import (
    Accepted,
    Cancelled,
    Declined,
    Delivered,
    Generated,
    GenerateFailed,
    Invoiced,
    InvoiceFailed,
    NotPosted,
    Paid,
    PayFailed,
    PayUnknown,
    Posted,
    Repeated,
    Signal,
    Woke,
)
from pylon.market.terms import NotForUs, Terms
from pylon.node import earning
from pylon.node.allowance import Allowance
from pylon.node.database import MEMORY
from pylon.node.intake import Intake
from pylon.node.ledger import Ledger, StoredEffect
from pylon.node.node import Node
from pylon.node.offers import Offers
from pylon.nostr import nip90
from pylon.nostr.event import VerifiedEvent, sign
from pylon.nostr.keys import Identity
from pylon.nostr.nip09 import read_deletion
from pylon.nostr.nip90 import FEEDBACK, RESULT_OFFSET, JobError
from pylon.units import Msat
from pylon.wallets.base import Direction, PaymentState, PaymentStatus, WalletEvent
from tests.sim.bank import Bank
from tests.sim.clock import Clock
from tests.sim.relays import Relay

MARK = "wallet.sim"


class Home:
    """One home. `prices` is None for one that only buys."""

    def __init__(
        self, name: str, clock: Clock, bank: Bank, relays: list[Relay], identity: Identity, prices: Terms | None, path: Path = MEMORY,
        limits: Limits | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.bank = bank
        self.relays = relays
        self.identity = identity
        self.prices = prices
        self.limits = limits or Limits()
        self.path = path
        self.up = False
        self.faults = True
        self.seen: Counter[str] = Counter()
        """What has happened to payments of this home."""
        self._life = 0
        self._running: set[str] = set()
        self._seen: set[str] = set()
        self.ledger = Ledger(path, secret=identity.wallet_secret())
        bank.balances.setdefault(name, 0)
        bank.listeners[name] = self._news
        self.start()

    # Life and death.

    def start(self) -> None:
        """Start, for the first time or after a kill: the same code."""
        self.up = True
        nobody = Terms(self.identity.account(0).pubkey_hex, Msat(0), Msat(0), True, 0, False)
        self.node = Node(Config(), self.identity, self.ledger, self.prices or nobody)
        self.intake = Intake(self.node, None, Offers())
        self.node.performer = self
        self.allowance = Allowance(self.ledger, self.limits)
        self.node.resume(provides=True)
        for relay in self.relays:
            relay.subscribe(self.hear, self._wants)
        for event in self.bank.news.get(self.name, ())[self.ledger.mark(MARK) or 0:]:
            self._news(event)

    def kill(self) -> None:
        """SIGKILL: only the ledger is left."""
        if self.up:
            self.up = False
            self._life += 1
            self._running.clear()
            self._seen.clear()
            if self.path != MEMORY:
                self.ledger.close()
                self.ledger = Ledger(self.path, secret=self.identity.wallet_secret())

    def revive(self) -> None:
        """Start again, where it was killed."""
        if not self.up:
            self.start()

    def soon(self, what: Callable[[], None], mean: float = 0.3, at: float = 0.0) -> None:
        """Do something later, if this life lasts so long."""
        life = self._life

        def unless_dead() -> None:
            if self._life == life:
                what()

        if at:
            self.clock.at(at, unless_dead)
        else:
            self.clock.soon(unless_dead, mean)

    # What comes in.

    def _news(self, event: WalletEvent) -> None:
        def take() -> None:
            earning.take(self.node, event)
            self.ledger.set_mark(MARK, max(event.cursor, self.ledger.mark(MARK) or 0))

        if self.up:
            for _ in range(2 if self.faults and self.clock.happens(0.2) else 1):
                # The wallet tells in order; a second word about the same may come at any time.
                self.soon(take, at=self.clock.now + 0.5)

    def _wants(self, event: VerifiedEvent) -> bool:
        """The filters of a node: requests and deletions where it sells, and whatever names one of its accounts."""
        if event.kind in (5, 5050):
            return self.prices is not None
        return any(person == keys.pubkey_hex for keys in self.node.accounts for person in event.values("p"))

    def hear(self, event: VerifiedEvent) -> None:
        """A relay tells something, perhaps not for the first time."""
        # The pool drops what it has seen in this life; where it does not, the tables must.
        if not self.up or (event.id in self._seen and self.clock.happens(0.8)):
            return
        self._seen.add(event.id)
        if event.kind == 5050:
            if self.prices is not None:
                self._request(event)
        elif event.kind == 5:
            if self.prices is not None:
                self._deletion(event)
        else:
            self.intake.on_event("answers", event, "")

    def _request(self, event: VerifiedEvent) -> None:
        if self.ledger.provider_job(event.id) is not None:
            self.node.apply(Role.PROVIDER, event.id, Repeated())
            return
        assert self.prices is not None
        keys = self.node.provider_keys
        signal: Signal
        try:
            request = nip90.read_request(event, lambda payload: keys.decrypt(bytes.fromhex(event.pubkey), payload))
            terms.screen(event, request, self.prices, now=self.clock.now)
            prompt = terms.read_prompt(request)
            busy = 99 if self.faults and self.clock.happens(0.1) else 0
            signal = terms.quote(request, prompt, tokens=7, context=2048, open_jobs=busy, terms=self.prices)
        except (NotForUs, JobError):
            return
        deadline = request.expiration or int(self.clock.now) + 60
        job = ProviderJob(id=event.id, request=event, encrypted=request.encrypted, deadline=deadline, created_at=self.clock.now)

        def decide() -> None:
            if self.ledger.provider_job(event.id) is None and not self.ledger.is_deleted(event.id, event.pubkey):
                self.node.begin(job, signal)

        assert isinstance(signal, Accepted | Declined)
        self.soon(decide)

    def _deletion(self, event: VerifiedEvent) -> None:
        for job_id in read_deletion(event).ids:
            self.ledger.delete(job_id, event.pubkey, self.clock.now)
            job = self.ledger.provider_job(job_id)
            if job is not None and job.request.pubkey == event.pubkey:
                self.node.apply(Role.PROVIDER, job_id, Cancelled())

    # What is done.

    def perform(self, stored: StoredEffect, *, resumed: bool = False) -> None:
        """Begin an effect: each of its steps comes later, and the home may die before any of them."""
        match stored.effect:
            case Wake(at=at):
                # A loop's timers may be a little early.
                self.soon(lambda: self._tell(stored, Woke()), at=max(at - self.clock.chance.choice((0, 0.001)), self.clock.now))
            case Publish() | Send() | Resend():
                self.soon(lambda: self._publish(stored))
            case MakeInvoice() as make:
                self.soon(lambda: self._invoice(stored, make))
            case Pay() as pay:
                self.soon(lambda: self._pay(stored, pay, resumed))
            case LookUp(payment_hash=payment_hash):
                self.soon(lambda: self._look_up(stored, payment_hash), mean=3)
            case CancelInvoice(payment_hash=payment_hash):
                self.soon(lambda: self._cancel(stored, payment_hash))
            case Generate(not_before=not_before):
                self.soon(lambda: self._generate(stored), at=max(not_before, self.clock.now + self.clock.chance.random()))
            case StopGenerating():
                self._running.discard(stored.job)
                self.ledger.finish(stored.n)

    def _tell(self, stored: StoredEffect, signal: Signal) -> None:
        self.node.apply(stored.role, stored.job, signal, done=stored.n)

    def _publish(self, stored: StoredEffect) -> None:
        effect = stored.effect
        then = Then.NOTHING
        event = stored.event
        if isinstance(effect, Send):
            event, then = effect.event, effect.then
        elif isinstance(effect, Publish):
            then = effect.then
            if event is None:
                keys, draft = self.node.accounts[effect.account], effect.draft
                if effect.reveal and (sold := self.node.job(stored.role, stored.job)):
                    draft = replace(draft, content=sold.preimage.hex())
                if effect.seal_to:
                    draft = replace(draft, content=keys.encrypt(bytes.fromhex(effect.seal_to), draft.content))
                event = sign(draft, keys)
                self.ledger.sign(stored.n, event)
        else:
            job = self.ledger.provider_job(stored.job)
            assert job is not None
            event = self.ledger.published(stored.role, stored.job, job.request.kind + RESULT_OFFSET if job.answer else FEEDBACK)
        self.soon(lambda: self._sent(stored, event, then))

    def _sent(self, stored: StoredEffect, event: VerifiedEvent | None, then: Then) -> None:
        took = event is not None and any([relay.publish(event) for relay in self.relays])
        if then is Then.DELIVERED and not took:
            self.soon(lambda: self._sent(stored, event, then), mean=5)
        elif then is Then.DELIVERED:
            self.soon(lambda: self._tell(stored, Delivered()))
        elif then is Then.POSTED:
            self.soon(lambda: self._tell(stored, Posted() if took else NotPosted(Trouble("no_relay", "no relay took it"))))
        else:
            self.soon(lambda: self.ledger.finish(stored.n))

    def _invoice(self, stored: StoredEffect, effect: MakeInvoice) -> None:
        if self.faults and self.clock.happens(0.05):
            self._tell(stored, InvoiceFailed(Trouble("payment", "the wallet is away")))
            return
        made = self.bank.invoice(self.name, effect.amount, effect.memo, effect.expires_in)
        self.soon(lambda: self._tell(stored, Invoiced(made.bolt11, made.payment_hash, made.amount, made.expires_at)))

    def _pay(self, stored: StoredEffect, effect: Pay, resumed: bool) -> None:
        """As `Payments.perform` does, in steps: the home may die between the intent, the mark `sent`, the wallet, and the outcome."""
        line = self.ledger.payment(Direction.OUT, effect.payment_hash)
        assert line is not None, "a payment without an intent"
        if self.ledger.payment(Direction.IN, effect.payment_hash) is not None:
            if self.node.settle_own(stored.n, stored.job):
                self.bank.cancel(effect.payment_hash)
            else:
                self._tell(stored, PayFailed(Trouble("payment_failed", "not the open invoice of this job")))
            return
        if line.status is not Status.INTENT:
            self.seen["crash between sent and outcome"] += 1
            self._tell(stored, PayUnknown(Trouble("payment_unknown", "it was under way when the home died")))
            return
        if resumed:
            self.seen["crash between intent and sent"] += 1
            state = self.bank.lookup(self.name, effect.payment_hash, Direction.OUT)
            if state.status is not PaymentStatus.UNKNOWN:
                self._looked(stored, effect.payment_hash, state)
                return
        if (error := self.allowance.refusal(line, self.clock.now)) is not None:
            self.seen[error.code] += 1
            self._tell(stored, PayFailed(Trouble(error.code, error.message)))
            return
        with self.ledger.transaction():
            self.ledger.send(effect.payment_hash, now=self.clock.now)
        if self.faults and self.clock.happens(0.2):
            self.soon(lambda: self._ask(stored, effect), mean=5)
        else:
            self._ask(stored, effect)

    def _ask(self, stored: StoredEffect, effect: Pay) -> None:
        signal: Signal
        try:
            paid = self.bank.pay(self.name, effect.payment_hash)
            signal = Paid(paid.preimage, paid.fee)
        except PaymentUnknown as error:
            signal = PayUnknown(Trouble(error.code, error.message))
        except (PaymentFailed, InsufficientFunds) as error:
            signal = PayFailed(Trouble(error.code, error.message))
        self.soon(lambda: self._tell(stored, signal))

    def _looked(self, stored: StoredEffect, payment_hash: bytes, state: PaymentState) -> None:
        if isinstance(stored.effect, LookUp):
            self.seen[f"unknown, then {state.status}"] += 1
        if state.status is PaymentStatus.SETTLED:
            self._tell(stored, Paid(state.preimage or b"", state.fee))
        elif state.status is PaymentStatus.PENDING and isinstance(stored.effect, Pay):
            self._tell(stored, PayUnknown(Trouble("payment_unknown", "it is on its way")))
        elif state.status is PaymentStatus.PENDING:
            self.soon(lambda: self._look_up(stored, payment_hash), mean=3)
        else:
            self._tell(stored, PayFailed(Trouble("payment_failed", "the payment failed")))

    def _look_up(self, stored: StoredEffect, payment_hash: bytes) -> None:
        self._looked(stored, payment_hash, self.bank.lookup(self.name, payment_hash, Direction.OUT))

    def _cancel(self, stored: StoredEffect, payment_hash: bytes) -> None:
        self.bank.cancel(payment_hash)
        self.soon(lambda: self.ledger.finish(stored.n))

    def _generate(self, stored: StoredEffect) -> None:
        job = self.node.job(Role.PROVIDER, stored.job)
        assert isinstance(job, ProviderJob)
        if job.state not in (ProviderState.RUNNING, ProviderState.OWING) or job.id in self._running:
            self.ledger.finish(stored.n)
            return
        assert job.paid or job.price == 0, "work without pay"
        self._running.add(job.id)
        self.soon(lambda: self._generated(stored, job), mean=self.clock.chance.choice((1, 15)))

    def _generated(self, stored: StoredEffect, job: ProviderJob) -> None:
        if job.id not in self._running:
            self.ledger.finish(stored.n)
            return
        self._running.discard(job.id)
        if self.faults and self.clock.happens(0.4):
            self._tell(stored, GenerateFailed(Trouble("SERVICE_UNAVAILABLE", "the model broke"), self.clock.happens(0.4)))
        else:
            self._tell(stored, Generated(f"{self.node.provider_keys.pubkey_hex} answers {job.id}", "tiny", 3))
