"""The engine that performs every payment: those of jobs, and those that a person orders.

Vet, limits, the intent on the disk, the mark `sent`, the wallet, the outcome. A wallet says yes, no, or anything else: anything else (a
time-out, an error, silence) is "don't know", and is looked up until the wallet says yes or no. Nothing is ever paid again instead.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable

from pylon.errors import InsufficientFunds, InvoiceRefused, NeverSent, PaymentError, PaymentFailed, PaymentUnknown, PylonError
from pylon.market import spend
from pylon.market.job import BuyerJob, BuyerState, Trouble
from pylon.market.limits import Limits
from pylon.market.payment import Outcome, Status
from pylon.market.signals import Paid, PayFailed, PayUnknown
from pylon.node import coins, faucet
from pylon.node.allowance import Allowance
from pylon.node.journal import Payment
from pylon.node.ledger import Ledger
from pylon.units import Msat
from pylon.wallets import base
from pylon.wallets.base import Coins, Direction, HealthState, Invoice, NodeWallet, PaymentStatus, Wallet

log = logging.getLogger("pylon.node")

PATIENCE = 60.0
"""Seconds that a wallet may take to answer before its payment counts as unknown; it is still listened to."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 60.0
"""Seconds between two looks at a payment whose outcome is open; each pause is twice the one before."""
WRITE_PAUSE = 5.0
"""Seconds between two tries to write to a disk that is full."""
LOOKS = 6
"""How often in a row a wallet that is ready must say that it has never heard of a payment before that counts as no: about 6 s."""
NEVER_SENT = Trouble(NeverSent.code, "the wallet has never heard of this payment")
FAILED = Trouble(PaymentFailed.code, "the payment failed")


class Payments:
    """One engine a node."""

    def __init__(self, ledger: Ledger, wallet: Wallet, currency: str, max_fee: Msat, limits: Limits | None = None) -> None:
        self._ledger = ledger
        self._wallet = wallet
        self._currency = currency
        self._max_fee = max_fee
        self.allowance = Allowance(ledger, limits or Limits())
        self._calls: dict[bytes, asyncio.Task[Outcome]] = {}
        """Payments that the wallet was asked for and has not answered: who waits for one hears its answer at once."""
        self._following: dict[bytes, asyncio.Task[None]] = {}

    @property
    def busy(self) -> bool:
        """Whether a payment is under way, or its outcome looked for: this process has to stay."""
        return bool(self._following) or any(not call.done() for call in self._calls.values())

    # What a person orders.

    async def pay(self, bolt11: str) -> tuple[spend.Payable, base.Paid]:
        """Pay an invoice of no job. Raises InvoiceRefused, OverLimit and its like, PaymentFailed, InsufficientFunds, or PaymentUnknown:
        then it is followed up."""
        bolt11 = bolt11.strip()
        spent = self._ledger.spent(spend.read(bolt11).payment_hash)
        payable = spend.vet(bolt11, tag=None, limit=None, currency=self._currency, now=time.time(), spent_before=spent)
        if self._ledger.payment(Direction.IN, payable.payment_hash) is not None:
            raise PaymentFailed("this is an invoice of this very wallet", hint="give it to somebody else to pay")
        intent = Payment(
            direction=Direction.OUT, payment_hash=payable.payment_hash, bolt11=bolt11, amount=payable.amount, max_fee=self._max_fee,
            status=Status.INTENT, at=time.time(), memo=payable.description[:200], peer=payable.payee.hex(),
        )
        # From here to the mark `sent` nothing is awaited, as in `perform`.
        if (error := self.allowance.refusal(intent, time.time())) is not None:
            raise error
        with self._ledger.transaction(full=True):
            self._ledger.intend(intent)
        outcome = await self._begin(intent)
        try:
            self._record(payable.payment_hash, outcome)
        except PylonError as full:  # a full disk: what has happened is written as soon as it can be
            outcome = PayUnknown(Trouble(PaymentUnknown.code, f"what it says cannot be written: {full.message}"))
        match outcome:
            case Paid(preimage=preimage, fee=fee):
                return payable, base.Paid(preimage, fee)
            case PayFailed(trouble=trouble):
                raise _error(trouble)
        self.follow(payable.payment_hash)
        raise PaymentUnknown(
            f"the wallet does not say what became of the payment: {outcome.trouble.message}",
            hint="it is looked up until that is known; `pylon wallet history` shows it; do not pay again",
        )

    async def fund(self, amount: Msat) -> None:
        """Ask the faucet; see `faucet`."""
        await faucet.fund(self._ledger, self._wallet, amount)

    async def invoice(self, amount: Msat, memo: str, expires_in: int) -> Invoice:
        """An invoice for a person; its settlement is journaled by the wallet's events."""
        made = await self._wallet.invoice(amount, memo, expires_in)
        with self._ledger.transaction():
            self._ledger.intend(Payment(
                direction=Direction.IN, payment_hash=made.payment_hash, bolt11=made.bolt11, amount=made.amount, status=Status.OPEN,
                at=time.time(), memo=memo[:200],
            ))
        return made

    async def send_coins(self, node: NodeWallet, address: str, amount: Msat | None, sat_per_vbyte: int | None) -> Coins:
        """Send coins on the chain, or all (None); see `coins.send`."""
        return await coins.send(self._ledger, self.allowance, node, address, amount, sat_per_vbyte)

    # One payment.

    async def perform(self, payment_hash: bytes, *, resumed: bool = False) -> Outcome:
        """Do what the intent in the journal says, and give the outcome, which the caller journals with whatever follows from it.
        `resumed`: it was written before a crash. Ended by a cancellation it stays `sent`, and the next start looks it up."""
        line = self._ledger.payment(Direction.OUT, payment_hash)
        if line is None:
            raise AssertionError("a payment is performed without an intent")
        if line.status is not Status.INTENT:
            return _as_it_stands(line)
        if resumed and (outcome := await self._found(line)) is not None:
            return outcome
        # From here to the mark `sent` nothing is awaited: of payers at once, each sees what those before it have taken.
        if (error := self.allowance.refusal(line, time.time())) is not None:
            log.warning("a payment is not begun: %s", error.message)
            return PayFailed(Trouble(error.code, error.message))
        return await self._begin(line)

    async def _begin(self, line: Payment) -> Outcome:
        """The mark, the wallet, its answer; after PATIENCE, don't know."""
        payment_hash = line.payment_hash
        with self._ledger.transaction():
            self._ledger.send(payment_hash, now=time.time())
        call = asyncio.get_running_loop().create_task(self._ask(line))
        self._calls[payment_hash] = call
        done, _ = await asyncio.wait((call,), timeout=PATIENCE)
        if not done:
            return PayUnknown(Trouble(PaymentUnknown.code, f"the wallet has not answered within {PATIENCE:.0f} s"))
        del self._calls[payment_hash]
        return call.result()

    async def _ask(self, line: Payment) -> Outcome:
        """The wallet's answer, whatever it does."""
        try:
            paid = await self._wallet.pay(line.bolt11, max_fee=line.max_fee, key=line.payment_hash)
        except (PaymentFailed, InsufficientFunds) as error:
            return PayFailed(Trouble(error.code, error.message))
        except PylonError as error:
            # Whatever else a wallet says, or breaks with, in the middle: it is not a no.
            return PayUnknown(Trouble(error.code, error.message))
        except Exception as error:  # a wallet may be anybody's: its bug is not a no either
            log.exception("the wallet broke in the middle of a payment")
            return PayUnknown(Trouble(PaymentUnknown.code, f"the wallet broke: {type(error).__name__}"))
        return _proven(line.payment_hash, paid.preimage, paid.fee)

    async def _found(self, line: Payment) -> Outcome | None:
        """An intent of before a crash. The mark `sent` may be lost with the power: only where the wallet has never heard of it, and the
        invoice still lives, is it begun."""
        looked = await self._look(line.payment_hash)
        if looked is not None:
            return looked if isinstance(looked, Paid | PayFailed) else PayUnknown(Trouble(PaymentUnknown.code, "it is on its way"))
        if not await self._ready():
            return PayUnknown(Trouble(PaymentUnknown.code, "the wallet is not ready"))
        try:
            spend.vet(line.bolt11, tag=None, limit=line.amount, currency=self._currency, now=time.time(), spent_before=False)
        except PaymentError as error:
            return PayFailed(Trouble(error.code, error.message))
        return None

    # What became of it.

    async def resolve(self, payment_hash: bytes) -> Paid | PayFailed:
        """Look a payment up until the wallet says yes or no. The caller journals it."""
        pause, never = FIRST_PAUSE, 0
        while True:
            looked = await self._look(payment_hash)
            if isinstance(looked, Paid | PayFailed):
                return looked
            call = self._calls.get(payment_hash)
            # A wallet that has never heard of it may be about to: it is asked some more times, and must be well, before that is a no.
            never = never + 1 if looked is None and call is None and await self._ready() else 0
            if never >= LOOKS:
                return PayFailed(NEVER_SENT)
            if call is None:
                await asyncio.sleep(pause)
            elif (await asyncio.wait((call,), timeout=LONGEST_PAUSE))[0]:
                # The wallet pushes: no need to ask more often than now and then.
                self._calls.pop(payment_hash, None)
                if isinstance(outcome := call.result(), Paid | PayFailed):
                    return outcome
            pause = min(LONGEST_PAUSE, 2 * pause)

    async def _look(self, payment_hash: bytes) -> Outcome | None:
        """What the wallet says of it now; None: it has never heard of it."""
        try:
            state = await self._wallet.lookup(payment_hash, Direction.OUT)
        except Exception as error:  # as in `_ask`: whatever it breaks with, it has not answered
            log.warning("a payment cannot be looked up yet: %s", error)
            return PayUnknown(Trouble(PaymentUnknown.code, "the wallet does not answer"))
        match state.status:
            case PaymentStatus.SETTLED:
                return _proven(payment_hash, state.preimage or b"", state.fee)
            case PaymentStatus.FAILED | PaymentStatus.EXPIRED:
                return PayFailed(FAILED)
            case PaymentStatus.UNKNOWN:
                return None
        return PayUnknown(Trouble(PaymentUnknown.code, "the payment is on its way"))

    async def _ready(self) -> bool:
        try:
            return (await self._wallet.health()).state is HealthState.READY
        except PylonError as error:
            log.warning("the wallet does not say how it is: %s", error.message)
            return False

    # Following up.

    def resume(self) -> None:
        """At a start: what became of the payments that were under way? Those of open jobs are followed by their effects."""
        for line in self._ledger.pending():
            if (line.wallet, line.network) != (self._ledger.purse.wallet, self._ledger.purse.network):
                continue  # it is another wallet's, which knows of it when it is back
            job = self._ledger.buyer_job(line.job) if line.job else None
            if isinstance(job, BuyerJob) and job.state in (BuyerState.PAYING, BuyerState.UNSURE):
                continue
            if line.status is not Status.UNKNOWN:
                self._record(line.payment_hash, PayUnknown(Trouble(PaymentUnknown.code, "the node ended in the middle")))
            if not line.bolt11:
                continue  # coins on the chain: they have no hash to look for
            self.follow(line.payment_hash)

    def follow(self, payment_hash: bytes) -> None:
        """Look a payment up until the wallet knows, and journal what it says."""
        if payment_hash not in self._following:
            task = asyncio.get_running_loop().create_task(self._follow(payment_hash))
            self._following[payment_hash] = task
            task.add_done_callback(lambda _: self._following.pop(payment_hash, None))

    async def _follow(self, payment_hash: bytes) -> None:
        outcome = await self.resolve(payment_hash)
        await until_written(lambda: self._record(payment_hash, outcome))

    def _record(self, payment_hash: bytes, outcome: Outcome) -> None:
        with self._ledger.transaction(full=not isinstance(outcome, PayUnknown)):
            self._ledger.take(payment_hash, outcome, now=time.time())

    async def aclose(self) -> None:
        """Stop waiting and following; the journal remembers."""
        tasks = [*self._calls.values(), *self._following.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_written(write: Callable[[], None]) -> None:
    """Write what became of a payment: on a disk that is full, as soon as there is room."""
    while True:
        try:
            write()
        except PylonError as error:
            log.error("what became of a payment cannot be written yet: %s", error.message)
            await asyncio.sleep(WRITE_PAUSE)
        else:
            return


def _proven(payment_hash: bytes, preimage: bytes, fee: Msat) -> Paid:
    """A yes. A preimage that does not open the hash proves nothing, and is not kept as a proof; the money counts as gone all the same."""
    if preimage and hashlib.sha256(preimage).digest() != payment_hash:
        log.error("the wallet says that a payment is settled, and its preimage is of another hash")
        preimage = b""
    return Paid(preimage, fee)


def _as_it_stands(line: Payment) -> Outcome:
    """A payment that is further than its intent is not begun again: its outcome, or that it is not known."""
    if line.status is Status.SETTLED:
        return Paid(line.preimage, line.fee, line.own)
    if line.status is Status.FAILED:
        return PayFailed(line.trouble or FAILED)
    return PayUnknown(line.trouble or Trouble(PaymentUnknown.code, "it was under way when the node ended"))


def _error(trouble: Trouble) -> PylonError:
    """The trouble of a payment as the error that it was."""
    kinds = {kind.code: kind for kind in (PaymentFailed, InsufficientFunds, InvoiceRefused)}
    if trouble.code not in kinds:
        return PaymentFailed(trouble.message)
    hint = "`pylon wallet balance` shows what there is, `pylon wallet fund` asks a test network's faucet"
    return kinds[trouble.code](trouble.message, hint=hint if trouble.code == InsufficientFunds.code else "")
