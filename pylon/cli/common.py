"""What all commands share: the context, `--json`, and how an error is shown (one sentence, the right exit status, no traceback)."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import re
import select
import sys
from collections.abc import Callable, Coroutine
from typing import ParamSpec, TypeVar

import click
import msgspec
import orjson
import uvloop
from rich.console import Console

from pylon.config import Config, Home, load
from pylon.errors import PylonError, UsageError, file_error

STDIN_LIMIT = 64 << 20
INTERRUPTED = 130
"""128 + SIGINT, as shells count."""

P = ParamSpec("P")
R = TypeVar("R")

err = Console(stderr=True, highlight=False)
out = Console(highlight=False, soft_wrap=True)


class Context(msgspec.Struct):
    """The home that the command line chose."""

    home: Home

    def config(self) -> Config:
        """config.toml of the home. Raises ConfigError."""
        return load(self.home.config)


pass_context = click.make_pass_decorator(Context)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; logs go to stderr.")


def show_json(document: object) -> None:
    """Print one JSON document."""
    plain = msgspec.to_builtins(document)
    try:
        text = orjson.dumps(plain)
    except orjson.JSONEncodeError:  # half a character, in the name of a file or a word of the command line
        text = json.dumps(plain, ensure_ascii=False).encode("utf-8", "replace")
    write_out(text + b"\n")


def write_out(data: bytes) -> None:
    """All of `data` to stdout. Where that is not buffered (PYTHONUNBUFFERED), Python's own `write` may stop in the middle."""
    sys.stdout.flush()
    rest = memoryview(data)
    while rest:
        written = sys.stdout.buffer.write(rest)
        if not written:
            select.select((), (sys.stdout.fileno(),), ())  # a pipe that is full and that somebody has made non-blocking
        rest = rest[written or 0:]
    sys.stdout.buffer.flush()


def say(text: str) -> None:
    """What a model said, and a line end, to stdout; a terminal is not driven by it."""
    shown = printable(text) if sys.stdout.isatty() else text
    write_out((shown + "\n").encode("utf-8", "replace"))


def error_document(error: PylonError) -> dict[str, object]:
    """The `error` member of a JSON document."""
    return {"code": error.code, "message": error.message, "hint": error.hint}


def fail(error: PylonError, *, as_json: bool, document: dict[str, object] | None = None) -> int:
    """Show `error` and return its exit status. `document` is what was achieved all the same (exits 9 and 10)."""
    if as_json:
        show_json({**(document or {}), "error": error_document(error)})
    else:
        err.print(f"[bold red]Error:[/] {_plain(error.message)}", soft_wrap=True)
        if error.hint:
            err.print(f"  {_plain(error.hint)}", soft_wrap=True)
    return error.exit_status


_STEERS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]").match


def _plain(text: str) -> str:
    """Text from anywhere, safe for a terminal: control characters are shown, not obeyed; markup is not read."""
    return printable(text).replace("[", "\\[")


def printable(text: str) -> str:
    """`text` without what could drive a terminal: control characters (line breaks and tabs stay), overrides of the writing direction,
    which would make the rest of a line read as something else, and halves of characters, which cannot be written."""
    return "".join(c if c in "\n\t" or not _STEERS(c) else repr(c)[1:-1] for c in text)


def read_stdin() -> str:
    """All of standard input, as a prompt. What is no UTF-8 is replaced; line ends stay as they are."""
    read = sys.stdin.buffer.read(STDIN_LIMIT + 1)
    if len(read) > STDIN_LIMIT:
        raise UsageError(f"the prompt is longer than {STDIN_LIMIT >> 20} MB")
    return read.decode("utf-8", "replace")


def run(main: Callable[[], Coroutine[None, None, R]]) -> R:
    """Run `main` on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def command(function: Callable[P, int | None]) -> Callable[P, None]:
    """Turn a function that raises PylonError into one that shows it and exits. Its `as_json` argument, if any, is honoured."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json = bool(kwargs.get("as_json"))
        try:
            status = function(*args, **kwargs) or 0
        except PylonError as error:
            status = fail(error, as_json=as_json)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            # What was begun goes on in the node; only we stop waiting.
            err.print("Interrupted. What was begun goes on: `pylon job list` shows it.", markup=False)
            status = INTERRUPTED
        except BrokenPipeError:
            # The reader of our output has left (`pylon job list | head`): nothing more can be said to it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 1
        except OSError as error:
            if os.environ.get("PYLON_DEBUG"):
                raise
            status = fail(file_error(error), as_json=as_json)
        except Exception as error:  # the last door: a person gets a sentence, the log gets the traceback
            logging.getLogger("pylon").debug("unexpected", exc_info=True)
            if os.environ.get("PYLON_DEBUG"):
                raise
            status = fail(
                PylonError(f"unexpected {type(error).__name__}: {error}", hint="run again with PYLON_DEBUG=1 for the traceback"),
                as_json=as_json,
            )
        sys.exit(status)

    return wrapped
