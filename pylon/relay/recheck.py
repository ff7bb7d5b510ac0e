"""Our own signatures, verified before they leave: all that is published in one turn of the loop in one batch.

BIP-340, "Default Signing": "It is recommended to verify the signature computed by the signing algorithm": one that a fault of the machine
has spoiled may give the secret key away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pylon._native import OK, check_codes
from pylon.nostr.event import VerifiedEvent


class Recheck:
    """Made where an event loop runs."""

    def __init__(self) -> None:
        self._waiting: list[tuple[VerifiedEvent, Callable[[bool], None]]] = []

    def put(self, event: VerifiedEvent, then: Callable[[bool], None]) -> None:
        """Call `then` in the next turn of the loop with whether `event` holds."""
        self._waiting.append((event, then))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self.check)

    def check(self) -> None:
        """Check what waits, now."""
        waiting, self._waiting = self._waiting, []
        for (_, then), code in zip(waiting, check_codes([event.raw for event, _ in waiting]), strict=True):
            try:
                then(code == OK)
            except Exception as error:  # one's fault: the others of the batch are sent all the same
                asyncio.get_running_loop().call_exception_handler({"message": "an event could not be sent", "exception": error})
