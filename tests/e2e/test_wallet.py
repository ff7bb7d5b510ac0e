"""The wallet's commands: with a node and without one, between homes, and what they refuse."""

from __future__ import annotations

import pytest

from tests.e2e.world import Document, World


@pytest.fixture(autouse=True)
def _homes(world: World) -> None:
    """Two homes without any relay: a wallet needs none."""
    world.home("alice", sats=100)
    world.home("bob")


def test_an_invoice_is_paid_by_another_home(world: World) -> None:
    """After the command that made it has ended; both histories and balances agree."""
    invoice = world.ask("alice", "wallet", "invoice", "7", "-d", "for 🍕")
    assert set(invoice) >= {"bolt11", "payment_hash", "amount_msat", "expires_at", "simulated"}
    assert (invoice["amount_msat"], invoice["simulated"]) == (7000, True)
    assert str(invoice["bolt11"]).startswith("lnbcrt")
    assert world.payments("alice") == []
    world.ask("bob", "wallet", "fund", "10")
    paid = world.ask("bob", "wallet", "pay", str(invoice["bolt11"]))
    assert (paid["status"], paid["payment_hash"], paid["amount_msat"], paid["fee_msat"]) == ("settled", invoice["payment_hash"], 7000, 0)
    assert len(str(paid["preimage"])) == 64
    assert (world.spendable("alice"), world.spendable("bob")) == (107_000, 3_000)
    world.until(lambda: [row["status"] for row in world.payments("alice")] == ["settled"], "the news of the payment")
    (into,), (out, gift) = world.payments("alice"), world.payments("bob")
    assert (gift["direction"], gift["kind"], gift["amount_msat"]) == ("in", "faucet", 10_000)
    history = world.ask("alice", "wallet", "history")
    assert (history["payments"], history["differences"]) == ([into], [])
    assert (into["direction"], into["memo"], into["amount_msat"]) == ("in", "for 🍕", 7000)
    assert (out["direction"], out["memo"], out["amount_msat"]) == ("out", "for 🍕", 7000)
    assert world.earned("alice") == (0, 0)  # money that a person asked for is not earned by a job


def test_an_invoice_is_paid_while_its_node_is_away(world: World) -> None:
    """The node that made it has been killed; the next one learns of the payment."""
    invoice = world.ask("alice", "wallet", "invoice", "7")
    world.kill_node("alice")
    world.ask("bob", "wallet", "fund", "10")
    assert world.run("bob", "wallet", "pay", str(invoice["bolt11"])).out == "Paid 7 sats (fee 0 msat).\n"
    assert world.ask("alice", "wallet", "balance")["spendable_msat"] == 107_000
    world.until(lambda: [row["status"] for row in world.payments("alice")] == ["settled"], "the news of the payment")


def test_paying_twice_is_refused(world: World) -> None:
    """The second time: exit 6, and nothing leaves the wallet. The first time it was a link, as wallets show it to be clicked."""
    invoice = str(world.ask("bob", "wallet", "invoice", "7")["bolt11"])
    world.ask("alice", "wallet", "pay", f" Lightning:{invoice}")
    again = world.run("alice", "wallet", "pay", invoice.upper(), "--json")
    assert (again.status, again.error["code"]) == (6, "invoice_refused")
    assert "paid before" in again.error["message"]
    assert (world.spendable("alice"), world.spendable("bob")) == (93_000, 7_000)
    assert len(world.payments("alice")) == 1


def test_killed_while_it_pays(world: World) -> None:
    """The intent is in the journal, the bank was never reached: until that is known for sure, nothing is paid a second time."""
    invoice = str(world.ask("bob", "wallet", "invoice", "7")["bolt11"])
    with world.bank_held():
        paying = world.start("alice", "wallet", "pay", invoice)
        world.until(lambda: [row["status"] for row in world.payments("alice")] == ["sent"], "the mark before the wallet is asked")
        world.kill_node("alice")
        lost = paying.done()
    assert lost.status == 1
    assert "before you try again" in lost.err
    again = world.run("alice", "wallet", "pay", invoice, "--json")
    assert (again.status, again.error["code"]) == (6, "invoice_refused")
    assert (world.spendable("alice"), world.spendable("bob")) == (100_000, 0)
    assert len(world.payments("alice")) == 1


def test_what_cannot_be_paid(world: World) -> None:
    """Garbage, other networks, addresses, no amount, too much: exit 6, one sentence, nothing leaves."""
    mainnet = (
        "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5x"
        "ysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4"
        "vgpfna3rh"
    )
    too_much = str(world.ask("bob", "wallet", "invoice", "101")["bolt11"])
    own = str(world.ask("alice", "wallet", "invoice", "1")["bolt11"])
    cases: dict[str, tuple[str, str]] = {
        "": ("invoice_refused", "nothing to pay"),
        "garbage": ("invoice_refused", "only BOLT11"),
        "me@example.org": ("invoice_refused", "a lightning address"),
        "lnbcrt1😀\u202e": ("invoice_refused", "not valid BOLT11"),
        "lnbcrt" + "q" * 9000: ("invoice_refused", "longer than"),
        own[:-1] + ("q" if own[-1] != "q" else "p"): ("invoice_refused", "not valid BOLT11"),
        mainnet: ("invoice_refused", "another network"),
        too_much: ("insufficient_funds", "100"),
        own: ("payment_failed", "this very wallet"),
    }
    for invoice, (code, words) in cases.items():
        done = world.run("alice", "wallet", "pay", "--json", "--", invoice)
        assert (done.status, done.error["code"]) == (6, code), (invoice, done)
        assert words in done.error["message"], (invoice, done)
    assert world.spendable("alice") == 100_000
    assert [row for row in world.payments("alice") if row["status"] != "failed"] == []


def test_amounts_that_are_none(world: World) -> None:
    """Zero, negative, fractions, more than all bitcoin: exit 2, as a document too; more than the faucet gives: exit 6."""
    for words in (["fund", "0"], ["invoice", "--", "-1"], ["invoice", "1.5"], ["invoice", "2100000000000001"], ["fund", "9" * 30]):
        done = world.run("alice", "wallet", words[0], "--json", *words[1:])
        assert (done.status, done.error["code"]) == (2, "usage"), done
    assert world.run("alice", "wallet", "fund", "100000001").status == 6
    assert world.spendable("alice") == 100_000


def test_the_wallet_says_that_it_is_simulated(world: World) -> None:
    """Wherever it shows."""
    assert world.ask("alice", "wallet", "fund", "1")["spendable_msat"] == world.spendable("alice") == 101_000
    for words in (["wallet", "balance"], ["wallet", "status"], ["wallet", "fund", "1"], ["doctor"]):
        assert "not Lightning" in world.run("alice", *words).out
    balance: Document = world.ask("alice", "wallet", "balance")
    assert set(balance) >= {"backend", "network", "spendable_msat", "receivable_msat", "pending_msat"}
    assert (balance["backend"], balance["network"], balance["simulated"]) == ("sim", "regtest", True)
