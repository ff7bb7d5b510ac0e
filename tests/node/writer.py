"""A process that stores steps for ever and says the number of each when it is committed: to be killed in the middle."""

from __future__ import annotations

import sys
from pathlib import Path

from msgspec.structs import replace

from pylon.market.effects import AnyEffect, Pay, Wake
from pylon.market.job import BuyerState
from pylon.node.ledger import Ledger
from pylon.units import Msat
from tests.market.scene import NOW, bought, payment_hash


def main() -> None:
    """Step n: a job with a timer and the payment of invoice n, and the timer of step n - 1 done."""
    ledger = Ledger(Path(sys.argv[1]))
    timer: int | None = None
    n = 0
    while True:
        n += 1
        job = replace(bought(BuyerState.PAYING), id=f"{n:064x}")
        effects: list[AnyEffect] = [Wake(NOW + n), Pay("lnbcrt", payment_hash(n), Msat(n), Msat(0))]
        with ledger.transaction(full=True):
            timer = ledger.put(job, effects, done=timer, now=NOW)[0].n
        sys.stdout.write(f"{n}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
