"""Wallets `ldk` in processes that are killed, or whose disk is full, in the middle of payments: every msat is where both sides say."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pylon import _native
from tests.conformance.wallet import PATIENCE
from tests.wallets.ldk_world import FUNDS, World, world

ROOT = Path(__file__).parents[2]
AMOUNTS = (1_000, 21_000, 700_000)
"""Dust and more than dust."""


class Party:
    """A running `tests.wallets.ldk_teller`."""

    def __init__(self, made: World, name: str) -> None:
        self._made = made
        self._name = name
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0

    async def start(self) -> None:
        """Begin, or begin again."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.wallets.ldk_teller", self._made.base, self._name,
            cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 22,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read())

    def ask(self, call: str, *args: object) -> asyncio.Future[dict[str, Any]]:
        """Its whole answer; empty where it ends before."""
        assert self.process.stdin is not None
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        self.process.stdin.write(msgspec.json.encode([self._number, call, args]) + b"\n")
        return answer

    async def get(self, call: str, *args: object) -> Any:
        """The result, which must come."""
        async with asyncio.timeout(PATIENCE):
            answer = await self.ask(call, *args)
        assert "result" in answer, answer
        return answer["result"]

    async def end(self, how: signal.Signals) -> None:
        """End the process."""
        if self.process.returncode is None:
            os.kill(self.process.pid, how)
        await self.process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            said = msgspec.json.decode(line)
            self._answers.pop(said["id"]).set_result(said)
        for answer in self._answers.values():
            answer.set_result({})
        self._answers.clear()


class Trade:
    """A payer and a payee in processes of their own, on one private network."""

    def __init__(self, made: World) -> None:
        self.made = made
        self.payer, self.payee = Party(made, "payer"), Party(made, "payee")

    async def settled(self) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
        """What both say of all payments, once nothing is pending. Closed channels get their blocks."""
        began = time.monotonic()
        async with asyncio.timeout(2 * PATIENCE):
            while "pending" in states(sent := await self.payer.get("payments")):
                if time.monotonic() - began > PATIENCE / 4:
                    await self.made.ask("resolve")
                await asyncio.sleep(0.2)
            while "held" in states(received := await self.payee.get("payments")):  # noqa: ASYNC110 it hears a moment later
                await asyncio.sleep(0.1)
        return sent, received


def states(payments: dict[str, list[Any]]) -> set[str]:
    """All states that occur."""
    return {status for status, _ in payments.values()}


async def until(party: Party, wanted: Callable[[Any], bool], call: str, *args: object) -> Any:
    """The first answer to that call which is so."""
    async with asyncio.timeout(PATIENCE):
        while not wanted(said := await party.get(call, *args)):  # noqa: ASYNC110 a process is asked
            await asyncio.sleep(0.05)
    return said


@pytest.fixture
async def trade(tmp_path: Path) -> AsyncIterator[Trade]:
    """Both running, the payer funded and the payee with room."""
    async with world(tmp_path) as made:
        both = Trade(made)
        for party in (both.payer, both.payee):
            await party.start()
        await both.payer.get("fund", FUNDS)
        await both.payee.get("invoice", 1000)
        try:
            yield both
        finally:
            for party in (both.payer, both.payee):
                await party.end(signal.SIGKILL)


@pytest.mark.parametrize("victim", ["payer", "payee"])
async def test_killed_in_the_middle_of_payments(trade: Trade, victim: str) -> None:
    """Kill -9 with twelve payments under way, three times at different moments: afterwards each is settled for both or for none (where a
    channel was lost the payer may lack a settled one, never the payee), and together they are what the balances say."""
    killed: Party = getattr(trade, victim)
    for moment in (0.05, 0.2, 0.5):
        invoices = [await trade.payee.get("invoice", AMOUNTS[i % 3]) for i in range(12)]
        paying = [trade.payer.ask("pay", text, _native.bolt11_decode(text).payment_hash.hex()) for text in invoices]
        await asyncio.sleep(moment)
        await killed.end(signal.SIGKILL)
        await killed.start()
        await asyncio.gather(*paying)
        sent, received = await trade.settled()
    assert states(sent) <= {"settled", "failed"}
    paid = {hash_: amount for hash_, (status, amount) in sent.items() if status == "settled"}
    got = {hash_: amount for hash_, (status, amount) in received.items() if status == "settled"}
    assert paid.items() <= got.items()
    payer, payee = await trade.payer.get("balance"), await trade.payee.get("balance")
    if payer["onchain"] == payer["closing"] == 0:
        assert payer["spendable"] == FUNDS - sum(paid.values())
    if payee["onchain"] == payee["closing"] == 0 == payer["onchain"]:
        assert paid == got
        assert payee["spendable"] == sum(got.values())


@pytest.mark.parametrize("victim", ["payer", "payee"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_held_payment_survives_either_end(trade: Trade, victim: str, how: signal.Signals) -> None:
    """Held, and one side ends (in order or not): the payment is still held, is settled by its preimage, and the payer's key gets it."""
    preimage = secrets.token_bytes(32)
    payment_hash = hashlib.sha256(preimage).hexdigest()
    text = await trade.payee.get("hold", 50_000_000, payment_hash)
    paying = trade.payer.ask("pay", text, payment_hash)
    await until(trade.payee, lambda status: bool(status == "held"), "lookup", "in", payment_hash)
    killed: Party = getattr(trade, victim)
    await killed.end(how)
    await killed.start()
    if victim == "payer":
        assert await paying in ({}, {"id": 2, "code": "payment_unknown", "message": (await paying).get("message")})
        paying = trade.payer.ask("pay", text, payment_hash)
    assert await trade.payer.get("lookup", "out", payment_hash) == "pending"
    await trade.payee.get("settle", preimage.hex())
    assert (await paying)["result"] == [preimage.hex(), 0]
    await until(trade.payee, lambda balance: bool(balance["spendable"] == 50_000_000), "balance")


@pytest.mark.parametrize("victim", ["payer", "payee"])
async def test_a_full_disk_loses_nothing(trade: Trade, victim: str) -> None:
    """No file may grow any more: the wallet says what is wrong, payments wait; with room again all goes on, and every msat is there."""
    full: Party = getattr(trade, victim)
    invoices = [await trade.payee.get("invoice", 21_000) for _ in range(4)]
    await full.get("full", 4096)
    paying = [trade.payer.ask("pay", text, _native.bolt11_decode(text).payment_hash.hex()) for text in invoices]
    health = await until(full, lambda health: bool(health["state"] == "degraded"), "health")
    assert health["hint"]
    await full.get("full", 0)
    answers = await asyncio.wait_for(asyncio.gather(*paying), PATIENCE)
    again = [await trade.payer.ask("pay", text, _native.bolt11_decode(text).payment_hash.hex()) for text in invoices]
    assert all("result" in answer for answer in again), (answers, again)
    sent, _ = await trade.settled()
    assert (len(sent), states(sent)) == (4, {"settled"})
    assert (await trade.payer.get("balance"))["spendable"] == FUNDS - 4 * 21_000
