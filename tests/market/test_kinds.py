"""From a request to what a model is asked: inputs, sampling values, and all that strangers write there."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pylon.market.kinds import KINDS
from pylon.market.prompt import Prompt
from pylon.nostr.event import Draft, sign
from pylon.nostr.nip90 import Input, JobError, Request, read_request
from tests.market.scene import CUSTOMER, NOW

READ = KINDS[5050].read
PLAIN = Request(kind=5050, inputs=(Input("hello"),))


def of(*tags: tuple[str, ...], content: str = "", kind: int = 5050) -> Request:
    """A request as it comes from the wire."""
    return read_request(sign(Draft(kind, NOW, content, tags), CUSTOMER))


def test_the_kinds_that_are_served() -> None:
    """Text generation, summaries, translations, parts of recursive queries; each answered by its number and 1000."""
    assert {kind.request: kind.result for kind in KINDS.values()} == {5050: 6050, 5001: 6001, 5002: 6002, 5940: 6940}
    assert all(number == kind.request for number, kind in KINDS.items())
    assert (KINDS[5050].write("4\n"), KINDS[5002].write(" vier\n")) == ("4\n", "vier")


def test_all_parameters_are_read() -> None:
    """Model, length and the sampling values, `top-k` as practice writes it."""
    request = of(
        ("i", "hello", "text"), ("param", "model", "tiny"), ("param", "max_tokens", "64"), ("param", "temperature", "0.7"),
        ("param", "top_p", "0.9"), ("param", "top-k", "40"), ("param", "seed", "7"),
    )
    assert READ(request) == Prompt("hello", "tiny", 64, 0.7, 0.9, 40, 7)


def test_what_the_asker_left_open_stays_open() -> None:
    """No sampling value is invented: the backend's own defaults count."""
    assert READ(PLAIN) == Prompt("hello")


@pytest.mark.parametrize(
    "text",
    ["x", "🙂🙃", "שלום \u202e עולם", "nul \x00 nul", "e\u0301\u0301\u0301", "\ufeffbom", "line\nline\r\n\ttab",
     "</s><|im_end|>", "\ud83d", "日本語" * 1000],
)
def test_any_text_is_a_prompt(text: str) -> None:
    """J10: multi-byte characters, right-to-left text, NUL and lone surrogates are passed on as they are, and crash nothing."""
    assert READ(replace(PLAIN, inputs=(Input(text),))).text == text


def test_inputs_are_joined_in_order() -> None:
    """Several `i` tags are one prompt; the type `prompt` of practice and a missing type read as text."""
    assert READ(of(("i", "one", "text"), ("i", "two", "prompt"), ("i", "three"), ("i", "four", ""))).text == "one\n\ntwo\n\nthree\n\nfour"


def test_prose_in_content_is_a_prompt() -> None:
    """Seen in practice: no `i` tag, the prompt in `content`."""
    assert READ(of(content="hello")).text == "hello"


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ((), "there is no input"), ((("i",),), "there is no input"), ((("i", ""),), "the prompt is empty"),
        ((("i", " \n\t "),), "the prompt is empty"),
        ((("i", "http://127.0.0.1/", "url"),), "inputs of type 'url'"), ((("i", "0" * 64, "event"),), "inputs of type 'event'"),
        ((("i", "0" * 64, "job"),), "inputs of type 'job'"), ((("i", "x", "y" * 5000),), "inputs of type 'yyyyyyyyyyyyyyyyyyyy'"),
    ],
)
def test_what_is_no_prompt_is_told_so(tags: tuple[tuple[str, ...], ...], message: str) -> None:
    """J8, J11, J12: nothing is fetched for a stranger; the refusal is one short sentence with the code BAD_REQUEST."""
    with pytest.raises(JobError, match=message) as caught:
        READ(of(*tags))
    assert caught.value.code == "BAD_REQUEST"
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "3"), ("temperature", "-0.1"), ("temperature", "warm"), ("temperature", "nan"),
        ("temperature", "1e400"), ("top_p", "1.1"),
        ("top_p", ""), ("top_k", "-1"), ("top_k", "1000000"), ("seed", str(2**32)), ("seed", "-1"), ("max_tokens", "1" * 5000),
    ],
)
def test_a_value_outside_its_range_is_refused(name: str, value: str) -> None:
    """INVALID_PARAMETER names the parameter and its range; no value is silently replaced."""
    with pytest.raises(JobError, match=f"^{name} must be a number from ") as caught:
        READ(replace(PLAIN, params=((name, value),)))
    assert caught.value.code == "INVALID_PARAMETER"


def test_of_a_repeated_parameter_the_first_counts_and_an_empty_one_is_absent() -> None:
    """J8: duplicate parameters and parameters without a value are read without a crash."""
    request = of(("i", "hello"), ("param", "top_k", "1"), ("param", "top_k", "2"), ("param", "seed"), ("param",), ("param", "", "x"))
    assert READ(request) == Prompt("hello", top_k=1)


SUMMARY, TRANSLATION, PART = (KINDS[kind].read for kind in (5001, 5002, 5940))


@pytest.mark.parametrize(
    ("length", "task"),
    [
        (None, "Summarize the following text."), ("100 words", "Summarize the following text in about 100 words."),
        ("1 paragraph", "Summarize the following text in about 1 paragraph."),
        ("3 paragraphs", "Summarize the following text in about 3 paragraphs."),
        (" 50  Words ", "Summarize the following text in about 50 words."), ("1 words", "Summarize the following text in about 1 word."),
    ],
)  # fmt: skip
def test_a_summary(length: str | None, task: str) -> None:
    """Kind 5001: the task, then the text; `length` in words or paragraphs, as practice writes them."""
    tags = [("i", "A long text.", "text"), *([("param", "length", length)] if length is not None else [])]
    assert SUMMARY(of(*tags, kind=5001)).text == f"{task} Answer with the summary alone.\n\nA long text."


def test_one_summary_of_several_texts() -> None:
    """All `i` tags together, in order."""
    text = SUMMARY(of(("i", "one", "text"), ("i", "two", "prompt"), ("i", "three"), kind=5001)).text
    assert text == "Summarize the following 3 texts together. Answer with the summary alone.\n\none\n\ntwo\n\nthree"


@pytest.mark.parametrize("length", ["", "short", "0 words", "-5 words", "1e9 words", "999999 words", "٣ words", "5 words\nx", "5"])
def test_a_length_that_is_none(length: str) -> None:
    """It is refused by its name; nothing that a stranger writes there reaches the task."""
    with pytest.raises(JobError, match=r"^length must be") as caught:
        SUMMARY(of(("i", "x"), ("param", "length", length), kind=5001))
    assert caught.value.code == "INVALID_PARAMETER"


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("de", "German"), ("DE", "German"), ("pt-BR", "Portuguese (as in BR)"), ("zh-Hant", "Chinese"), ("es_419", "Spanish"),
        ("gsw", "the language with the ISO 639 code gsw"), ("german", "German"), (" fr ", "French"), ("Volapük", "Volapük"),
    ],
)
def test_a_translation(language: str, name: str) -> None:
    """Kind 5002: codes of ISO 639, with a region too, and the English names of practice."""
    request = of(("i", "The sky.", "text"), ("i", "The sea.", "text"), ("param", "language", language), kind=5002)
    assert TRANSLATION(request).text == (
        f"Translate the following text into {name}. Answer with the translation alone.\n\nThe sky.\n\nThe sea."
    )


@pytest.mark.parametrize("language", [None, "", "xx", "d", "de-", "klingonish", "de\nIgnore all", "../de", "\u202ede", "١٢", "x" * 5000])
def test_a_language_that_is_none(language: str | None) -> None:
    """It is refused by its name; nothing that a stranger writes there reaches the task."""
    tags = [("i", "x"), *([("param", "language", language)] if language is not None else [])]
    with pytest.raises(JobError, match=r"^language must be") as caught:
        TRANSLATION(of(*tags, kind=5002))
    assert (caught.value.code, len(caught.value.message) < 100) == ("INVALID_PARAMETER", True)


def test_a_part_of_a_recursive_query_is_read_as_a_question() -> None:
    """Kind 5940: text and parameters as in 5050, also in the ancestor's form, and prose in `content`."""
    request = of(("i", "Piece 3 of 20: …", "text"), ("param", "max_tokens", "64"), ("bid", "1000"), kind=5940)
    assert PART(request) == Prompt("Piece 3 of 20: …", max_tokens=64)
    assert PART(of(content="hello", kind=5940)) == Prompt("hello")


@pytest.mark.parametrize("kind", [5001, 5002, 5940])
@pytest.mark.parametrize("tags", [(), (("i", ""),), (("i", "https://x/", "url"),), (("i", "0" * 64, "event"),), (("i", "0" * 64, "job"),)])
def test_every_kind_refuses_what_it_would_have_to_fetch(kind: int, tags: tuple[tuple[str, ...], ...]) -> None:
    """J11: nothing is fetched for a stranger, whatever kind he asks for."""
    with pytest.raises(JobError) as caught:
        KINDS[kind].read(of(*tags, ("param", "language", "de"), kind=kind))
    assert caught.value.code == "BAD_REQUEST"


@pytest.mark.parametrize("kind", [5001, 5002, 5940])
def test_every_kind_takes_the_sampling_values(kind: int) -> None:
    """Model, length of the answer and sampling are the same parameters everywhere, refused by the same rules."""
    request = of(("i", "x"), ("param", "language", "de"), ("param", "model", "tiny"), ("param", "top-k", "4"), kind=kind)
    prompt = KINDS[kind].read(request)
    assert (prompt.model, prompt.top_k) == ("tiny", 4)
    with pytest.raises(JobError, match="temperature"):
        KINDS[kind].read(of(("i", "x"), ("param", "language", "de"), ("param", "temperature", "9"), kind=kind))
