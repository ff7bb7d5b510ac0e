"""A person's wish, turned into a signed request and the record of a job of ours."""

from __future__ import annotations

import math
import os

import msgspec

from pylon.config import Config
from pylon.errors import UsageError
from pylon.market.job import BuyerJob
from pylon.market.kinds import KINDS
from pylon.market.terms import MOST_INPUT_BYTES
from pylon.nostr import nip19, nip90
from pylon.nostr.event import sign
from pylon.nostr.keys import Keys
from pylon.nostr.nip90 import Input, JobError, Request, write_request
from pylon.units import MAX_MSAT, Msat

LONGEST_TIMEOUT = 7 * 86400
MOST_PARAMS = 50
LONGEST_PARAM = 1000


class SubmitArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`job.submit` and `job.ask`. `bid` and `max_fee` are msat, `timeout` seconds; `provider` an npub, nprofile or hex key.
    `patience`: the seconds of an ask where another provider can be asked afterwards."""

    prompt: str
    kind: int = nip90.TEXT_GENERATION
    model: str = ""
    bid: int = 1000
    relays: list[str] = []
    provider: str = ""
    auto_pay: bool = False
    timeout: float = 60.0
    max_tokens: int | None = None
    avoid: list[str] = []
    max_fee: int | None = None
    patience: float | None = None
    params: list[tuple[str, str]] = []


def request_of(asked: SubmitArgs, config: Config) -> Request:
    """The request that was asked for. Raises UsageError with what is wrong with it."""
    if not asked.prompt.strip():
        raise UsageError("the prompt is empty")
    try:
        size = len(asked.prompt.encode())
    except UnicodeEncodeError as error:
        raise UsageError("the prompt is not valid Unicode") from error
    if size > MOST_INPUT_BYTES:
        raise UsageError(f"the prompt has {size:,} bytes; {MOST_INPUT_BYTES:,} fit into a request")
    if asked.kind not in KINDS:
        raise UsageError(f"kind {asked.kind} is not known here; {', '.join(map(str, KINDS))} is")
    if not 0 <= asked.bid <= MAX_MSAT:
        raise UsageError("the bid must be an amount in msat, and not negative")
    if not 0 < asked.timeout <= LONGEST_TIMEOUT:
        raise UsageError("the timeout must be more than 0 seconds and at most a week")
    if asked.patience is not None and not asked.patience > 0:
        raise UsageError("the patience must be more than 0 seconds")
    if asked.max_tokens is not None and asked.max_tokens < 1:
        raise UsageError("max_tokens must be at least 1")
    if asked.max_fee is not None and not 0 <= asked.max_fee <= MAX_MSAT:
        raise UsageError("max_fee must be an amount in msat, and not negative")
    _check_params(asked.params)
    params: list[tuple[str, ...]] = []
    if asked.model:
        params.append(("model", asked.model))
    if asked.max_tokens is not None:
        params.append(("max_tokens", str(asked.max_tokens)))
    request = Request(
        kind=asked.kind, inputs=(Input(asked.prompt),), params=(*params, *asked.params), output="text/plain", bid=Msat(asked.bid),
        relays=tuple(asked.relays or config.relays), providers=(nip19.public_key(asked.provider),) if asked.provider else (),
    )
    try:
        KINDS[asked.kind].read(request)  # as a provider of ours would: what he would refuse is told now
    except JobError as error:
        raise UsageError(error.message) from error
    return request


def _check_params(params: list[tuple[str, str]]) -> None:
    """Raises UsageError for parameters that no request should carry; what they mean says their kind."""
    if len(params) > MOST_PARAMS:
        raise UsageError(f"at most {MOST_PARAMS} parameters fit into a request")
    for name, value in params:
        if not name or len(name) + len(value) > LONGEST_PARAM:
            raise UsageError(f"a parameter has a name, and at most {LONGEST_PARAM} characters with its value")
        try:
            (name + value).encode()
        except UnicodeEncodeError as error:
            raise UsageError("a parameter is not valid Unicode") from error


def draft_job(asked: SubmitArgs, request: Request, keys: Keys, *, max_fee: Msat, now: float) -> BuyerJob:
    """Sign the request (encrypted where it names one provider) with an expiration at the job's deadline. Raises UsageError."""
    deadline = now + asked.timeout
    provider = request.providers[0] if request.providers else ""
    try:
        draft = write_request(
            msgspec.structs.replace(request, expiration=math.ceil(deadline)), created_at=int(now), salt=os.urandom(8),
            encrypt=(lambda text: keys.encrypt(bytes.fromhex(provider), text)) if provider else None,
        )
    except ValueError as error:  # 32 bytes that are no point of the curve
        raise UsageError(f"{provider} is nobody's public key", hint="`pylon wallet whoami` of the provider shows his") from error
    event = sign(draft, keys)
    return BuyerJob(
        id=event.id, request=event, prompt=asked.prompt, model=asked.model, bid=Msat(asked.bid), provider=provider,
        encrypted=bool(provider), avoid=tuple(asked.avoid), auto_pay=asked.auto_pay, urls=tuple(asked.relays),
        max_fee=max_fee if asked.max_fee is None else Msat(asked.max_fee), created_at=now, deadline=deadline,
    )
