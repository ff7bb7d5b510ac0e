"""Jobs paid over real Lightning: three nodes and more on one private network, a process each, and what happens when one is killed."""

from __future__ import annotations

import hashlib
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pylon.lightning import built

if not built():
    pytest.skip("this build leaves the Lightning node out", allow_module_level=True)

from tests.e2e.lightning import Lightning
from tests.e2e.swarm import coverage
from tests.e2e.world import Document, Running, number

SLOW = 'default = "one two three four five six"\ndelay_ms = 300\n'
QUESTION = "What is 2+2?"
FUNDS = 50_000


class Street(Lightning):
    """A relay, a provider `seller` that nobody ever funded, and a funded `buyer`."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        try:
            _, self.relay = self.nexus()
            super().home("seller", self.relay, script=SLOW)
            super().home("buyer", self.relay, sats=FUNDS)
            self.seller = self.provider("seller")
        except BaseException:
            self.close()
            raise

    def again(self) -> None:
        """The seller, after it was killed."""
        self.seller = self.provider("seller")


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """One private network for all tests of this file."""
    made = Street(tmp_path_factory.mktemp("lightning"))
    try:
        yield made
    finally:
        made.close()


class Books:
    """What both sides have, at one moment; later, what has become of it. Of sellers what they can spend: with a channel the hub gives them
    its reserve, too."""

    def __init__(self, street: Street, *sellers: str) -> None:
        self._street = street
        self._sellers = sellers or ("seller",)
        self._buyer = street.everything("buyer")
        self._earned = [street.spendable(name) for name in self._sellers]
        self._payments = len(street.payments("buyer"))

    def paid_once(self, job: Document) -> None:
        """What the job says was paid is what the one wallet has less and the others have more, and it was one payment."""
        amount, fee = number(job, "amount_msat"), number(job, "fee_msat")
        street = self._street
        street.until(lambda: sum(street.spendable(name) for name in self._sellers) == sum(self._earned) + amount, "what was earned")
        assert self._buyer - street.everything("buyer") == amount + fee
        assert len(street.payments("buyer")) == self._payments + 1
        assert street.payments("buyer")[0]["status"] == "settled"

    def nothing_paid(self) -> None:
        """Both have what they had."""
        assert self._street.everything("buyer") == self._buyer
        assert [self._street.spendable(name) for name in self._sellers] == self._earned


def _ask(street: Street, *words: str) -> Running:
    return street.start("buyer", "job", "submit", QUESTION, "--auto-pay", *words, "--json")


def test_a_job_is_paid_over_lightning(street: Street) -> None:
    """From the question to the answer; the seller was never funded, and both wallets and the network tell the same."""
    books = Books(street)
    job = _ask(street).done().document
    assert job["answer"] == "one two three four five six"
    books.paid_once(job)
    (out, *_), (into, *_) = street.payments("buyer"), street.payments("seller")
    assert out["payment_hash"] == into["payment_hash"]
    balance = street.balance("buyer")
    assert (balance["backend"], balance["network"], balance["simulated"], balance["no_value"]) == ("ldk", "regtest", False, True)
    status = street.regtest("status")
    assert status["no_value"] is True
    peers = {row["peer"] for row in street.hub_channels()}
    assert len(peers) == 2
    for channel in street.hub_channels():
        assert len(str(channel["funding_txid"])) == 64
        assert number(channel, "block_height") <= number(status, "height")
    pids = {street.node_pid(home) for home in ("buyer", "seller")} | {street.network_pid()}
    assert len(pids) == 3


def test_invoices_are_real(street: Street) -> None:
    """`lnbcrt`, with the seller's node as payee; the preimage that the payer gets is the invoice's."""
    invoice = street.ask("seller", "wallet", "invoice", "21", "-d", "for 🍕")
    assert str(invoice["bolt11"]).startswith("lnbcrt210n1")
    before = street.everything("seller")
    paid = street.ask("buyer", "wallet", "pay", str(invoice["bolt11"]))
    assert hashlib.sha256(bytes.fromhex(str(paid["preimage"]))).hexdigest() == invoice["payment_hash"]
    street.until(lambda: street.everything("seller") == before + 21_000, "the money")
    again = street.run("buyer", "wallet", "pay", str(invoice["bolt11"]), "--json")
    assert (again.status, again.error["code"]) == (6, "invoice_refused")


def test_a_recursive_query_within_its_budget(street: Street) -> None:
    """Many payments at once, to two providers; what the run says that it spent is what left the wallet and what came in."""
    street.home("second", street.relay, script='default = "- a point"\n')
    second = street.provider("second")
    path = street.place / "long.txt"
    path.write_text("".join(f"Line {line:07} of the document {'x' * 220}.\n\n" for line in range(8)), "utf-8")
    words = ("--file", str(path), "--chunk-size", "256", "--fanout", "8", "--budget", "20", "--timeout", "40")
    before = {name: street.spendable(name) for name in ("buyer", "seller", "second")}
    done = street.run("buyer", "rlm", "What does it say?", *words, "--json")
    assert done.status == 0, done
    answered, pieces = coverage(done.document)
    assert answered == pieces == 8
    spent = number(done.document, "spent_msat")
    assert 0 < spent <= 20_000
    assert before["buyer"] - street.spendable("buyer") == spent
    street.until(lambda: sum(street.spendable(name) - before[name] for name in ("seller", "second")) == spent, "what was earned")
    second.end()


def test_the_buyer_is_killed_between_payment_and_answer(street: Street) -> None:
    """The command that waits starts another node, which has the answer; the payment is there once."""
    books = Books(street)
    buyer = _ask(street)
    street.until_state("buyer", "buyer", "paid")
    street.kill_node("buyer")
    done = buyer.done()
    assert done.status == 0, done
    books.paid_once(done.document)


def test_the_provider_is_killed_between_payment_and_answer(street: Street) -> None:
    """It answers after its start, without a second payment."""
    books = Books(street)
    buyer = _ask(street)
    street.until_state("buyer", "buyer", "paid")
    street.seller.kill()
    street.again()
    done = buyer.done()
    assert done.status == 0, done
    books.paid_once(done.document)


def test_a_payment_settles_late(street: Street) -> None:
    """The provider stands still while it is paid: the payment is on its way and is not called failed; once it goes on, all is well."""
    quoted = street.ask("buyer", "job", "submit", QUESTION, "--wait")
    books = Books(street)
    street.seller.send(signal.SIGSTOP)
    try:
        buyer = street.start("buyer", "job", "pay", str(quoted["id"]), "--json")
        street.until(lambda: [row["status"] for row in street.payments("buyer")][:1] == ["sent"], "the payment on its way")
        again = street.run("buyer", "job", "pay", str(quoted["id"]), "--timeout", "2", "--json")
        assert again.status != 0
        assert street.states("buyer", "buyer")[0] == "paying"
    finally:
        street.seller.send(signal.SIGCONT)
    done = buyer.done()
    assert done.status == 0, done
    books.paid_once(done.document)


def test_the_hub_is_killed_while_a_job_is_paid(street: Street) -> None:
    """The network is started again by whoever needs it; the payment ends one way, and is made once."""
    quoted = street.ask("buyer", "job", "submit", QUESTION, "--wait")
    books = Books(street)
    street.seller.send(signal.SIGSTOP)
    try:
        buyer = street.start("buyer", "job", "pay", str(quoted["id"]), "--json")
        street.until(lambda: [row["status"] for row in street.payments("buyer")][:1] == ["sent"], "the payment on its way")
        street.kill_network()
    finally:
        street.seller.send(signal.SIGCONT)
    done = buyer.done()
    assert done.status == 0, done
    books.paid_once(done.document)


def test_two_providers_and_one_is_paid(street: Street) -> None:
    """Both offer, the person pays one; the other has neither the money nor the work."""
    street.home("other", street.relay, script=SLOW)
    other = street.provider("other")
    books = Books(street, "seller", "other")
    quoted = street.ask("buyer", "job", "submit", QUESTION, "--wait")
    for name in ("seller", "other"):
        street.until_state(name, "provider", "invoiced")
    job = street.ask("buyer", "job", "pay", str(quoted["id"]))
    books.paid_once(job)
    assert street.earned("other")[1] + (street.runs("other") == []) == 1
    other.end()


def test_the_disk_is_full_under_the_wallet(street: Street) -> None:
    """Nothing can be written: what is told is the disk, nothing is lost, and it goes on when there is room again."""
    invoice = street.ask("seller", "wallet", "invoice", "33")
    before = street.everything("buyer")
    pid = street.node_pid("buyer")
    unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
    try:
        refused = street.run("buyer", "wallet", "pay", str(invoice["bolt11"]), "--json")
        assert refused.status != 0
        assert "Traceback" not in refused.err
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
    paid = street.run("buyer", "wallet", "pay", str(invoice["bolt11"]), "--json")
    assert paid.status == 0 or "paid before" in paid.error["message"], paid
    street.until(lambda: before - street.everything("buyer") == 33_000, "the payment, once")


def test_a_channel_is_closed_and_replaced(street: Street) -> None:
    """Closed by force: the money comes back on the chain, and the home can be paid and pay again without being told to."""
    (channel,) = msgspec.convert(street.ask("seller", "wallet", "channels")["channels"], list[Document])
    had = street.everything("seller")
    street.ask("seller", "wallet", "channels", "--close", str(channel["id"]), "--force", "--yes")
    invoice = street.ask("seller", "wallet", "invoice", "5")
    street.ask("buyer", "wallet", "pay", str(invoice["bolt11"]))
    street.until(lambda: number(street.balance("seller"), "closing_msat") > 0, "money on its way")
    street.until(lambda: [street.regtest("mine", "10"), number(street.balance("seller"), "onchain_msat")][1], "money on the chain")
    assert had - 5_000_000 < street.everything("seller") <= had + 5_000 + 10_000_000
