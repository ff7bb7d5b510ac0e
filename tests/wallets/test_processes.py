"""Several processes at one bank, and processes that are killed: no money is lost, made, or spent twice."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from pylon.units import Msat
from pylon.wallets import wake
from pylon.wallets.bank import Bank
from pylon.wallets.base import Direction, Invoice, PaymentStatus
from pylon.wallets.sim import SimWallet
from tests.conformance.wallet import PATIENCE, PRICE, Pair, event, hold, new_key, reached, soon
from tests.wallets.conftest import FUNDS, PAYEE, PAYER

ROOT = Path(__file__).parents[2]


class Teller:
    """A running `tests.wallets.teller`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.input, self.output = process, process.stdin, process.stdout

    def tell(self, *words: object) -> None:
        """Give it one line."""
        self.input.write((" ".join(map(str, words)) + "\n").encode())

    def pay(self, invoice: Invoice, key: bytes) -> None:
        """Have it pay."""
        self.tell("pay", invoice.bolt11, key.hex())

    async def heard(self) -> list[str]:
        """Its next line, in words; nothing at its end."""
        return (await soon(self.output.readline())).decode().split()

    async def kill(self) -> list[list[str]]:
        """Kill it with SIGKILL; what it had said until then."""
        os.kill(self.process.pid, signal.SIGKILL)
        said = []
        while words := await self.heard():
            said.append(words)
        await soon(self.process.wait())
        return said


Hire = Callable[[bytes], Awaitable[Teller]]


@pytest.fixture
async def hire(tmp_path: Path) -> AsyncIterator[Hire]:
    """Starts tellers at the bank of this test; ends them."""
    hired: list[Teller] = []

    async def one(secret: bytes) -> Teller:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.wallets.teller", tmp_path, secret.hex(),
            cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        hired.append(Teller(process))
        assert await hired[-1].heard() == ["ready"]
        return hired[-1]

    yield one
    for teller in hired:
        if teller.process.returncode is None:
            teller.process.kill()
        await teller.process.wait()
        teller.input.close()


def assert_balanced(state: Path) -> None:
    """All money at this bank is what the faucet gave."""
    bank = Bank.open(state / "sim" / "bank.sqlite3")
    books = bank.books()
    bank.close()
    assert books.balances + books.held == books.funded == 2 * FUNDS


async def test_two_processes_share_the_last_sats(pair: Pair, hire: Hire, tmp_path: Path) -> None:
    """Two processes that spend from one account at once never spend more than it holds, and use all of it that they can."""
    price = Msat(FUNDS // 10)
    invoices = [await pair.payee.invoice(price, "", 600) for _ in range(24)]
    tellers = [await hire(PAYER), await hire(PAYER)]
    for number, invoice in enumerate(invoices):
        tellers[number % 2].pay(invoice, new_key())
    answers = [await tellers[number % 2].heard() for number in range(24)]
    assert sorted(words[0] for words in answers) == ["no"] * 14 + ["paid"] * 10
    assert {words[2] for words in answers if words[0] == "no"} == {"insufficient_funds"}
    assert (await pair.payer.balance()).spendable == 0
    assert_balanced(tmp_path)


async def test_two_processes_pay_one_invoice(pair: Pair, hire: Hire) -> None:
    """Of two processes with keys of their own, one pays and the other is refused; the money leaves once."""
    tellers = [await hire(PAYER), await hire(PAYER)]
    for _ in range(10):
        before, made = await pair.payer.balance(), await pair.payee.invoice(PRICE, "", 600)
        for teller in tellers:
            teller.pay(made, new_key())
        answers = [await teller.heard() for teller in tellers]
        assert sorted(words[0] for words in answers) == ["no", "paid"]
        assert before.spendable - (await pair.payer.balance()).spendable == PRICE


async def test_two_processes_with_one_key(pair: Pair, hire: Hire) -> None:
    """Two processes with the same key get the same answer; the money leaves once."""
    tellers = [await hire(PAYER), await hire(PAYER)]
    for _ in range(10):
        before, made, key = await pair.payer.balance(), await pair.payee.invoice(PRICE, "", 600), new_key()
        for teller in tellers:
            teller.pay(made, key)
        one, two = [await teller.heard() for teller in tellers]
        assert one == two
        assert one[0] == "paid"
        assert before.spendable - (await pair.payer.balance()).spendable == PRICE


@pytest.mark.parametrize("acknowledged", [0, 1, 2, 7, 19])
async def test_killed_payer_loses_nothing(pair: Pair, hire: Hire, tmp_path: Path, acknowledged: int) -> None:
    """Killed with -9 while it pays: what it acknowledged is paid, the rest is or is not, and the same keys finish it, each paid once."""
    payments = [(await pair.payee.invoice(PRICE, "", 600), new_key()) for _ in range(40)]
    teller = await hire(PAYER)
    for invoice, key in payments:
        teller.pay(invoice, key)
    said = [await teller.heard() for _ in range(acknowledged)] + await teller.kill()
    assert_balanced(tmp_path)
    settled = set()
    for invoice, _ in payments:
        sent = await pair.payer.lookup(invoice.payment_hash, Direction.OUT)
        got = await pair.payee.lookup(invoice.payment_hash, Direction.IN)
        assert (sent.status, got.status) in {(PaymentStatus.SETTLED,) * 2, (PaymentStatus.UNKNOWN, PaymentStatus.OPEN)}
        if sent.status is PaymentStatus.SETTLED:
            settled.add(invoice.payment_hash.hex())
    # The last line may be cut by the kill.
    assert {words[1] for words in said if words[0] == "paid" and len(words) == 3 and len(words[2]) == 64} <= settled
    assert (await pair.payer.balance()).spendable == FUNDS - len(settled) * PRICE

    again = await hire(PAYER)
    for invoice, key in payments:
        again.pay(invoice, key)
    assert {(await again.heard())[0] for _ in payments} == {"paid"}
    assert (await pair.payer.balance()).spendable == FUNDS - len(payments) * PRICE
    assert_balanced(tmp_path)


async def test_killed_payer_finds_its_held_payment(pair: Pair, hire: Hire, tmp_path: Path) -> None:
    """A payment that is held when its payer is killed stays pending; the same key waits for it again in another process."""
    events, key = pair.payee.events(None), new_key()
    made, preimage = await hold(pair.payee)
    teller = await hire(PAYER)
    teller.pay(made, key)
    await event(events, made.payment_hash, PaymentStatus.HELD)
    await teller.kill()
    assert (await pair.payer.lookup(made.payment_hash, Direction.OUT)).status is PaymentStatus.PENDING
    assert (await pair.payer.balance()).pending == PRICE
    assert_balanced(tmp_path)
    again = await hire(PAYER)
    again.pay(made, key)
    await pair.payee.settle(preimage)
    assert await again.heard() == ["paid", made.payment_hash.hex(), preimage.hex()]


async def test_payment_wakes_other_processes(pair: Pair, hire: Hire, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event comes by the knock of the process that paid, and a settlement so reaches a waiting payer: here nobody looks by himself."""
    monkeypatch.setattr(wake, "POLL_SECONDS", 10 * PATIENCE)
    events = pair.payee.events(None)
    first = asyncio.ensure_future(anext(events))
    teller = await hire(PAYER)
    made = await pair.payee.invoice(PRICE, "", 600)
    teller.pay(made, new_key())
    assert (await soon(first)).payment_hash == made.payment_hash

    held, preimage = await hold(pair.payee)
    other = await hire(PAYEE)
    other.tell("events", 0)
    assert (await other.heard())[3] == "settled"
    paying = asyncio.create_task(pair.payer.pay(held.bolt11, max_fee=Msat(0), key=new_key()))
    assert (await other.heard())[2:] == [held.payment_hash.hex(), "held"]
    await reached(pair.payee, held.payment_hash, Direction.IN, PaymentStatus.HELD)
    await pair.payee.settle(preimage)
    assert (await soon(paying)).preimage == preimage


async def test_lost_knock_is_made_good(pair: Pair, hire: Hire, tmp_path: Path) -> None:
    """When nobody knocks (the payer was killed between its commit and its knock), the listener's own look finds the event."""
    events = pair.payee.events(None)
    first = asyncio.ensure_future(anext(events))
    door = await _door(tmp_path)
    door.unlink()
    teller = await hire(PAYER)
    made = await pair.payee.invoice(PRICE, "", 600)
    teller.pay(made, new_key())
    assert (await soon(first)).payment_hash == made.payment_hash


async def test_events_survive_a_killed_listener(pair: Pair, hire: Hire, tmp_path: Path) -> None:
    """What happens while the payee's process is dead is told to the next one, after the last cursor; the dead one's socket is removed."""
    teller = await hire(PAYEE)
    teller.tell("events", 0)
    hashes = []
    for _ in range(2):
        made = await pair.payee.invoice(PRICE, "", 600)
        hashes.append(made.payment_hash.hex())
        await pair.payer.pay(made.bolt11, max_fee=Msat(0), key=new_key())
    heard = [await teller.heard() for _ in range(2)]
    await teller.kill()
    dead = await _door(tmp_path)
    assert dead.is_socket()
    for _ in range(3):
        made = await pair.payee.invoice(PRICE, "", 600)
        hashes.append(made.payment_hash.hex())
        await pair.payer.pay(made.bolt11, max_fee=Msat(0), key=new_key())
    assert not dead.exists()
    assert not _doors(tmp_path)
    again = await hire(PAYEE)
    again.tell("events", heard[-1][1])
    heard += [await again.heard() for _ in range(3)]
    assert [words[2] for words in heard] == hashes
    cursors = [int(words[1]) for words in heard]
    assert cursors == sorted(set(cursors))


async def test_full_disk_leaves_the_outcome_unknown(pair: Pair, hire: Hire, tmp_path: Path) -> None:
    """When the file cannot be written the payer is told `unknown`, never yes or no; a look-up then says that nothing moved."""
    teller = await hire(PAYER)
    teller.tell("full")
    assert await teller.heard() == ["full"]
    made = await pair.payee.invoice(PRICE, "", 600)
    key = new_key()
    teller.pay(made, key)
    assert await teller.heard() == ["no", made.payment_hash.hex(), "payment_unknown"]
    assert (await pair.payer.lookup(made.payment_hash, Direction.OUT)).status is PaymentStatus.UNKNOWN
    assert_balanced(tmp_path)
    await pair.payer.pay(made.bolt11, max_fee=Msat(0), key=key)


async def test_many_processes_make_the_bank(tmp_path: Path, hire: Hire) -> None:
    """Processes that find no bank, all at once, make one."""
    tellers = await asyncio.gather(*(hire(secrets.token_bytes(32)) for _ in range(4)))
    wallet = SimWallet.open(tmp_path, PAYER, "regtest")
    await wallet.fund(FUNDS)
    preimage = secrets.token_bytes(32)
    made = await wallet.invoice(PRICE, "", 600, payment_hash=hashlib.sha256(preimage).digest())
    tellers[0].pay(made, new_key())
    assert (await tellers[0].heard())[2] == "insufficient_funds"
    await wallet.aclose()


async def _door(state: Path) -> Path:
    """The socket of the one listener, once there is one."""
    async with asyncio.timeout(PATIENCE):
        while not (found := _doors(state)):  # noqa: ASYNC110 another process makes it
            await asyncio.sleep(0.02)
    (path,) = found
    return path


def _doors(state: Path) -> list[Path]:
    """The sockets that the bank knows."""
    with contextlib.closing(sqlite3.connect(state / "sim" / "bank.sqlite3")) as db:
        return [Path(path) for (path,) in db.execute("SELECT path FROM listeners")]
