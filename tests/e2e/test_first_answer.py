"""The first paid answer: a relay, a provider with the real model and a buyer, as people run them."""

from __future__ import annotations

import re

import msgspec
import pytest

from tests.e2e.market import holds_together
from tests.e2e.world import Document, World, number

QUESTION = "What is 2+2?"


def _relays(world: World) -> list[tuple[object, object, object]]:
    rows = msgspec.convert(world.ask("provider", "status")["relays"], list[Document])
    return [(row["url"], row["state"], row["authenticated"]) for row in rows]


@pytest.mark.usefixtures("model")
def test_two_homes_and_the_real_model(world: World) -> None:
    """The whole path on real parts; what was paid is what was earned and what the wallet lost; any process can ask about it later."""
    _, relay = world.nexus()
    seller = world.home("provider", relay)
    world.home("buyer", relay, sats=100)
    world.provider("provider")
    status = world.ask("provider", "status")
    assert status["backends"] == [{"name": "embedded", "models": ["smollm2-135m"]}]
    world.until(lambda: _relays(world) == [(relay, "authenticated", True)], "the provider at its relay")

    job = world.ask("buyer", "job", "submit", QUESTION, "--auto-pay", "--max-tokens", "40")
    assert set(job) >= {"id", "kind", "status", "answer", "model", "provider", "amount_msat", "fee_msat", "total_ms", "legs_ms"}
    assert re.fullmatch("[0-9a-f]{64}", str(job["id"]))
    assert (job["kind"], job["status"], job["model"]) == (5050, "done", "smollm2-135m")
    assert job["provider"] == seller["pubkey"]
    assert str(job["answer"]).strip()
    assert (job["amount_msat"], job["fee_msat"], job["own"]) == (1000, 0, False)
    legs = msgspec.convert(job["legs_ms"], dict[str, float])
    assert list(legs) == ["posted", "quoted", "paid", "answered"]
    assert number(job, "amount_msat") == world.earned("provider")[0]
    holds_together(world, job, 100_000)

    job_id = str(job["id"])
    assert world.ask("buyer", "job", "results", job_id) == job
    assert world.ask("buyer", "job", "status", job_id[:12]) == world.jobs("buyer", "buyer")[0] == job
    assert world.run("buyer", "job", "results", job_id).out.startswith(str(job["answer"]))
    for home, role, state in (("buyer", "buyer", "done"), ("provider", "provider", "delivered")):
        (row,) = msgspec.convert(world.ask(home, "job", "list")["jobs"], list[Document])
        assert (row["id"], row["role"], row["status"], row["amount_msat"]) == (job_id, role, state, 1000)
    earnings = world.ask("provider", "earnings")
    assert (earnings["total_msat"], earnings["jobs"]) == (1000, 1)
    (recent,) = msgspec.convert(earnings["recent"], list[Document])
    assert (recent["job"], recent["amount_msat"], recent["own"]) == (job_id, 1000, False)
    balance = world.ask("buyer", "wallet", "balance")
    assert balance["spendable_msat"] == world.spendable("buyer") == 99_000
    (out,), (into,) = (
        msgspec.convert(world.ask(home, "wallet", "history")["payments"], list[Document]) for home in ("buyer", "provider")
    )
    assert (out["direction"], into["direction"]) == ("out", "in")
    assert {row["status"] for row in (out, into)} == {"settled"}
    assert out["payment_hash"] == into["payment_hash"]
    assert (out["job"], out["memo"]) == (job_id, f"pylon:{job_id}")

    doctor = world.ask("provider", "doctor")
    assert doctor["ok"] is True
    levels = {row["name"]: row["level"] for row in msgspec.convert(doctor["checks"], list[Document])}
    assert levels == {name: "ok" for name in ("native", "identity", "backend", "relay", "clock", "wallet", "journal", "jobs")}


@pytest.mark.usefixtures("model")
def test_one_home_by_hand(world: World) -> None:
    """The script of the first release: one home, two terminals, plain text; it pays itself, and says so."""
    _, relay = world.nexus()
    made = world.run("home", "init")
    assert made.status == 0
    assert "npub1" in made.out
    config = world.place / "home" / "config.toml"
    text = config.read_text("utf-8").replace("ws://127.0.0.1:7700", relay)
    config.write_text(text.replace('# backend = "sim"', 'backend = "sim"'), "utf-8")
    assert "100,000 sats" in world.run("home", "wallet", "fund").out
    provider = world.start("home", "start", "-f", "-m", "provider")
    provider.line("Ready")
    for line in ("Identity: npub1", "Mode:     provider", "Backend:  embedded (smollm2-135m)", "simulated: not Lightning"):
        assert line in provider.out
    bought = world.run("home", "job", "submit", QUESTION, "--auto-pay", "--max-tokens", "40")
    assert bought.status == 0, bought
    assert re.search(r"^posted .*\nquoted .*1 sat by .*\npaid .*to ourselves", bought.err, re.MULTILINE)
    assert re.search(r"^1 sat \(to ourselves\) · provider [0-9a-f]{64} · smollm2-135m · [0-9.]+ ms", bought.out, re.MULTILINE)
    assert world.run("home", "infer", "--prompt", "Hello", "--max-tokens", "8").out.strip()
    assert "Everything works." in world.run("home", "doctor").out
    assert "Earned 1 sat by 1 job." in world.run("home", "earnings").out
    assert "self" in world.run("home", "earnings").out
    assert "100,000 sats" in world.run("home", "wallet", "balance").out
    assert sorted(str(row["direction"]) for row in world.payments("home") if row["own"]) == ["in", "out"]
    assert sorted(str(row["status"]) for row in (*world.jobs("home", "buyer"), *world.jobs("home", "provider"))) == ["delivered", "done"]
    listed = world.run("home", "job", "list").out
    assert listed.count(QUESTION) == 2
