"""What a client asks for: the bodies of `/v1/chat/completions` and `/v1/completions`, read into a `Wish`.

Protocol: https://platform.openai.com/docs/api-reference/chat/create and …/completions/create. Unknown members are ignored. Those that we
know, cannot obey and that would change what the answer means (tools, JSON only, several answers, log probabilities) are refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeVar

import msgspec

from pylon.gateway.errors import ApiError
from pylon.market.prompt import MOST_TOKENS, Message, Prompt, Role

MOST_MESSAGES: Final = 2048
MOST_STOPS: Final = 4
LONGEST_STOP: Final = 256

ROLES: Final[dict[str, Role]] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
"""OpenAI: "With o1 models and newer, developer messages replace the previous system messages"; chat templates know `system`."""

B = TypeVar("B", bound="Body")

Tokens = Annotated[int, msgspec.Meta(ge=1)]
Stop = Annotated[str, msgspec.Meta(max_length=LONGEST_STOP)]


class Wish(msgspec.Struct, frozen=True):
    """What is asked, and how it is to be answered. `prompt.max_tokens` is 0 where the client left it open."""

    prompt: Prompt
    stream: bool
    include_usage: bool
    stops: tuple[str, ...]


class StreamOptions(msgspec.Struct, frozen=True):
    """`stream_options`."""

    include_usage: bool | None = None


class Format(msgspec.Struct, frozen=True):
    """`response_format`."""

    type: str


class Part(msgspec.Struct, frozen=True):
    """A part of a message."""

    type: str
    text: str | None = None


class Turn(msgspec.Struct, frozen=True):
    """One of `messages`."""

    role: str
    content: str | list[Part] | None = None


class Body(msgspec.Struct, frozen=True):
    """What both endpoints take. Null means absent, as OpenAI's own clients send it."""

    model: str | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    seed: int | None = None
    stop: Stop | list[Stop] | None = None
    n: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: bool | int | None = None
    max_tokens: Tokens | None = None


class ChatBody(Body, frozen=True):
    """POST /v1/chat/completions."""

    messages: list[Turn] = msgspec.field(default_factory=list)
    max_completion_tokens: Tokens | None = None
    tools: list[msgspec.Raw] | None = None
    functions: list[msgspec.Raw] | None = None
    response_format: Format | None = None


class CompletionBody(Body, frozen=True):
    """POST /v1/completions."""

    prompt: str | list[str] | None = None
    best_of: int | None = None
    echo: bool | None = None
    suffix: str | None = None


def read_chat(body: bytes) -> Wish:
    """The wish of a chat. Raises ApiError (400), naming the member that is wrong."""
    asked = _decode(body, ChatBody)
    if not asked.messages:
        raise _wrong("messages", "there are no messages: at least one is needed")
    if len(asked.messages) > MOST_MESSAGES:
        raise _wrong("messages", f"there are more than {MOST_MESSAGES} messages")
    if asked.tools:
        raise _unsupported("tools", "tools are not supported here")
    if asked.functions:
        raise _unsupported("functions", "functions are not supported here")
    if asked.response_format is not None and asked.response_format.type != "text":
        raise _unsupported("response_format", "only the response format `text` is supported here")
    turns = tuple(_message(turn, f"messages[{place}]") for place, turn in enumerate(asked.messages))
    return _wish(asked, Prompt("", messages=turns), asked.max_completion_tokens or asked.max_tokens)


def read_completion(body: bytes) -> Wish:
    """The wish of a completion: its prompt becomes the one turn of a user. Raises ApiError (400), naming the member that is wrong."""
    asked = _decode(body, CompletionBody)
    prompts = [asked.prompt] if isinstance(asked.prompt, str) else asked.prompt
    if not prompts:
        raise _wrong("prompt", "there is no prompt")
    if len(prompts) > 1:
        raise _unsupported("prompt", "several prompts in one request are not supported here: ask one by one")
    if asked.best_of not in (None, 1):
        raise _unsupported("best_of", "only one answer is computed: best_of must be 1")
    if asked.echo:
        raise _unsupported("echo", "echo is not supported here")
    if asked.suffix:
        raise _unsupported("suffix", "suffix is not supported here")
    return _wish(asked, Prompt(prompts[0]), asked.max_tokens)


def _wish(asked: Body, prompt: Prompt, max_tokens: int | None) -> Wish:
    """What both have in common."""
    if asked.n not in (None, 1):
        raise _unsupported("n", "one answer is given to a request: n must be 1")
    if asked.logprobs:
        raise _unsupported("logprobs", "log probabilities are not supported here")
    stops = [asked.stop] if isinstance(asked.stop, str) else asked.stop or []
    if len(stops) > MOST_STOPS:
        raise _wrong("stop", f"there are more than {MOST_STOPS} stop sequences")
    if asked.stream_options is not None and not asked.stream:
        raise _wrong("stream_options", "stream_options is for requests with stream: true")
    return Wish(
        msgspec.structs.replace(
            prompt,
            model=asked.model or "",
            max_tokens=min(max_tokens or 0, MOST_TOKENS),
            temperature=asked.temperature,
            top_p=asked.top_p,
            seed=asked.seed,
        ),
        stream=bool(asked.stream),
        include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
        stops=tuple(filter(None, stops)),
    )


def _message(turn: Turn, place: str) -> Message:
    """A turn of the conversation; its text parts are joined as they are."""
    role = ROLES.get(turn.role)
    if role is None:
        raise _wrong(f"{place}.role", f"messages of role {turn.role[:40]!r} are not served here, only {', '.join(ROLES)}")
    if turn.content is None:
        raise _wrong(f"{place}.content", "the message has no content")
    if isinstance(turn.content, str):
        return Message(role, turn.content)
    texts = []
    for part in turn.content:
        if part.type != "text" or part.text is None:
            raise _wrong(f"{place}.content", f"parts of type {part.type[:40]!r} are not served here, only text")
        texts.append(part.text)
    return Message(role, "".join(texts))


def _decode(body: bytes, kind: type[B]) -> B:
    """`body` as `kind`. Raises ApiError (400) for what is no JSON, nested without end, or of other types."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        param = re.sub(r"^\$\.?", "", path.rstrip("`"))[:100]
        raise ApiError(400, f"{param or 'the body'}: {message}", code="invalid_type", param=param or None) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "the body is not valid JSON", code="invalid_json") from error


def _wrong(param: str, message: str) -> ApiError:
    return ApiError(400, message, code="invalid_value", param=param)


def _unsupported(param: str, message: str) -> ApiError:
    return ApiError(400, message, code="unsupported_parameter", param=param)
