"""The ledger: steps as transactions, what a start has to do, lookups, deletions and cursors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from pylon.market.effects import (
    AnyEffect,
    CancelInvoice,
    Generate,
    LookUp,
    MakeInvoice,
    Pay,
    Publish,
    Resend,
    Send,
    StopGenerating,
    Then,
    Wake,
)
from pylon.market.job import BUYER_ENDED, PROVIDER_ENDED, BuyerState, Job, ProviderState, Refusal, Role, Trouble
from pylon.market.payment import Status
from pylon.node.journal import Payment
from pylon.node.ledger import KEEP_DELETED, MOST_DELETED, Ledger, StoredEffect, role_of
from pylon.nostr.event import Draft, check, sign
from pylon.units import MAX_MSAT, Msat
from pylon.wallets.base import Direction
from tests.market.scene import NOW, PROVIDER, REQUEST, A, B, bought, invoice, payment_hash, quote, request, sold

ROOT = Path(__file__).parents[2]
STRANGE = "nul \x00 🙂 שלום \u202e e\u0301 \ufffd \ufeff \U0010ffff"
SECRET = b"\x05" * 32
PAY = Pay(invoice(), payment_hash(1), Msat(1000), Msat(10))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger of a test stands."""
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    ledger = Ledger(path, secret=SECRET)
    yield ledger
    ledger.close()


def put(ledger: Ledger, job: Job, *effects: AnyEffect, done: int | None = None) -> list[StoredEffect]:
    """One step in a transaction of its own."""
    with ledger.transaction(full=True):
        return ledger.put(job, effects, done=done, now=NOW)


# Steps.


def test_events_that_were_kept_by_their_fields(ledger: Ledger, path: Path) -> None:
    """A ledger of before, in which an event stands as a map of its fields: jobs, effects and what they have signed are read as ever."""
    signed = sign(Draft(7000, NOW, STRANGE, (("e", REQUEST.id), (), ("x",))), PROVIDER)
    put(ledger, bought(BuyerState.POSTED), Wake(NOW))
    (send,) = put(ledger, sold(ProviderState.RUNNING), Send(REQUEST))
    with ledger.transaction():
        ledger.sign(send.n, signed)
    expected, jobs = ledger.unfinished(), ledger.jobs(10)
    ledger.close()

    def by_fields(value: object) -> object:
        match value:
            case bytes() if value.startswith(b'{"id":'):
                return msgspec.json.decode(value)
            case dict():
                return {name: by_fields(inner) for name, inner in value.items()}
        return value

    changed = 0
    with closing(sqlite3.connect(path)) as database:
        for table, column in (("jobs", "body"), ("effects", "body"), ("effects", "event")):
            for row, body in database.execute(f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL").fetchall():
                old = msgspec.msgpack.encode(by_fields(msgspec.msgpack.decode(body)))
                changed += old != body
                database.execute(f"UPDATE {table} SET {column}=? WHERE rowid=?", (old, row))
        database.commit()
    assert changed == 4, "both jobs, the effect that sends an event, the event that it has signed"
    reopened = Ledger(path, secret=SECRET)
    assert reopened.jobs(10) == jobs
    assert reopened.unfinished() == expected
    assert expected[-1].event == signed
    reopened.close()


def test_an_event_takes_no_more_than_it_says(ledger: Ledger, path: Path) -> None:
    """White space that a relay put into a request is not kept with every step of its job."""
    filled = check(REQUEST.raw.replace(b'"kind"', b" " * 1_000_000 + b'"kind"'))
    put(ledger, replace(sold(ProviderState.RUNNING), request=filled))
    ledger.close()
    assert path.stat().st_size < 500_000
    reopened = Ledger(path, secret=SECRET)
    assert reopened.provider_job(REQUEST.id) == sold(ProviderState.RUNNING)
    reopened.close()


def test_a_step_is_stored_as_a_whole(ledger: Ledger) -> None:
    """Job, effects, the finished effect and the intent of the payment come in one transaction."""
    (wake,) = put(ledger, bought(BuyerState.POSTED), Wake(NOW + 5))
    stored = put(ledger, bought(BuyerState.PAYING), PAY, Wake(NOW + 9), done=wake.n)
    assert ledger.unfinished() == stored
    assert [effect.effect for effect in stored] == [PAY, Wake(NOW + 9)]
    assert ledger.buyer_job(REQUEST.id) == bought(BuyerState.PAYING)
    assert ledger.payment(Direction.OUT, payment_hash(1)) == Payment(
        direction=Direction.OUT, payment_hash=payment_hash(1), bolt11=invoice(), amount=Msat(1000), status=Status.INTENT, at=NOW,
        max_fee=PAY.max_fee, memo=f"pylon:{REQUEST.id}", job=REQUEST.id, peer=A,
    )


def test_a_step_that_fails_leaves_nothing(ledger: Ledger) -> None:
    """All or nothing: an error in the middle takes job, effects and intent back, and the next step works."""
    (wake,) = put(ledger, bought(BuyerState.POSTED), Wake(NOW + 5))
    with pytest.raises(AssertionError, match="no effect"), ledger.transaction(full=True):
        ledger.put(bought(BuyerState.PAYING), [PAY], done=wake.n + 99, now=NOW)
    assert ledger.buyer_job(REQUEST.id) == bought(BuyerState.POSTED)
    assert ledger.unfinished() == [wake]
    assert ledger.payments(10) == []
    put(ledger, bought(BuyerState.PAYING), PAY)


def test_a_step_outside_a_transaction_is_a_bug(ledger: Ledger) -> None:
    """Half a step must be impossible."""
    with pytest.raises(AssertionError, match="in one transaction"):
        ledger.put(bought(BuyerState.DRAFT))
    assert ledger.jobs(10) == []


def test_the_intent_of_a_payment_waits_for_the_disk(ledger: Ledger) -> None:
    """`synchronous=FULL` before every spend: a step with a payment in an ordinary transaction raises and is undone."""
    with pytest.raises(AssertionError, match="on the disk"), ledger.transaction():
        ledger.put(bought(BuyerState.PAYING), [PAY])
    assert ledger.buyer_job(REQUEST.id) is None


def test_two_jobs_cannot_pay_one_hash(ledger: Ledger) -> None:
    """The last guard: whatever the tables decided, the second payment to a hash is not even stored."""
    put(ledger, bought(BuyerState.PAYING), PAY)
    other = replace(bought(BuyerState.PAYING), id="f" * 64)
    with pytest.raises(AssertionError, match="never pay twice"):
        put(ledger, other, PAY)
    assert ledger.buyer_job("f" * 64) is None
    assert len(ledger.unfinished()) == 1


def test_finishing_what_does_not_exist_is_a_bug(ledger: Ledger) -> None:
    """A number that names no effect raises: a forgotten effect would be done again at every start."""
    with pytest.raises(AssertionError):
        ledger.finish(7)
    with pytest.raises(AssertionError):
        ledger.sign(7, REQUEST)


EFFECTS: list[AnyEffect] = [
    Publish(Draft(7000, NOW, STRANGE, (("status", "error", STRANGE), ())), 0, Then.DELIVERED, A),
    Send(REQUEST, Then.POSTED, ("ws://x", STRANGE)),
    Resend(), MakeInvoice(Msat(1), STRANGE, 60), PAY, LookUp(payment_hash(1)), CancelInvoice(b"\x00" * 32), Generate(NOW + 0.5),
    StopGenerating(), Wake(NOW + 0.25),
]


def test_a_start_reads_what_is_unfinished(path: Path) -> None:
    """After the file is opened anew every kind of effect comes back as it was, in order, with what it had signed."""
    first = Ledger(path, secret=SECRET)
    stored = put(first, bought(BuyerState.PAYING), *EFFECTS)
    signed = sign(Draft(7000, NOW, STRANGE), PROVIDER)
    first.sign(stored[0].n, signed)
    first.finish(stored[2].n)
    first.close()
    again = Ledger(path, secret=SECRET)
    assert again.unfinished() == [StoredEffect(stored[0].n, Role.BUYER, REQUEST.id, EFFECTS[0], signed), stored[1], *stored[3:]]
    again.close()


def test_what_was_published_last_can_be_sent_again(ledger: Ledger) -> None:
    """The last event of a kind, done or not, of this side of this job alone."""
    publish = Publish(Draft(7000, NOW), 0)
    one, two = put(ledger, sold(ProviderState.INVOICED), publish, publish)
    (foreign,) = put(ledger, replace(bought(BuyerState.DRAFT), auto_pay=False), publish)
    events = [sign(Draft(7000, NOW + n), PROVIDER) for n in range(3)]
    for effect, event in zip((one, two, foreign), events, strict=True):
        ledger.sign(effect.n, event)
    ledger.finish(two.n)
    assert ledger.published(Role.PROVIDER, REQUEST.id, 7000) == events[1]
    assert ledger.published(Role.BUYER, REQUEST.id, 7000) == events[2]
    assert ledger.published(Role.PROVIDER, REQUEST.id, 6050) is None
    assert ledger.published(Role.PROVIDER, "f" * 64, 7000) is None


# Jobs.


@pytest.mark.parametrize("state", [*ProviderState, *BuyerState])
def test_a_record_of_every_state_comes_back_as_it_was(ledger: Ledger, state: ProviderState | BuyerState) -> None:
    """Every field, of either side; what has ended is no open job."""
    job: Job = sold(state) if isinstance(state, ProviderState) else bought(state)
    put(ledger, job)
    assert ledger.jobs(1) == [job]
    assert (ledger.provider_job(job.id), ledger.buyer_job(job.id)) in ((job, None), (None, job))
    assert ledger.open_jobs() == ([] if state in PROVIDER_ENDED | BUYER_ENDED else [job])
    assert ledger.counts() == {f"{role_of(job)}.{state}": 1}


def test_strange_text_comes_back_as_it_was(ledger: Ledger) -> None:
    """NUL, emoji, right-to-left text, lone combining marks and the last code point, in every text that a stranger writes."""
    event = request(prompt=STRANGE)
    sale = replace(
        sold(ProviderState.ANSWERED), id=event.id, request=event, answer=STRANGE, model=STRANGE, trouble=Trouble(STRANGE, STRANGE),
        prompt=replace(sold(ProviderState.ANSWERED).prompt, text=STRANGE, temperature=0.1),
    )
    purchase = replace(
        bought(BuyerState.LOST), prompt=STRANGE, answer=STRANGE, refusals=(Refusal(B, Trouble(STRANGE, STRANGE)),), working=(STRANGE,),
        quotes=(replace(quote(B, 2), amount=Msat(MAX_MSAT), expires_at=2**63),), urls=(STRANGE,),
    )
    put(ledger, sale)
    put(ledger, purchase)
    assert ledger.provider_job(event.id) == sale
    assert ledger.buyer_job(purchase.id) == purchase


def test_a_lone_surrogate_is_an_error_and_not_a_damage(ledger: Ledger) -> None:
    """No UTF-8 can hold it: the step raises, nothing is stored, and the ledger goes on."""
    with pytest.raises(UnicodeEncodeError):
        put(ledger, replace(bought(BuyerState.DRAFT), prompt="\ud83d"))
    assert ledger.jobs(1) == []
    put(ledger, bought(BuyerState.DRAFT))


def test_one_home_may_be_both_sides_of_a_job(ledger: Ledger) -> None:
    """The key is (role, id): an own purchase is two records with one invoice, told apart by hash and by prefix."""
    sale, purchase = sold(ProviderState.INVOICED), bought(BuyerState.PAYING)
    put(ledger, purchase)
    put(ledger, sale)
    assert sale.id == purchase.id
    assert ledger.provider_job(sale.id) == sale
    assert ledger.buyer_job(sale.id) == purchase
    assert ledger.provider_job_by_hash(payment_hash(1)) == sale
    assert ledger.find(sale.id[:8]) == [(Role.BUYER, sale.id), (Role.PROVIDER, sale.id)]
    assert ledger.counts() == {"buyer.paying": 1, "provider.invoiced": 1}


def test_a_job_is_found_by_the_hash_of_its_invoice(ledger: Ledger) -> None:
    """By all 32 bytes, the last invoice of the job, never by a purchase's hash; jobs without an invoice are not found by an empty one."""
    put(ledger, sold(ProviderState.NEW))
    put(ledger, bought(BuyerState.PAYING))
    assert ledger.provider_job_by_hash(payment_hash(1)) is None
    assert ledger.provider_job_by_hash(b"") is None
    for n in (1, 2):
        job = replace(sold(ProviderState.INVOICED), id=f"{n:064x}", payment_hash=payment_hash(n), bolt11=invoice(n))
        put(ledger, job)
        assert ledger.provider_job_by_hash(payment_hash(n)) == job
    assert ledger.provider_job_by_hash(payment_hash(1)[:31]) is None
    put(ledger, replace(sold(ProviderState.INVOICED), id=f"{1:064x}", payment_hash=payment_hash(9)))
    assert ledger.provider_job_by_hash(payment_hash(1)) is None


def test_jobs_are_listed_newest_first(ledger: Ledger) -> None:
    """By the time they were made, as many as asked for; open jobs oldest first."""
    for n in (2, 1, 3):
        put(ledger, replace(bought(BuyerState.POSTED), id=f"{n:064x}", created_at=NOW + n))
    assert [job.id[-1] for job in ledger.jobs(2)] == ["3", "2"]
    assert [job.id[-1] for job in ledger.open_jobs()] == ["1", "2", "3"]


@pytest.mark.parametrize("prefix", ["%", "_", "\\", "%%", "'", "a%", "\x00", "🙂", "g"])
def test_a_prefix_is_no_pattern(ledger: Ledger, prefix: str) -> None:
    """What a person types is compared as text."""
    put(ledger, replace(bought(BuyerState.DRAFT), id="a" * 64))
    assert ledger.find(prefix) == []
    assert ledger.find("aaa") == [(Role.BUYER, "a" * 64)]
    assert ledger.find("") == [(Role.BUYER, "a" * 64)]


# Deletions and cursors.


def test_a_deletion_is_remembered_for_its_author_alone(ledger: Ledger) -> None:
    """J7: kind 5 before the request is honoured; by another author it says nothing."""
    ledger.delete("a" * 64, A, NOW)
    ledger.delete("a" * 64, A, NOW)
    assert ledger.is_deleted("a" * 64, A)
    assert not ledger.is_deleted("a" * 64, B)
    ledger.delete("b" * 64, A, NOW + KEEP_DELETED + 1)
    assert not ledger.is_deleted("a" * 64, A)


def test_strangers_cannot_fill_the_disk_with_deletions(ledger: Ledger) -> None:
    """However many are sent, the newest `MOST_DELETED` are kept."""
    with ledger.transaction():
        for n in range(MOST_DELETED + 10):
            ledger.delete(f"{n:x}", A, NOW)
    assert [ledger.is_deleted(f"{n:x}", A) for n in (0, 9, 10, MOST_DELETED + 9)] == [False, False, True, True]


def test_a_cursor_is_kept(path: Path, ledger: Ledger) -> None:
    """A mark is what was set last, after a reopening too."""
    assert ledger.mark("wallet.sim") is None
    for value in (0, 7, 2**62):
        ledger.set_mark("wallet.sim", value)
    ledger.close()
    assert Ledger(path, secret=SECRET).mark("wallet.sim") == 2**62
