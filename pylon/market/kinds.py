"""The kinds of jobs that are served, and how a request of each becomes a question.

A kind is a small record and two functions: `read` turns a request into a `Prompt`, `write` turns the model's text into the content of the
result. 5050 asks what it was asked; 5001 and 5002 (https://github.com/nostr-protocol/data-vending-machines) put a task before the text;
5940, a part of a recursive query, is Pylon's own and is read as 5050.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from pylon.market.languages import language_name
from pylon.market.prompt import DEFAULT_MAX_TOKENS, MOST_TOKENS, Prompt
from pylon.nostr.nip90 import (
    BAD_REQUEST,
    INVALID_PARAMETER,
    RESULT_OFFSET,
    SUB_QUERY,
    SUMMARIZATION,
    TEXT_GENERATION,
    TRANSLATION,
    JobError,
    Request,
)


class JobKind(msgspec.Struct, frozen=True):
    """One kind of job. `read` raises nip90.JobError for a request that cannot be served."""

    request: int
    name: str
    read: Callable[[Request], Prompt]
    write: Callable[[str], str] = str

    @property
    def result(self) -> int:
        """NIP-90: "Result kind is always 1000 higher than the request kind"."""
        return self.request + RESULT_OFFSET


def prompt_text(request: Request) -> str:
    """The text of all text inputs, in order, joined by a blank line. Raises JobError for inputs that would need a fetch, or none."""
    if not request.inputs:
        raise JobError(BAD_REQUEST, "there is no input: an i tag with the prompt is needed")
    for item in request.inputs:
        if item.type != "text":
            raise JobError(BAD_REQUEST, f"inputs of type {item.type[:20]!r} are not served here, only text")
    text = "\n\n".join(item.data for item in request.inputs)
    if not text.strip():
        raise JobError(BAD_REQUEST, "the prompt is empty")
    return text


def number(request: Request, names: Sequence[str], low: float, high: float) -> float | None:
    """A numeric parameter, or None where it is absent. Raises JobError(INVALID_PARAMETER) outside low..high."""
    text = request.param(*names)
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,12})?([eE]\+?[0-9]{1,2})?", text, re.ASCII) or not low <= float(text) <= high:
        raise JobError(INVALID_PARAMETER, f"{names[0]} must be a number from {low:g} to {high:g}")
    return float(text)


def read_sampling(request: Request, text: str) -> Prompt:
    """The parameters of kind 5050 around `text`; a wish for more tokens than a model can have is read as the most."""
    tokens = number(request, ("max_tokens",), 1, 1e12)
    top_k = number(request, ("top_k",), 0, 100_000)
    seed = number(request, ("seed",), 0, 2**32 - 1)
    return Prompt(
        text=text,
        model=request.param("model") or "",
        max_tokens=DEFAULT_MAX_TOKENS if tokens is None else min(int(tokens), MOST_TOKENS),
        temperature=number(request, ("temperature",), 0, 2),
        top_p=number(request, ("top_p",), 0, 1),
        top_k=None if top_k is None else int(top_k),
        seed=None if seed is None else int(seed),
    )


def _text_generation(request: Request) -> Prompt:
    return read_sampling(request, prompt_text(request))


def _summary(request: Request) -> Prompt:
    """Kind 5001: one summary of all inputs, "length: N words|paragraphs" """
    text = prompt_text(request)
    length = request.param("length")
    size = ""
    if length is not None:
        found = re.fullmatch(r"\s*([1-9][0-9]{0,4})\s*(word|paragraph)s?\s*", length, re.ASCII | re.IGNORECASE)
        if found is None:
            raise JobError(INVALID_PARAMETER, 'length must be "N words" or "N paragraphs"')
        size = f" in about {found[1]} {found[2].lower()}{'' if found[1] == '1' else 's'}"
    what = "the following text" if len(request.inputs) == 1 else f"the following {len(request.inputs)} texts together"
    return read_sampling(request, f"Summarize {what}{size}. Answer with the summary alone.\n\n{text}")


def _translation(request: Request) -> Prompt:
    """Kind 5002: the inputs in another language, "language: ISO 639" """
    text = prompt_text(request)
    asked = request.param("language") or ""
    language = language_name(asked)
    if language is None:
        raise JobError(INVALID_PARAMETER, "language must be a code of ISO 639, such as de")
    return read_sampling(request, f"Translate the following text into {language}. Answer with the translation alone.\n\n{text}")


KINDS: dict[int, JobKind] = {
    kind.request: kind
    for kind in (
        JobKind(TEXT_GENERATION, "text generation", _text_generation),
        JobKind(SUMMARIZATION, "summary", _summary, str.strip),
        JobKind(TRANSLATION, "translation", _translation, str.strip),
        JobKind(SUB_QUERY, "part of a recursive query", _text_generation),
    )
}
"""The kinds that this version serves, by request kind."""
