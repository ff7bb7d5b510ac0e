"""The wallet `ldk` on a scripted node: every step may come again, and a crash between any two of them ends the same."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from pylon.errors import InsufficientFunds, PaymentError, PaymentFailed, PaymentUnknown, PylonError
from pylon.lightning.node import LightningError
from pylon.lightning.values import Claim, Sweep
from pylon.units import Msat
from pylon.wallets.base import Direction, HealthState, Paid, PaymentStatus
from pylon.wallets.ldk import chainsource, channels, incoming, life, outgoing, watch
from pylon.wallets.ldk.bills import Bills
from pylon.wallets.ldk.slots import EACH
from tests.conformance.wallet import event, new_key
from tests.wallets.ldk_script import CHANNEL, HEIGHT, HUB, Stage, bolt11, channel, record, right_chain, secret

AMOUNT = 21_000
T = TypeVar("T")


async def soon(outcome: Awaitable[T]) -> T:
    """The outcome, which must come: nothing here waits for anybody else."""
    async with asyncio.timeout(15):
        return await outcome


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """A wallet on a scripted node whose background looks come only when a test says so."""
    monkeypatch.setattr(chainsource, "check", right_chain)
    monkeypatch.setattr(life, "TICK", 3600)
    monkeypatch.setattr(incoming, "HINT_PAUSE", 0)
    monkeypatch.setattr(watch, "PAUSES", (0.01, 0.02))
    made = Stage(tmp_path)
    yield made
    await made.wallet.aclose()


def paying(stage: Stage, text: str, key: bytes) -> asyncio.Task[Paid]:
    """The wallet pays."""
    return asyncio.create_task(stage.wallet.pay(text, max_fee=Msat(5000), key=key))


async def until(what: Callable[[], object]) -> None:
    """Until it is so."""
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def out(stage: Stage, payment_hash: bytes) -> PaymentStatus:
    """How our payment stands."""
    return (await stage.wallet.lookup(payment_hash, Direction.OUT)).status


async def into(stage: Stage, payment_hash: bytes) -> PaymentStatus:
    """How our invoice stands."""
    return (await stage.wallet.lookup(payment_hash, Direction.IN)).status


def arrives(stage: Stage, payment_hash: bytes, amount: int = AMOUNT, height: int = HEIGHT + 30) -> None:
    """A payment for this hash arrives."""
    stage.node.happen("claimable", payment_hash=payment_hash.hex(), amount_msat=amount, deadline=height)


async def test_a_payment_is_taken_once_it_has_arrived(stage: Stage) -> None:
    """Claimable, claimed, received: settled, with one event; the same events once more change nothing."""
    events = stage.wallet.events(0)
    made = await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    for _ in range(2):
        arrives(stage, made.payment_hash)
        await stage.node.quiet()
    assert stage.node.asked("claim") == [(made.preimage, AMOUNT)] * 2
    assert await into(stage, made.payment_hash) is PaymentStatus.HELD  # not ours before the node says so
    for _ in range(2):
        stage.node.happen("received", payment_hash=made.payment_hash.hex(), amount_msat=AMOUNT)
        await stage.node.quiet()
    told = await event(events, made.payment_hash, PaymentStatus.SETTLED)
    assert (told.amount, told.preimage) == (AMOUNT, made.preimage)
    later = asyncio.ensure_future(anext(stage.wallet.events(told.cursor)))
    await asyncio.sleep(0.05)
    assert not later.done()
    later.cancel()


async def test_a_book_that_fails_once_still_tells_what_is_over(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when an invoice ends: that it is over is told as soon as the book can be written again."""
    monkeypatch.setattr(incoming, "PAUSES", (0.01, 0.02))
    events, lapse = stage.wallet.events(0), Bills.lapse
    failed: list[int] = []

    def fails_once(bills: Bills, now: int) -> int:
        """As a full disk does."""
        due = bills.next_lapse()
        if not failed and due is not None and due <= now:
            failed.append(now)
            raise PylonError("the book cannot be written")
        return lapse(bills, now)

    monkeypatch.setattr(Bills, "lapse", fails_once)
    made = await soon(stage.wallet.invoice(Msat(AMOUNT), "", 1))
    await event(events, made.payment_hash, PaymentStatus.EXPIRED)
    assert failed


async def test_a_crash_between_the_book_and_the_claim(stage: Stage) -> None:
    """The decision to take is in the book and the node has not heard of it: it does at the next start; what it has by then is settled."""
    made = await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    stage.node.refuse["claim"] = [LightningError("not_running", "x")] * 1000
    arrives(stage, made.payment_hash)
    await until(lambda: stage.node.asked("claim"))
    stage.node.refuse.clear()
    stage.node.calls.clear()
    await soon(stage.crash())
    assert stage.node.asked("claim")[0] == (made.preimage, AMOUNT)
    assert made.preimage is not None
    stage.node.known[made.payment_hash] = record(made.payment_hash, "in", "succeeded", AMOUNT, made.preimage)
    await soon(stage.crash())
    assert await into(stage, made.payment_hash) is PaymentStatus.SETTLED


async def test_what_nobody_asked_for_goes_back(stage: Stage) -> None:
    """Unknown hash, too little, cancelled, expired: each payment is sent back, and none is claimed."""
    await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    small, gone, old = [await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600)) for _ in range(3)]
    await stage.wallet.cancel(gone.payment_hash)
    stranger = secret()[1]
    arrives(stage, stranger)
    arrives(stage, small.payment_hash, AMOUNT - 1)
    arrives(stage, gone.payment_hash)
    await stage.node.quiet()
    now = stage.clock()
    stage.clock = lambda: now + 601
    arrives(stage, old.payment_hash)
    await stage.node.quiet()
    assert stage.node.asked("fail") == [(one,) for one in (stranger, small.payment_hash, gone.payment_hash, old.payment_hash)]
    assert not stage.node.asked("claim")
    assert [await into(stage, one.payment_hash) for one in (small, gone, old)] == [
        PaymentStatus.FAILED, PaymentStatus.FAILED, PaymentStatus.EXPIRED
    ]


async def test_the_node_forgets_what_ended_unpaid(stage: Stage) -> None:
    """Long after its end an unpaid invoice leaves the node's memory, once; the book still knows it."""
    made = await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    kept = await soon(stage.wallet.invoice(Msat(AMOUNT), "", 36_000))
    now = stage.clock()
    for later in (601, 601 + 3500, 601 + 3700, 601 + 3800):
        stage.clock = lambda at=now + later: at  # type: ignore[misc]
        assert await into(stage, made.payment_hash) is PaymentStatus.EXPIRED
        await stage.look()
    assert stage.node.asked("forget") == [(made.payment_hash,)]
    assert await into(stage, made.payment_hash) is PaymentStatus.EXPIRED
    assert await into(stage, kept.payment_hash) is PaymentStatus.OPEN


async def test_a_crash_between_the_cancelling_and_the_node(stage: Stage) -> None:
    """A held payment was cancelled in the book, and the node did not hear of it: the next start tells it."""
    payment_hash = secret()[1]
    await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600, payment_hash=payment_hash))
    arrives(stage, payment_hash)
    await stage.node.quiet()
    stage.node.refuse["fail"] = [LightningError("not_running", "x")]
    with pytest.raises(PylonError, match="refuses: x"):
        await stage.wallet.cancel(payment_hash)
    assert await into(stage, payment_hash) is PaymentStatus.FAILED
    await soon(stage.crash())
    await soon(stage.crash())
    assert stage.node.asked("fail") == [(payment_hash,)] * 2  # refused, then done; and never again


async def test_a_held_payment_waits_for_its_preimage_over_a_crash(stage: Stage) -> None:
    """Held, with a deadline and one event, also where it is told twice; settled by the preimage after a restart."""
    preimage, payment_hash = secret()
    events = stage.wallet.events(0)
    await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600, payment_hash=payment_hash))
    for _ in range(2):
        arrives(stage, payment_hash)
    await stage.node.quiet()
    told = await event(events, payment_hash, PaymentStatus.HELD)
    assert told.deadline is not None
    wallet = await soon(stage.crash())
    settling = asyncio.create_task(wallet.settle(preimage))
    await until(lambda: stage.node.asked("claim"))
    stage.node.happen("received", payment_hash=payment_hash.hex(), amount_msat=AMOUNT)
    await soon(settling)
    heard = [await soon(anext(events)) for events in [wallet.events(told.cursor)]]
    assert [one.status for one in heard] == [PaymentStatus.SETTLED]
    await soon(wallet.settle(preimage))
    with pytest.raises(PaymentFailed, match="settled"):
        await wallet.cancel(payment_hash)


async def test_a_held_payment_past_its_block_has_gone_back(stage: Stage) -> None:
    """LDK sends it back at its block without a word: the book follows, tells it, and nothing is taken any more."""
    preimage, payment_hash = secret()
    await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600, payment_hash=payment_hash))
    events = stage.wallet.events(0)
    arrives(stage, payment_hash, height=HEIGHT + 2)
    await stage.node.quiet()
    stage.node.height = HEIGHT + 1
    await stage.look()
    assert await into(stage, payment_hash) is PaymentStatus.HELD
    stage.node.height = HEIGHT + 2
    await stage.look()
    assert await into(stage, payment_hash) is PaymentStatus.FAILED
    await event(events, payment_hash, PaymentStatus.HELD)
    await event(events, payment_hash, PaymentStatus.FAILED)
    with pytest.raises(PaymentFailed):
        await stage.wallet.settle(preimage)
    assert not stage.node.asked("claim")


async def test_the_intent_is_written_before_the_node_is_asked(stage: Stage) -> None:
    """The process ends while the node is being asked: the payment is pending, and the same key finds what the node knows."""
    preimage, payment_hash = secret()
    text, key = bolt11(AMOUNT, payment_hash), new_key()
    payment = paying(stage, text, key)
    await until(lambda: stage.node.asked("pay"))
    assert await out(stage, payment_hash) is PaymentStatus.PENDING
    await soon(stage.crash())
    with pytest.raises(PaymentUnknown):
        await soon(payment)
    assert await out(stage, payment_hash) is PaymentStatus.PENDING
    again = paying(stage, text, key)
    await asyncio.sleep(0.05)
    stage.node.happen("sent", payment_hash=payment_hash.hex(), preimage=preimage.hex(), fee_msat=7)
    assert await soon(again) == Paid(preimage, Msat(7))
    assert len(stage.node.asked("pay")) == 1
    assert await soon(paying(stage, text, key)) == Paid(preimage, Msat(7))


async def test_what_the_node_settled_meanwhile_is_settled(stage: Stage) -> None:
    """The event came and went with a crash before the book: the node's record says it; what only the node knows is taken over."""
    preimage, payment_hash = secret()
    key = new_key()
    payment = paying(stage, bolt11(AMOUNT, payment_hash), key)
    await until(lambda: stage.node.asked("pay"))
    stage.node.known[payment_hash] = record(payment_hash, "out", "succeeded", AMOUNT, preimage)
    strange, other = secret()
    stage.node.known[other] = record(other, "out", "succeeded", AMOUNT, strange)
    await soon(stage.crash())
    payment.cancel()
    for one in (payment_hash, other):
        assert await out(stage, one) is PaymentStatus.SETTLED
    with pytest.raises(PaymentFailed, match="already paid"):
        await soon(paying(stage, bolt11(AMOUNT, other), new_key()))
    assert len(stage.node.asked("pay")) == 1


@pytest.mark.parametrize("recorded", [False, True])
async def test_a_payment_that_the_crash_swallowed_is_failed_when_that_is_sure(
    stage: Stage, recorded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node has no record of it, or one that is pending for ever. Pending as long as a channel may hold it; then a no."""
    monkeypatch.setattr(channels, "FORGOTTEN_SECONDS", 0)
    payment_hash = secret()[1]
    text, key = bolt11(AMOUNT, payment_hash), new_key()
    payment = paying(stage, text, key)
    await until(lambda: stage.node.asked("pay"))
    payment.cancel()
    await soon(stage.crash())
    if not recorded:
        del stage.node.known[payment_hash]
    dust = Claim("open", CHANNEL, 1, True, 0, None, None)
    for claim in (Claim("timeout", CHANNEL, 21, True, 0, payment_hash.hex(), 300), dust):
        stage.node.claims = [claim]
        await stage.look()
        assert await out(stage, payment_hash) is PaymentStatus.PENDING
    stage.node.claims, stage.node.open = [], [channel(CHANNEL, 500_000_000, usable=False)]
    await stage.look()
    assert await out(stage, payment_hash) is PaymentStatus.PENDING
    stage.node.open = [channel(CHANNEL, 500_000_000)]
    await stage.look()
    assert await out(stage, payment_hash) is PaymentStatus.FAILED
    assert stage.node.known == {}
    again = paying(stage, text, key)  # the node does not call it a duplicate
    await until(lambda: len(stage.node.asked("pay")) == 2)
    again.cancel()


async def test_a_failure_while_a_channel_closed_is_doubtful(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not known, never begun again, pending until nothing of the channel is on its way; then what the node says."""
    monkeypatch.setattr(channels, "TOLD_SECONDS", 0)
    payment_hash = secret()[1]
    text, key = bolt11(AMOUNT, payment_hash), new_key()
    payment = paying(stage, text, key)
    await until(lambda: stage.node.asked("pay"))
    stage.node.open, stage.node.claims = [channel("bb" * 32, 0)], [Claim("confirming", CHANNEL, 500_000, False, 0, None, 250)]
    stage.node.happen("channel_closed", channel=CHANNEL, peer=HUB, reason="outdated_channel_manager")
    stage.node.happen("failed", payment_hash=payment_hash.hex(), reason="retries_exhausted")
    stage.node.known[payment_hash] = record(payment_hash, "out", "failed", AMOUNT)
    with pytest.raises(PaymentUnknown):
        await soon(payment)
    for _ in range(2):
        with pytest.raises(PaymentUnknown):
            await soon(paying(stage, text, key))
        assert await out(stage, payment_hash) is PaymentStatus.PENDING
        await soon(stage.crash())
    stage.node.claims, stage.node.sweeps = [], [Sweep("broadcast", CHANNEL, 500_000, "cc" * 32, 250)]
    await stage.look()
    assert await out(stage, payment_hash) is PaymentStatus.PENDING
    stage.node.sweeps = [Sweep("confirmed", CHANNEL, 500_000, "cc" * 32, 250)]
    await stage.look()
    assert await out(stage, payment_hash) is PaymentStatus.FAILED
    with pytest.raises(PaymentFailed):
        await soon(paying(stage, text, key))
    assert len(stage.node.asked("pay")) == 1


async def test_a_close_is_not_waited_for(stage: Stage) -> None:
    """A channel closes under a payment, and the node says nothing more for now: not known, at the next look. Its end is found later."""
    preimage, payment_hash = secret()
    text, key = bolt11(AMOUNT, payment_hash), new_key()
    payment = paying(stage, text, key)
    await until(lambda: stage.node.asked("pay"))
    await stage.look()
    assert not payment.done()
    stage.node.open, stage.node.claims = [], [Claim("timeout", CHANNEL, 21, True, 0, payment_hash.hex(), 300)]
    stage.node.happen("channel_closed", channel=CHANNEL, peer=HUB, reason="x")
    await stage.node.quiet()
    await stage.look()
    with pytest.raises(PaymentUnknown):
        await soon(payment)
    assert await out(stage, payment_hash) is PaymentStatus.PENDING
    stage.node.happen("sent", payment_hash=payment_hash.hex(), preimage=preimage.hex(), fee_msat=0)
    await stage.node.quiet()
    assert await soon(paying(stage, text, key)) == Paid(preimage, Msat(0))


async def test_the_closed_channel_may_be_missing_before_its_event(stage: Stage) -> None:
    """The failure is told before the close: a channel that is not there any more counts as closed."""
    payment_hash = secret()[1]
    payment = paying(stage, bolt11(AMOUNT, payment_hash), new_key())
    await until(lambda: stage.node.asked("pay"))
    stage.node.open, stage.node.claims = [], [Claim("open", CHANNEL, 500_000, True, 0, None, None)]
    stage.node.happen("failed", payment_hash=payment_hash.hex(), reason="retries_exhausted")
    with pytest.raises(PaymentUnknown):
        await soon(payment)
    await until(lambda: stage.hub.inbounds)


async def test_the_preimage_ends_every_doubt(stage: Stage) -> None:
    """A payment that counted as doubtful, or even as failed, and arrives after all, is settled: the preimage proves it."""
    for doubt in (True, False):
        preimage, payment_hash = secret()
        key, text = new_key(), bolt11(AMOUNT, payment_hash)
        stage.node.open = [channel(CHANNEL, 500_000_000)]
        payment = paying(stage, text, key)
        await until(lambda: (payment_hash, 5000) in stage.node.asked("pay"))  # noqa: B023
        if doubt:
            stage.node.claims = [Claim("open", CHANNEL, 1, False, 0, None, None)]
            stage.node.happen("channel_closed", channel=CHANNEL, peer=HUB)
        stage.node.happen("failed", payment_hash=payment_hash.hex(), reason="recipient_rejected")
        with pytest.raises(PaymentUnknown if doubt else PaymentFailed):
            await soon(payment)
        stage.node.happen("sent", payment_hash=payment_hash.hex(), preimage=preimage.hex(), fee_msat=0)
        await stage.node.quiet()
        assert await soon(paying(stage, text, key)) == Paid(preimage, Msat(0))
        stage.node.claims = []
        await stage.look()


async def test_a_duplicate_is_followed(stage: Stage) -> None:
    """The node says that it has this payment already: it is never begun again, and its end is waited for or, where it is over, read."""
    for over in (False, True):
        preimage, payment_hash = secret()
        stage.node.refuse["pay"] = [LightningError("duplicate_payment", "x")]
        if over:
            stage.node.known[payment_hash] = record(payment_hash, "out", "succeeded", AMOUNT, preimage)
        payment = paying(stage, bolt11(AMOUNT, payment_hash), new_key())
        await until(lambda: not stage.node.refuse["pay"])
        if not over:
            stage.node.happen("sent", payment_hash=payment_hash.hex(), preimage=preimage.hex(), fee_msat=0)
        assert (await soon(payment)).preimage == preimage
    assert len(stage.node.asked("pay")) == 2


@pytest.mark.parametrize("told", ["refusal", "event"])
async def test_no_way_is_tried_again_for_a_moment(stage: Stage, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Just after a start the way may be missing for a moment. Later, and with nothing else in flight, it is a no; it may be tried again."""
    monkeypatch.setattr(outgoing, "RETRY_PAUSE", 0.01)
    preimage, payment_hash = secret()
    text, key = bolt11(AMOUNT, payment_hash), new_key()

    def misses() -> None:
        if told == "refusal":
            stage.node.refuse["pay"] = [LightningError("payment_sending_failed", "x")]
        else:
            stage.node.happen("failed", payment_hash=payment_hash.hex(), reason="route_not_found")

    if told == "refusal":
        misses()
    payment = paying(stage, text, key)
    if told == "event":
        await until(lambda: stage.node.asked("pay"))
        misses()
    await until(lambda: len(stage.node.asked("pay")) == 2)
    monkeypatch.setattr(channels, "YOUNG_SECONDS", 0)
    stage.node.happen("failed", payment_hash=payment_hash.hex(), reason="route_not_found")
    with pytest.raises(PaymentFailed, match="no way"):
        await soon(payment)
    assert await out(stage, payment_hash) is PaymentStatus.FAILED
    again = paying(stage, text, new_key())
    await until(lambda: len(stage.node.asked("pay")) == 3)
    stage.node.happen("sent", payment_hash=payment_hash.hex(), preimage=preimage.hex(), fee_msat=0)
    assert (await soon(again)).preimage == preimage


async def test_an_error_that_says_nothing_is_looked_up(stage: Stage) -> None:
    """The disk failed while the node began: whether it has is not known. It is pending, and the node's record decides."""
    preimage, payment_hash = secret()
    stage.node.refuse["pay"] = [LightningError("storage", "x")]
    stage.node.known[payment_hash] = record(payment_hash, "out", "pending", AMOUNT)
    payment = paying(stage, bolt11(AMOUNT, payment_hash), new_key())
    await until(lambda: stage.node.asked("pay"))
    await asyncio.sleep(0.05)
    assert not payment.done()
    for known in (record(payment_hash, "out", "pending", AMOUNT), None):
        if known is None:
            del stage.node.known[payment_hash]
        await stage.look()
        assert await out(stage, payment_hash) is PaymentStatus.PENDING  # it may have begun a moment ago
    stage.node.known[payment_hash] = record(payment_hash, "out", "succeeded", AMOUNT, preimage)
    await stage.look()
    assert (await soon(payment)).preimage == preimage
    assert len(stage.node.asked("pay")) == 1


async def test_a_channel_full_of_payments_lets_the_next_wait(stage: Stage) -> None:
    """No more than a channel carries are begun; the next one is begun when one has ended, and what waits cannot be spent twice."""
    secrets_ = [secret() for _ in range(EACH + 1)]
    payments = [paying(stage, bolt11(AMOUNT, payment_hash), payment_hash) for _, payment_hash in secrets_]
    await until(lambda: len(stage.node.asked("pay")) == EACH)
    await asyncio.sleep(0.05)
    assert len(stage.node.asked("pay")) == EACH
    balance = await stage.wallet.balance()
    assert (balance.pending, balance.spendable) == ((EACH + 1) * AMOUNT, 500_000_000 - AMOUNT)
    with pytest.raises(InsufficientFunds):
        await soon(paying(stage, bolt11(500_000_000, secret()[1]), new_key()))
    begun = {call[0] for call in stage.node.asked("pay")}
    for preimage, payment_hash in secrets_:
        if payment_hash in begun:
            stage.node.happen("sent", payment_hash=payment_hash.hex(), preimage=preimage.hex(), fee_msat=0)
    await until(lambda: len(stage.node.asked("pay")) == EACH + 1)
    ((preimage, last),) = [(one, hash_) for one, hash_ in secrets_ if hash_ not in begun]
    stage.node.happen("sent", payment_hash=last.hex(), preimage=preimage.hex(), fee_msat=0)
    assert len(await soon(asyncio.gather(*payments))) == EACH + 1


async def test_a_channel_that_is_ready_is_noted_and_configured(stage: Stage) -> None:
    """Our side of its settings is sent once it can be used; a channel that closes is asked for anew."""
    await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    stage.node.open.append(channel("bb" * 32, 0))
    stage.node.happen("channel_ready", channel="bb" * 32, user_id="7", peer=HUB, funding="ff" * 32 + ":1")
    await stage.node.quiet()
    assert stage.node.asked("update_channel") == [("7", HUB)]
    before = stage.hub.inbounds
    stage.node.open.pop()
    for _ in range(2):
        stage.node.happen("channel_closed", channel="bb" * 32, user_id="7", peer=HUB, reason="x")
    await until(lambda: stage.hub.inbounds == before + 1)
    await stage.node.quiet()
    await soon(stage.wallet.close_channel(CHANNEL, force=False))
    stage.node.open.clear()
    stage.node.happen("channel_closed", channel=CHANNEL, user_id="1", peer=HUB, reason="x")
    await stage.node.quiet()
    assert stage.hub.inbounds == before + 1


async def test_an_event_waits_for_the_book(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The book cannot be written: the event is not acknowledged, the wallet says so, and all goes on when there is room again."""
    made = await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    desk = await stage.wallet._life.desk()
    full = True

    async def do(work: Callable[..., object]) -> object:
        if full:
            raise PylonError("the disk is full", hint="make room")
        return await real(work)

    real: Callable[..., Awaitable[object]] = desk.do
    monkeypatch.setattr(desk, "do", do)
    stage.node.happen("received", payment_hash=made.payment_hash.hex(), amount_msat=AMOUNT)
    await until(lambda: stage.wallet._life.health.state is HealthState.DEGRADED)
    health = await stage.wallet.health()
    assert (health.problem, health.hint) == ("the disk is full", "make room")
    full = False
    await stage.node.quiet()
    assert await into(stage, made.payment_hash) is PaymentStatus.SETTLED


async def test_a_start_that_fails_is_told_and_tried_again(stage: Stage) -> None:
    """The source of blocks is away: a sentence with a hint, at once; the next use tries again, and works when it is back."""
    stage.node.refuse["start"] = [LightningError("chain_source", "nobody there")] * 2
    with pytest.raises(PylonError, match="source of blocks is away: nobody there") as refusal:
        await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    assert refusal.value.hint
    health = await stage.wallet.health()
    assert (health.state, health.problem) == (HealthState.FAILED, refusal.value.message)
    with pytest.raises(PylonError):
        await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    assert (await stage.wallet.health()).state is HealthState.READY


async def test_a_start_that_takes_long_is_not_waited_for_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call waits for a node that starts, but not without end; health tells it meanwhile; nothing is lost."""
    monkeypatch.setattr(life, "PATIENCE", 0.05)
    stage.node.gate = asyncio.Event()
    with pytest.raises(PylonError, match="still starting"):
        await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    assert (await stage.wallet.health()).state is HealthState.STARTING
    stage.node.gate.set()
    monkeypatch.undo()
    monkeypatch.setattr(chainsource, "check", right_chain)
    await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    assert len(stage.node.asked("start")) == 1


@pytest.mark.parametrize(("code", "says"), [
    ("wrong_seed", "another identity"), ("newer_version", "newer Pylon"), ("locked", "another process"), ("stale_store", "older than"),
    ("wrong_network", "another network"), ("storage", "cannot be written"), ("storage:file is not a database", "is damaged"),
    ("strange", "refuses: x"),
])
async def test_why_a_node_does_not_start(stage: Stage, code: str, says: str) -> None:
    """Each reason of the node is a sentence that names the folder, or what to do."""
    code, _, detail = code.partition(":")
    stage.node.refuse["start"] = [LightningError(code, detail or "x")]
    with pytest.raises(PylonError, match=says) as refusal:
        await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    assert refusal.value.hint


async def test_what_is_wrong_with_a_running_node_is_told(stage: Stage) -> None:
    """A full disk under it, a source of blocks that has fallen silent, a hub that is away: degraded, one sentence each, and ready again."""
    await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    for name, problem, says in (
        ("storage_error", "no space left", "disk refuses: no space left"), ("sync_error", "silence", "not answered lately: silence"),
    ):
        setattr(stage.node, name, problem)
        await stage.look()
        health = await stage.wallet.health()
        assert (health.state, says in health.problem) == (HealthState.DEGRADED, True)
        assert health.hint
        setattr(stage.node, name, None)
    stage.hub.problem = PylonError("no hub", hint="wait")
    await stage.look()
    assert (await stage.wallet.health()).problem == "no hub"
    stage.hub.problem = None
    await stage.look()
    health = await stage.wallet.health()
    assert (health.state, health.height, health.peers) == (HealthState.READY, HEIGHT, (HUB,))


async def test_a_node_that_broke_is_made_anew(stage: Stage) -> None:
    """A panic inside the library: the wallet says so, starts the node again, and a payment that was on its way finds its end."""
    preimage, payment_hash = secret()
    payment = paying(stage, bolt11(AMOUNT, payment_hash), new_key())
    await until(lambda: stage.node.asked("pay"))
    stage.node.panic = "index out of bounds"
    await stage.look()
    health = await stage.wallet.health()
    assert (health.state, "index out of bounds" in health.problem) == (HealthState.DEGRADED, True)
    stage.node.panic = None
    await until(lambda: len(stage.node.asked("start")) == 2)
    stage.node.happen("sent", payment_hash=payment_hash.hex(), preimage=preimage.hex(), fee_msat=0)
    assert (await soon(payment)).preimage == preimage
    assert (await stage.wallet.health()).state is HealthState.READY


async def test_a_node_is_made_when_the_one_before_has_let_go(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for the node while it is being started again waits for the end of the old one, which still has the folder."""
    await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    stopping, stopped, stop = asyncio.Event(), asyncio.Event(), stage.node.stop

    async def slowly() -> None:
        stopping.set()
        await stopped.wait()
        await stop()

    monkeypatch.setattr(stage.node, "stop", slowly)
    again = asyncio.create_task(stage.wallet._life.restart())
    await soon(stopping.wait())
    asked = asyncio.create_task(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    await asyncio.sleep(0.1)
    assert len(stage.node.asked("start")) == 1
    stopped.set()
    await soon(asked)
    await again
    assert [call[0] for call in stage.node.calls if call[0] in ("start", "stop")] == ["start", "stop", "start"]


async def test_channels_older_than_their_peer_knows_are_given_up(stage: Stage, tmp_path: Path) -> None:
    """An old copy was brought back, and the library breaks each time a peer proves it: the channels are forgotten, their monitors stay."""
    await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    with sqlite3.connect(tmp_path / "wallet" / "ldk.sqlite") as store:
        store.execute("CREATE TABLE kv (ns TEXT, sub TEXT, key TEXT, value BLOB)")
        store.executemany("INSERT INTO kv VALUES (?, '', ?, x'00')", [("", "manager"), ("", "events"), ("monitors", "manager")])
    stage.node.panic = "panicked at channel.rs:9848:\nWe have fallen behind - we have received proof that"
    await stage.look()
    await until(lambda: stage.node.asked("stop"))
    stage.node.panic = None
    await until(lambda: len(stage.node.asked("start")) == 2)
    assert sorted(store.execute("SELECT ns, key FROM kv")) == [("", "events"), ("monitors", "manager")]
    store.close()


async def test_news_wait_for_a_book_that_cannot_be_opened(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged book, or a newer one: whoever asks the wallet is told, and who waits for news goes on waiting, until it is mended."""
    monkeypatch.setattr(incoming, "PAUSES", (0.01, 0.02))
    book = tmp_path / "wallet" / "wallet.sqlite3"
    book.parent.mkdir(exist_ok=True)
    book.write_bytes(b"not a database, but long enough to be looked at" * 10)
    news = asyncio.ensure_future(anext(stage.wallet.events(0)))
    with pytest.raises(PylonError, match="damaged"):
        await soon(stage.wallet.balance())
    await asyncio.sleep(0.05)
    assert not news.done()
    book.unlink()
    made = await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    await soon(stage.wallet.cancel(made.payment_hash))
    assert (await soon(news)).payment_hash == made.payment_hash


async def test_settling_is_not_known_where_the_node_fails(stage: Stage) -> None:
    """The book has the decision, the node did not answer: not known, looked up; the next start tells the node again."""
    preimage, payment_hash = secret()
    await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600, payment_hash=payment_hash))
    arrives(stage, payment_hash)
    await stage.node.quiet()
    stage.node.refuse["claim"] = [LightningError("storage", "x")]
    with pytest.raises(PaymentUnknown):
        await stage.wallet.settle(preimage)
    assert await into(stage, payment_hash) is PaymentStatus.HELD
    await soon(stage.crash())
    assert len(stage.node.asked("claim")) == 2


async def test_the_height_that_was_seen_is_kept(stage: Stage) -> None:
    """The next start holds the source of blocks against it."""
    await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    stage.node.height = HEIGHT + 50
    await stage.look()
    desk = await stage.wallet._life.desk()
    noted = await desk.do(lambda book, _: book.mark("chain"))
    assert noted is not None
    assert msgspec.json.decode(noted)["height"] == HEIGHT + 50


async def test_a_channel_that_closed_before_its_event_holds_nothing_up(stage: Stage) -> None:
    """Told that a channel is ready after a crash that closed it: the node has none to configure, and the events behind it come."""
    made = await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600))
    stage.node.refuse["update_channel"] = [LightningError("channel_update_failed", "x")] * 1000
    stage.node.happen("channel_ready", channel="bb" * 32, user_id="7", peer=HUB, funding="ff" * 32 + ":1")
    arrives(stage, made.payment_hash)
    await stage.node.quiet()
    assert stage.node.asked("claim") == [(made.preimage, AMOUNT)]


@pytest.mark.parametrize("code", ["invalid", "unknown_payment"])
async def test_a_payment_that_the_node_never_claims_holds_nothing_up(stage: Stage, code: str) -> None:
    """Too little through a channel just in time, or a store older than the book: it goes back, the next one is taken, the node starts."""
    small, good, late = [await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600)) for _ in range(3)]
    stage.node.known[small.payment_hash] = msgspec.structs.replace(stage.node.known[small.payment_hash], kind="bolt11_jit")
    stage.node.refuse["claim"] = [LightningError(code, "x")]
    arrives(stage, small.payment_hash, 1)
    arrives(stage, good.payment_hash)
    await stage.node.quiet()
    assert await into(stage, small.payment_hash) is PaymentStatus.FAILED
    assert (small.payment_hash,) in stage.node.asked("fail")
    assert stage.node.asked("claim")[1:] == [(good.preimage, AMOUNT)]
    stage.node.refuse["claim"] = [LightningError("storage", "x")] * 1000
    arrives(stage, late.payment_hash)
    await until(lambda: (late.preimage, AMOUNT) in stage.node.asked("claim"))
    await soon(stage.wallet.aclose())
    stage.node.refuse["claim"] = [LightningError(code, "x")] * 2
    await soon(stage.crash())
    assert await into(stage, late.payment_hash) is PaymentStatus.FAILED


async def test_a_held_payment_that_the_node_never_claims_is_a_no(stage: Stage) -> None:
    """Nothing was told to the payer: settling it says no, and it goes back."""
    preimage, payment_hash = secret()
    await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600, payment_hash=payment_hash))
    arrives(stage, payment_hash)
    await stage.node.quiet()
    stage.node.refuse["claim"] = [LightningError("invalid", "x")]
    with pytest.raises(PaymentFailed):
        await soon(stage.wallet.settle(preimage))
    assert stage.node.asked("fail") == [(payment_hash,)]


async def test_a_node_that_broke_and_swallowed_a_payment(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made anew, it has never heard of the payment: nobody waits for an event that does not come; it is a no when that is sure."""
    monkeypatch.setattr(channels, "FORGOTTEN_SECONDS", 0)
    payment_hash = secret()[1]
    payment = paying(stage, bolt11(AMOUNT, payment_hash), new_key())
    await until(lambda: stage.node.asked("pay"))
    stage.node.panic = "index out of bounds"
    await stage.look()
    stage.node.panic = None
    stage.node.known.clear()
    await until(lambda: len(stage.node.asked("start")) == 2)
    await soon(stage.wallet._life.node())
    await stage.look()
    with pytest.raises(PaymentFailed, match="did not leave"):
        await soon(payment)
    assert len(stage.node.asked("pay")) == 1


async def test_a_failure_that_was_quicker_than_its_record(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node writes `pending` after the event that it failed: it forgets that, or the next try were a duplicate without an end."""
    monkeypatch.setattr(channels, "YOUNG_SECONDS", 0)
    payment_hash = secret()[1]
    payment = paying(stage, bolt11(AMOUNT, payment_hash), new_key())
    await until(lambda: stage.node.asked("pay"))
    stage.node.happen("failed", payment_hash=payment_hash.hex(), reason="route_not_found")
    with pytest.raises(PaymentFailed, match="no way"):
        await soon(payment)
    assert stage.node.known == {}


async def test_what_a_close_decided_may_be_told_a_moment_later(stage: Stage) -> None:
    """The balances show the end of a close before the event that the payee took the money: not failed in between, whatever the clock."""
    taken, (preimage, payment_hash) = secret()[1], secret()
    payments = [paying(stage, bolt11(AMOUNT, one), one) for one in (taken, payment_hash)]
    await until(lambda: len(stage.node.asked("pay")) == 2)
    stage.node.open, stage.node.claims = [channel("bb" * 32, 0)], [Claim("confirming", CHANNEL, 500_000, False, 0, None, 250)]
    stage.node.happen("channel_closed", channel=CHANNEL, peer=HUB, reason="outdated_channel_manager")
    for one, payment in zip((taken, payment_hash), payments, strict=True):
        stage.node.happen("failed", payment_hash=one.hex(), reason="retries_exhausted")
        with pytest.raises(PaymentUnknown):
            await soon(payment)
    stage.node.known = {one: record(one, "out", "failed", AMOUNT) for one in (taken, payment_hash)}
    stage.node.claims = []
    await stage.look()
    assert [await out(stage, one) for one in (taken, payment_hash)] == [PaymentStatus.PENDING] * 2
    stage.node.happen("sent", payment_hash=payment_hash.hex(), preimage=preimage.hex(), fee_msat=0)
    await stage.node.quiet()
    now = stage.clock()
    stage.clock = lambda: now - 86_400
    await stage.look()
    assert [await out(stage, one) for one in (taken, payment_hash)] == [PaymentStatus.FAILED, PaymentStatus.SETTLED]


async def test_coins_do_not_leave_a_node_that_does_not_start(stage: Stage) -> None:
    """It was asked for nothing: that is a no, not a transaction that somebody has to look for."""
    stage.node.refuse["start"] = [LightningError("chain_source", "x")] * 100
    with pytest.raises(PaymentError, match="no coins were sent") as no:
        await soon(stage.wallet.send_onchain("bcrt1q", Msat(1000), sat_per_vbyte=None))
    assert not isinstance(no.value, PaymentUnknown)


async def test_from_its_block_on_a_held_payment_is_not_taken(stage: Stage) -> None:
    """The node has sent it back by itself, and we have not looked since: settling says no at once, and does not stay held."""
    preimage, payment_hash = secret()
    await soon(stage.wallet.invoice(Msat(AMOUNT), "", 600, payment_hash=payment_hash))
    arrives(stage, payment_hash)
    await stage.node.quiet()
    stage.node.height = HEIGHT + 30
    with pytest.raises(PaymentFailed):
        await soon(stage.wallet.settle(preimage))
    assert await into(stage, payment_hash) is PaymentStatus.FAILED
    assert (stage.node.asked("claim"), stage.node.asked("fail")) == ([], [(payment_hash,)])
