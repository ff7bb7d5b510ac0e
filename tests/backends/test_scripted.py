"""The scripted backend does what its script says, and keeps count."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from pylon.backends.base import BackendBroken, BackendBusy, Prompt, Usage
from pylon.backends.scripted import Scripted
from pylon.errors import ConfigError, ContextOverflow
from tests.conformance.backend import answer, soon, text_of

SCRIPT = """
model = "actor"
context = 100
log = "runs.log"
default = "I do not know."

[[reply]]
when = "2+2"
text = "It is  4.\\n"

[[reply]]
when = "break"
text = "one two three"
fail = "broken"
after = 2

[[reply]]
when = "hang"
text = "one two three"
fail = "hang"
after = 1

[[reply]]
when = "busy"
fail = "busy"

[[reply]]
when = "overflow"
fail = "overflow"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The script."""
    path = tmp_path / "script.toml"
    path.write_text(SCRIPT, "utf-8")
    return path


def rewrite(path: Path, text: str) -> None:
    """Change the script."""
    path.write_text(text, "utf-8")


def ask(text: str, max_tokens: int = 16) -> Prompt:
    """A short question."""
    return Prompt(text, max_tokens=max_tokens)


def log(path: Path) -> list[str]:
    """The words of the log, without the run's number."""
    return [" ".join(line.split()[::2]) for line in (path.parent / "runs.log").read_text("utf-8").splitlines()]


async def test_replies(path: Path) -> None:
    """The first reply that fits is said word by word, spaces included; else the default."""
    backend = Scripted(path)
    chunks = await answer(backend, ask("What is 2+2?"))
    assert [chunk.text for chunk in chunks] == ["It", " is", "  4.\n", ""]
    assert (chunks[-1].usage, chunks[-1].finish_reason, chunks[-1].model) == (Usage(3, 3), "stop", "actor")
    assert text_of(await answer(backend, ask("Why?"))) == "I do not know."
    assert log(path) == ["start", "end done"] * 2


async def test_failures(path: Path) -> None:
    """Each way of failing has its error, and its line in the log where something had begun."""
    backend = Scripted(path)
    for text, error in (("be busy", BackendBusy), ("overflow", ContextOverflow)):
        with pytest.raises(error):
            await answer(backend, ask(text))
    assert not (path.parent / "runs.log").exists()
    async with aclosing(backend.generate(ask("break"))) as chunks:
        assert [(await soon(anext(chunks))).text for _ in range(2)] == ["one", " two"]
        with pytest.raises(BackendBroken):
            await soon(anext(chunks))
    assert log(path) == ["start", "end broken"]


async def test_hanging_until_closed(path: Path) -> None:
    """It waits for ever, and ends when it is closed."""
    task = asyncio.create_task(answer(Scripted(path), ask("hang")))
    async with asyncio.timeout(30):
        while not (path.parent / "runs.log").exists():  # noqa: ASYNC110  # the log is the sign that tests use
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log(path) == ["start", "end closed"]


async def test_the_script_is_read_anew(path: Path) -> None:
    """A changed script changes the next answer; one that was spoilt is BackendBroken."""
    backend = Scripted(path)
    rewrite(path, 'default = "Now this."\n')
    assert text_of(await answer(backend, ask("2+2"))) == "Now this."
    rewrite(path, "default = ")
    with pytest.raises(BackendBroken):
        await answer(backend, ask("2+2"))


@pytest.mark.parametrize("text", ["reply = 3\n", "modle = 'x'\n", "[[reply]]\ntext = 'no when'\n", "fail = 'never'\n", "x = ", "\x00"])
def test_wrong_scripts(path: Path, text: str) -> None:
    """A script that cannot be used is named."""
    rewrite(path, text)
    with pytest.raises(ConfigError, match=r"script\.toml"):
        Scripted(path)
