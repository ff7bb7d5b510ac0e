"""A backend that is watched is closed as surely as the engine itself."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

from pylon.backends.base import Prompt
from pylon.backends.registry import Backends
from pylon.config import BackendsConfig


async def test_closing_an_answer_closes_the_engines_stream_at_once(tmp_path: Path) -> None:
    """When `aclose` returns the engine is free: nothing is left to a garbage collector."""
    (tmp_path / "script.toml").write_text('log = "runs.log"\ndefault = "one two three"\n', "utf-8")
    found = Backends()
    await found.start(BackendsConfig(use=["scripted"], script=str(tmp_path / "script.toml")))
    backend, _ = await found.choose()
    async with aclosing(backend.generate(Prompt("hello"))) as chunks:
        await anext(chunks)
    assert (tmp_path / "runs.log").read_text("utf-8").splitlines()[-1].endswith("closed")
    await found.aclose()
