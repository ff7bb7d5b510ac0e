"""From what relays send to events that come out once: `check_events` with memory, scopes and filters, against the twins of all three."""

from __future__ import annotations

import json

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pylon import _native
from pylon._native import BAD_SIGNATURE, DUPLICATE, OK, UNWANTED, FilterIndex, Seen, Signer, VerifiedEvent, plain, plain_filter, plain_seen
from pylon.nostr.filter import Filter
from tests.forge import Forged

SIGNERS = [Signer(bytes(31) + bytes([n])) for n in (8, 9)]
EVENTS = [signer.sign_event(n, n, [["t", "ab"[n % 2]]], "x/y", bytes(32)) for n in range(4) for signer in SIGNERS]


def variants(event: VerifiedEvent) -> list[bytes]:
    """What relays may make of one event, and what they must not."""
    fields = json.loads(event.raw)
    again = next(s for s in SIGNERS if s.pubkey.hex() == event.pubkey).sign(bytes.fromhex(event.id), b"\1" * 32).hex()
    assert again != event.sig
    return [
        event.raw,
        json.dumps(dict(reversed(fields.items())), indent=1).replace("/", "\\/").encode(),
        b'["EVENT","sub",' + event.raw + b"]",
        json.dumps(fields | {"sig": again}).encode(),
        json.dumps(fields | {"sig": event.sig[:64] + again[64:]}).encode(),
        json.dumps(fields | {"sig": "0" * 128}).encode(),
        json.dumps(fields | {"content": "z"}).encode(),
        event.raw[:-1],
        event.raw.replace(b"x/y", b"\xff"),
    ]


RAWS = [raw for event in EVENTS for raw in variants(event)]
CODES = {raw: plain.check_event(raw) for raw in RAWS}


def read(raw: bytes) -> Forged:
    """The event in a text that has one."""
    found = json.loads(raw)
    fields = found[-1] if isinstance(found, list) else found
    return Forged(**{**fields, "tags": tuple(map(tuple, fields["tags"]))})


class Arriving(RuleBasedStateMachine):
    """Batches come while filters come and go."""

    @initialize(capacity=st.sampled_from([1, 2, 5, 100]))
    def start(self, capacity: int) -> None:
        """A memory of that size, and two indexes."""
        self.seen, self.twin = Seen(capacity), plain_seen.Seen(capacity)
        self.indexes = [FilterIndex(), FilterIndex()]
        self.twins = [plain_filter.FilterIndex(), plain_filter.FilterIndex()]

    @rule(which=st.integers(0, 1), key=st.integers(0, 2), kinds=st.lists(st.integers(0, 3), max_size=3), letter=st.sampled_from(["", "a"]))
    def add(self, which: int, key: int, kinds: list[int], letter: str) -> None:
        """A filter comes."""
        wanted = Filter(kinds=tuple(kinds), tags={"t": (letter,)} if letter else {})
        self.indexes[which].add(key, wanted)
        self.twins[which].add(key, wanted)

    @rule(which=st.integers(0, 1), key=st.integers(0, 2))
    def remove(self, which: int, key: int) -> None:
        """A subscription ends."""
        self.indexes[which].remove(key)
        self.twins[which].remove(key)

    @rule(
        batch=st.lists(
            st.tuples(st.sampled_from(RAWS), st.none() | st.sampled_from([0, 1, 2**64 - 1]), st.none() | st.integers(0, 1)), max_size=20
        ),
        scoped=st.booleans(),
        asked=st.booleans(),
    )
    def arrive(self, batch: list[tuple[bytes, int | None, int | None]], scoped: bool, asked: bool) -> None:
        """One batch is checked: what comes out is what the twins let out."""
        raws = [raw for raw, _, _ in batch]
        found = _native.check_events(
            raws,
            self.seen,
            [scope for _, scope, _ in batch] if scoped else None,
            [None if which is None else self.indexes[which] for _, _, which in batch] if asked else None,
        )
        expected = self.expect([(raw, scope if scoped else None, which if asked else None) for raw, scope, which in batch])
        assert [OK if isinstance(event, VerifiedEvent) else event for event in found] == expected
        for raw, event in zip(raws, found, strict=True):
            if isinstance(event, VerifiedEvent):
                assert (event.id, event.sig) == (read(raw).id, read(raw).sig)

    def expect(self, batch: list[tuple[bytes, int | None, int | None]]) -> list[int]:
        """The codes: first what was known before the batch, then what the batch itself adds."""
        codes = []
        fresh = []
        for raw, scope, which in batch:
            code = CODES[raw]
            if code in (OK, BAD_SIGNATURE):
                event = read(raw)
                if scope is not None and (scope, event.id) in self.twin.deliveries:
                    code = DUPLICATE
                elif which is not None and not self.twins[which].match(event):
                    code = UNWANTED
                elif code == OK and (event.id, event.sig) not in self.twin.verifications:
                    fresh.append((event.id, event.sig))
            codes.append(code)
        for verified in fresh:
            self.twin.verifications.add(verified)
        for i, (raw, scope, _) in enumerate(batch):
            if codes[i] == OK:
                event = read(raw)
                if scope is not None:
                    codes[i] = DUPLICATE if (scope, event.id) in self.twin.deliveries else OK
                    self.twin.deliveries.add((scope, event.id))
        return codes

    @invariant()
    def remembers(self) -> None:
        """Both remember as much."""
        if hasattr(self, "seen"):
            assert (self.seen.verified, self.seen.delivered) == (self.twin.verified, self.twin.delivered)


TestArriving = Arriving.TestCase
TestArriving.settings = settings(max_examples=60, stateful_step_count=20)


def test_the_variants_are_what_they_are_for() -> None:
    """Right ones, other spellings, another right signature, forged signatures, another content, and no event at all."""
    assert [list(map(CODES.__getitem__, variants(event))) for event in EVENTS] == [[0, 0, 0, 0, 3, 3, 2, 1, 4]] * len(EVENTS)


def test_scopes_and_filters_ask_for_a_memory() -> None:
    """Without one nothing could be told apart: refused, and so are lists of another length."""
    for scopes, wanted in (([1], None), (None, [None])):
        with pytest.raises(ValueError, match=r"one for each|one scope"):
            _native.check_events([EVENTS[0].raw], None, scopes, wanted)
    for scopes, wanted in (([1, 2], None), ([], None), (None, [None] * 2), ([1], [])):
        with pytest.raises(ValueError, match=r"one for each|one scope"):
            _native.check_events([EVENTS[0].raw], Seen(1), scopes, wanted)
