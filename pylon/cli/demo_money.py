"""The money of the demo: what kind it is, the network that it moves on, and the books of all wallets held against each other."""

from __future__ import annotations

import msgspec

from pylon.cli.demo_stage import DemoFailed, Document, Stage, number
from pylon.units import Msat, count_of, show_sats

PARTS = ("spendable_msat", "reserved_msat", "pending_msat", "closing_msat", "onchain_msat")


class Channel(msgspec.Struct, frozen=True):
    """A channel of the hub."""

    capacity_sat: int
    funding_txid: str


class Hub(msgspec.Struct, frozen=True):
    """The node that all others have their channels with."""

    node_id: str
    channels: list[Channel]


def tell_network(stage: Stage, balance: Document) -> None:
    """What the private network consists of, where there is one."""
    if balance["simulated"]:
        return
    status = stage.ask("buyer", "regtest", "status")
    hub = msgspec.convert(status["hub"], Hub)
    stage.say("network", f"a chain of {number(status, 'height')} blocks, each judged by Bitcoin Core's engine; the hub is {hub.node_id}")
    for channel in hub.channels:
        stage.say("network", f"a channel of {show_sats(Msat(channel.capacity_sat * 1000))}, funded by {channel.funding_txid}")


class Books:
    """What the wallets have, from now on."""

    def __init__(self, stage: Stage, *, buyer: str, providers: tuple[str, ...]) -> None:
        self._stage = stage
        self._buyer = buyer
        self._before = self._owned(buyer)
        self._could_spend = {home: self._spendable(home) for home in providers}
        self._paid = self._payments()

    def _owned(self, home: str) -> int:
        """All that a wallet has, wherever it is."""
        balance = self._stage.ask(home, "wallet", "balance")
        return sum(number(balance, part) for part in PARTS)

    def _spendable(self, home: str) -> int:
        """Of a provider: the hub gives it the reserve of a channel, too, which is not earned."""
        return number(self._stage.ask(home, "wallet", "balance"), "spendable_msat")

    def _payments(self) -> dict[str, tuple[int, int]]:
        """The buyer's settled payments: amount and fee by hash."""
        rows = msgspec.convert(self._stage.ask(self._buyer, "wallet", "history", "-l", "1000")["payments"], list[Document])
        return {
            str(row["payment_hash"]): (number(row, "amount_msat"), number(row, "fee_msat"))
            for row in rows if row["direction"] == "out" and row["status"] == "settled"
        }

    def balance(self) -> None:
        """Hold everything against everything. Raises DemoFailed."""
        lost = self._before - self._owned(self._buyer)
        got = {home: self._spendable(home) - before for home, before in self._could_spend.items()}
        made = [payment for key, payment in self._payments().items() if key not in self._paid]
        amounts, fees = sum(amount for amount, _ in made), sum(fee for _, fee in made)
        self._stage.say("books", f"{count_of(len(made), 'payment')}: {amounts} msat and {fees} msat of fees left the buyer's wallet, which "
                        f"has {lost} msat less; the providers' have {' + '.join(str(gain) for gain in got.values())} msat more")
        if lost != amounts + fees or sum(got.values()) != amounts:
            raise DemoFailed(f"the buyer lost {lost} msat, paid {amounts} and {fees} of fees, and the providers got {got}")
