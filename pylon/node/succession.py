"""A home whose wallet has changed: another backend, or another network, than the one that its ledger was written with.

The journal is kept, and each of its lines names its wallet and network, so nothing is mixed. What was open with the wallet of before is
closed, since nobody can go on with it:

* a purchase that is being paid ends, with a trouble that says so; one that only waits for offers goes on, without the offers it has;
* a sale that waits for its payment has expired; one that was paid is answered, whatever the sats were worth: paid is paid;
* payments: simulated sats have ended, so they have failed. With a wallet that is no simulation "don't know" stays what it is, and is looked
  up when that wallet is back; our open invoices are closed, and a late payment still settles them.
"""

from __future__ import annotations

import logging

from msgspec.structs import replace

from pylon.errors import PaymentUnknown, WalletChanged
from pylon.market.effects import CancelInvoice
from pylon.market.job import BuyerJob, BuyerState, Job, ProviderJob, ProviderState, Trouble
from pylon.market.payment import Status
from pylon.market.signals import PayFailed, PayUnknown
from pylon.node.figures import SIMULATED, Purse
from pylon.node.ledger import Ledger, role_of
from pylon.wallets.base import Capabilities

log = logging.getLogger("pylon.node")



def succeed(ledger: Ledger, wallet: Capabilities, now: float) -> str:
    """Make the ledger that of `wallet`. Returns one sentence where another one had it, and nothing where all is as it was."""
    before, after = ledger.purse, Purse(wallet.name, wallet.network)
    if before == after:
        return ""
    closed = 0
    with ledger.transaction(full=True):
        if before != Purse():
            closed = _close(ledger, before, now)
        ledger.belong(after)
    if before == Purse():
        return ""
    what = f"; what was open with the one before is closed ({closed:,})" if closed else ""
    end = "The simulated sats of this home have ended" if before.wallet == SIMULATED else f"This home has left {_name(before)}"
    worth = "" if wallet.network == "mainnet" else ", test sats without value"
    if wallet.simulated:
        worth = ", simulated: not Lightning, no value"
    said = f"{end}: its wallet is {_name(after)} now{worth}{what}. The journal is kept."
    log.warning("%s", said)
    return said


def _name(purse: Purse) -> str:
    return f"{purse.wallet} on {purse.network}"


def _close(ledger: Ledger, before: Purse, now: float) -> int:
    """Close what is open with the wallet of before; how many jobs and payments that were."""
    ended = Trouble(WalletChanged.code, f"it was begun with the wallet {_name(before)}, which this home does not use any more")
    jobs = [job for job in ledger.open_jobs() if _close_job(ledger, job, ended)]
    payments = [line for line in ledger.pending() if (line.wallet, line.network) == (before.wallet, before.network)]
    for line in payments:
        if before.wallet == SIMULATED:
            ledger.take(line.payment_hash, PayFailed(ended), now=now)
        elif line.status is not Status.UNKNOWN:
            ledger.take(line.payment_hash, PayUnknown(Trouble(PaymentUnknown.code, ended.message)), now=now)
    for invoice in ledger.invoices():
        if (invoice.wallet, invoice.network) == (before.wallet, before.network):
            ledger.close_invoice(invoice.payment_hash)
    for stored in ledger.unfinished():
        if isinstance(stored.effect, CancelInvoice):
            ledger.finish(stored.n)
    return len({job.id for job in jobs} | {line.job or line.payment_hash.hex() for line in payments})


def _close_job(ledger: Ledger, job: Job, ended: Trouble) -> bool:
    """Store the job as it goes on without the wallet of before. Whether it has ended by that."""
    match job:
        case BuyerJob(state=BuyerState.PAYING | BuyerState.UNSURE):
            # The payee sees a settlement before our wallet tells us: an answer that has come was paid, or given.
            state = BuyerState.FAILED if job.answer is None else BuyerState.DONE
            after: Job = replace(job, state=state, quotes=(), trouble=ended if job.answer is None else None)
        case ProviderJob(state=ProviderState.INVOICED):
            after = replace(job, state=ProviderState.EXPIRED, trouble=ended)
        case BuyerJob(quotes=(_, *_)):
            ledger.put(replace(job, quotes=()))
            return False
        case _:
            return False
    ledger.put(after)
    for stored in ledger.unfinished():
        if (stored.role, stored.job) == (role_of(job), job.id):
            ledger.finish(stored.n)
    return True
