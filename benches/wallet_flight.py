"""Many payments at once: buyers with several channels each pay providers with as many, through their processes and the hub."""

from __future__ import annotations

import asyncio
import statistics
import time
from functools import partial
from typing import NamedTuple

import msgspec

from benches.wallet_books import node_id
from benches.wallet_stage import Party, Stage, cpu, eventually
from pylon.control.client import Gone
from pylon.errors import PylonError

SATS = 21
ROUND = 240
"""Payments of one measurement."""
PAIRS = 2
CHANNELS = 4
FUND_MSAT = 40_000_000


class Flight(NamedTuple):
    """One measurement."""

    buyers: int
    channels: int
    in_flight: int
    asked: int
    settled: int
    per_second: float
    p50_ms: float
    cores: str


async def _open(stage: Stage, name: str, pairs: int) -> tuple[list[Party], list[Party]]:
    """Buyers and providers with several channels each."""
    buyers, providers = [stage.party(f"{name}-b{n}") for n in range(pairs)], [stage.party(f"{name}-p{n}") for n in range(pairs)]
    for buyer in buyers:
        await buyer.ask("wallet.fund", {"sats": FUND_MSAT // 1000})
        await stage.ask("fund", {"node_id": await node_id(buyer), "amount_msat": FUND_MSAT * CHANNELS, "channels": CHANNELS - 1})
    for provider in providers:
        await provider.ask("wallet.invoice", {"sats": 1, "memo": ""})
        await stage.ask("inbound", {"node_id": await node_id(provider), "amount_msat": FUND_MSAT, "channels": CHANNELS})
    for party in (*buyers, *providers):
        await eventually(partial(_usable, party), lambda count: count >= CHANNELS, f"the channels of {party.name}")
    await asyncio.sleep(2.2)  # the library looks after two seconds first
    return buyers, providers


async def _usable(party: Party) -> int:
    rows = msgspec.convert((await party.ask("wallet.channels"))["channels"], list[dict[str, object]])
    return sum(bool(row["usable"]) for row in rows)


def _cpu(pids: dict[str, int]) -> dict[str, float]:
    return {name: cpu(pid) for name, pid in pids.items()}


async def _round(stage: Stage, buyers: list[Party], providers: list[Party], in_flight: int, payments: int) -> Flight:
    invoices = [
        (buyers[n % len(buyers)], str((await providers[n % len(providers)].ask("wallet.invoice", {"sats": SATS, "memo": ""}))["bolt11"]))
        for n in range(payments)
    ]
    gate = asyncio.Semaphore(in_flight)
    took: list[float] = []

    async def pay(buyer: Party, bolt11: str) -> None:
        async with gate:
            began = time.perf_counter()
            try:
                await buyer.once("wallet.pay", {"invoice": bolt11})
            except (Gone, PylonError):
                return
            took.append(time.perf_counter() - began)

    pids = {party.name: pid for party in (*buyers, *providers) if (pid := party.pid) is not None} | {"hub": (await stage.status()).pid}
    before, began = _cpu(pids), time.perf_counter()
    await asyncio.gather(*(pay(*one) for one in invoices))
    seconds = time.perf_counter() - began
    used = {name: (after - before[name]) / seconds for name, after in _cpu(pids).items()}
    cores = f"hub {used.pop('hub'):.2f}, nodes {sum(used.values()):.2f}"
    p50 = statistics.median(took) * 1000 if took else 0.0
    return Flight(len(buyers), len(buyers) * CHANNELS, in_flight, payments, len(took), len(took) / seconds, p50, cores)


async def measure(stage: Stage) -> list[Flight]:
    """One after the other, then more and more at once."""
    buyers, providers = await _open(stage, "flight", PAIRS)
    return [
        await _round(stage, buyers, providers, in_flight, payments)
        for in_flight, payments in ((1, 20), (20, ROUND), (40, ROUND), (80, ROUND), (160, 2 * ROUND))
    ]
