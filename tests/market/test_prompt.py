"""From a request to what a model is asked: inputs, sampling values, and all that strangers write there."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pylon.market.prompt import KINDS, Prompt
from pylon.nostr.event import Draft, sign
from pylon.nostr.nip90 import Input, JobError, Request, read_request
from tests.market.scene import CUSTOMER, NOW

READ = KINDS[5050].read
PLAIN = Request(kind=5050, inputs=(Input("hello"),))


def of(*tags: tuple[str, ...], content: str = "") -> Request:
    """A request as it comes from the wire."""
    return read_request(sign(Draft(5050, NOW, content, tags), CUSTOMER))


def test_the_kind_that_is_served() -> None:
    """Kind 5050, answered by 6050, written as the model said it."""
    kind = KINDS[5050]
    assert (list(KINDS), kind.result, kind.write("4\n")) == ([5050], 6050, "4\n")


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
