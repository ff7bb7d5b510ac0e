"""What providers ask for and refuse: free answers, prices by tokens, full queues, models, bids; nothing is charged for a refusal."""

from __future__ import annotations

import pytest

from tests.e2e.world import Document, Done, World, number

ANSWER = 'default = "It is 4."\n[[reply]]\nwhen = "hang"\ntext = "one two"\nafter = 1\nfail = "hang"\n'


@pytest.fixture
def relay(world: World) -> str:
    """A relay and a buyer."""
    _, url = world.nexus()
    world.home("buyer", url, sats=100)
    return url


def _seller(world: World, relay: str, terms: str) -> str:
    made = world.home("provider", relay, script=ANSWER, more=f"[provider]\n{terms}\n")
    world.provider("provider")
    return str(made["pubkey"])


def _submit(world: World, *words: str) -> Done:
    return world.run("buyer", "job", "submit", *words, "--auto-pay", "--json")


def _refused(world: World, done: Done, words: str) -> None:
    """Exit 7 with the provider's reason; nothing was paid, and nothing computed."""
    assert done.status == 7, done
    assert done.error["code"] == "provider_refused"
    assert words in done.error["message"]
    assert world.spendable("buyer") == 100_000
    assert world.earned("provider") == (0, 0)
    assert world.payments("buyer") == []
    assert world.runs("provider") == []


def test_a_free_provider(world: World, relay: str) -> None:
    """`require_payment = false`: no invoice, no payment, and an empty wallet is enough."""
    world.home("poor", relay)
    seller = _seller(world, relay, "require_payment = false")
    for home in ("poor", "buyer"):
        job = world.ask(home, "job", "submit", "What is 2+2?", "--auto-pay")
        assert (job["answer"], job["amount_msat"], job["provider"]) == ("It is 4.", 0, seller)
    assert world.spendable("buyer") == 100_000
    assert world.earned("provider") == (0, 0)
    assert world.payments("buyer") == []
    assert "free" in world.run("buyer", "job", "results", str(job["id"])).out


def test_a_price_by_tokens(world: World, relay: str) -> None:
    """The floor and the tokens of prompt and answer (here: words), whatever the answer's length turns out to be."""
    _seller(world, relay, "min_price_msats = 1500\nprice_per_1k_msats = 10000")
    job: Document = _submit(world, "one two three", "--max-tokens", "97", "--bid", "2500").document
    assert (job["answer"], number(job, "amount_msat")) == ("It is 4.", 1500 + 1000)
    assert world.earned("provider") == (2500, 1)
    too_low = _submit(world, "one two three", "--max-tokens", "97", "--bid", "2499")
    assert too_low.status == 7
    assert "2500 msat" in too_low.error["message"]
    assert "--bid" in too_low.error["hint"]
    assert world.spendable("buyer") == 97_500


def test_a_price_below_one_sat(world: World, relay: str) -> None:
    """A price of 1 msat is asked and paid as 1 msat, not as a zero invoice (ancestor: defect 12)."""
    _seller(world, relay, "min_price_msats = 1")
    job = _submit(world, "What is 2+2?").document
    assert (job["status"], job["amount_msat"]) == ("done", 1)
    assert world.spendable("buyer") == 99_999
    assert world.earned("provider") == (1, 1)


def test_a_bid_below_the_price(world: World, relay: str) -> None:
    """Exit 7 with the price; the hint says --bid."""
    seller = _seller(world, relay, "min_price_msats = 3000")
    done = _submit(world, "What is 2+2?", "--provider", seller)
    _refused(world, done, "the price is 3000 msat and the bid only 1000")
    assert "--bid" in done.error["hint"]


def test_a_model_that_is_not_there(world: World, relay: str) -> None:
    """The refusal names the model asked for and those that are there."""
    seller = _seller(world, relay, "")
    _refused(world, _submit(world, "What is 2+2?", "--model", "gpt-nowhere", "--provider", seller), "'gpt-nowhere' is not here")


def test_a_prompt_that_fits_no_model(world: World, relay: str) -> None:
    """More tokens than the model's context: refused before anything is charged."""
    seller = _seller(world, relay, "")
    _refused(world, _submit(world, "word " * 5000, "--provider", seller), "tokens")


def test_a_full_queue(world: World, relay: str) -> None:
    """One slot and no queue: while it answers, the next customer is told to come later."""
    _seller(world, relay, "slots = 1\nqueue = 0")
    world.start("buyer", "job", "submit", "hang", "--auto-pay", "--json")
    world.until(lambda: world.runs("provider") == ["start"], "the computation")
    world.until_state("buyer", "buyer", "paid")
    busy = _submit(world, "What is 2+2?")
    assert busy.status == 7
    assert "busy" in busy.error["message"]
    assert "RATE_LIMITED" in busy.error["message"]
    assert world.earned("provider") == (1000, 1)
    assert len(world.payments("buyer")) == 1
    (row, first) = world.jobs("buyer", "buyer")
    assert row["status"] == "failed"
    assert world.run("buyer", "job", "cancel", str(first["id"])).status == 0


def test_the_backend_is_lost_later(world: World, relay: str) -> None:
    """The node stays up and refuses; when the backend is back, it sells again."""
    seller = _seller(world, relay, "")
    script = world.place / "provider" / "script.toml"
    kept = script.read_text("utf-8")
    script.unlink()
    _refused(world, _submit(world, "What is 2+2?", "--provider", seller), "no model")
    assert world.ask("provider", "status")["running"] is True
    script.write_text(kept, "utf-8")
    world.until(lambda: _submit(world, "What is 2+2?", "--provider", seller).status == 0, "the backend")


def test_an_empty_wallet(world: World, relay: str) -> None:
    """Exit 6, nothing paid, and how to fill it; the same for a home that buys from itself."""
    world.home("poor", relay)
    _seller(world, relay, "")
    for home in ("poor", "provider"):
        done = world.run(home, "job", "submit", "What is 2+2?", "--auto-pay", "--json")
        assert done.status == 6, done
        assert done.error["code"] == "insufficient_funds"
        assert "wallet fund" in done.error["hint"]
        assert world.spendable(home) == 0
    assert world.earned("provider") == (0, 0)
    assert world.runs("provider") == []
