"""A whole market from a seed: homes, rogues, relays, a bank, and everything that goes wrong until, at last, it is calm."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pylon.market.job import BuyerJob, Role
from pylon.market.limits import Limits
from pylon.market.signals import PayOrdered, Withdrawn
from pylon.market.terms import Terms
from pylon.node.database import MEMORY
from pylon.nostr.event import sign
from pylon.nostr.keyfile import Record
from pylon.nostr.keys import Identity, Keys
from pylon.nostr.nip90 import FEEDBACK, Input, Request, read_feedback, write_request
from pylon.units import Msat
from tests.sim.bank import Bank
from tests.sim.clock import START, Clock
from tests.sim.home import Home
from tests.sim.relays import Relay
from tests.sim.rogue import Rogue

CALM = START + 400.0
"""From then on nothing fails any more, and everything must come to its end."""


@cache
def identity(n: int) -> Identity:
    """Home number `n`."""
    return Identity(Record(secret=f"{1000 + n:064x}", second=f"{2000 + n:064x}"))


@cache
def stranger(n: int) -> Keys:
    """Rogue number `n`."""
    return Keys((3000 + n).to_bytes(32))


class World:
    """Everything that a seed decides."""

    def __init__(self, clock: Clock, folder: Path | None = None) -> None:
        self.clock = clock
        chance = clock.chance
        self.bank = Bank(clock)
        self.relays = [Relay(clock) for _ in range(chance.randint(1, 3))]
        self.homes: list[Home] = []
        for n in range(chance.randint(2, 4)):
            keys = identity(n).account(0)
            prices = Terms(
                keys.pubkey_hex, Msat(chance.choice((0, 300, 1000, 1000))), Msat(0), chance.random() < 0.85, capacity=8,
                whole_sats=chance.random() < 0.5, max_attempts=2,
            )
            path = MEMORY if folder is None else folder / f"{n}.sqlite3"
            # The first home only buys; the others sell, and one of them may buy too, from itself among others.
            limits = Limits(total=Msat(chance.choice((0, 0, 900, 1000, 2500))), failures=chance.choice((0, 1, 2, 5)), cool_down=30)
            self.homes.append(Home(f"home {n}", clock, self.bank, self.relays, identity(n), prices if n else None, path, limits))
        self.rogues = [
            Rogue(f"rogue {n}", clock, self.bank, self.relays, stranger(n)) for n in range(chance.choice((0, 0, 1, 2)))
        ]
        for home in self.homes:
            self.bank.fund(home.name, chance.choice((0, 900, 5_000, 100_000, 100_000)))
        self.withdrawn: dict[str, float] = {}
        """When the person cancelled a job, by its id."""
        self._plan()

    def _plan(self) -> None:
        chance = self.clock.chance
        for _ in range(chance.randint(2, 4)):
            buyer = self.homes[0] if chance.random() < 0.7 else chance.choice(self.homes)
            self.clock.at(START + 20 * chance.random(), lambda buyer=buyer: self._submit(buyer))  # type: ignore[misc]  # bound now
        for relay in self.relays:
            for _ in range(chance.randint(0, 2)):
                away = START + 150 * chance.random()
                self.clock.at(away, lambda relay=relay: relay.go(up=False))  # type: ignore[misc]  # bound now
                self.clock.at(away + 40 * chance.random(), lambda relay=relay: relay.go(up=True))  # type: ignore[misc]  # bound now
        for home in self.homes:
            for _ in range(chance.randint(0, 3)):
                killed = START + 120 * chance.random() ** 2
                self.clock.at(killed, home.kill)
                self.clock.at(killed + 20 * chance.random(), home.revive)
        self.clock.at(CALM, self._calm)

    def _calm(self) -> None:
        self.bank.faults = False
        for home in self.homes:
            home.faults = False
            if self.clock.happens(0.3):
                home.kill()
            home.revive()
        for relay in self.relays:
            relay.faults = False
            relay.go(up=True)

    def _submit(self, home: Home) -> None:
        if not home.up:
            return
        chance, now = self.clock.chance, int(self.clock.now)
        sellers = [other.node.provider_keys for other in self.homes if other.prices] + [rogue.keys for rogue in self.rogues]
        named = chance.choice(sellers) if chance.random() < 0.4 else None
        bid = Msat(chance.choice((0, 500, 1000, 2000, 2000)))
        deadline = now + chance.choice((15, 60, 150))
        keys = home.node.buyer_keys
        asked = Request(
            5050, (Input("What is 2+2? 🙂 \x00 \u202e"),), bid=bid, providers=(named.pubkey_hex,) if named else (),
            encrypted=named is not None, expiration=deadline,
        )
        draft = write_request(
            asked, created_at=now, salt=chance.randbytes(8), encrypt=(lambda text: keys.encrypt(named.pubkey, text)) if named else None
        )
        event = sign(draft, keys)
        job = BuyerJob(
            id=event.id, request=event, prompt="What is 2+2?", bid=bid, provider=named.pubkey_hex if named else "",
            encrypted=named is not None, auto_pay=chance.random() < 0.7, max_fee=Msat(0), created_at=self.clock.now, deadline=deadline,
        )
        home.node.submit(job)
        for _ in range(0 if job.auto_pay else 3):
            self.clock.soon(lambda: self._order(home, job.id, PayOrdered()), mean=20)
        if chance.random() < 0.3:
            self.clock.soon(lambda: self._order(home, job.id, Withdrawn()), mean=chance.choice((2, 30)))

    def _order(self, home: Home, job_id: str, signal: PayOrdered | Withdrawn) -> None:
        if home.up:
            home.node.apply(Role.BUYER, job_id, signal)
            if isinstance(signal, Withdrawn):
                self.withdrawn[job_id] = self.clock.now

    def run(self) -> None:
        """Until nothing is left to happen."""
        self.clock.run()

    def offers(self, job_id: str, provider: str) -> dict[str, int]:
        """What a provider has asked for a job: invoice and the amount that its event announced."""
        events = {event.id: event for relay in self.relays for event in relay.stored.values() if event.pubkey == provider}
        found = [read_feedback(event) for event in events.values() if event.kind == FEEDBACK and event.values("e") == (job_id,)]
        return {offer.bolt11: offer.amount for offer in found if offer.status == "payment-required" and offer.amount is not None}

    def close(self) -> None:
        """Close the ledgers."""
        for home in self.homes:
            home.ledger.close()
