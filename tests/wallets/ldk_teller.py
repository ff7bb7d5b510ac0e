"""A process with one wallet `ldk`, for tests that kill it: a JSON line in is a call, a JSON line out its answer. Ends with its input."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from pylon.errors import PylonError
from pylon.units import Msat
from pylon.wallets.base import Direction
from pylon.wallets.ldk.wallet import LdkWallet
from tests.wallets.ldk_world import World


async def work(wallet: LdkWallet, name: str, args: list[Any]) -> object:
    """One call."""
    match name:
        case "fund":
            await wallet.fund(Msat(args[0]))
            return None
        case "invoice":
            return (await wallet.invoice(Msat(args[0]), "", 600)).bolt11
        case "hold":
            return (await wallet.invoice(Msat(args[0]), "", 600, payment_hash=bytes.fromhex(args[1]))).bolt11
        case "pay":
            paid = await wallet.pay(args[0], max_fee=Msat(5000), key=bytes.fromhex(args[1]))
            return [paid.preimage.hex(), paid.fee]
        case "settle":
            await wallet.settle(bytes.fromhex(args[0]))
            return None
        case "lookup":
            return (await wallet.lookup(bytes.fromhex(args[1]), Direction(args[0]))).status
        case "balance":
            return await wallet.balance()
        case "health":
            return await wallet.health()
        case "channels":
            return await wallet.channels()
        case "payments":
            return {record.payment_hash.hex(): [record.status, record.amount] for record in await wallet.payments(0)}
        case "full":
            room(args[0])
            return None
    raise AssertionError(name)


def room(bytes_: int) -> None:
    """No file of this process may become larger than that; 0: any may."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_ or most, most))


async def main(base: str, name: str) -> None:
    """Answer calls, many at once, until there are no more."""
    wallet = World(Path(base)).open(name)
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def answer(number: int, call: str, args: list[Any]) -> None:
        try:
            said: dict[str, object] = {"id": number, "result": await work(wallet, call, args)}
        except PylonError as error:
            said = {"id": number, "code": error.code, "message": error.message}
        sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
        sys.stdout.buffer.flush()

    # In order, as Pylon ends on it.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, reader.feed_eof)
    tasks = set()
    while line := await reader.readline():
        task = asyncio.create_task(answer(*msgspec.json.decode(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await wallet.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
