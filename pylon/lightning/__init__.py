"""The embedded Lightning node on asyncio. The extension that it stands on may be left out of a build (`PYLON_BUILD_LIGHTNING=0`)."""

from __future__ import annotations

from importlib.machinery import PathFinder

import pylon._native as native


def built() -> bool:
    """Whether this installation holds the Lightning extension; nothing is loaded."""
    return PathFinder.find_spec(f"{native.__name__}.lightning", native.__path__) is not None
