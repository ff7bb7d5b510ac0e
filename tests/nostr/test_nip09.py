"""NIP-09: what a deletion request covers, and what it cannot."""

from __future__ import annotations

import pytest

from pylon.errors import WireError
from pylon.nostr.event import sign
from pylon.nostr.kinds import Address
from pylon.nostr.nip09 import deletion_draft, read_deletion
from tests.nostr.people import ALICE, BOB, CAROL, NOW, event

ME = ALICE.pubkey_hex


def test_read() -> None:
    """e, a and k tags are read; malformed ones, and other authors' addresses, ask for nothing."""
    target = event()
    deletion = read_deletion(
        event(
            5,
            (
                ("e", target.id, "wss://x"),
                ("e", target.id.upper()),
                ("e",),
                ("e", "x"),
                ("a", f"31990:{ME}:d"),
                ("a", f"31990:{BOB.pubkey_hex}:d"),
                ("a", "x"),
                ("k", "1"),
                ("k", "01"),
                ("k", "-1"),
                ("k",),
                (),
            ),
        )
    )
    assert deletion.ids == {target.id}
    assert deletion.addresses == {Address(31990, ME, "d")}
    assert deletion.kinds == {1}
    assert deletion.author == ME
    assert deletion.created_at == NOW


def test_by_id() -> None:
    """ "any referenced events that have an identical pubkey as the deletion request": only the author deletes."""
    target = event()
    assert read_deletion(event(5, (("e", target.id),))).covers(target)
    assert not read_deletion(event(5, (("e", target.id),), by=BOB)).covers(target)
    assert not read_deletion(event(5)).covers(target)


def test_by_address() -> None:
    """ "all versions of the replaceable event up to the created_at timestamp of the deletion request event" """
    deletion = read_deletion(event(5, (("a", f"31990:{ME}:d"), ("a", f"10002:{ME}:"))))
    assert deletion.covers(event(31990, (("d", "d"),), at=NOW))
    assert deletion.covers(event(10002, at=NOW - 5))
    assert not deletion.covers(event(31990, (("d", "d"),), at=NOW + 1))
    assert not deletion.covers(event(31990, (("d", "other"),)))
    assert not deletion.covers(event(31990, (("d", "d"),), by=BOB))
    assert not deletion.covers(event(1))


def test_a_deletion_stays() -> None:
    """ "Publishing a deletion request event against a deletion request has no effect." """
    first = event(5, (("e", event().id),))
    assert not read_deletion(event(5, (("e", first.id), ("k", "5")))).covers(first)


def test_gift_wraps_by_their_recipient() -> None:
    """NIP-59: "relays SHOULD delete kind:1059 events whose p-tag matches the signer of NIP-09 deletions" """
    wrap = event(1059, (("p", BOB.pubkey_hex),), by=CAROL)
    assert read_deletion(event(5, (("e", wrap.id), ("k", "1059")), by=BOB)).covers(wrap)
    assert not read_deletion(event(5, (("e", wrap.id), ("k", "1059")), by=ALICE)).covers(wrap)
    note = event(1, (("p", BOB.pubkey_hex),), by=CAROL)
    assert not read_deletion(event(5, (("e", note.id), ("k", "1059")), by=BOB)).covers(note)


def test_a_cancelled_job() -> None:
    """The cancellation that we write covers the job it names, and tells its providers (J7)."""
    job = event(5050, (("i", "x", "text"), ("p", BOB.pubkey_hex)))
    cancel = sign(deletion_draft(job, NOW), ALICE)
    assert cancel.tags == (("e", job.id), ("k", "5050"), ("p", BOB.pubkey_hex))
    assert read_deletion(cancel).covers(job)
    assert not read_deletion(sign(deletion_draft(job, NOW), BOB)).covers(job)


def test_another_kind() -> None:
    """Only kind 5 asks for deletions."""
    with pytest.raises(WireError):
        read_deletion(event(1, (("e", event().id),)))
