"""What a running node does with its wallet for commands: the calls `wallet.…` of the control socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pylon.control.arguments import NoArgs, read
from pylon.control.server import Args, Call, Update
from pylon.errors import PaymentError, UsageError
from pylon.node import documents
from pylon.node.arguments import PayArgs, SatsArgs
from pylon.node.spending import Spending
from pylon.units import MAX_MSAT, Msat, msat_of_sats
from pylon.wallets.base import Wallet

INVOICE_SECONDS = 3600


class WalletHost(Protocol):
    """What these calls need of the running service."""

    wallet: Wallet
    spending: Spending


class WalletCalls:
    """The calls, by name."""

    def __init__(self, host: WalletHost) -> None:
        self._host = host

    def table(self) -> Mapping[str, Call]:
        """Every call about the wallet."""
        return {
            "wallet.balance": self._balance,
            "wallet.fund": self._fund,
            "wallet.invoice": self._invoice,
            "wallet.pay": self._pay,
        }

    async def _balance(self, args: Args, update: Update) -> object:
        read(args, NoArgs)
        return documents.balance_document(self._host.wallet.capabilities, await self._host.wallet.balance())

    async def _fund(self, args: Args, update: Update) -> object:
        capabilities = self._host.wallet.capabilities
        if not capabilities.faucet:
            hint = "pay an invoice of `pylon wallet invoice` from elsewhere"
            raise PaymentError(f"the wallet {capabilities.name} has no faucet", hint=hint)
        await self._host.wallet.fund(_sats(read(args, SatsArgs)))
        return documents.balance_document(capabilities, await self._host.wallet.balance())

    async def _invoice(self, args: Args, update: Update) -> object:
        asked = read(args, SatsArgs)
        made = await self._host.spending.invoice(_sats(asked), asked.memo, INVOICE_SECONDS)
        return {
            "bolt11": made.bolt11, "payment_hash": made.payment_hash.hex(), "amount_msat": made.amount, "expires_at": made.expires_at,
            "simulated": self._host.wallet.capabilities.simulated,
        }

    async def _pay(self, args: Args, update: Update) -> object:
        payable, paid = await self._host.spending.pay(read(args, PayArgs).invoice)
        return {
            "status": "settled", "payment_hash": payable.payment_hash.hex(), "preimage": paid.preimage.hex(), "amount_msat": payable.amount,
            "fee_msat": paid.fee,
        }


def _sats(asked: SatsArgs) -> Msat:
    amount = msat_of_sats(asked.sats)
    if not 0 < amount <= MAX_MSAT:
        raise UsageError("the amount must be at least 1 sat, and not more than all bitcoin")
    return amount
