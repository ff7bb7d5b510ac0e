"""A wallet in a process of its own, driven by lines: `python -m tests.wallets.teller STATE SECRET`.

`pay INVOICE KEY` answers `paid HASH PREIMAGE`, or `no HASH CODE`; `events CURSOR` answers a line `event CURSOR HASH STATUS` for each;
`full` lets no file grow any more. It says `ready` first. Payments run one after another unless they wait.
"""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
from pathlib import Path

from pylon import _native
from pylon.errors import PaymentError
from pylon.units import Msat
from pylon.wallets.sim import SimWallet


def say(*words: object) -> None:
    """One line to whoever drives us."""
    print(*words, flush=True)


async def pay(wallet: SimWallet, bolt11: str, key: bytes) -> None:
    """Pay and tell how it went."""
    payment_hash = _native.bolt11_decode(bolt11).payment_hash.hex()
    try:
        paid = await wallet.pay(bolt11, max_fee=Msat(0), key=key)
    except PaymentError as error:
        say("no", payment_hash, error.code)
    else:
        say("paid", payment_hash, paid.preimage.hex())


async def watch(wallet: SimWallet, cursor: int) -> None:
    """Tell every event."""
    async for event in wallet.events(cursor):
        say("event", event.cursor, event.payment_hash.hex(), event.status)


async def main() -> None:
    """Read lines until the end of input."""
    wallet = SimWallet.open(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), "regtest")
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    say("ready")
    async with asyncio.TaskGroup() as tasks:
        while line := await lines.readline():
            match line.decode().split():
                case ["pay", bolt11, key]:
                    tasks.create_task(pay(wallet, bolt11, bytes.fromhex(key)))
                case ["events", cursor]:
                    tasks.create_task(watch(wallet, int(cursor)))
                case ["full"]:
                    # Python ignores SIGXFSZ, so a write past the limit fails like one to a full disk.
                    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
                    say("full")
                case words:
                    raise ValueError(words)
    await wallet.aclose()


if __name__ == "__main__":
    asyncio.run(main())
