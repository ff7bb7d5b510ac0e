"""The goals of real Lightning, and what is measured: `make bench-lightning`, a table on the terminal and in build/bench-lightning.md.

Times are wall-clock times on this machine under its load of the moment, so none of them is asserted. Two ratios to a reference in the same
run are: a payment through our engine, journal and wallet against one that a bare node makes, and payments in flight against one after the
other. Above its gate a ratio fails the run.
"""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benches import wallet_flight, wallet_share
from benches.wallet_stage import Party, Stage, cpu, rss
from pylon import _native
from pylon._native import lightning
from pylon.control.lock import holder
from pylon.wallets import network

GATE_ENGINE, GATE_FLIGHT = 1.5, 0.5
MB = 1_000_000
FUND_SATS = 3_000_000


class Row(NamedTuple):
    """One line. `gate` judges `value`, where there is one."""

    what: str
    goal: str
    found: str
    value: float = 0.0
    gate: float | None = None

    @property
    def good(self) -> bool:
        """Whether the gate holds."""
        return self.gate is None or self.value <= self.gate


class Took(NamedTuple):
    """Seconds on the wall, and of CPU: the command, the home's process and the network's."""

    wall: float
    cpu: float


def command(party: Party, *words: str) -> float:
    """Run a command: the seconds of CPU that it took itself."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(party.command(*words), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def timed(stage: Stage, party: Party, *words: str) -> Took:
    """Run a whole command, without holding up this loop."""
    before, began = used(stage, party), time.monotonic()
    own = await asyncio.to_thread(command, party, *words)
    wall = time.monotonic() - began
    return Took(wall, own + sum(cpu - before.get(pid, 0.0) for pid, cpu in used(stage, party).items()))


def used(stage: Stage, party: Party) -> dict[int, float]:
    """Seconds of CPU of the processes behind a command, so far."""
    files = network.place(stage.state)
    return {pid: cpu(pid) for pid in (party.pid, holder(files.lock, files.pid)) if pid is not None}


def seconds(found: Sequence[Took]) -> str:
    """The medians, and the range on the wall."""
    wall = [one.wall for one in found]
    spent = statistics.median(one.cpu for one in found)
    return f"{statistics.median(wall):.2f} s ({min(wall):.2f}-{max(wall):.2f}, {len(wall)} times; CPU of all processes {spent:.2f} s)"


async def funding(stage: Stage) -> list[Row]:
    """`wallet fund` in a fresh home: with nothing running, and with the network running."""
    cold = []
    for _ in range(3):
        cold.append(await timed(stage, stage.party(f"cold{len(stage.parties)}"), "wallet", "fund"))
        await stage.close()
    warm = [await timed(stage, stage.party(f"warm{len(stage.parties)}"), "wallet", "fund") for _ in range(6)][1:]
    return [
        Row("`wallet fund` in a fresh home, nothing running", "<= 3 s", seconds(cold)),
        Row("`wallet fund` in a fresh home, the network running", "<= 1 s", seconds(warm)),
    ]


async def commands(stage: Stage, buyer: Party, provider: Party) -> list[Row]:
    """A payment by a whole command: with the home's process cold, and with it warm."""

    async def invoice() -> str:
        return str((await provider.ask("wallet.invoice", {"sats": 100, "memo": ""}))["bolt11"])

    cold, warm = [], []
    for _ in range(3):
        await buyer.stop()
        cold.append(await timed(stage, buyer, "wallet", "pay", await invoice()))
    for _ in range(9):
        warm.append(await timed(stage, buyer, "wallet", "pay", await invoice()))
    return [
        Row("first payment after a cold start, the whole command", "<= 3 s", seconds(cold)),
        Row("payment with the process warm, the whole command", "<= 0.6 s", seconds(warm)),
    ]


async def invoices(provider: Party) -> list[Row]:
    """Making invoices, over the control socket; and reading them."""
    times, made = [], ""
    for _ in range(200):
        began = time.perf_counter()
        made = str((await provider.ask("wallet.invoice", {"sats": 7, "memo": "an invoice"}))["bolt11"])
        times.append(time.perf_counter() - began)
    began = time.perf_counter()
    for _ in range(1000):
        _native.bolt11_decode(made)
    return [
        Row("invoice, through control socket, journal, wallet and node", "<= 2 ms", f"{statistics.median(times) * 1000:.2f} ms"),
        Row("strict decode of such an invoice", "<= 100 us", f"{(time.perf_counter() - began) * 1000:.0f} us"),
    ]


async def memory(stage: Stage, parties: Sequence[Party]) -> list[Row]:
    """Resident memory of each process, after all of this."""
    nodes = [rss(party.pid) for party in parties if party.pid is not None]
    network = sum(process.rss_bytes for process in (await stage.status()).processes)
    return [
        Row("memory of a node process", "<= 90 MB", ", ".join(f"{size / MB:.0f} MB" for size in nodes)),
        Row("memory of the network's process", "<= 200 MB", f"{network / MB:.0f} MB"),
    ]


def sizes() -> list[Row]:
    """The module as it was built here, and the wheel where there is one."""
    module = Path(str(lightning.__file__)).read_bytes()
    packed = len(zlib.compress(module, 6))
    wheels = sorted(Path("dist").glob("*.whl"), key=lambda path: path.stat().st_mtime)
    wheel = f"{wheels[-1].stat().st_size / MB:.1f} MB" if wheels else "not built here (`make wheel`)"
    return [
        Row("Lightning module, compressed", "", f"{len(module) / MB:.1f} MB, {packed / MB:.1f} MB"),
        Row("wheel", "<= 16 MB", wheel),
    ]


async def share(stage: Stage, provider: Party) -> list[Row]:
    """A payment through our engine beside one of a bare node."""
    found = await wallet_share.measure(stage, provider)
    ratio = found.engine_ms / found.bare_ms
    return [
        Row("payment buyer, hub, provider; one after the other; p50", "<= 250 ms", f"{found.engine_ms:.0f} ms"),
        Row("the same by a bare node", "", f"{found.bare_ms:.0f} ms"),
        Row("ratio of the two", f"gate {GATE_ENGINE}", f"{ratio:.2f}", ratio, GATE_ENGINE),
        Row("our own share of it: engine, journal, wallet's book", "<= 5 ms", f"{found.own_ms:.1f} ms (p95 {found.own_p95_ms:.1f} ms)"),
    ]


async def flight(stage: Stage) -> list[Row]:
    """Many payments at once over several channels."""
    found = await wallet_flight.measure(stage)
    rows = [
        Row(f"settled a second, {one.in_flight} in flight over {one.channels} channels of {one.buyers} buyers", ">= 60, reach for 100",
            f"{one.per_second:.0f} a second, p50 {one.p50_ms:.0f} ms, {one.settled} of {one.asked} paid; cores busy: {one.cores}")
        for one in found
    ]
    ratio = found[0].per_second / max(one.per_second for one in found)
    return [*rows, Row("time a payment in flight / one after the other", f"gate {GATE_FLIGHT}", f"{ratio:.2f}", ratio, GATE_FLIGHT)]


async def measured(place: Path, only: Sequence[str]) -> list[Row]:
    """All rows, or those of the parts that are named."""
    stage = Stage(place)
    parts: dict[str, Callable[[], Awaitable[list[Row]]]] = {}
    try:
        if not only or "fund" in only:
            rows = await funding(stage)
            await stage.close()
            stage.parties.clear()
        else:
            rows = []
        buyer, provider = stage.party("buyer"), stage.party("provider")
        await buyer.ask("wallet.fund", {"sats": FUND_SATS})
        parts = {
            "commands": lambda: commands(stage, buyer, provider),
            "invoices": lambda: invoices(provider),
            "share": lambda: share(stage, provider),
            "flight": lambda: flight(stage),
            "memory": lambda: memory(stage, [buyer, provider]),
        }
        for name, part in parts.items():
            if not only or name in only:
                rows += await part()
    finally:
        await stage.close()
    return [*rows, *sizes()]


def markdown(rows: Sequence[Row]) -> str:
    """The table."""
    head = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end, CPython {platform.python_version()}:"
    lines = [head, "", "| what | goal | measured |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {row.what} | {row.goal} | {row.found}{'' if row.good else ' ABOVE'} |" for row in rows)]) + "\n"


def main() -> int:
    """The command line: parts may be named. 1 where a gate does not hold."""
    with tempfile.TemporaryDirectory(prefix="pylon-bench-") as place:
        rows = asyncio.run(measured(Path(place), sys.argv[1:]))
    text = markdown(rows)
    print(text)
    Path("build").mkdir(exist_ok=True)
    Path("build/bench-lightning.md").write_text(text, "utf-8")
    return 0 if all(row.good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
