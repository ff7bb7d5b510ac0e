"""The provider's table, transition by transition, against section 5 of the design: what is asked, computed, delivered, owed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pylon.market.effects import CancelInvoice, Effect, Generate, MakeInvoice, Publish, Resend, StopGenerating, Then, Wake
from pylon.market.job import ProviderState, Trouble
from pylon.market.prompt import Prompt
from pylon.market.provider import BACKOFF, PROVIDER_ACCOUNT, TABLE
from pylon.market.signals import (
    Accepted,
    Cancelled,
    Declined,
    Delivered,
    Expired,
    Generated,
    GenerateFailed,
    Invoiced,
    InvoiceFailed,
    Repeated,
    Settled,
    Signal,
    Woke,
)
from pylon.market.table import Rule
from pylon.units import Msat
from tests.market.scene import CUSTOMER, NOW, REQUEST, SEALED, TERMS, TROUBLE, invoice, payment_hash, preimage, sell, sold

S = ProviderState
ACCEPTED = Accepted(Prompt("What is 2+2?"), Msat(1000))
INVOICED = Invoiced(invoice(), payment_hash(1), Msat(1000), NOW + 600)
SETTLED = Settled(Msat(1000), preimage(1))
GENERATED = Generated("4", "tiny", 1)
AGAIN = GenerateFailed(TROUBLE, True)
FINAL = GenerateFailed(TROUBLE, False)

ROWS: list[tuple[S, dict[str, object], Signal, S, tuple[type[Effect], ...]]] = [
    (S.NEW, {}, ACCEPTED, S.OFFERED, (MakeInvoice,)),
    (S.NEW, {}, Accepted(Prompt("hello"), Msat(0)), S.RUNNING, (Publish, Generate)),
    (S.NEW, {}, Declined(TROUBLE), S.DECLINED, (Publish,)),
    (S.NEW, {}, Cancelled(), S.CANCELLED, ()),
    (S.OFFERED, {}, INVOICED, S.INVOICED, (Publish, Wake)),
    (S.OFFERED, {}, InvoiceFailed(TROUBLE), S.FAILED, (Publish,)),
    (S.OFFERED, {}, Cancelled(), S.CANCELLED, ()),
    (S.INVOICED, {}, SETTLED, S.RUNNING, (Publish, Generate)),
    (S.INVOICED, {}, Expired(), S.EXPIRED, ()),
    (S.INVOICED, {"invoice_expires": NOW}, Woke(), S.EXPIRED, ()),
    (S.INVOICED, {}, Woke(), S.INVOICED, (Wake,)),
    (S.INVOICED, {}, Cancelled(), S.CANCELLED, (CancelInvoice,)),
    (S.INVOICED, {}, Repeated(), S.INVOICED, (Resend,)),
    (S.RUNNING, {}, GENERATED, S.ANSWERED, (Publish,)),
    (S.RUNNING, {}, AGAIN, S.RUNNING, (Generate,)),
    (S.RUNNING, {}, FINAL, S.OWING, (Publish,)),
    (S.RUNNING, {"paid_at": None}, FINAL, S.FAILED, (Publish,)),
    (S.RUNNING, {}, Cancelled(), S.CANCELLED, (StopGenerating,)),
    (S.ANSWERED, {}, Delivered(), S.DELIVERED, (Publish,)),
    (S.ANSWERED, {}, Repeated(), S.ANSWERED, (Resend,)),
    (S.DELIVERED, {}, Repeated(), S.DELIVERED, (Resend,)),
    (S.FAILED, {}, SETTLED, S.RUNNING, (Publish, Generate)),
    (S.FAILED, {"paid_at": NOW}, SETTLED, S.FAILED, ()),
    (S.EXPIRED, {}, SETTLED, S.RUNNING, (Publish, Generate)),
    (S.CANCELLED, {}, SETTLED, S.RUNNING, (Publish, Generate)),
    (S.CANCELLED, {"paid_at": NOW}, SETTLED, S.CANCELLED, ()),
    (S.CANCELLED, {}, INVOICED, S.CANCELLED, (CancelInvoice,)),
    (S.OWING, {}, GENERATED, S.ANSWERED, (Publish,)),
    (S.OWING, {}, Woke(), S.OWING, (Generate,)),
]


@pytest.mark.parametrize(("state", "changes", "signal", "after", "does"), ROWS)
def test_a_transition(state: S, changes: dict[str, object], signal: Signal, after: S, does: tuple[type[Effect], ...]) -> None:
    """One line of the table: the state it leads to and the effects it has, in order."""
    step = sell(sold(state, **changes), signal)
    assert step.job.state is after
    assert tuple(type(effect) for effect in step.effects) == does


def test_every_transition_of_the_table_has_a_line_here() -> None:
    """The list above is complete, and names every state that a rule may lead to."""
    wanted = {
        (state, signal, to) for state, rules in TABLE.items() for signal, rule in rules.items() if isinstance(rule, Rule) for to in rule.to
    }
    assert wanted == {(state, type(signal), after) for state, _, signal, after, _ in ROWS}


def tags(effect: object, name: str) -> list[tuple[str, ...]]:
    """The tags called `name` of what an effect publishes."""
    assert isinstance(effect, Publish)
    return [tag for tag in effect.draft.tags if tag[0] == name]


def test_an_offer_asks_the_wallet_for_the_price_and_names_only_the_job() -> None:
    """The invoice's memo is `pylon:<job id>`, never text of the prompt, and it lives about as long as the job."""
    step = sell(sold(S.NEW), ACCEPTED)
    assert step.effects == (MakeInvoice(Msat(1000), f"pylon:{REQUEST.id}", 120),)
    assert step.job.price == 1000


def test_the_quote_is_public_signed_and_exact() -> None:
    """`payment-required` carries the price in msat, the very invoice, and the customer's job."""
    job, (publish, wake) = (step := sell(sold(S.OFFERED), INVOICED)).job, step.effects
    assert tags(publish, "status") == [("status", "payment-required")]
    assert tags(publish, "amount") == [("amount", "1000", invoice())]
    assert tags(publish, "e") == [("e", REQUEST.id)]
    assert tags(publish, "p") == [("p", CUSTOMER.pubkey_hex)]
    assert tags(publish, "expiration") == [("expiration", str(NOW + 600))]
    assert wake == Wake(NOW + 601)
    assert (job.bolt11, job.payment_hash, job.invoice_expires) == (invoice(), payment_hash(1), NOW + 600)


def test_the_settlement_is_kept_as_the_wallet_says_it() -> None:
    """`received` is what came, `paid_at` when, and the customer hears `processing` before the computation begins."""
    step = sell(sold(S.INVOICED), Settled(Msat(1001), preimage(1)), now=NOW + 7)
    assert (step.job.received, step.job.paid_at, step.job.preimage, step.job.own) == (1001, NOW + 7, preimage(1), False)
    assert tags(step.effects[0], "status") == [("status", "processing")]
    assert step.effects[1] == Generate()


@pytest.mark.parametrize("state", [S.EXPIRED, S.CANCELLED, S.FAILED])
def test_a_payment_that_lands_late_is_served(state: S) -> None:
    """Money taken after the end of a job is no gift: it runs, with all its tries."""
    step = sell(sold(state, attempts=2), SETTLED, now=NOW + 5000)
    assert (step.job.state, step.job.attempts, step.job.paid) == (S.RUNNING, 0, True)


@pytest.mark.parametrize("state", [S.RUNNING, S.ANSWERED, S.DELIVERED, S.OWING])
def test_a_repeated_settlement_changes_nothing(state: S) -> None:
    """The wallet may tell the same payment twice; the job runs once."""
    step = sell(sold(state), SETTLED)
    assert step.job == sold(state)
    assert step.effects == ()


def test_a_job_cancelled_after_payment_is_not_begun_again_by_the_repeat() -> None:
    """The customer cancelled what was paid: the second word about the same money does not restart it."""
    cancelled = sell(sold(S.RUNNING), Cancelled()).job
    step = sell(cancelled, SETTLED)
    assert (step.job.state, step.effects) == (S.CANCELLED, ())


def test_the_result_of_an_open_job_quotes_the_request() -> None:
    """NIP-90: the result carries the request, its inputs, the author and what was paid."""
    (publish,) = sell(sold(S.RUNNING), GENERATED).effects
    assert isinstance(publish, Publish)
    assert (publish.draft.kind, publish.draft.content, publish.account, publish.then) == (6050, "4", PROVIDER_ACCOUNT, Then.DELIVERED)
    assert tags(publish, "amount") == [("amount", "1000")]
    assert tags(publish, "e") == [("e", REQUEST.id)]
    assert tags(publish, "i") == [("i", "What is 2+2?", "text")]
    assert len(tags(publish, "request")) == 1
    assert publish.seal_to == ""


def test_the_result_of_an_encrypted_job_leaks_nothing() -> None:
    """Sealed to the customer, marked `encrypted`, without the inputs or the request."""
    (publish,) = sell(sold(S.RUNNING, request=SEALED, id=SEALED.id, encrypted=True), GENERATED).effects
    assert isinstance(publish, Publish)
    assert publish.seal_to == CUSTOMER.pubkey_hex
    assert tags(publish, "encrypted") == [("encrypted",)]
    assert tags(publish, "i") == tags(publish, "request") == []


def test_a_free_result_names_no_amount() -> None:
    """What was not paid is not announced as paid."""
    (publish,) = sell(sold(S.RUNNING, paid_at=None, price=Msat(0)), GENERATED).effects
    assert tags(publish, "amount") == []


def test_half_a_character_in_an_answer_is_replaced() -> None:
    """A lone surrogate from a model can be neither signed nor stored; the answer goes out all the same."""
    step = sell(sold(S.RUNNING), Generated("4\ud83d \x00 \u202eשלום 🙂", "tiny", 1))
    assert step.job.answer == "4? \x00 \u202eשלום 🙂"


def test_delivery_sends_the_preimage_sealed() -> None:
    """After the result the customer gets the receipt: the preimage, encrypted, in feedback `success`."""
    (receipt,) = sell(sold(S.ANSWERED), Delivered()).effects
    assert isinstance(receipt, Publish)
    assert tags(receipt, "status") == [("status", "success")]
    assert (receipt.draft.content, receipt.reveal, receipt.seal_to) == ("", True, CUSTOMER.pubkey_hex), "no preimage stands in an effect"
    assert tags(receipt, "encrypted") == [("encrypted",)]


@pytest.mark.parametrize("changes", [{"preimage": b""}, {"own": True}])
def test_no_receipt_without_a_preimage_or_to_ourselves(changes: dict[str, object]) -> None:
    """A free job and an own purchase have nothing to prove."""
    assert sell(sold(S.ANSWERED, **changes), Delivered()).effects == ()


def test_tries_are_counted_and_spaced() -> None:
    """A computation that may work the next time is tried again, later each time: `max_attempts` times, a paid one until its deadline."""
    job = sold(S.RUNNING)
    waits = []
    for _ in range(TERMS.max_attempts - 1):
        step = sell(job, AGAIN)
        (effect,) = step.effects
        assert isinstance(effect, Generate)
        waits.append(effect.not_before - NOW)
        job = step.job
    assert tuple(waits) == BACKOFF[: TERMS.max_attempts - 1]
    assert sell(job, AGAIN, now=job.deadline).job.state is S.OWING
    assert sell(job, AGAIN, now=job.deadline - 1).job.state is S.RUNNING
    assert sell(replace(job, paid_at=None), AGAIN).job.state is S.FAILED


def test_many_tries_stay_within_the_backoff_table() -> None:
    """More tries than pauses are listed: the last pause counts."""
    (effect,) = sell(sold(S.RUNNING, attempts=9), AGAIN, terms=replace(TERMS, max_attempts=20)).effects
    assert effect == Generate(not_before=NOW + BACKOFF[-1])


def test_what_was_paid_and_failed_is_owed_and_said() -> None:
    """Money taken, answer owed: the customer is told, the job stays open, and it is tried again at a start."""
    step = sell(sold(S.RUNNING), FINAL)
    assert not step.job.ended
    assert tags(step.effects[0], "status") == [
        ("status", "error", "SERVICE_UNAVAILABLE: the computation failed; the answer is owed and will be tried again")
    ]
    again = sell(step.job, Woke())
    assert again.effects == (Generate(),)
    assert sell(again.job, FINAL).job == again.job
    assert sell(again.job, GENERATED).job.trouble is None


def test_a_decline_names_its_reason() -> None:
    """`["status", "error", "CODE: sentence"]`."""
    step = sell(sold(S.NEW), Declined(Trouble("RATE_LIMITED", "busy: the queue is full, ask again later")))
    assert tags(step.effects[0], "status") == [("status", "error", "RATE_LIMITED: busy: the queue is full, ask again later")]
    assert step.job.ended


def test_the_sentence_of_an_error_is_sealed_where_the_request_was() -> None:
    """An encrypted request gets the code in clear and the sentence, which may speak of the prompt, encrypted."""
    step = sell(sold(S.NEW, request=SEALED, id=SEALED.id, encrypted=True), Declined(Trouble("BAD_REQUEST", "the prompt is empty")))
    (publish,) = step.effects
    assert isinstance(publish, Publish)
    assert tags(publish, "status") == [("status", "error", "BAD_REQUEST")]
    assert (publish.draft.content, publish.seal_to) == ("the prompt is empty", CUSTOMER.pubkey_hex)


def test_a_wallet_that_fails_tells_the_customer_nothing_of_itself() -> None:
    """The wallet's own words stay here; the customer hears that no invoice can be made."""
    step = sell(sold(S.OFFERED), InvoiceFailed(Trouble("payment", "macaroon expired")))
    assert step.job.trouble == Trouble("payment", "macaroon expired")
    assert "macaroon" not in repr(step.effects)


def test_a_cancel_before_the_invoice_closes_the_invoice_unseen() -> None:
    """The invoice that was under way is closed and never published."""
    job = sell(sold(S.OFFERED), Cancelled()).job
    step = sell(job, INVOICED)
    assert step.effects == (CancelInvoice(payment_hash(1)),)
    assert (step.job.state, step.job.payment_hash) == (S.CANCELLED, payment_hash(1))


def test_an_invoice_that_was_shown_stays_the_invoice_of_the_job() -> None:
    """A second invoice is closed; money for the first one would still find its job."""
    job = sell(sold(S.INVOICED), Cancelled()).job
    step = sell(job, Invoiced(invoice(2), payment_hash(2), Msat(1000), NOW + 600))
    assert step.effects == (CancelInvoice(payment_hash(2)),)
    assert (step.job.bolt11, step.job.payment_hash) == (invoice(1), payment_hash(1))


def test_a_cancel_of_a_paid_run_stops_it_and_keeps_no_invoice_open() -> None:
    """Running and paid: the computation is stopped; there is no invoice left to close."""
    assert sell(sold(S.RUNNING), Cancelled()).effects == (StopGenerating(),)


@pytest.mark.parametrize("state", [S.ANSWERED, S.DELIVERED, S.DECLINED, S.FAILED, S.EXPIRED, S.CANCELLED, S.OWING])
def test_a_cancel_after_the_work_is_too_late(state: S) -> None:
    """Nothing happens: the answer is there, or the job has ended, or it is owed."""
    assert sell(sold(state), Cancelled()).job == sold(state)


def test_a_cancel_while_we_think_holds_against_the_decision() -> None:
    """The price is found after the customer left: nothing is offered."""
    job = sell(sold(S.NEW), Cancelled()).job
    assert sell(job, ACCEPTED).job is job
    assert sell(job, Declined(TROUBLE)).job is job


def test_an_early_clock_waits_for_the_true_end_of_the_invoice() -> None:
    """A timer that fires early sets itself again: an invoice never expires here before it does in the wallet."""
    step = sell(sold(S.INVOICED), Woke(), now=NOW + 599.9)
    assert (step.job.state, step.effects) == (S.INVOICED, (Wake(NOW + 601),))
    assert sell(sold(S.INVOICED), Woke(), now=NOW + 600).job.state is S.EXPIRED


def test_a_repeated_request_never_makes_a_second_invoice() -> None:
    """The same request again: the offer or the result is sent again, by whatever relay it came, and nothing is charged."""
    for state in S:
        effects = sell(sold(state), Repeated()).effects
        assert effects in ((), (Resend(),))
        assert bool(effects) == (state in (S.INVOICED, S.ANSWERED, S.DELIVERED))
