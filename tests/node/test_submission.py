"""A person's wish as a request: kinds, parameters, and what is refused before anything is posted."""

from __future__ import annotations

import pytest

from pylon.config import Config
from pylon.errors import UsageError
from pylon.node.submission import SubmitArgs, request_of


def params(**more: object) -> tuple[tuple[str, ...], ...]:
    """The parameters of the request for these arguments."""
    return request_of(SubmitArgs(prompt="x", **more), Config()).params  # type: ignore[arg-type]  # the cases name fields with values of their types


def test_parameters_are_sent_as_typed() -> None:
    """After those that have options of their own, which count first."""
    assert params(kind=5002, model="tiny", max_tokens=9, params=[("language", "de"), ("top_k", "4"), ("model", "other")]) == (
        ("model", "tiny"), ("max_tokens", "9"), ("language", "de"), ("top_k", "4"), ("model", "other"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (5002, [], "language must be"), (5002, [("language", "xx")], "language must be"), (5001, [("length", "short")], "length must be"),
        (5050, [("temperature", "hot")], "temperature must be"), (5050, [("", "x")], "has a name"), (5050, [("x", "y" * 2000)], "at most"),
        (5050, [("x", "y")] * 51, "at most 50"), (5050, [("x", "\ud800")], "not valid Unicode"), (5100, [], "kind 5100 is not known here"),
    ],
)
def test_what_a_provider_would_refuse_is_told_at_once(kind: int, given: list[tuple[str, str]], message: str) -> None:
    """Nothing is posted that no provider of ours would take."""
    with pytest.raises(UsageError, match=message):
        params(kind=kind, params=given)
