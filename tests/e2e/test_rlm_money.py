"""The money of recursive queries: whatever providers ask, what a run says it spent is what was paid, and never more than its budget."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from tests.e2e.swarm import Swarm, coverage
from tests.e2e.world import World, number

SEED = 5940
PRICES = [700, 1300, 2900]


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    """Three providers with three prices; the dearest charges by length, too, and one in four of its answers is a shrug."""
    world = World(tmp_path_factory.mktemp("money"))
    more = [f"[provider]\nmin_price_msats = {price}\nprice_per_1k_msats = {price - 700}\n" for price in PRICES]
    try:
        yield Swarm(world, 3, more=more)
    finally:
        world.close()


@pytest.mark.parametrize("turn", range(6))
def test_spent_is_earned_and_within_the_budget(swarm: Swarm, turn: int) -> None:
    """Runs of any size, fanout and budget: coverage, exit status and every book agree."""
    chance = Random(SEED + turn)
    pieces, fanout, budget = chance.randint(1, 12), chance.randint(1, 12), chance.choice([0, 1, 3, 6, 10, 25, 40])
    shrugging = chance.choice(swarm.names)
    for name in swarm.names:
        swarm.say(name, '[[reply]]\nwhen = "Line 0000003"\ntext = "Sorry."\n' if name == shrugging else "")
    file = swarm.document(f"{turn}.txt", pieces)
    before = swarm.books()
    done = swarm.rlm(
        "What does it say?", "--file", file, "--chunk-size", "256", "--fanout", str(fanout), "--budget", str(budget), "--timeout", "30",
        "--json",
    )
    document = done.document
    answered, asked = coverage(document)
    assert asked == pieces
    assert number(document, "budget_msat") == budget * 1000
    spent = swarm.spent(before, document)
    if answered == pieces:
        assert done.status == 0, done
    elif answered:
        assert done.status == 10, done
    else:
        assert done.status in (6, 7), done
    assert (spent > 0) == (swarm.books().payments > before.payments)
    paid = [row for row in swarm.world.payments("buyer")[: swarm.books().payments - before.payments] if row["status"] == "settled"]
    assert sum(number(row, "amount_msat") + number(row, "fee_msat") for row in paid) == spent
