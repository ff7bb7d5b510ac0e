"""Jobs, effects and events as the ledger keeps them: msgpack, events as their JSON, preimages sealed."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from pylon.market.effects import AnyEffect
from pylon.market.job import BuyerJob, Job, ProviderJob, Role
from pylon.node.vault import Vault
from pylon.nostr.event import VerifiedEvent, load, shortest


def _put(value: object) -> bytes:
    """An event is kept as its JSON."""
    if isinstance(value, VerifiedEvent):
        return shortest(value)
    raise NotImplementedError(f"{type(value).__name__} is not kept")


def _get(kind: type, value: object) -> object:
    """An event from its JSON, or from its fields as ledgers of before have them."""
    if kind is VerifiedEvent:
        return load(value if isinstance(value, bytes) else msgspec.json.encode(value))
    raise NotImplementedError(f"{kind.__name__} is not kept")


_encode = msgspec.msgpack.Encoder(enc_hook=_put).encode
_decode_effect = msgspec.msgpack.Decoder(AnyEffect, dec_hook=_get).decode
_decode_event = msgspec.msgpack.Decoder(VerifiedEvent, dec_hook=_get).decode
_decode_provider = msgspec.msgpack.Decoder(ProviderJob, dec_hook=_get).decode
_decode_buyer = msgspec.msgpack.Decoder(BuyerJob, dec_hook=_get).decode


def hash_of(job: Job) -> bytes:
    """The payment hash that a job is about, or nothing yet."""
    if isinstance(job, ProviderJob):
        return job.payment_hash
    return job.quote.payment_hash if job.quote else b""


class Records:
    """Writes and reads, with the vault for what is secret."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def job(self, job: Job) -> bytes:
        """A job as it is kept."""
        if not job.preimage:
            return _encode(job)
        return _encode(replace(job, preimage=self._vault.seal(job.preimage, hash_of(job))))

    def read(self, role: str, body: bytes) -> Job:
        """A job of that side."""
        return self.read_provider(body) if role == Role.PROVIDER else self.read_buyer(body)

    def read_provider(self, body: bytes) -> ProviderJob:
        """A request that we serve."""
        job = _decode_provider(body)
        return replace(job, preimage=self._vault.unseal(job.preimage, job.payment_hash)) if job.preimage else job

    def read_buyer(self, body: bytes) -> BuyerJob:
        """A request of ours."""
        job = _decode_buyer(body)
        return replace(job, preimage=self._vault.unseal(job.preimage, hash_of(job))) if job.preimage else job

    def effect(self, effect: AnyEffect) -> bytes:
        """An effect as it is kept."""
        return _encode(effect)

    def read_effect(self, body: bytes) -> AnyEffect:
        """An effect."""
        effect: AnyEffect = _decode_effect(body)
        return effect

    def event(self, event: VerifiedEvent) -> bytes:
        """An event as it is kept."""
        return _encode(event)

    def read_event(self, body: bytes) -> VerifiedEvent:
        """An event."""
        return _decode_event(body)


def as_kept_before(role: str, body: bytes) -> Job:
    """A job of a ledger of version 1, where the preimage stood in clear."""
    return _decode_provider(body) if role == Role.PROVIDER else _decode_buyer(body)
