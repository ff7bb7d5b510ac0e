"""NIP-90, Data Vending Machines (https://github.com/nostr-protocol/nips/blob/master/90.md): the only file that knows job tags.

Tolerant in what is read, exact in what is written. Where practice left the text (type `prompt`, tags `top-k`, prose in `content`), the
reader accepts it. Encryption is NIP-44 where the text still says NIP-04.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec
import orjson

from pylon.errors import DecryptError, InvalidEvent, WireError
from pylon.nostr.event import Draft, Event, Tags, VerifiedEvent, shortest
from pylon.nostr.nip40 import expires_at
from pylon.units import MAX_MSAT, Msat

SUMMARIZATION = 5001
TRANSLATION = 5002
TEXT_GENERATION = 5050
SUB_QUERY = 5940
"""A part of a recursive query: not registered, spoken by Pylons."""
FEEDBACK = 7000
RESULT_OFFSET = 1000

Encrypt = Callable[[str], str]
Decrypt = Callable[[str], str]


class JobError(WireError):
    """A job that cannot be served: `code` is a word of `CODES`, the text one sentence. It goes back in feedback `error`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


CODES = (
    "BAD_REQUEST", "INVALID_PARAMETER", "RATE_LIMITED", "SERVICE_UNAVAILABLE", "UNAUTHORIZED", "PAYMENT_FAILED", "PAYMENT_TIMEOUT",
    "POLICY_VIOLATION",
)
BAD_REQUEST, INVALID_PARAMETER, RATE_LIMITED, SERVICE_UNAVAILABLE, UNAUTHORIZED, PAYMENT_FAILED, PAYMENT_TIMEOUT, POLICY_VIOLATION = CODES


class Input(msgspec.Struct, frozen=True):
    """One `i` tag: `["i", data, type, relay?, marker?]`."""

    data: str
    type: str = "text"
    relay: str = ""
    marker: str = ""


class Request(msgspec.Struct, frozen=True):
    """What a request asks for, whoever wrote it. `bid` is the most the customer will pay (msat), None where it is not said."""

    kind: int
    inputs: tuple[Input, ...]
    params: tuple[tuple[str, ...], ...] = ()
    output: str = ""
    bid: Msat | None = None
    relays: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    encrypted: bool = False
    expiration: int | None = None

    def param(self, *names: str) -> str | None:
        """The first value of the first parameter that has one of these names (`top_k` also reads `top-k`)."""
        return next((p[1] for name in names for p in self.params if len(p) > 1 and p[0].replace("-", "_") == name), None)


class Feedback(msgspec.Struct, frozen=True):
    """One event of kind 7000. `amount` is in msat, None where it is not a number; `bolt11` whatever stands behind it, unchecked."""

    request: str
    customer: str
    status: str
    extra: str = ""
    amount: Msat | None = None
    bolt11: str = ""
    content: str = ""
    encrypted: bool = False


class Result(msgspec.Struct, frozen=True):
    """One event of kind 6000-6999. `content` is still ciphertext where `encrypted`."""

    kind: int
    request: str
    customer: str
    content: str
    amount: Msat | None = None
    bolt11: str = ""
    model: str = ""
    encrypted: bool = False


def read_msat(text: str) -> Msat | None:
    """An amount from the wire: plain decimal digits, at most all bitcoin; anything else (`100_000`, -1, 1.5) is None."""
    if not re.fullmatch(r"[0-9]{1,20}", text, re.ASCII):
        return None
    value = int(text)
    return Msat(value) if value <= MAX_MSAT else None


def read_request(event: Event, decrypt: Decrypt | None = None) -> Request:
    """Read a request of kind 5000-5999. `decrypt` opens `content` where the request is encrypted (raising DecryptError).

    Raises JobError(BAD_REQUEST) for what cannot be served whatever the price.
    """
    tags: Sequence[Sequence[str]] = event.tags
    encrypted = event.first("encrypted") is not None
    if encrypted:
        if decrypt is None:
            raise JobError(BAD_REQUEST, "an encrypted request names one provider in a p tag")
        try:
            tags = [*tags, *_hidden_tags(decrypt(event.content))]
        except DecryptError as error:
            raise JobError(BAD_REQUEST, "the request cannot be decrypted (NIP-44 version 2 is spoken here)") from error
    inputs = tuple(_input(tag) for tag in tags if len(tag) > 1 and tag[0] == "i")
    if not inputs:
        inputs = tuple(_input(tag) for tag in tags if len(tag) > 1 and tag[0] == "input")  # seen in practice
    if not inputs and not encrypted and event.content:
        inputs = (Input(event.content),)  # seen in practice: the prompt as prose in `content`
    return Request(
        kind=event.kind,
        inputs=inputs,
        params=tuple(tuple(tag[1:]) for tag in tags if len(tag) > 1 and tag[0] == "param"),
        output=next((tag[1] for tag in tags if len(tag) > 1 and tag[0] == "output"), ""),
        bid=next((read_msat(value) for value in event.values("bid")), None),
        relays=next((tuple(tag[1:]) for tag in event.tags if tag and tag[0] == "relays"), ()),
        providers=event.values("p"),
        encrypted=encrypted,
        expiration=expires_at(event),
    )


def _input(tag: Sequence[str]) -> Input:
    kind = "text" if len(tag) < 3 or tag[2] in ("", "prompt") else tag[2]
    return Input(tag[1], kind, tag[3] if len(tag) > 3 else "", tag[4] if len(tag) > 4 else "")


def _hidden_tags(text: str) -> list[list[str]]:
    try:
        return msgspec.json.decode(text, type=list[list[str]])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise JobError(BAD_REQUEST, "the decrypted content is not a list of tags") from error


def write_request(request: Request, *, created_at: int, salt: bytes, encrypt: Encrypt | None = None) -> Draft:
    """A request of ours. `salt` (8 random bytes) keeps equal prompts of one second apart; `encrypt` hides `i` and `param` tags."""
    hidden: list[list[str]] = []
    for item in request.inputs:
        tail = [item.relay, item.marker]
        while tail and not tail[-1]:
            tail.pop()
        hidden.append(["i", item.data, item.type, *tail])
    hidden_params = [["param", *param] for param in request.params]
    tags = list(hidden) if encrypt is None else []
    content = ""
    if request.output:
        tags.append(["output", request.output])
    if encrypt is None:
        tags += hidden_params
    else:
        content = encrypt(_hide(hidden + hidden_params))
    if request.bid is not None:
        tags.append(["bid", str(request.bid)])
    if request.relays:
        tags.append(["relays", *request.relays])
    tags += [["p", provider] for provider in request.providers]
    if encrypt is not None:
        tags.append(["encrypted"])
    tags.append(["salt", salt.hex()])
    if request.expiration is not None:
        tags.append(["expiration", str(request.expiration)])
    return Draft(kind=request.kind, created_at=created_at, content=content, tags=_freeze(tags))


def _hide(tags: list[list[str]]) -> str:
    try:
        return orjson.dumps(tags).decode()
    except orjson.JSONEncodeError as error:  # a lone surrogate: the readable request would be refused by `event.sign`
        raise InvalidEvent("invalid: the text is not Unicode") from error


def read_feedback(event: Event) -> Feedback:
    """Read an event of kind 7000. Raises WireError where it names no request."""
    request = _one_id(event)
    status = event.first("status") or ("status", "")
    amount, bolt11 = _amount(event)
    return Feedback(
        request=request,
        customer=next(iter(event.values("p")), ""),
        status=status[1] if len(status) > 1 else "",
        extra=" ".join(status[2:]),
        amount=amount,
        bolt11=bolt11,
        content=event.content,
        encrypted=event.first("encrypted") is not None,
    )


def read_result(event: Event) -> Result:
    """Read an event of kind 6000-6999. Raises WireError where it names no request."""
    amount, bolt11 = _amount(event)
    return Result(
        kind=event.kind,
        request=_one_id(event),
        customer=next(iter(event.values("p")), ""),
        content=event.content,
        amount=amount,
        bolt11=bolt11,
        model=next(iter(event.values("model")), ""),
        encrypted=event.first("encrypted") is not None,
    )


def _amount(event: Event) -> tuple[Msat | None, str]:
    _, text, bolt11, *_ = (*(event.first("amount") or ("amount",)), "", "")
    return read_msat(text), bolt11


def _amount_tag(amount: Msat | None, bolt11: str) -> list[list[str]]:
    if amount is None:
        return []
    return [["amount", str(amount), bolt11] if bolt11 else ["amount", str(amount)]]


def _one_id(event: Event) -> str:
    for value in event.values("e"):
        if re.fullmatch(r"[0-9a-f]{64}", value):
            return value
    raise WireError("no e tag with the id of a request")


def write_feedback(
    request: VerifiedEvent,
    status: str,
    *,
    created_at: int,
    extra: str = "",
    amount: Msat | None = None,
    bolt11: str = "",
    content: str = "",
    encrypted: bool = False,
    expiration: int | None = None,
) -> Draft:
    """Feedback on `request`. `content` is already ciphertext where `encrypted`."""
    tags: list[list[str]] = [["status", status, extra] if extra else ["status", status], ["e", request.id], ["p", request.pubkey]]
    tags += _amount_tag(amount, bolt11)
    if encrypted:
        tags.append(["encrypted"])
    if expiration is not None:
        tags.append(["expiration", str(expiration)])
    return Draft(kind=FEEDBACK, created_at=created_at, content=content, tags=_freeze(tags))


def write_result(
    request: VerifiedEvent,
    content: str,
    *,
    created_at: int,
    model: str,
    amount: Msat | None = None,
    bolt11: str = "",
    encrypted: bool = False,
) -> Draft:
    """The result of `request`. An encrypted one carries `encrypted` and neither `i` nor the readable request."""
    tags: list[list[str]] = []
    if encrypted:
        tags.append(["encrypted"])
    else:
        tags.append(["request", shortest(request).decode()])
        tags += [list(tag) for tag in request.tags if tag and tag[0] == "i"]
    tags += [["e", request.id], ["p", request.pubkey], *_amount_tag(amount, bolt11), ["status", "success"]]
    if model:
        tags.append(["model", model])
    return Draft(kind=request.kind + RESULT_OFFSET, created_at=created_at, content=content, tags=_freeze(tags))


def error_extra(code: str, message: str) -> str:
    """The third element of the status tag of an error: `CODE: sentence`."""
    return f"{code}: {message}"


def read_error(feedback: Feedback) -> tuple[str, str]:
    """Code and sentence of an error feedback; a stranger's own words get the code `ERROR`. An encrypted sentence stands in `content`."""
    head, _, tail = feedback.extra.partition(": ")
    if head in CODES and (tail or feedback.encrypted):
        return head, tail
    return "ERROR", feedback.extra or ("" if feedback.encrypted else feedback.content)


def _freeze(tags: Sequence[Sequence[str]]) -> Tags:
    return tuple(tuple(tag) for tag in tags)
