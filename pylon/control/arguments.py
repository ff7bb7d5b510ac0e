"""What a call takes, as a value."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from pylon.control.server import Args
from pylon.errors import UsageError


class NoArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing."""


T = TypeVar("T", bound=msgspec.Struct)


def read(args: Args, kind: type[T]) -> T:
    """The arguments of one call. Raises UsageError."""
    try:
        return msgspec.convert(args, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"wrong arguments: {error}") from error
