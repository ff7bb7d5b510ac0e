"""Payments while processes are killed: `python -m benches.wallet_crash --payments 1000 --every 3 --seed 7`.

A buyer pays a provider's invoices, over our engine and its journal, through the hub. Every few seconds one of the three processes (buyer,
provider, private network with the hub) gets `kill -9`, at a moment that the seed chooses, and is started again. What is lost is replaced by
the parties themselves; this only watches, asks, and in the end lets the blocks come that closed channels wait for. Then the books are held
against the chain: start = end + fees of transactions + anchors, remainder 0; no invoice was paid twice; no payment is left unknown.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import msgspec

from benches.wallet_books import costs, given, holdings, node_id
from benches.wallet_outcome import Kill, Outcome, Plan, table
from benches.wallet_stage import Document, Party, Stage, eventually, until
from pylon.control.client import Gone
from pylon.errors import InsufficientFunds, PaymentsPaused, PylonError
from pylon.market.payment import Status
from pylon.node.ledger import Ledger

FUND_SATS = 3_000_000
LEAST_SATS = 100_000
DUST_MSAT = 546_000
"""Less than that may have no output of its own in a commitment (BOLT 3; the exact bound depends on the channel's fee)."""
RESOLVE_SECONDS = 120.0
ROUNDS, ROUND_SECONDS = 2, 60.0
"""After the kills: what failed for certain is paid anew."""
DONE = (Status.SETTLED, Status.FAILED)


class Harness:
    """One run."""

    def __init__(self, stage: Stage, plan: Plan) -> None:
        self._stage = stage
        self._plan = plan
        self._dice = random.Random(plan.seed)
        self._buyer = stage.party("buyer", limits="failures = 0")  # no pause after failures: they are what is looked for
        self._provider = stage.party("provider")
        self._outcome = Outcome()
        self._amounts: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._fundings_at_start: set[str] = set()
        self._left = list(range(plan.payments))
        self._flying = 0
        self._over = asyncio.Event()
        self._funding = asyncio.Lock()
        self._end = time.monotonic() + plan.seconds

    async def run(self) -> Outcome:
        """All of it."""
        began = time.monotonic()
        await self._buyer.ask("wallet.fund", {"sats": FUND_SATS})
        await self._provider.ask("wallet.invoice", {"sats": 1, "memo": "so that it can receive"})
        self._outcome.start = await holdings(self._stage, [self._buyer, self._provider])
        self._fundings_at_start = await self._fundings()
        killer = asyncio.ensure_future(self._kill())
        try:
            await asyncio.gather(*(self._work() for _ in range(self._plan.workers)))
        finally:
            self._over.set()
            await killer
        for _ in range(ROUNDS):
            await self._resolve()
            self._left, self._end = self._unpaid(), time.monotonic() + ROUND_SECONDS
            await asyncio.gather(*(self._work() for _ in range(self._plan.workers)))
        self._outcome.end = await holdings(self._stage, [self._buyer, self._provider])
        self._outcome.costs = costs(self._stage.folder / "chain" / "chain.sqlite3", self._outcome.start.height)
        self._outcome.given = given(self._stage.folder, await node_id(self._provider), self._fundings_at_start)
        self._compare()
        self._outcome.seconds = time.monotonic() - began
        return self._outcome

    # Payments.

    async def _work(self) -> None:
        while self._left and time.monotonic() < self._end:
            number = self._left.pop()
            try:
                invoice = await self._invoice(number)
            except (Gone, PylonError) as error:
                self._outcome.tries[f"invoice: {_word(error)}"] += 1
                self._left.append(number)
                await asyncio.sleep(0.2)
                continue
            if not await self._pay(invoice):
                self._left.append(number)

    async def _invoice(self, number: int) -> Document:
        """An invoice for a small amount or a larger one: the small ones are dust, which no transaction can carry."""
        sats = self._dice.choice((1, 3, 21, 144, 600, 2_100, 4_000))
        made = await self._provider.ask("wallet.invoice", {"sats": sats, "memo": f"payment {number}"})
        self._amounts[str(made["payment_hash"])] = sats * 1000
        self._numbers[str(made["payment_hash"])] = number
        return made

    async def _pay(self, invoice: Document) -> bool:
        """Whether this invoice is done with: paid, or not known yet. False where it is certain that it was not paid."""
        self._flying += 1
        try:
            await self._buyer.ask("ping")
            await self._buyer.once("wallet.pay", {"invoice": invoice["bolt11"]})
            self._outcome.tries["paid"] += 1
            return True
        except (Gone, PylonError) as error:
            self._outcome.tries[_word(error)] += 1
            if _word(error) == InsufficientFunds.code:
                await self._fund()
            if _word(error) == PaymentsPaused.code:
                await asyncio.sleep(1.0)
        finally:
            self._flying -= 1
        payment_hash = str(invoice["payment_hash"])
        deadline = time.monotonic() + 5.0
        while time.monotonic() < deadline:
            status = self._state(payment_hash)
            if status is None or status is Status.FAILED:
                return False  # it never began, or it is certain that nothing has left
            if status is Status.SETTLED:
                return True
            await asyncio.sleep(0.2)
        return True  # the journal keeps it in mind, and so does `_compare`

    async def _fund(self) -> None:
        """A channel was lost, and what the buyer had in it comes back on the chain: it asks the faucet for more, as a person would."""
        async with self._funding:
            try:
                if await self._buyer.number("wallet.balance", "spendable_msat") < LEAST_SATS * 1000:
                    await self._buyer.ask("wallet.fund", {"sats": FUND_SATS})
            except PylonError as error:
                self._outcome.tries[f"fund: {_word(error)}"] += 1

    def _state(self, payment_hash: str) -> Status | None:
        """What the buyer's journal says."""
        return self._journal(self._buyer).get(payment_hash)

    def _journal(self, party: Party) -> dict[str, Status]:
        ledger = Ledger(party.home.ledger, readonly=True)
        try:
            return {payment.payment_hash.hex(): payment.status for payment in ledger.history(1_000_000)}
        finally:
            ledger.close()

    # Kills.

    async def _kill(self) -> None:
        for _ in range(self._plan.kills):
            try:
                await asyncio.wait_for(self._over.wait(), self._dice.uniform(0.3, 1.7) * self._plan.every)
                return
            except TimeoutError:
                await self._kill_one(self._dice.choice(self._plan.who.split(",")))

    async def _kill_one(self, who: str) -> None:
        before = await self._fundings()
        kill = Kill(who, self._flying)
        began = time.monotonic()
        if who == "hub":
            await self._stage.kill_network()
            await until(self._stage.serves, "the network runs again")  # by the wallets, which have payments there
        else:
            party = self._buyer if who == "buyer" else self._provider
            await party.kill()
            await party.start()
        kill.up = time.monotonic() - began
        await self._usable()
        kill.usable = time.monotonic() - began - kill.up
        kill.lost = len(before - await self._fundings())
        self._outcome.kills.append(kill)
        times = f"runs again after {kill.up:.1f} s, channels usable {kill.usable:.1f} s later"
        print(f"  {who:<9} killed, {kill.in_flight} on their way: {times}, channels lost {kill.lost}", flush=True)

    async def _fundings(self) -> set[str]:
        return {channel.funding_txid for channel in (await self._stage.status()).hub.channels}

    async def _usable(self) -> None:
        """Until both wallets have a channel that can be used, and all three processes run."""
        for party in (self._buyer, self._provider):
            await eventually(partial(self._channels, party), lambda rows: any(row["usable"] for row in rows), party.name)

    async def _channels(self, party: Party) -> list[Document]:
        try:
            return msgspec.convert((await party.ask("wallet.channels"))["channels"], list[Document])
        except (Gone, PylonError):
            return []

    # The end.

    async def _resolve(self) -> None:
        """Let the blocks come that closed channels wait for, until nothing is on its way any more."""
        deadline = time.monotonic() + RESOLVE_SECONDS
        while time.monotonic() < deadline:
            await self._stage.ask("resolve")
            open_ones = [key for key, status in self._journal(self._buyer).items() if status not in DONE]
            closing = [await party.number("wallet.balance", "closing_msat") for party in (self._buyer, self._provider)]
            if not open_ones and not any(closing) and not (await self._stage.status()).hub.closing:
                return
            await asyncio.sleep(0.5)

    def _unpaid(self) -> list[int]:
        """The payments that are certain not to have been made."""
        journal = self._journal(self._buyer)
        made = {number for key, number in self._numbers.items() if journal.get(key, Status.FAILED) is not Status.FAILED}
        return [number for number in range(self._plan.payments) if number not in made]

    def _compare(self) -> None:
        ours, theirs = self._journal(self._buyer), self._journal(self._provider)
        got = self._outcome.end.wallets["provider"] - self._outcome.start.wallets["provider"]
        paid = sum(msat for key, msat in self._amounts.items() if theirs.get(key) is Status.SETTLED)
        self._outcome.twice = max(0, got - paid - self._outcome.given)
        for payment_hash in self._amounts:
            out, into = ours.get(payment_hash), theirs.get(payment_hash)
            if out is Status.SETTLED:
                self._outcome.settled += 1
            if out is not None and out not in DONE:
                self._outcome.unknown.append(payment_hash)
            if (out is Status.SETTLED) != (into is Status.SETTLED):
                msat = self._amounts[payment_hash]
                dust = out is Status.FAILED and msat < DUST_MSAT and any(kill.lost for kill in self._outcome.kills)
                found = self._outcome.dust if dust else self._outcome.one_sided
                found.append(f"{payment_hash}: {msat} msat, buyer {out}, provider {into}")


def _word(error: Gone | PylonError) -> str:
    return error.code if isinstance(error, PylonError) else "gone"


async def perform(place: Path, plan: Plan) -> Outcome:
    """Play it in a folder; everything that was started has ended afterwards."""
    stage = Stage(place)
    try:
        return await Harness(stage, plan).run()
    finally:
        await stage.close()


def main() -> int:
    """The command line. 1 where the books do not agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=1000)
    parser.add_argument("--every", type=float, default=3.0)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1500.0)
    parser.add_argument("--who", default="buyer,provider,hub", help="who may be killed")
    parser.add_argument("--keep", action="store_true", help="leave the folder with all homes and the network")
    asked = vars(parser.parse_args())
    keep = asked.pop("keep")
    plan = msgspec.convert(asked, Plan)
    place = Path(tempfile.mkdtemp(prefix="pylon-crash-"))
    try:
        outcome = asyncio.run(perform(place, plan))
    finally:
        if keep:
            print(f"left in {place}")
        else:
            shutil.rmtree(place)
    print(table(plan, outcome))
    for line in (*outcome.unknown, *outcome.dust, *outcome.one_sided):
        print(line)
    good = outcome.unexplained == 0 and not outcome.unknown and not outcome.twice and not outcome.one_sided
    return 0 if good and outcome.settled >= plan.payments else 1


if __name__ == "__main__":
    sys.exit(main())
