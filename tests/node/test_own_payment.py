"""One home on both sides: what it pays itself is settled in the journal, and only the exact open invoice of that very job (P11)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from pylon.market.effects import Generate, Pay
from pylon.market.job import BuyerJob, BuyerState, ProviderJob, ProviderState, Role
from pylon.market.payment import Status
from pylon.node.journal import Payment
from pylon.node.node import Node
from pylon.units import Msat
from pylon.wallets.base import Direction
from tests.market.scene import PROVIDER, invoice, payment_hash
from tests.node import stage
from tests.node.stage import asks, buyer_job, now, paying, provider_job, todo

TEXT = invoice(at=1_800_000_000, expiry=365 * 86_400)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Node]:
    """A node that performs nothing."""
    node = stage.node(tmp_path / "home")
    yield node
    node.ledger.close()


class Scene(msgspec.Struct):
    """The records before the payment, to be spoilt by a test."""

    bought: BuyerJob
    sold: ProviderJob
    line: Payment


def stand(here: Node, spoil: Callable[[Scene], object]) -> tuple[int, str]:
    """Our account 1 has posted, our account 0 has invoiced, the payment is about to be made: the number of its effect, and the job."""
    request = asks(here.buyer_keys)
    stored = paying(here, TEXT, payment_hash(1), request=request)
    sold = ProviderJob(
        id=request.id, request=request, state=ProviderState.INVOICED, price=Msat(1000), deadline=now() + 300, bolt11=TEXT,
        payment_hash=payment_hash(1), invoice_expires=now() + 600, created_at=time.time(),
    )
    line = Payment(
        direction=Direction.IN, payment_hash=payment_hash(1), bolt11=TEXT, amount=Msat(1000), status=Status.OPEN, at=now(),
        job=request.id,
    )
    bought = buyer_job(here, request.id)
    assert bought.quote is not None
    ours = replace(bought.quote, provider=here.provider_keys.pubkey_hex)
    scene = Scene(replace(bought, quote=ours), sold, line)
    spoil(scene)
    with here.ledger.transaction(full=True):
        here.ledger.put(scene.bought)
        here.ledger.put(scene.sold)
        here.ledger.intend(scene.line)
    here._open.clear()
    return stored.n, request.id


def test_both_sides_in_one_step(here: Node) -> None:
    """Paid and earned, both marked as our own, the computation begins, and the effect is done: no wallet was asked."""
    n, job = stand(here, lambda scene: None)
    assert here.settle_own(n, job)
    assert buyer_job(here, job).own
    assert buyer_job(here, job).state is BuyerState.PAID
    sold = provider_job(here, job)
    assert sold is not None
    assert (sold.state, sold.own, sold.received) == (ProviderState.RUNNING, True, 1000)
    assert {line.status for line in here.ledger.payments(9)} == {Status.SETTLED}
    assert (len(todo(here, Pay)), len(todo(here, Generate))) == (0, 1)


def spoil_text(scene: Scene) -> None:
    """The offer is another text with the hash of our invoice: somebody else's, for another amount perhaps."""
    assert scene.bought.quote is not None
    scene.bought = replace(scene.bought, quote=replace(scene.bought.quote, bolt11=TEXT.upper()))


def spoil_job(scene: Scene) -> None:
    """Our open invoice belongs to another job: a stranger has copied it into an offer of his."""
    scene.line = replace(scene.line, job="0" * 64)
    scene.sold = replace(scene.sold, bolt11=TEXT)


def spoil_payee(scene: Scene) -> None:
    """A stranger has copied our invoice into an offer of his: he would owe the answer, not we."""
    assert scene.bought.quote is not None
    scene.bought = replace(scene.bought, quote=replace(scene.bought.quote, provider=PROVIDER.pubkey_hex))


def spoil_poster(scene: Scene) -> None:
    """The job was not posted by our account 1."""
    scene.sold = replace(scene.sold, request=asks(PROVIDER))


def spoil_state(scene: Scene) -> None:
    """The sale has expired."""
    scene.sold = replace(scene.sold, state=ProviderState.EXPIRED)


def spoil_line(scene: Scene) -> None:
    """The invoice is settled already."""
    scene.line = replace(scene.line, status=Status.SETTLED)


def spoil_purchase(scene: Scene) -> None:
    """The purchase is not being paid (any more)."""
    scene.bought = replace(scene.bought, state=BuyerState.POSTED)


@pytest.mark.parametrize("spoil", [spoil_text, spoil_payee, spoil_job, spoil_poster, spoil_state, spoil_line, spoil_purchase])
def test_any_difference_and_nothing_is_settled(here: Node, spoil: Callable[[Scene], None]) -> None:
    """False, and no record has changed."""
    n, job = stand(here, spoil)
    before = (here.job(Role.BUYER, job), here.job(Role.PROVIDER, job), here.ledger.payments(9))
    assert not here.settle_own(n, job)
    assert (here.job(Role.BUYER, job), here.job(Role.PROVIDER, job), here.ledger.payments(9)) == before
