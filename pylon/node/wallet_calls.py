"""What a running node does with its wallet for commands: the calls `wallet.…` of the control socket."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

from pylon.control.arguments import NoArgs, read
from pylon.control.server import Args, Call, Update
from pylon.errors import PaymentError, UsageError
from pylon.node import accounts, documents
from pylon.node.arguments import BackupArgs, CloseArgs, LimitsArgs, PayArgs, SatsArgs, SendArgs
from pylon.node.payments import Payments
from pylon.units import MAX_MSAT, Msat, msat_of_sats
from pylon.wallets.base import NodeWallet, Wallet

INVOICE_SECONDS = 3600


class WalletHost(Protocol):
    """What these calls need of the running service."""

    wallet: Wallet
    payments: Payments


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
            "wallet.limits": self._limits,
            "wallet.status": self._status,
            "wallet.channels": self._channels,
            "wallet.close": self._close,
            "wallet.address": self._address,
            "wallet.send": self._send,
            "wallet.backup": self._backup,
        }

    def _node(self) -> NodeWallet:
        """The wallet, where it is a Lightning node with coins of its own. Raises PaymentError where it is not."""
        wallet = self._host.wallet
        if not wallet.capabilities.node:
            what = "is simulated: it has" if wallet.capabilities.simulated else "has"
            raise PaymentError(
                f"the wallet {wallet.capabilities.name} {what} no channels, no coins on a chain, and no backups of its own",
                hint="`[wallet] backend` in config.toml names another one",
            )
        return cast("NodeWallet", wallet)

    async def _balance(self, args: Args, update: Update) -> object:
        read(args, NoArgs)
        return documents.balance_document(self._host.wallet.capabilities, await self._host.wallet.balance())

    async def _fund(self, args: Args, update: Update) -> object:
        capabilities = self._host.wallet.capabilities
        if not capabilities.faucet:
            hint = "pay an invoice of `pylon wallet invoice` from elsewhere"
            raise PaymentError(f"the wallet {capabilities.name} has no faucet", hint=hint)
        await self._host.payments.fund(_sats(read(args, SatsArgs).sats))
        return documents.balance_document(capabilities, await self._host.wallet.balance())

    async def _invoice(self, args: Args, update: Update) -> object:
        asked = read(args, SatsArgs)
        made = await self._host.payments.invoice(_sats(asked.sats), asked.memo, INVOICE_SECONDS)
        return {
            "bolt11": made.bolt11, "payment_hash": made.payment_hash.hex(), "amount_msat": made.amount, "expires_at": made.expires_at,
            **documents.name_document(self._host.wallet.capabilities),
        }

    async def _limits(self, args: Args, update: Update) -> object:
        allowance, now = self._host.payments.allowance, time.time()
        if read(args, LimitsArgs).reset:
            allowance.close_breaker(now)
        return accounts.limits_document(allowance.left(now))

    async def _pay(self, args: Args, update: Update) -> object:
        payable, paid = await self._host.payments.pay(read(args, PayArgs).invoice)
        return {
            "status": "settled", "payment_hash": payable.payment_hash.hex(), "preimage": paid.preimage.hex(), "amount_msat": payable.amount,
            "fee_msat": paid.fee,
        }

    async def _status(self, args: Args, update: Update) -> object:
        read(args, NoArgs)
        wallet = self._host.wallet
        return documents.wallet_document(wallet.capabilities, await wallet.balance(), await wallet.health())

    async def _channels(self, args: Args, update: Update) -> object:
        read(args, NoArgs)
        node = self._node()
        return documents.channels_document(node.capabilities, await node.channels())

    async def _close(self, args: Args, update: Update) -> object:
        """Begin to close one channel. What it was is told, so that a person knows what comes back."""
        asked, node = read(args, CloseArgs), self._node()
        known = {channel.id: channel for channel in await node.channels()}
        if asked.channel not in known:
            hint = f"`pylon wallet channels` lists {'those it has' if known else 'channels: it has none'}"
            raise UsageError(f"this wallet has no channel {asked.channel[:80]!r}", hint=hint)
        await node.close_channel(asked.channel, force=asked.force)
        channel = known[asked.channel]
        return {**documents.channel_document(channel), "owned_msat": channel.spendable + channel.reserved, "forced": asked.force}

    async def _address(self, args: Args, update: Update) -> object:
        read(args, NoArgs)
        node = self._node()
        return {"address": await node.address(), **documents.name_document(node.capabilities)}

    async def _send(self, args: Args, update: Update) -> object:
        """Coins leave the wallet by a transaction of the chain."""
        asked, node = read(args, SendArgs), self._node()
        amount = None if asked.sats is None else _sats(asked.sats)
        sent = await self._host.payments.send_coins(node, asked.address, amount, asked.sat_per_vbyte)
        return {
            "txid": sent.txid.hex(), "address": asked.address, "amount_msat": sent.amount, "fee_msat": sent.fee, "all": amount is None,
            **documents.name_document(node.capabilities),
        }

    async def _backup(self, args: Args, update: Update) -> object:
        asked, node = read(args, BackupArgs), self._node()
        await node.backup(Path(asked.path))
        return {"path": asked.path}


def _sats(sats: int) -> Msat:
    amount = msat_of_sats(sats)
    if not 0 < amount <= MAX_MSAT:
        raise UsageError("the amount must be at least 1 sat, and not more than all bitcoin")
    return amount
