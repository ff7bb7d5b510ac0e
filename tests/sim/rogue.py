"""Providers and strangers that do what they should not: a seeded choice of bad habits for every request they hear of."""

from __future__ import annotations

from collections.abc import Callable

from pylon.nostr.event import Draft, Tags, VerifiedEvent, sign
from pylon.nostr.keys import Keys
from pylon.nostr.nip09 import deletion_draft
from pylon.nostr.nip90 import read_request, write_feedback, write_result
from pylon.units import Msat
from pylon.wallets.base import WalletEvent
from tests.sim.bank import Bank
from tests.sim.clock import Clock
from tests.sim.relays import Relay

Habit = Callable[["Rogue", VerifiedEvent], None]


class Rogue:
    """A key with an account and no manners."""

    def __init__(self, name: str, clock: Clock, bank: Bank, relays: list[Relay], keys: Keys) -> None:
        self.name = name
        self.clock = clock
        self.bank = bank
        self.relays = relays
        self.keys = keys
        self.reused = ""
        self.overheard: list[str] = []
        self.requests: dict[bytes, VerifiedEvent] = {}
        self.heard: set[str] = set()
        bank.balances.setdefault(name, 0)
        bank.listeners[name] = self._paid
        for relay in relays:
            relay.subscribe(self.hear, lambda event: event.kind in (5050, 7000))

    def hear(self, event: VerifiedEvent) -> None:
        """Requests, whoever they name, and the offers of others."""
        if event.kind == 7000:
            self.overheard += [tag[2] for tag in event.tags if tag[0] == "amount" and len(tag) > 2]
        elif event.kind == 5050 and event.id not in self.heard:
            self.heard.add(event.id)
            for habit in self.clock.chance.sample(HABITS, self.clock.chance.randint(1, 2)):
                self.clock.soon(lambda habit=habit: habit(self, event), mean=1)  # type: ignore[misc]  # the habit is bound now

    def say(self, draft: Draft) -> None:
        """Sign and publish."""
        event = sign(draft, self.keys)
        for relay in self.relays:
            relay.publish(event)

    def offer(self, request: VerifiedEvent, tag: int, bolt11: str) -> None:
        """Feedback `payment-required`."""
        self.say(write_feedback(request, "payment-required", created_at=int(self.clock.now), amount=Msat(tag), bolt11=bolt11))

    def invoice(self, request: VerifiedEvent, amount: int, expires_in: int = 600, currency: str = "bcrt") -> str:
        """An invoice of its own."""
        made = self.bank.invoice(self.name, Msat(amount), f"pylon:{request.id}", expires_in, currency)
        self.requests[made.payment_hash] = request
        return made.bolt11

    def answer(self, request: VerifiedEvent, text: str) -> None:
        """A result."""
        self.say(write_result(request, text, created_at=int(self.clock.now), model="rogue"))

    def _paid(self, news: WalletEvent) -> None:
        """The money is here: an answer, an error, or silence."""
        request = self.requests[news.payment_hash]
        match self.clock.chance.randint(0, 3):
            case 0:
                self.clock.soon(lambda: self.answer(request, f"{self.keys.pubkey_hex} answers {request.id}"))
            case 1:
                self.clock.soon(lambda: refuse(self, request))
            case _:
                pass


def bid(request: VerifiedEvent) -> int:
    """What the customer would pay; targeted requests say it in clear too."""
    return int(next(iter(request.values("bid")), "1000"))


def refuse(rogue: Rogue, request: VerifiedEvent) -> None:
    """Feedback `error`."""
    rogue.say(write_feedback(request, "error", created_at=int(rogue.clock.now), extra="RATE_LIMITED: not today"))


def ask_fairly(rogue: Rogue, request: VerifiedEvent) -> None:
    """A good invoice; what follows the payment is another matter."""
    rogue.offer(request, 800, rogue.invoice(request, 800))


def ask_twice(rogue: Rogue, request: VerifiedEvent) -> None:
    """Two invoices for one request, the second for more."""
    rogue.offer(request, 500, rogue.invoice(request, 500))
    rogue.offer(request, 900, rogue.invoice(request, 900))


def ask_more_than_said(rogue: Rogue, request: VerifiedEvent) -> None:
    """The tag says less than the invoice, or the invoice more than the bid."""
    rogue.offer(request, 100, rogue.invoice(request, 1200))
    rogue.offer(request, 10**9, rogue.invoice(request, bid(request) + 1))


def ask_for_what_cannot_be_paid(rogue: Rogue, request: VerifiedEvent) -> None:
    """Another network, an invoice about to end, no invoice at all."""
    other, ending = rogue.invoice(request, 700, currency="bc"), rogue.invoice(request, 700, expires_in=1)
    for bolt11 in (other, ending, "sp1qqweplq", "x@example.com", ""):
        if rogue.clock.happens(0.5):
            rogue.offer(request, 700, bolt11)


def reuse(rogue: Rogue, request: VerifiedEvent) -> None:
    """One invoice for all jobs of all customers."""
    rogue.reused = rogue.reused or rogue.invoice(request, 600)
    rogue.offer(request, 600, rogue.reused)


def copy(rogue: Rogue, request: VerifiedEvent) -> None:
    """Somebody else's invoice under its own name."""
    if rogue.overheard:
        rogue.offer(request, 1000, rogue.clock.chance.choice(rogue.overheard))


def answer_unasked(rogue: Rogue, request: VerifiedEvent) -> None:
    """A result before, or without, any money."""
    rogue.answer(request, f"{rogue.keys.pubkey_hex} answers {request.id}")


def promise(rogue: Rogue, request: VerifiedEvent) -> None:
    """`processing`, for ever."""
    rogue.say(write_feedback(request, "processing", created_at=int(rogue.clock.now)))


def take_back(rogue: Rogue, request: VerifiedEvent) -> None:
    """An offer, and its refusal."""
    ask_fairly(rogue, request)
    rogue.clock.soon(lambda: refuse(rogue, request))


def delete(rogue: Rogue, request: VerifiedEvent) -> None:
    """The deletion of what somebody else wrote."""
    rogue.say(deletion_draft(request, int(rogue.clock.now)))


def babble(rogue: Rogue, request: VerifiedEvent) -> None:
    """Kinds and words that nobody has agreed on."""
    tags: Tags = (("e", request.id), ("p", request.pubkey), ("status",), ("amount",), ("status", "payment-required", ""))
    rogue.say(Draft(7000, int(rogue.clock.now), "\x00🙂", tags))
    rogue.say(Draft(6050, int(rogue.clock.now), " \n", tags))
    rogue.say(Draft(6051, int(rogue.clock.now), "another kind", tags))
    assert read_request(request, lambda _: "[]").kind == 5050


HABITS: list[Habit] = [
    refuse, ask_fairly, ask_twice, ask_more_than_said, ask_for_what_cannot_be_paid, reuse, copy, answer_unasked, promise, take_back, delete,
    babble,
]
