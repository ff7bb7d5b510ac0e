"""What people type: pairs and addresses, checked at the door."""

from __future__ import annotations

import pytest

from pylon.cli.options import key_values
from pylon.errors import UsageError


def test_pairs() -> None:
    """Everything behind the first `=` is the value."""
    pairs = [("language", "de"), ("length", " 5 words"), ("x", "a=b"), ("y", "")]
    assert key_values(["language=de", " length = 5 words", "x=a=b", "y="]) == pairs


@pytest.mark.parametrize("entry", ["", "language", "=de", " =de"])
def test_what_is_no_pair(entry: str) -> None:
    """It is named, with the form that it should have."""
    with pytest.raises(UsageError) as caught:
        key_values([entry])
    assert "KEY=VALUE" in caught.value.hint
