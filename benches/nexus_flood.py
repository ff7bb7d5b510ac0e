"""Publish 1,000 pipelined events to a relay and wait for every OK: what `strace -f -c -e trace=fdatasync` is laid over.

    strace -f -c -e trace=fdatasync -o counts.txt python -m pylon nexus --port 0 --data DIR &
    python -m benches.nexus_flood ws://127.0.0.1:PORT
"""

from __future__ import annotations

import sys
import time

import uvloop

from tests.nexus.client import ALICE, Client, note

EVENTS = 1000


async def main(url: str) -> None:
    """Publish, count the answers, say how long it took."""
    now = int(time.time())
    events = [note(created_at=now) for _ in range(EVENTS)]
    client = await Client.open(url, ALICE, now=now)
    start = time.perf_counter()
    for event in events:
        client.say("EVENT", event)
    accepted = sum([(await client.receive())[2] is True for _ in events])
    seconds = time.perf_counter() - start
    await client.aclose()
    print(f"{accepted} of {EVENTS} events acknowledged in {seconds:.3f} s")


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
