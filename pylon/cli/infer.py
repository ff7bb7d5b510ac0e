"""`pylon infer`: ask a model of this machine, without identity, node or payment."""

from __future__ import annotations

import math
import sys
from contextlib import aclosing

import click
import msgspec

from pylon.backends.base import Prompt, Usage
from pylon.backends.registry import Backends
from pylon.cli.common import INTERRUPTED, Context, command, json_option, pass_context, printable, read_stdin, run, show_json, write_out
from pylon.cli.options import COUNT
from pylon.config import Config
from pylon.errors import UsageError


class Answer(msgspec.Struct, frozen=True):
    """The JSON document of `infer`."""

    text: str
    model: str
    backend: str
    usage: Usage
    finish_reason: str


@click.command()
@click.option("--prompt", "-p", required=True, metavar="TEXT", help="The question; `-` reads it from standard input.")
@click.option("--model", "-m", default="", help="The model to ask; without it, the configured default, else one that is loaded.")
@click.option("--max-tokens", type=COUNT, default=512, show_default=True, help="The longest answer.")
@click.option("--temperature", type=float, help="0 always gives the same answer; left open, the engine decides.")
@click.option("--no-stream", is_flag=True, help="Print the answer when it is complete.")
@json_option
@pass_context
@command
def infer(
    context: Context, prompt: str, model: str, max_tokens: int, temperature: float | None, no_stream: bool, as_json: bool
) -> int | None:
    """Ask a model of this machine (a test of the backends: no identity, no payment)."""
    text = read_stdin() if prompt == "-" else prompt
    if not text.strip():
        raise UsageError("the prompt is empty", hint='say what to ask: pylon infer --prompt "Hello"')
    if temperature is not None and not (math.isfinite(temperature) and 0 <= temperature <= 5):
        raise UsageError(f"--temperature must be from 0 to 5, not {temperature}")
    config = context.config()
    asked = Prompt(text, model=model, max_tokens=max_tokens, temperature=temperature)
    try:
        answer = run(lambda: _ask(config, asked, show=not (no_stream or as_json)))
    except KeyboardInterrupt:
        return INTERRUPTED
    if as_json:
        show_json(answer)
    elif no_stream:
        _write(answer.text + "\n")
    return None


async def _ask(config: Config, prompt: Prompt, *, show: bool) -> Answer:
    """Choose a backend and gather its answer; `show` writes each piece as it comes."""
    backends = Backends()
    try:
        await backends.start(config.backends)
        backend, model = await backends.choose(prompt.model, config.provider.default_model)
        pieces: list[str] = []
        usage, reason = Usage(0, 0), ""
        async with aclosing(backend.generate(msgspec.structs.replace(prompt, model=model.name))) as chunks:
            try:
                async for chunk in chunks:
                    pieces.append(chunk.text)
                    if show:
                        _write(chunk.text)
                    if chunk.usage is not None:
                        usage, reason = chunk.usage, chunk.finish_reason
            finally:
                if show and pieces and (reason or sys.stdout.isatty()):
                    _write("\n")  # before an error too, where both go to one screen
        return Answer("".join(pieces), model.name, backend.name, usage, reason)
    finally:
        await backends.aclose()


def _write(text: str) -> None:
    """To stdout, at once; a terminal is not driven by what a model says."""
    shown = printable(text) if sys.stdout.isatty() else text
    write_out(shown.encode("utf-8", "replace"))
